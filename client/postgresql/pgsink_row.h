/*
 * pgsink_row.h
 *		Records as rows of COPY's binary format, and a buffer of them.
 *
 * Pure: bytes in memory.  A row is the columns of PGSINK_COLUMNS in that order (protocol: PostgreSQL's
 * documentation of COPY, "Binary Format"); the file's header and trailer are not part of it.
 */
#ifndef CDC_PGSINK_ROW_H
#define CDC_PGSINK_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "position.h"
#include "sink.h"

#define PGSINK_COLUMNS                                                                             \
	"source, incarnation, commit_lsn, seq, part, ts, op, schema, \"table\", key, record"
#define PGSINK_NUM_COLUMNS 11

/* Holds "SYSTEM IDENTIFIER/DATABASE/SLOT" with its terminator, which the column source holds. */
#define PGSINK_SOURCE_SIZE sizeof(Source)
extern char *pgsink_source_text(char *text, const Source *source);

/* What all rows of a stream share. */
typedef struct PgRowFormat
{
	char source[PGSINK_SOURCE_SIZE];
	uint32_t source_length;
	bool key_is_jsonb; /* else text or json, which have another binary form */
	bool record_is_jsonb;
} PgRowFormat;

/* Rows one behind the other.	A zeroed one is empty; free with pgrows_free(). */
typedef struct PgRows
{
	uint8_t *data;
	size_t used;
	size_t size;
} PgRows;

/* The bytes that the record's row takes. */
extern size_t pgrow_size(const PgRowFormat *format, const SinkRecord *record);

/* Appends the record's row, of pgrow_size() bytes.  CDC_RETRY: out of memory, nothing appended. */
extern CdcStatus pgrows_append(PgRows *rows, const PgRowFormat *format, const SinkRecord *record,
							   size_t size, CdcError *err) CDC_MUST_CHECK;

/* Empties the buffer; one that had to grow beyond keep bytes gives its memory back. */
extern void pgrows_empty(PgRows *rows, size_t keep);
extern void pgrows_free(PgRows *rows);

/* Of the row that starts at at: its bytes, and whose it is. */
extern size_t pgrow_length(const uint8_t *at);
extern RecordId pgrow_id(const uint8_t *at);

/* How many rows there are between two of their starts. */
extern size_t pgrows_count(const uint8_t *from, const uint8_t *to);

/* Whether the JSON text has the escape \u0000 in it, which jsonb cannot store. */
extern bool pgrow_has_nul(const char *json, size_t length);

#endif /* CDC_PGSINK_ROW_H */
