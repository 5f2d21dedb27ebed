/*
 * pipeline_file.h
 *		The file that a pipeline is kept in: reading it, and writing one.
 */
#ifndef CDC_PIPELINE_FILE_H
#define CDC_PIPELINE_FILE_H

#include <stddef.h>

#include <json-c/json.h>

#include "error.h"

/* "-" is standard input, or output. */
#define PIPELINE_FILE_STANDARD "-"

typedef struct PipelineFile
{
	char *buffer;                 /* what was read, ended by a zero byte */
	const char *text;             /* the document in it: a byte order mark is skipped */
	struct json_object *document; /* the same, parsed: an object with a member "pipeline" */
	const char *name;             /* of the pipeline; borrowed from document */
} PipelineFile;

/*
 * Reads and parses the file.  CDC_USAGE where it cannot be read, is not JSON (line and column are in the
 * message) or names no pipeline; what its rules say is the server's to judge.  On CDC_OK the caller
 * pipeline_file_free()s it.
 */
extern CdcStatus pipeline_file_read(const char *path, PipelineFile *file,
									CdcError *err) CDC_MUST_CHECK;
extern void pipeline_file_free(PipelineFile *file);

/*
 * Writes text as the file's whole content.  A file that exists is replaced at once or not at all, and
 * keeps its mode.
 */
extern CdcStatus pipeline_file_write(const char *path, const char *text,
									 CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_PIPELINE_FILE_H */
