/*
 * cdc_format_debezium_time.c
 *		Times as the connector writes them; see cdc_format_debezium.h.
 */
#include "postgres.h"

#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "cdc_format_debezium.h"
#include "cdc_json.h"
#include "cdc_options.h"

/* 2000-01-01, in seconds and days since 1970. */
#define EPOCH_DAYS (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)
#define EPOCH_SECONDS (INT64CONST(86400) * EPOCH_DAYS)

/* What the connector has for infinite times, and their text in isostring. */
#define INFINITE_DATE (-2147472692)
#define MINUS_INFINITE_DATE (-2147472691)
#define INFINITE_MILLISECONDS INT64CONST(9223372036825200)
#define MINUS_INFINITE_MILLISECONDS INT64CONST(-9223372036832400)

/* An average month, of which twelve are 365.25 days. */
#define MICROSECONDS_PER_MONTH INT64CONST(2629800000000)

/* The longest that is written at once: +294276-12-31T23:59:59.999999Z, with quotes. */
#define TEXT_LENGTH 64

/* As many digits of the fraction as there are. */
#define TRIMMED (-1)

static inline int64
floor_divide(int64 value, int64 divisor)
{
	return value / divisor - (value % divisor < 0 ? 1 : 0);
}

static char *
put_digits(char *out, int value, int count)
{
	for (int i = count - 1; i >= 0; i--, value /= 10)
		out[i] = '0' + value % 10;
	return out + count;
}

/* As java.time prints it: years before 1 and after 9999 with a sign. */
static char *
put_iso_date(char *out, int days_since_2000)
{
	int year, month, day;

	j2date(days_since_2000 + POSTGRES_EPOCH_JDATE, &year, &month, &day);
	if (year < 0)
		*out++ = '-';
	else if (year > 9999)
		*out++ = '+';
	if (abs(year) > 9999)
		out += sprintf(out, "%d", abs(year));
	else
		out = put_digits(out, abs(year), 4);
	*out++ = '-';
	out = put_digits(out, month, 2);
	*out++ = '-';
	return put_digits(out, day, 2);
}

/* 12:34:56.7Z; digits of the fraction, or TRIMMED. */
static char *
put_iso_time(char *out, int64 microseconds, int digits)
{
	int seconds = microseconds / USECS_PER_SEC;
	int fraction = microseconds % USECS_PER_SEC;

	out = put_digits(out, seconds / SECS_PER_HOUR % HOURS_PER_DAY, 2);
	*out++ = ':';
	out = put_digits(out, seconds / SECS_PER_MINUTE % MINS_PER_HOUR, 2);
	*out++ = ':';
	out = put_digits(out, seconds % SECS_PER_MINUTE, 2);
	if (digits > 0 || (digits == TRIMMED && fraction != 0))
	{
		*out++ = '.';
		put_digits(out, fraction, 6);
		if (digits == TRIMMED)
			for (digits = 6; out[digits - 1] == '0'; digits--)
				;
		out += digits;
	}
	*out++ = 'Z';
	return out;
}

static void
put_iso_instant(CdcWriter *writer, Timestamp value, int digits)
{
	char *out = cdc_writer_reserve(writer, TEXT_LENGTH);
	int64 day = floor_divide(value, USECS_PER_DAY);

	*out++ = '"';
	out = put_iso_date(out, day);
	*out++ = 'T';
	out = put_iso_time(out, value - day * USECS_PER_DAY, digits);
	*out++ = '"';
	writer->cur = out;
}

static void
put_days(CdcWriter *writer, Datum value, const CdcType *type)
{
	DateADT date = DatumGetDateADT(value);

	if (DATE_IS_NOEND(date))
		cdc_put_int64(writer, INFINITE_DATE);
	else if (DATE_IS_NOBEGIN(date))
		cdc_put_int64(writer, MINUS_INFINITE_DATE);
	else
		cdc_put_int64(writer, (int64) date + EPOCH_DAYS);
}

static void
put_date_string(CdcWriter *writer, Datum value, const CdcType *type)
{
	DateADT date = DatumGetDateADT(value);
	char *out;

	if (DATE_IS_NOEND(date))
		cdc_put_literal(writer, "\"-5877611-06-21Z\"");
	else if (DATE_IS_NOBEGIN(date))
		cdc_put_literal(writer, "\"-5877611-06-22Z\"");
	else
	{
		out = cdc_writer_reserve(writer, TEXT_LENGTH);
		*out++ = '"';
		out = put_iso_date(out, date);
		*out++ = 'Z';
		*out++ = '"';
		writer->cur = out;
	}
}

