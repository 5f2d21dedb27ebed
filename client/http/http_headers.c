/*
 * http_headers.c
 *		A request's headers, and what of them and of the signature's secret stands in files.
 */
#include "http_headers.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_body.h"
#include "small_file.h"

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
add_header(void *headers_arg, char *name, char *value, CdcError *err)
{
	struct curl_slist **headers = headers_arg;
	struct curl_slist *longer = NULL;
	char *line;

	if (header_is_ours(name, strlen(name)))
		return cdc_error(err, CDC_USAGE, "sets %s, which the client sets itself", name);
	if (asprintf(&line, "%s: %s", name, value) >= 0)
	{
		longer = curl_slist_append(*headers, line);
		small_file_free(line, strlen(line));
	}
	if (longer == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	*headers = longer;
	return CDC_OK;
}

CdcStatus
http_headers_read(const char *path, struct curl_slist **headers, CdcError *err)
{
	return small_file_read_headers(path, "cdc.headers-file", add_header, headers, err);
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
		status = small_file_read(params->secret_file, "cdc.secret-file", secret, length, err);
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

/* The same for the same body, and for no other of this source. */
static bool
append_key(struct curl_slist **headers, const HttpAbout *about, const char *source,
		   const HttpBatchPart *part)
{
	char first[HTTP_RECORD_TEXT_SIZE] = "schema";
	char last[HTTP_RECORD_TEXT_SIZE] = "";
	char schemas[24] = "";

	if (part->first != NULL)
	{
		http_record_text(first, &part->first->id);
		http_record_text(last, &part->last->id);
	}
	if (part->num_schemas > 0)
		snprintf(schemas, sizeof(schemas), "+%016" PRIx64, part->schemas_hash);
	return append(headers, "Idempotency-Key: %s:%" PRIu32 ":%s%s%s%s", source,
				  about->batch->incarnation, first, part->first != NULL ? ".." : "", last, schemas);
}

static bool
append_ends(struct curl_slist **headers, const HttpBatchPart *part)
{
	char text[HTTP_RECORD_TEXT_SIZE];

	if (part->first == NULL)
		return true;
	return append(headers, "Cdc-First-Record: %s", http_record_text(text, &part->first->id)) &&
		   append(headers, "Cdc-Last-Record: %s", http_record_text(text, &part->last->id));
}

static bool
append_records(struct curl_slist **headers, const HttpAbout *about)
{
	const HttpBatch *batch = about->batch;
	const BatchRecord *last = &batch->records[about->from + about->count - 1];
	HttpBatchPart part;
	char source[HTTP_SOURCE_TEXT_SIZE];
	char lsn[LSN_TEXT_SIZE];

	http_source_text(source, about->source);
	http_batch_describe(batch, about->from, about->count, &part);
	return append_key(headers, about, source, &part) && append(headers, "Cdc-Source: %s", source) &&
		   append_ends(headers, &part) &&
		   append(headers, "Cdc-Record-Count: %" PRIu32, part.num_records) &&
		   (part.num_schemas == 0 ||
			append(headers, "Cdc-Schema-Count: %" PRIu32, part.num_schemas)) &&
		   append(headers, "Cdc-Incarnation: %" PRIu32, batch->incarnation) &&
		   append(headers, "Cdc-Timeline: %" PRIu32, batch->timeline) &&
		   append(headers, "Cdc-End-Lsn: %s", lsn_format(lsn, last->after.end_lsn));
}

/*
 * CloudEvents have types of their own ("HTTP Protocol Binding", 3.2 and 3.3), but none for lines.  Where
 * other records are among them (an outbox's), it is JSON and no more.
 */
static const char *
content_type(const HttpBatch *batch)
{
	switch (batch->shape)
	{
		case HTTP_ARRAY:
			return batch->events ? "application/cloudevents-batch+json" : "application/json";
		case HTTP_SINGLE:
			return batch->events ? "application/cloudevents+json" : "application/json";
		case HTTP_LINES:
			break;
	}
	return "application/x-ndjson";
}

struct curl_slist *
http_headers_make(const HttpAbout *about, const struct curl_slist *users)
{
	const char *coding = http_coding_name(about->params->coding);
	struct curl_slist *headers = NULL;

	/* "Expect:" alone takes away libcurl's question whether the body may come: one round trip each */
	if (!append(&headers, "Expect:") ||
		!append(&headers, "Content-Type: %s", content_type(about->batch)) ||
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
