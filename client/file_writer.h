/*
 * file_writer.h
 *		Lines, gathered and perhaps compressed, into a file store.
 */
#ifndef CDC_FILE_WRITER_H
#define CDC_FILE_WRITER_H

#include <stdint.h>

#include "compressor.h"
#include "file_store.h"

typedef struct FileWriter FileWriter;

/* The store is borrowed, and outlives the writer; compressor may be NULL. */
extern CdcStatus file_writer_create(FileWriter **writer, FileStore *store,
									const CompressorOps *compressor, CdcError *err) CDC_MUST_CHECK;

/* Appends one line; data has no newline, which is added. */
extern CdcStatus file_writer_put(FileWriter *writer, const char *data, size_t length,
								 CdcError *err) CDC_MUST_CHECK;

/* Passes on what was gathered: to the file, or to the compressor, which may keep it. */
extern CdcStatus file_writer_pass(FileWriter *writer, CdcError *err) CDC_MUST_CHECK;

/*
 * Passes on what was gathered, and ends a compressed frame: file_store_size() is then where the file may
 * be cut.
 */
extern CdcStatus file_writer_end(FileWriter *writer, CdcError *err) CDC_MUST_CHECK;

/* Whether nothing was ever put into the current file. */
extern bool file_writer_is_empty(const FileWriter *writer);

/* *fits: after one more line of length bytes the file will be at most limit bytes long. */
extern CdcStatus file_writer_fits(FileWriter *writer, size_t length, uint64_t limit, bool *fits,
								  CdcError *err) CDC_MUST_CHECK;

extern void file_writer_free(FileWriter *writer); /* takes NULL */

#endif /* CDC_FILE_WRITER_H */
