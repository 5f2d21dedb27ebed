/*
 * pipeline_file.c
 *		The file that a pipeline is kept in; see pipeline_file.h.
 */
#include "pipeline_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A pipeline's settings and each of its rules have a few kB at most: what is larger is another file. */
#define MAX_FILE_SIZE ((size_t) 16 << 20)

/* NAMEDATALEN - 1: the server would cut a longer name. */
#define PIPELINE_NAME_MAX 63

static CdcStatus
read_stream(FILE *in, const char *path, PipelineFile *file, size_t *length, CdcError *err)
{
	size_t size = 0;

	*length = 0;
	do
	{
		size = size == 0 ? 65536 : size * 2;
		file->buffer = realloc(file->buffer, size + 1);
		if (file->buffer == NULL)
			abort();
		*length += fread(file->buffer + *length, 1, size - *length, in);
	} while (*length == size && size < MAX_FILE_SIZE);
	file->buffer[*length] = '\0';
	if (ferror(in))
		return cdc_error(err, CDC_USAGE, "could not read \"%s\": %s", path, strerror(errno));
	if (*length == MAX_FILE_SIZE)
		return cdc_error(err, CDC_USAGE,
						 "\"%s\" is too large for a pipeline's file: %zu MiB or more", path,
						 MAX_FILE_SIZE >> 20);
	return CDC_OK;
}

static CdcStatus
read_whole(const char *path, PipelineFile *file, size_t *length, CdcError *err)
{
	FILE *in;
	CdcStatus status;

	if (strcmp(path, PIPELINE_FILE_STANDARD) == 0)
		return read_stream(stdin, "standard input", file, length, err);
	in = fopen(path, "re");
	if (in == NULL)
		return cdc_error(err, CDC_USAGE, "could not open \"%s\": %s", path, strerror(errno));
	status = read_stream(in, path, file, length, err);
	fclose(in);
	return status;
}

/* Lines and characters count from 1, as editors do. */
static CdcStatus
refuse_json(const char *path, const char *text, size_t offset, const char *why, CdcError *err)
{
	size_t line = 1;
	size_t column = 1;

	for (size_t i = 0; i < offset; i++)
	{
		if (text[i] == '\n')
		{
			line++;
			column = 1;
		}
		else if (((unsigned char) text[i] & 0xc0) != 0x80) /* not the rest of a character */
			column++;
	}
	cdc_error(err, CDC_USAGE, "%s: not JSON, line %zu, column %zu: %s", path, line, column, why);
	cdc_error_hint(err, "cdc_client pipeline export writes such a file of an existing pipeline.");
	return CDC_USAGE;
}

static CdcStatus
parse(const char *path, PipelineFile *file, size_t length, CdcError *err)
{
	struct json_tokener *tokener = json_tokener_new();
	enum json_tokener_error problem;
	size_t end;

	if (tokener == NULL)
		abort();
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8 |
										JSON_TOKENER_ALLOW_TRAILING_CHARS);
	/* with the zero byte behind it, which ends a document that is a bare word or number */
	file->document = json_tokener_parse_ex(tokener, file->text, (int) length + 1);
	problem = json_tokener_get_error(tokener);
	end = json_tokener_get_parse_end(tokener);
	json_tokener_free(tokener);
	if (problem == json_tokener_continue || problem == json_tokener_error_parse_eof)
		return refuse_json(path, file->text, length, "it ends before the document does", err);
	if (problem != json_tokener_success)
		return refuse_json(path, file->text, end, json_tokener_error_desc(problem), err);
	end += strspn(file->text + end, " \t\r\n");
	if (end < length)
		return refuse_json(path, file->text, end, "there is more behind the document", err);
	return CDC_OK;
}

