/*
 * small_file.h
 *		Secrets, headers and certificates that stand in files of their own.
 *
 * Errors are CDC_USAGE and name the file and the parameter that named it, never what stands there.
 */
#ifndef CDC_SMALL_FILE_H
#define CDC_SMALL_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

/* The whole of a file of at most 64 KiB; malloc'd, with a NUL behind it. */
extern CdcStatus small_file_read(const char *path, const char *param, char **text, size_t *length,
								 CdcError *err) CDC_MUST_CHECK;

/* Overwrites and frees what was read.	Takes NULL. */
extern void small_file_free(char *text, size_t length);

/*
 * "Name: value" on each line, as HTTP and gRPC have it; empty lines and those that begin with # are left
 * out.  take is called with each: name and value end with a NUL, and are its own to change, during the
 * call.
 */
typedef CdcStatus (*SmallFileTake)(void *arg, char *name, char *value, CdcError *err);
extern CdcStatus small_file_read_headers(const char *path, const char *param, SmallFileTake take,
										 void *arg, CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_SMALL_FILE_H */
