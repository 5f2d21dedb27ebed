/*
 * http_batch.c
 *		Records gathered for one request.
 *
 * data is the body of the whole batch, but for an array's closing bracket, for which there is always
 * room: lines end with a newline each, an array's records stand between one "[" or "," and the next ",".
 * So a part of an array is made where it stands, by writing brackets over the bytes beside it, and these
 * are put right again before the next part is made.
 */
#include "http_batch.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool
reserve(HttpBatch *batch, size_t more)
{
	size_t capacity = batch->capacity > 0 ? batch->capacity : 4096;
	char *data;

	while (capacity < batch->length + more)
		capacity *= 2;
	if (capacity == batch->capacity)
		return true;
	data = realloc(batch->data, capacity);
	if (data == NULL)
		return false;
	batch->data = data;
	batch->capacity = capacity;
	return true;
}

static bool
reserve_record(HttpBatch *batch)
{
	uint32_t room = batch->max_records > 0 ? batch->max_records * 2 : 64;
	BatchRecord *records;

	if (batch->num_records < batch->max_records)
		return true;
	records = realloc(batch->records, room * sizeof(*records));
	if (records == NULL)
		return false;
	batch->records = records;
	batch->max_records = room;
	return true;
}

/* As format=cloudevents begins each record (plugin/cdc_format_cloudevents.c). */
static bool
is_event(const char *payload, uint32_t length)
{
	static const char start[] = "{\"specversion\":\"1.0\",";

	return length >= sizeof(start) && memcmp(payload, start, sizeof(start) - 1) == 0;
}

bool
http_batch_add(HttpBatch *batch, const char *url, const char *payload, uint32_t length,
			   const RecordId *id, const Position *after)
{
	BatchRecord *record;

	/* a bracket or comma before it, a newline or bracket behind it */
	if (!reserve(batch, (size_t) length + 2) || !reserve_record(batch))
		return false;
	if (batch->num_records == 0)
	{
		batch->url = strdup(url);
		if (batch->url == NULL)
			return false;
		batch->timeline = after->timeline;
		batch->incarnation = after->incarnation;
	}
	if (batch->shape == HTTP_ARRAY)
		batch->data[batch->length++] = batch->num_records == 0 ? '[' : ',';
	batch->events = (batch->events || batch->num_records == 0) && is_event(payload, length);
	record = &batch->records[batch->num_records++];
	*record = (BatchRecord){.start = batch->length, .length = length, .id = *id, .after = *after};
	memcpy(batch->data + batch->length, payload, length);
	batch->length += length;
	if (batch->shape != HTTP_ARRAY)
		batch->data[batch->length++] = '\n';
	return true;
}

bool
http_batch_fits(const HttpBatch *batch, const char *url, const Position *after)
{
	return batch->num_records == 0 ||
		   (batch->incarnation == after->incarnation && batch->timeline == after->timeline &&
			strcmp(batch->url, url) == 0);
}

void
http_batch_clear(HttpBatch *batch, size_t keep)
{
	free(batch->url);
	batch->url = NULL;
	batch->length = 0;
	batch->num_records = 0;
	batch->cut[0] = batch->cut[1] = 0;
	if (batch->capacity > keep)
	{
		free(batch->data);
		batch->data = NULL;
		batch->capacity = 0;
	}
}

void
http_batch_free(HttpBatch *batch)
{
	http_batch_clear(batch, 0);
	free(batch->records);
	memset(batch, 0, sizeof(*batch));
}

const char *
http_batch_body(HttpBatch *batch, uint32_t from, uint32_t count, size_t *length)
{
	const BatchRecord *first = &batch->records[from];
	const BatchRecord *last = &batch->records[from + count - 1];
	size_t end = last->start + last->length;

	if (batch->shape != HTTP_ARRAY)
	{
		*length = end + (batch->shape == HTTP_LINES ? 1 : 0) - first->start;
		return batch->data + first->start;
	}
	if (batch->cut[1] > 0)
	{
		batch->data[batch->cut[0]] = batch->cut[0] == 0 ? '[' : ',';
		batch->data[batch->cut[1]] = ',';
	}
	batch->cut[0] = first->start - 1;
	batch->cut[1] = end;
	batch->data[batch->cut[0]] = '[';
	batch->data[batch->cut[1]] = ']';
	*length = end + 1 - batch->cut[0];
	return batch->data + batch->cut[0];
}

/* FNV-1a: it tells bodies of one sender apart, nothing else. */
static uint64_t
add_to_hash(uint64_t hash, const void *data, size_t length)
{
	const unsigned char *bytes = data;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
	return hash;
}

void
http_batch_describe(const HttpBatch *batch, uint32_t from, uint32_t count, HttpBatchPart *part)
{
	*part = (HttpBatchPart){.schemas_hash = UINT64_C(14695981039346656037)};
	for (uint32_t i = 0; i < count; i++)
	{
		const BatchRecord *record = &batch->records[from + i];

		if (batch_record_is_schema(record))
		{
			part->num_schemas++;
			part->schemas_hash = add_to_hash(part->schemas_hash, &i, sizeof(i));
			part->schemas_hash =
				add_to_hash(part->schemas_hash, batch->data + record->start, record->length);
			continue;
		}
		if (part->first == NULL)
			part->first = record;
		part->last = record;
	}
	part->num_records = count - part->num_schemas;
}

char *
http_record_text(char *text, const RecordId *id)
{
	char lsn[LSN_TEXT_SIZE];

	if (id->commit_lsn == 0)
		return strcpy(text, "schema");
	snprintf(text, HTTP_RECORD_TEXT_SIZE, "%s-%" PRIu64 "-%u", lsn_format(lsn, id->commit_lsn),
			 id->seq, (unsigned) id->part);
	return text;
}

static char *
put_encoded(char *to, const char *from)
{
	for (; *from != '\0'; from++)
	{
		unsigned char c = (unsigned char) *from;

		if (c < 0x80 && (isalnum(c) || strchr("-_.", c) != NULL))
			*to++ = (char) c;
		else
			to += sprintf(to, "%%%02X", c);
	}
	return to;
}

char *
http_source_text(char *text, const Source *source)
{
	char *to = put_encoded(text, source->system_identifier);

	*to++ = ':';
	to = put_encoded(to, source->database);
	*to++ = ':';
	to = put_encoded(to, source->slot);
	*to = '\0';
	return text;
}
