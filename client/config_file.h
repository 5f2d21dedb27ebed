/*
 * config_file.h
 *		Reading a file of "name = value" lines.
 *
 * Blank lines and lines that start with # are skipped.  A value ends at the end of the line or
 * before a # that follows white space; one in single quotes is taken as it stands, '' being a quote.
 */
#ifndef CDC_CONFIG_FILE_H
#define CDC_CONFIG_FILE_H

#include "error.h"

/* Called for each line; where is "FILE:LINE".  What it returns ends the reading if not CDC_OK. */
typedef CdcStatus (*ConfigLine)(void *context, const char *where, const char *name,
								const char *value);

/* named_by: which option named the file, for the error where it cannot be read (CDC_USAGE). */
extern CdcStatus config_file_read(const char *path, const char *named_by, ConfigLine line,
								  void *context, CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_CONFIG_FILE_H */
