/*
 * file_store.h
 *		A file that grows by appended bytes and knows, over any crash, how many of them count.
 *
 * Three names in one directory: PATH itself, PATH.cdc-position (the sidecar), and PATH.000001 and so
 * on, the files that were rotated away.  Nothing counts that the sidecar does not say: on open the
 * file is cut to the sidecar's offset.	 Blocking; see sink_file.c for what runs in which thread.
 */
#ifndef CDC_FILE_STORE_H
#define CDC_FILE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "file_ops.h"
#include "position.h"

#define FILE_STORE_SIDECAR_SUFFIX ".cdc-position"

typedef struct FileStore FileStore;

/*
 * Opens or creates, takes the lock (CDC_RETRY names who has it), ends a rotation that a crash cut
 * short, and cuts the file to what counts.	 *found is false where no position has been stored yet,
 * else *source and *position are that position.  CDC_STOP: the file holds data that is not ours, or
 * less than what counts.  ops must outlive the store; it is the caller's to file_store_close().
 *
 * zstd: what is going to be written are zstd's frames.	 A file that holds the other thing is rotated.
 */
extern CdcStatus file_store_open(FileStore **store, const FileOps *ops, const char *path, bool zstd,
								 Source *source, Position *position, bool *found,
								 CdcError *err) CDC_MUST_CHECK;

/*
 * Appends.	 After a failure nothing is known of the file's tail: close the store.	CDC_STOP: another program has
 * changed its size.
 */
extern CdcStatus file_store_write(FileStore *store, const void *data, size_t length,
								  CdcError *err) CDC_MUST_CHECK;

/* Bytes in the current file. */
extern uint64_t file_store_size(const FileStore *store);

/* When the first of them came, as file_store_commit() was told; 0: none has, or it is not known. */
extern int64_t file_store_began(const FileStore *store);

/*
 * Makes the first size bytes of the current file durable, and then says so in the sidecar together
 * with the position, and with when the first byte came (began, seconds since 1970; 0: not known).
 * May run in another thread while file_store_write() appends behind size.	CDC_STOP: one of the files was
 * removed meanwhile.
 */
extern CdcStatus file_store_commit(FileStore *store, uint64_t size, int64_t began,
								   const Source *source, const Position *position,
								   CdcError *err) CDC_MUST_CHECK;

/*
 * Commits all that was written, renames the file to PATH.NNNNNN and begins an empty one.  Nothing
 * else may be called meanwhile.
 */
extern CdcStatus file_store_rotate(FileStore *store, int64_t began, const Source *source,
								   const Position *position, CdcError *err) CDC_MUST_CHECK;

/* What open() made and nothing was ever stored in is removed.	Takes NULL. */
extern void file_store_close(FileStore *store);

#endif /* CDC_FILE_STORE_H */
