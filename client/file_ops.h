/*
 * file_ops.h
 *		The system calls that the file store makes, as a table: the unit tests put a recorder in its
 *		place, to simulate a crash after each call.
 */
#ifndef CDC_FILE_OPS_H
#define CDC_FILE_OPS_H

#include <stdint.h>
#include <sys/types.h>

/* Each returns -1 and sets errno like the call it is named after. */
typedef struct FileOps
{
	int (*open)(const char *path, int flags, mode_t mode);
	int (*close)(int fd);
	ssize_t (*pread)(int fd, void *data, size_t length, off_t offset);
	ssize_t (*pwrite)(int fd, const void *data, size_t length, off_t offset);
	int (*ftruncate)(int fd, off_t length);
	int (*fdatasync)(int fd);
	int (*rename)(const char *from, const char *to); /* fails with EEXIST where to exists */
	int (*sync_directory)(const char *path);
	int (*unlink)(const char *path);
} FileOps;

extern const FileOps file_ops_system;

#endif /* CDC_FILE_OPS_H */