static void
put_time_ms(CdcWriter *writer, Datum value, const CdcType *type)
{
	cdc_put_int64(writer, DatumGetTimeADT(value) / 1000);
}

static void
put_time_us(CdcWriter *writer, Datum value, const CdcType *type)
{
	cdc_put_int64(writer, DatumGetTimeADT(value));
}

static void
put_time_ns(CdcWriter *writer, Datum value, const CdcType *type)
{
	cdc_put_int64(writer, DatumGetTimeADT(value) * 1000);
}

static void
put_time_of_day(CdcWriter *writer, int64 microseconds)
{
	char *out = cdc_writer_reserve(writer, TEXT_LENGTH);

	*out++ = '"';
	out = put_iso_time(out, microseconds, TRIMMED);
	*out++ = '"';
	writer->cur = out;
}

static void
put_time_string(CdcWriter *writer, Datum value, const CdcType *type)
{
	put_time_of_day(writer, DatumGetTimeADT(value));
}

/* In UTC, where it may be another day's. */
static void
put_timetz(CdcWriter *writer, Datum value, const CdcType *type)
{
	TimeTzADT *time = DatumGetTimeTzADTP(value);
	int64 utc = (time->time + time->zone * USECS_PER_SEC) % USECS_PER_DAY;

	put_time_of_day(writer, utc < 0 ? utc + USECS_PER_DAY : utc);
}

static void
put_timestamp_ms(CdcWriter *writer, Datum value, const CdcType *type)
{
	Timestamp timestamp = DatumGetTimestamp(value);

	if (TIMESTAMP_IS_NOEND(timestamp))
		cdc_put_int64(writer, INFINITE_MILLISECONDS);
	else if (TIMESTAMP_IS_NOBEGIN(timestamp))
		cdc_put_int64(writer, MINUS_INFINITE_MILLISECONDS);
	else
		cdc_put_int64(writer, floor_divide(timestamp, 1000) + EPOCH_SECONDS * 1000);
}

/* The last 29 years that PostgreSQL has pass 64 bits: they come out as Java's saturated arithmetic has them. */
static void
put_timestamp_us(CdcWriter *writer, Datum value, const CdcType *type)
{
	Timestamp timestamp = DatumGetTimestamp(value);
	int64 microseconds;

	if (TIMESTAMP_IS_NOEND(timestamp))
		microseconds = INFINITE_MILLISECONDS * 1000;
	else if (TIMESTAMP_IS_NOBEGIN(timestamp))
		microseconds = MINUS_INFINITE_MILLISECONDS * 1000;
	else if (unlikely(
				 __builtin_add_overflow(timestamp, EPOCH_SECONDS * USECS_PER_SEC, &microseconds)))
		microseconds = (int64) ((uint64) PG_INT64_MAX + (uint64) (timestamp % USECS_PER_SEC));
	cdc_put_int64(writer, microseconds);
}

/* Outside of 1677 to 2262 there is no such number: null, as the connector has it. */
static void
put_timestamp_ns(CdcWriter *writer, Datum value, const CdcType *type)
{
	Timestamp timestamp = DatumGetTimestamp(value);
	int64 nanoseconds;

	if (TIMESTAMP_IS_NOEND(timestamp))
		cdc_put_int64(writer, PG_INT64_MAX);
	else if (TIMESTAMP_IS_NOBEGIN(timestamp))
		cdc_put_int64(writer, PG_INT64_MIN);
	else if (__builtin_add_overflow(timestamp, EPOCH_SECONDS * USECS_PER_SEC, &nanoseconds) ||
			 __builtin_mul_overflow(nanoseconds, 1000, &nanoseconds))
		cdc_put_literal(writer, "null");
	else
		cdc_put_int64(writer, nanoseconds);
}

static void
put_timestamp_string(CdcWriter *writer, Datum value, const CdcType *type)
{
	Timestamp timestamp = DatumGetTimestamp(value);

	if (TIMESTAMP_IS_NOEND(timestamp))
		cdc_put_literal(writer, "\"+294247-01-10T04:00:25.2Z\"");
	else if (TIMESTAMP_IS_NOBEGIN(timestamp))
		cdc_put_literal(writer, "\"-290308-12-21T19:59:27.6Z\"");
	else
		put_iso_instant(writer, timestamp, TRIMMED);
}

