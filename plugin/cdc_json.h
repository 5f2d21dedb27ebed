/*
 * cdc_json.h
 *		Bytes of JSON: strings, numbers, times, base64 and hex.
 *
 * Knows nothing of rows, types or the catalogs.  Each function appends to a CdcWriter; none
 * allocates (but for strings of a database that is not UTF-8) and none depends on a session setting.
 */
#ifndef CDC_JSON_H
#define CDC_JSON_H

#include "datatype/timestamp.h"

#include "cdc_writer.h"

/* The text between the quotes: escaped, converted to UTF-8. */
extern void cdc_put_escaped(CdcWriter *writer, const char *text, Size len);

/* The same of what is UTF-8 already: of JSON that was written, say. */
extern void cdc_put_escaped_utf8(CdcWriter *writer, const char *text, Size len);

/* With its quotes. */
static inline void
cdc_put_string(CdcWriter *writer, const char *text, Size len)
{
	cdc_put_byte(writer, '"');
	cdc_put_escaped(writer, text, len);
	cdc_put_byte(writer, '"');
}

/*
 * Valid JSON text as it is, on one line: newlines between its tokens (the only place where JSON
 * allows them) become spaces.
 */
extern void cdc_put_json_text(CdcWriter *writer, const char *text, Size len);

extern void cdc_put_int64(CdcWriter *writer, int64 value);
extern void cdc_put_uint64(CdcWriter *writer, uint64 value);

/* Shortest number that reads back the same; NaN and infinities as strings. */
extern void cdc_put_float4(CdcWriter *writer, float4 value);
extern void cdc_put_float8(CdcWriter *writer, float8 value);

/* 0/16E2A10, without quotes. */
extern void cdc_put_lsn(CdcWriter *writer, uint64 lsn);

/* With quotes.	 zulu: a timestamptz, written in UTC with its Z. */
extern void cdc_put_timestamp(CdcWriter *writer, Timestamp value, bool zulu);
extern void cdc_put_date(CdcWriter *writer, int32 days_since_2000);
extern void cdc_put_time(CdcWriter *writer, int64 microseconds);
extern void cdc_put_timetz(CdcWriter *writer, int64 microseconds, int32 seconds_west);

/*
 * The same as output functions print them under DateStyle ISO: 2026-01-31 23:59:59.5+00.  utc: a timestamptz.
 */
extern void cdc_put_timestamp_text(CdcWriter *writer, Timestamp value, bool utc);
extern void cdc_put_time_text(CdcWriter *writer, int64 microseconds);

/* 2026-01-31T23:59:59.123456Z, with quotes: always six digits, as the member ts has it. */
extern void cdc_put_commit_time(CdcWriter *writer, TimestampTz value);

/* All digits in upper case, without quotes: they sort as the numbers do. */
extern void cdc_put_hex64(CdcWriter *writer, uint64 value);
extern void cdc_put_hex16(CdcWriter *writer, uint16 value);

/* Without quotes. */
extern void cdc_put_hex(CdcWriter *writer, const char *bytes, Size len);
extern void cdc_put_base64(CdcWriter *writer, const char *bytes, Size len);

#endif /* CDC_JSON_H */
