/*
 * file_store_private.h
 *		What a file store is made of: shared by file_store.c, which writes, and file_store_open.c, which
 *		opens, and by nobody else.
 */
#ifndef CDC_FILE_STORE_PRIVATE_H
#define CDC_FILE_STORE_PRIVATE_H

#include "file_store.h"
#include "sidecar.h"

struct FileStore
{
	const FileOps *ops;
	char *path;
	char *directory;
	char *sidecar_path;
	int fd;
	int sidecar_fd;
	bool zstd;         /* what the next file is to hold */
	bool locked;       /* the files are ours */
	bool made_sidecar; /* neither was there when the store was opened */
	bool made_file;
	uint64_t size;      /* where the next byte goes */
	SidecarState state; /* what the sidecar says */
};

/* An error from errno; what it means for the question whether trying again may help. */
extern CdcStatus file_store_io_error(CdcError *err, const char *what, const char *path);

/* The whole of data, at offset. */
extern CdcStatus file_store_write_at(FileStore *store, int fd, const char *path,
									 const uint8_t *data, size_t length, uint64_t offset,
									 CdcError *err) CDC_MUST_CHECK;

/* Writes the state into the sidecar, under the next generation, and syncs it. */
extern CdcStatus file_store_write_sidecar(FileStore *store, SidecarState *next,
										  CdcError *err) CDC_MUST_CHECK;

extern CdcStatus file_store_sync_directory(FileStore *store, CdcError *err) CDC_MUST_CHECK;

/* Opens the current file, made if it is missing. */
extern CdcStatus file_store_open_current(FileStore *store, CdcError *err) CDC_MUST_CHECK;

/* What file that number gets; malloc'd, NULL: out of memory. */
extern char *file_store_rotated_path(const FileStore *store, uint64_t number);

/* Ends a rotation whose rename took place; the new file may or may not be there. */
extern CdcStatus file_store_finish_rotation(FileStore *store, CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_FILE_STORE_PRIVATE_H */