/* With as many digits as the type has. */
static void
put_timestamptz(CdcWriter *writer, Datum value, const CdcType *type)
{
	TimestampTz timestamp = DatumGetTimestampTz(value);

	if (TIMESTAMP_NOT_FINITE(timestamp))
		cdc_put_timestamp(writer, timestamp, true); /* "infinity" */
	else
		put_iso_instant(writer, timestamp, type->scale);
}

static void
put_interval_us(CdcWriter *writer, Datum value, const CdcType *type)
{
	Interval *interval = DatumGetIntervalP(value);
	int64 microseconds;
	int64 days = interval->day * USECS_PER_DAY;

	if (__builtin_mul_overflow(interval->month, MICROSECONDS_PER_MONTH, &microseconds) ||
		__builtin_add_overflow(microseconds, days, &microseconds) ||
		__builtin_add_overflow(microseconds, interval->time, &microseconds))
		microseconds = interval->month < 0 || (interval->month == 0 && interval->day < 0)
						   ? PG_INT64_MIN
						   : PG_INT64_MAX;
	cdc_put_int64(writer, microseconds);
}

/* P1Y2M3DT4H5M6.789S: each part with its sign, none left out. */
static void
put_interval_string(CdcWriter *writer, Datum value, const CdcType *type)
{
	Interval *interval = DatumGetIntervalP(value);
	int64 hours = interval->time / USECS_PER_HOUR;
	int64 rest = interval->time - hours * USECS_PER_HOUR;
	int minutes = rest / USECS_PER_MINUTE;
	int seconds;
	int fraction;
	char text[TEXT_LENGTH * 2];
	int len;

	rest -= minutes * USECS_PER_MINUTE;
	seconds = rest / USECS_PER_SEC;
	fraction = rest % USECS_PER_SEC;
	len = snprintf(text, sizeof(text), "\"P%dY%dM%dDT" INT64_FORMAT "H%dM%s%d.%06d",
				   interval->month / MONTHS_PER_YEAR, interval->month % MONTHS_PER_YEAR,
				   interval->day, hours, minutes, rest < 0 ? "-" : "", abs(seconds), abs(fraction));
	while (text[len - 1] == '0')
		len--;
	if (text[len - 1] == '.')
		len--;
	text[len++] = 'S';
	text[len++] = '"';
	cdc_put_short(writer, text, len);
}

static CdcValueWriter
choose_time(const DebeziumType *known, int mode)
{
	switch (mode)
	{
		case CDC_TIME_ISOSTRING:
			return put_time_string;
		case CDC_TIME_CONNECT:
			return put_time_ms;
		case CDC_TIME_NANOSECONDS:
			return put_time_ns;
		case CDC_TIME_ADAPTIVE:
			return cdc_debezium_time_precision(known) <= 3 ? put_time_ms : put_time_us;
		default:
			return put_time_us;
	}
}

static CdcValueWriter
choose_timestamp(const DebeziumType *known, int mode)
{
	switch (mode)
	{
		case CDC_TIME_ISOSTRING:
			return put_timestamp_string;
		case CDC_TIME_CONNECT:
			return put_timestamp_ms;
		case CDC_TIME_MICROSECONDS:
			return put_timestamp_us;
		case CDC_TIME_NANOSECONDS:
			return put_timestamp_ns;
		default:
			return cdc_debezium_time_precision(known) <= 3 ? put_timestamp_ms : put_timestamp_us;
	}
}

CdcValueWriter
cdc_debezium_time_writer(CdcType *type, const DebeziumType *known, const CdcOptions *options)
{
	switch (known->kind)
	{
		case DEBEZIUM_DATE:
			return options->time_mode == CDC_TIME_ISOSTRING ? put_date_string : put_days;
		case DEBEZIUM_TIME:
			return choose_time(known, options->time_mode);
		case DEBEZIUM_TIMETZ:
			return put_timetz;
		case DEBEZIUM_TIMESTAMP:
			return choose_timestamp(known, options->time_mode);
		case DEBEZIUM_TIMESTAMPTZ:
			type->scale = cdc_debezium_time_precision(known);
			return put_timestamptz;
		default:
			return options->interval_mode == CDC_INTERVAL_STRING ? put_interval_string
																 : put_interval_us;
	}
}
