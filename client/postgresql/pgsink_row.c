/*
 * pgsink_row.c
 *		Records as rows of COPY's binary format.
 */
#include "pgsink_row.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "byteorder.h"

/* A field: its length, then so many bytes; NULL is this length and none. */
#define LENGTH_SIZE sizeof(uint32_t)
#define NULL_LENGTH UINT32_MAX

/* What jsonb's binary form begins with (jsonb_recv()). */
#define JSONB_VERSION 1

/* A buffer begins with so much; twice as much whenever that is too little. */
#define FIRST_SIZE ((size_t) 64 * 1024)

/* What each record has: the number of fields, their lengths, and those of fixed width. */
#define FIXED_SIZE (2 + PGSINK_NUM_COLUMNS * LENGTH_SIZE + 4 + 8 + 8 + 4)

typedef struct Text
{
	const char *data; /* NULL: SQL's NULL */
	uint32_t length;
} Text;

char *
pgsink_source_text(char *text, const Source *source)
{
	snprintf(text, PGSINK_SOURCE_SIZE, "%s/%s/%s", source->system_identifier, source->database,
			 source->slot);
	return text;
}

static Text
text_of(const char *data)
{
	return (Text){data, data != NULL ? (uint32_t) strlen(data) : 0};
}

static Text
schema_of(const SinkRecord *record)
{
	return text_of(record->frame->relation != NULL ? record->frame->relation->schema : NULL);
}

static Text
table_of(const SinkRecord *record)
{
	return text_of(record->frame->relation != NULL ? record->frame->relation->table : NULL);
}

size_t
pgrow_size(const PgRowFormat *format, const SinkRecord *record)
{
	const Frame *frame = record->frame;
	size_t size = FIXED_SIZE + format->source_length;

	size += text_of(frame_op_name(frame->op)).length + schema_of(record).length +
			table_of(record).length;
	if (record->message->commit_time != 0)
		size += 8;
	if (frame->key != NULL)
		size += frame->key_length + (format->key_is_jsonb ? 1 : 0);
	return size + frame->payload_length + (format->record_is_jsonb ? 1 : 0);
}

static uint8_t *
put_int32(uint8_t *to, uint32_t value)
{
	put_be32(to, 4);
	put_be32(to + LENGTH_SIZE, value);
	return to + LENGTH_SIZE + 4;
}

static uint8_t *
put_int64(uint8_t *to, uint64_t value)
{
	put_be32(to, 8);
	put_be64(to + LENGTH_SIZE, value);
	return to + LENGTH_SIZE + 8;
}

static uint8_t *
put_null(uint8_t *to)
{
	put_be32(to, NULL_LENGTH);
	return to + LENGTH_SIZE;
}

static uint8_t *
put_text(uint8_t *to, Text text)
{
	if (text.data == NULL)
		return put_null(to);
	put_be32(to, text.length);
	memcpy(to + LENGTH_SIZE, text.data, text.length);
	return to + LENGTH_SIZE + text.length;
}

static uint8_t *
put_json(uint8_t *to, Text json, bool is_jsonb)
{
	if (json.data == NULL || !is_jsonb)
		return put_text(to, json);
	put_be32(to, json.length + 1);
	to[LENGTH_SIZE] = JSONB_VERSION;
	memcpy(to + LENGTH_SIZE + 1, json.data, json.length);
	return to + LENGTH_SIZE + 1 + json.length;
}

static void
put_row(uint8_t *to, const PgRowFormat *format, const SinkRecord *record)
{
	const Frame *frame = record->frame;

	put_be16(to, PGSINK_NUM_COLUMNS);
	to += 2;
	to = put_text(to, (Text){format->source, format->source_length});
	to = put_int32(to, record->incarnation);
	to = put_int64(to, record->id.commit_lsn);
	to = put_int64(to, record->id.seq);
	to = put_int32(to, record->id.part);
	/* timestamptz is counted as the protocol's commit time is */
	if (record->message->commit_time != 0)
		to = put_int64(to, (uint64_t) record->message->commit_time);
	else
		to = put_null(to);
	to = put_text(to, text_of(frame_op_name(frame->op)));
	to = put_text(to, schema_of(record));
	to = put_text(to, table_of(record));
	to = put_json(to, (Text){frame->key, frame->key_length}, format->key_is_jsonb);
	put_json(to, (Text){frame->payload, frame->payload_length}, format->record_is_jsonb);
}

static CdcStatus
reserve(PgRows *rows, size_t size, CdcError *err)
{
	size_t wanted = rows->size < FIRST_SIZE ? FIRST_SIZE : rows->size;
	uint8_t *data;

	if (rows->used + size <= rows->size)
		return CDC_OK;
	while (wanted < rows->used + size)
		wanted *= 2;
	/* A record that is larger than all else gets what it needs, not up to twice as much. */
	if (rows->used == 0)
		wanted = size > FIRST_SIZE ? size : FIRST_SIZE;
	data = realloc(rows->data, wanted);
	if (data == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory for a row of %zu bytes", size);
	rows->data = data;
	rows->size = wanted;
	return CDC_OK;
}

CdcStatus
pgrows_append(PgRows *rows, const PgRowFormat *format, const SinkRecord *record, size_t size,
			  CdcError *err)
{
	CdcStatus status = reserve(rows, size, err);

	if (status != CDC_OK)
		/* untested: an allocation fails */
		return status;
	put_row(rows->data + rows->used, format, record);
	rows->used += size;
	return CDC_OK;
}

void
pgrows_empty(PgRows *rows, size_t keep)
{
	if (rows->size > keep)
		pgrows_free(rows);
	rows->used = 0;
}

void
pgrows_free(PgRows *rows)
{
	free(rows->data);
	memset(rows, 0, sizeof(*rows));
}

size_t
pgrow_length(const uint8_t *at)
{
	size_t length = 2;

	for (int i = 0; i < PGSINK_NUM_COLUMNS; i++)
	{
		uint32_t field = get_be32(at + length);

		length += LENGTH_SIZE + (field == NULL_LENGTH ? 0 : field);
	}
	return length;
}

RecordId
pgrow_id(const uint8_t *at)
{
	RecordId id;

	at += 2;
	at += LENGTH_SIZE + get_be32(at);    /* source */
	at += LENGTH_SIZE + 4 + LENGTH_SIZE; /* incarnation */
	id.commit_lsn = get_be64(at);
	at += 8 + LENGTH_SIZE;
	id.seq = get_be64(at);
	at += 8 + LENGTH_SIZE;
	id.part = (uint16_t) get_be32(at);
	return id;
}

size_t
pgrows_count(const uint8_t *from, const uint8_t *to)
{
	size_t count = 0;

	for (; from < to; from += pgrow_length(from))
		count++;
	return count;
}

bool
pgrow_has_nul(const char *json, size_t length)
{
	const char *end = json + length;

	/* Each backslash takes what follows it along, so that the second of two begins nothing. */
	while ((json = memchr(json, '\\', (size_t) (end - json))) != NULL)
	{
		if (end - json >= 6 && memcmp(json + 1, "u0000", 5) == 0)
			return true;
		json += end - json >= 2 ? 2 : 1;
	}
	return false;
}
