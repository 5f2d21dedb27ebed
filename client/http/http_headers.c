/*
 * http_headers.c
 *		A request's headers, and what of them and of the signature's secret stands in files.
 */
#include "http_headers.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_body.h"

/* Nobody has more credentials than that; the file is rather another one. */
#define MAX_FILE (64 * 1024)

/* Reads the whole of a small file; malloc'd, with a NUL behind it. */
static CdcStatus
read_file(const char *path, const char *param, char **text, size_t *length, CdcError *err)
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
		free(buffer);
		cdc_error(err, CDC_USAGE, failed ? "could not read \"%s\" (%s)" : "\"%s\" (%s) is too long",
				  path, param);
		return CDC_USAGE;
	}
	buffer[*length] = '\0';
	*text = buffer;
	return CDC_OK;
}

/* The characters of a token (RFC 9110 "Tokens"). */
static bool
token_char(unsigned char c)
{
	return c < 0x80 && (isalnum(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL));
}

/* Whether the client itself says what this header says. */
static bool
header_is_ours(const char *line, size_t length)
{
	static const char *const ours[] = {"content-type",      "content-encoding", "content-length",
									   "transfer-encoding", "idempotency-key",  "expect"};

	if (length > 4 && strncasecmp(line, "cdc-", 4) == 0)
		return true;
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (strlen(ours[i]) == length && strncasecmp(line, ours[i], length) == 0)
			return true;
	return false;
}

static CdcStatus
add_line(const char *path, int number, const char *line, struct curl_slist **headers, CdcError *err)
{
	struct curl_slist *longer;
	size_t length = 0;
	bool good;

	while (token_char((unsigned char) line[length]))
		length++;
	good = length > 0 && line[length] == ':' && line[length + 1 + strspn(line + length + 1, " \t")];
	for (const char *at = line + length; *at != '\0'; at++)
		if ((unsigned char) *at < 0x20 && *at != '\t')
			good = false;
	if (!good)
	{
		cdc_error(err, CDC_USAGE, "line %d of \"%s\" (cdc.headers-file) is not a header", number,
				  path);
		cdc_error_hint(err, "A line is of the form Name: value; empty lines and those that begin "
							"with # are left out.");
		return CDC_USAGE;
	}
	if (header_is_ours(line, length))
		return cdc_error(err, CDC_USAGE,
						 "line %d of \"%s\" (cdc.headers-file) sets %.*s, which the client sets "
						 "itself",
						 number, path, (int) length, line);
	longer = curl_slist_append(*headers, line);
	if (longer == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	*headers = longer;
	return CDC_OK;
}

CdcStatus
http_headers_read(const char *path, struct curl_slist **headers, CdcError *err)
{
	char *text;
	size_t length;
	int number = 1;
	CdcStatus status = read_file(path, "cdc.headers-file", &text, &length, err);

	if (status != CDC_OK)
		return status;
	if (strlen(text) != length)
		status =
			cdc_error(err, CDC_USAGE, "\"%s\" (cdc.headers-file) is not a text: it has NUL", path);
	for (char *line = text, *next; status == CDC_OK && line != NULL; line = next, number++)
	{
		size_t end;

		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		end = strlen(line);
		while (end > 0 && strchr(" \t\r", line[end - 1]) != NULL)
			line[--end] = '\0';
		if (end > 0 && line[0] != '#')
			status = add_line(path, number, line, headers, err);
	}
	explicit_bzero(text, length); /* it held secrets */
	free(text);
	return status;
}

CdcStatus
http_secret_read(const HttpParams *params, char **secret, size_t *length, CdcError *err)
{
	const char *value;
	CdcStatus status;

	*secret = NULL;
	*length = 0;
	if (params->secret_file != NULL)
	{
		status = read_file(params->secret_file, "cdc.secret-file", secret, length, err);
		if (status != CDC_OK)
			return status;
		/* an editor's newline is no part of it */
		while (*length > 0 && strchr("\r\n", (*secret)[*length - 1]) != NULL)
			(*length)--;
		if (*length > 0)
			return CDC_OK;
		free(*secret);
		*secret = NULL;
		return cdc_error(err, CDC_USAGE, "\"%s\" (cdc.secret-file) is empty", params->secret_file);
	}
	if (params->secret_env == NULL)
		return CDC_OK;
	value = getenv(params->secret_env);
	if (value == NULL || *value == '\0')
		return cdc_error(err, CDC_USAGE,
						 "environment variable \"%s\" (cdc.secret-env) is not set, or empty",
						 params->secret_env);
	*secret = strdup(value);
	*length = strlen(value);
	return *secret != NULL ? CDC_OK : cdc_error(err, CDC_RETRY, "out of memory");
}

static bool append(struct curl_slist **headers, const char *fmt, ...) CDC_PRINTF(2, 3);

/* false: out of memory, and the list is freed. */
static bool
append(struct curl_slist **headers, const char *fmt, ...)
{
	char line[2 * HTTP_SOURCE_TEXT_SIZE];
	struct curl_slist *longer;
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	longer = curl_slist_append(*headers, line);
	if (longer == NULL)
		curl_slist_free_all(*headers);
	*headers = longer;
	return longer != NULL;
}

static bool
append_records(struct curl_slist **headers, const HttpAbout *about)
{
	const HttpBatch *batch = about->batch;
	const BatchRecord *last = &batch->records[about->from + about->count - 1];
	char source[HTTP_SOURCE_TEXT_SIZE];
	char first_text[HTTP_RECORD_TEXT_SIZE];
	char last_text[HTTP_RECORD_TEXT_SIZE];
	char lsn[LSN_TEXT_SIZE];

	http_source_text(source, about->source);
	http_record_text(first_text, &batch->records[about->from].id);
	http_record_text(last_text, &last->id);
	return append(headers, "Idempotency-Key: %s:%" PRIu32 ":%s..%s", source, batch->incarnation,
				  first_text, last_text) &&
		   append(headers, "Cdc-Source: %s", source) &&
		   append(headers, "Cdc-First-Record: %s", first_text) &&
		   append(headers, "Cdc-Last-Record: %s", last_text) &&
		   append(headers, "Cdc-Record-Count: %" PRIu32, about->count) &&
		   append(headers, "Cdc-Incarnation: %" PRIu32, batch->incarnation) &&
		   append(headers, "Cdc-Timeline: %" PRIu32, batch->timeline) &&
		   append(headers, "Cdc-End-Lsn: %s", lsn_format(lsn, last->after.end_lsn));
}

struct curl_slist *
http_headers_make(const HttpAbout *about, const struct curl_slist *users)
{
	const char *coding = http_coding_name(about->params->coding);
	struct curl_slist *headers = NULL;

	/* "Expect:" alone takes away libcurl's question whether the body may come: one round trip each */
	if (!append(&headers, "Expect:") ||
		!append(&headers, "Content-Type: %s",
				about->batch->array ? "application/json" : "application/x-ndjson") ||
		(coding != NULL && !append(&headers, "Content-Encoding: %s", coding)) ||
		!append_records(&headers, about) ||
		(about->signature != NULL && !append(&headers, "Cdc-Signature: %s", about->signature)))
		return NULL;
	for (; users != NULL; users = users->next)
	{
		struct curl_slist *longer = curl_slist_append(headers, users->data);

		if (longer == NULL)
		{
			curl_slist_free_all(headers);
			return NULL;
		}
		headers = longer;
	}
	return headers;
}