static CdcStatus
take_name(const char *path, PipelineFile *file, CdcError *err)
{
	struct json_object *name = NULL;

	if (!json_object_is_type(file->document, json_type_object) ||
		!json_object_object_get_ex(file->document, "pipeline", &name) ||
		!json_object_is_type(name, json_type_string))
	{
		cdc_error(err, CDC_USAGE,
				  "%s: not a pipeline: it must be a JSON object with a string \"pipeline\"", path);
		cdc_error_hint(err, "For example: {\"pipeline\": \"shop\", \"publications\": [\"shop\"], "
							"\"rules\": []}; cdc_client pipeline export writes an existing one.");
		return CDC_USAGE;
	}
	file->name = json_object_get_string(name);
	if (file->name[0] == '\0' || strlen(file->name) > PIPELINE_NAME_MAX)
	{
		cdc_error(err, CDC_USAGE, "%s: \"%s\" is no name for a pipeline", path, file->name);
		cdc_error_hint(err, "A name has 1 to %d bytes.", PIPELINE_NAME_MAX);
		return CDC_USAGE;
	}
	return CDC_OK;
}

CdcStatus
pipeline_file_read(const char *path, PipelineFile *file, CdcError *err)
{
	static const char byte_order_mark[] = "\xef\xbb\xbf";
	const char *shown = strcmp(path, PIPELINE_FILE_STANDARD) == 0 ? "standard input" : path;
	size_t length = 0;
	CdcStatus status;

	memset(file, 0, sizeof(*file));
	status = read_whole(path, file, &length, err);
	if (status == CDC_OK)
	{
		file->text = file->buffer;
		if (strncmp(file->text, byte_order_mark, strlen(byte_order_mark)) == 0)
		{
			file->text += strlen(byte_order_mark);
			length -= strlen(byte_order_mark);
		}
		/* to the parser it would be the end, to the server too */
		if (strlen(file->text) < length)
			status = refuse_json(shown, file->text, strlen(file->text), "a zero byte", err);
	}
	if (status == CDC_OK)
		status = parse(shown, file, length, err);
	if (status == CDC_OK)
		status = take_name(shown, file, err);
	if (status != CDC_OK)
		pipeline_file_free(file);
	return status;
}

void
pipeline_file_free(PipelineFile *file)
{
	json_object_put(file->document);
	free(file->buffer);
	memset(file, 0, sizeof(*file));
}

static CdcStatus
refuse_write(const char *path, CdcError *err)
{
	return cdc_error(err, CDC_USAGE, "could not write \"%s\": %s", path, strerror(errno));
}

/* Takes the stream over: it is closed. */
static bool
write_and_close(FILE *out, const char *text)
{
	bool written = out != NULL && fputs(text, out) != EOF;

	return out != NULL && fclose(out) == 0 && written;
}

/* What a new file would get. */
static mode_t
default_mode(void)
{
	mode_t mask = umask(0);

	umask(mask);
	return 0666 & ~mask;
}

/* Beside the file, under another name, and then in its place. */
static CdcStatus
replace_file(const char *path, mode_t mode, const char *text, CdcError *err)
{
	char *temporary = NULL;
	CdcStatus status = CDC_OK;
	int fd;

	if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
		abort();
	fd = mkstemp(temporary);
	if (fd < 0)
		status = refuse_write(path, err);
	else if (fchmod(fd, mode) != 0 || !write_and_close(fdopen(fd, "w"), text) ||
			 rename(temporary, path) != 0)
	{
		status = refuse_write(path, err);
		unlink(temporary);
	}
	free(temporary);
	return status;
}

CdcStatus
pipeline_file_write(const char *path, const char *text, CdcError *err)
{
	struct stat there;
	char *target;
	CdcStatus status = CDC_OK;

	/* main() looks whether all that went there arrived */
	if (strcmp(path, PIPELINE_FILE_STANDARD) == 0)
	{
		fputs(text, stdout);
		return CDC_OK;
	}
	if (stat(path, &there) != 0)
		return errno == ENOENT ? replace_file(path, default_mode(), text, err)
							   : refuse_write(path, err);
	/* a device, say: nothing to put something in the place of */
	if (!S_ISREG(there.st_mode))
		return write_and_close(fopen(path, "we"), text) ? CDC_OK : refuse_write(path, err);
	target = realpath(path, NULL); /* through a symbolic link, which is to stay */
	if (target == NULL)
		return refuse_write(path, err);
	status = replace_file(target, there.st_mode & 07777, text, err);
	free(target);
	return status;
}
