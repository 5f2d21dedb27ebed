/*
 * http_batch.h
 *		Records gathered for one request: the body, also of a part of them, and what identifies it.
 *
 * Pure.  A batch has one URL, and its records are of one incarnation and timeline.
 */
#ifndef CDC_HTTP_BATCH_H
#define CDC_HTTP_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "http_params.h"
#include "position.h"

typedef struct BatchRecord
{
	size_t start; /* in data */
	uint32_t length;
	RecordId id;
	Position after; /* holds once this record, and all before it, are durable */
} BatchRecord;

/* A schema record, which has no id: no transaction commits at 0. */
static inline bool
batch_record_is_schema(const BatchRecord *record)
{
	return record->id.commit_lsn == 0;
}

/* A zeroed batch is an empty one. */
typedef struct HttpBatch
{
	HttpShape shape; /* set before the first record */
	bool events;     /* its records are CloudEvents, all of them */
	bool counts;     /* the sink's: its bytes were taken since open() */
	char *url;       /* owned; NULL while it is empty */
	uint32_t timeline;
	uint32_t incarnation;
	char *data;
	size_t length;
	size_t capacity;
	BatchRecord *records;
	uint32_t num_records;
	uint32_t max_records; /* room in records */
	size_t cut[2];        /* where the last body's brackets stand in data, see http_batch_body() */
} HttpBatch;

/* Appends a record; the first one makes url, which is copied, the batch's.  false: out of memory. */
extern bool http_batch_add(HttpBatch *batch, const char *url, const char *payload, uint32_t length,
						   const RecordId *id, const Position *after);

/* Whether a record for url may join: an empty batch takes any. */
extern bool http_batch_fits(const HttpBatch *batch, const char *url, const Position *after);

/* Empties the batch.  Memory is kept for the next one, up to keep bytes. */
extern void http_batch_clear(HttpBatch *batch, size_t keep);
extern void http_batch_free(HttpBatch *batch);

/* The body of count records from the from-th on.  Points into the batch, until the next call. */
extern const char *http_batch_body(HttpBatch *batch, uint32_t from, uint32_t count, size_t *length);

/* What a part of a batch consists of, for its headers. */
typedef struct HttpBatchPart
{
	const BatchRecord *first; /* of its records; NULL: it has schema records only */
	const BatchRecord *last;
	uint32_t num_records; /* without schema records */
	uint32_t num_schemas;
	uint64_t schemas_hash; /* of what they say, and where they stand */
} HttpBatchPart;

extern void http_batch_describe(const HttpBatch *batch, uint32_t from, uint32_t count,
								HttpBatchPart *part);

/* "0/16E2A10-3-0": a record within its source; "schema" of a schema record.  Returns text. */
#define HTTP_RECORD_TEXT_SIZE 48
extern char *http_record_text(char *text, const RecordId *id);

/*
 * "7301234567890123456:shop:cdc": a source, percent-encoded where it is more than letters, digits, "-",
 * "_" and ".".  Returns text.
 */
#define HTTP_SOURCE_TEXT_SIZE (24 + 3 * (256 + 64) + 3)
extern char *http_source_text(char *text, const Source *source);

#endif /* CDC_HTTP_BATCH_H */
