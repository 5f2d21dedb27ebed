/*
 * small_file.c
 *		Secrets, headers and certificates that stand in files of their own.
 */
#include "small_file.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Nobody has more of these than that; the file is rather another one. */
#define MAX_FILE (64 * 1024)

CdcStatus
small_file_read(const char *path, const char *param, char **text, size_t *length, CdcError *err)
{
	FILE *file = fopen(path, "r");
	char *buffer;
	bool failed;

	*text = NULL;
	*length = 0;
	if (file == NULL)
	{
		cdc_error(err, CDC_USAGE, "could not open \"%s\" (%s): %s", path, param, strerror(errno));
		return CDC_USAGE;
	}
	buffer = malloc(MAX_FILE + 1);
	if (buffer == NULL)
	{
		fclose(file);
		cdc_error(err, CDC_RETRY, "out of memory");
		return CDC_RETRY;
	}
	*length = fread(buffer, 1, MAX_FILE + 1, file);
	failed = ferror(file) != 0;
	fclose(file);
	if (failed || *length > MAX_FILE)
	{
		small_file_free(buffer, *length);
		cdc_error(err, CDC_USAGE,
				  failed ? "could not read \"%s\" (%s)" : "\"%s\" (%s) is longer than 64 KiB", path,
				  param);
		return CDC_USAGE;
	}
	buffer[*length] = '\0';
	*text = buffer;
	return CDC_OK;
}

void
small_file_free(char *text, size_t length)
{
	if (text != NULL)
		explicit_bzero(text, length);
	free(text);
}

/* The characters of a token (RFC 9110 "Tokens"). */
static bool
token_char(unsigned char c)
{
	return c < 0x80 && (isalnum(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL));
}

/* Cuts a line in two; false where it is not a header. */
static bool
cut_line(char *line, char **value)
{
	size_t length = 0;

	while (token_char((unsigned char) line[length]))
		length++;
	if (length == 0 || line[length] != ':')
		return false;
	line[length] = '\0';
	*value = line + length + 1;
	*value += strspn(*value, " \t");
	for (const char *at = *value; *at != '\0'; at++)
		if ((unsigned char) *at < 0x20 && *at != '\t')
			return false;
	return **value != '\0';
}

CdcStatus
small_file_read_headers(const char *path, const char *param, SmallFileTake take, void *arg,
						CdcError *err)
{
	char *text;
	size_t length;
	int number = 1;
	CdcStatus status = small_file_read(path, param, &text, &length, err);

	if (status != CDC_OK)
		return status;
	if (strlen(text) != length)
		status = cdc_error(err, CDC_USAGE, "\"%s\" (%s) is not a text: it has NUL", path, param);
	for (char *line = text, *next; status == CDC_OK && line != NULL; line = next, number++)
	{
		char *value;
		size_t end;

		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		end = strlen(line);
		while (end > 0 && strchr(" \t\r", line[end - 1]) != NULL)
			line[--end] = '\0';
		if (end == 0 || line[0] == '#')
			continue;
		if (cut_line(line, &value))
			status = take(arg, line, value, err);
		else
		{
			status = cdc_error(err, CDC_USAGE, "a header is wanted");
			cdc_error_hint(err, "A line is of the form Name: value; empty lines and those that "
								"begin with # are left out.");
		}
		if (status == CDC_USAGE)
		{
			char why[200];

			snprintf(why, sizeof(why), "%.199s", err->message);
			snprintf(err->message, sizeof(err->message), "line %d of \"%s\" (%s): %s", number, path,
					 param, why);
		}
	}
	small_file_free(text, length);
	return status;
}
