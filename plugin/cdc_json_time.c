/*
 * cdc_json_time.c
 *		Dates and times in ISO 8601, as PostgreSQL's input functions read them back.
 *
 * A fraction of a second is written with six digits, or not at all where it is zero.  Years before
 * Christ are written as PostgreSQL does ("0044-03-15 BC"), since its input knows no year zero.
 * And as PostgreSQL's output functions print them: with a space, and no zeros at a fraction's end.
 */
#include "postgres.h"

#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "cdc_json.h"

#define TIME_MAX_LENGTH 64 /* longer than any text written here */

static inline char *
put_two_digits(char *out, int value)
{
	*out++ = '0' + value / 10;
	*out++ = '0' + value % 10;
	return out;
}

static inline char *
put_fraction(char *out, int microseconds)
{
	*out++ = '.';
	for (int divisor = 100000; divisor > 0; divisor /= 10)
		*out++ = '0' + (microseconds / divisor) % 10;
	return out;
}

/* 2026-01-31; *bc says whether " BC" must follow at the end */
static char *
put_calendar_date(char *out, int julian_day, bool *bc)
{
	int year;
	int month;
	int day;

	j2date(julian_day, &year, &month, &day);
	*bc = year <= 0;
	if (*bc)
		year = 1 - year;
	if (year > 9999)
		out += sprintf(out, "%d", year);
	else
	{
		out = put_two_digits(out, year / 100);
		out = put_two_digits(out, year % 100);
	}
	*out++ = '-';
	out = put_two_digits(out, month);
	*out++ = '-';
	return put_two_digits(out, day);
}

/* The same for a day that may have been written lately. */
static inline char *
put_day(CdcWriter *writer, char *out, int julian_day, bool *bc)
{
	CdcDate *known = &writer->dates[(uint32) julian_day % CDC_DATES_KEPT];
	char *end;

	if (likely(known->julian_day == julian_day && julian_day != 0))
	{
		*bc = false;
		memcpy(out, known->text, CDC_DATE_LENGTH);
		return out + CDC_DATE_LENGTH;
	}
	end = put_calendar_date(out, julian_day, bc);
	if (!*bc && end - out == CDC_DATE_LENGTH)
	{
		known->julian_day = julian_day;
		memcpy(known->text, out, CDC_DATE_LENGTH);
	}
	return end;
}

/* How a fraction of a second is written. */
typedef enum Fraction
{
	FRACTION_ALWAYS,   /* six digits */
	FRACTION_NOT_ZERO, /* the same, but none where it is zero */
	FRACTION_TRIMMED,  /* the same without zeros at its end */
} Fraction;

static inline char *
put_clock(char *out, int64 microseconds, Fraction style)
{
	int fraction = microseconds % USECS_PER_SEC;
	int seconds = microseconds / USECS_PER_SEC;

	out = put_two_digits(out, seconds / SECS_PER_HOUR);
	*out++ = ':';
	out = put_two_digits(out, seconds / SECS_PER_MINUTE % MINS_PER_HOUR);
	*out++ = ':';
	out = put_two_digits(out, seconds % SECS_PER_MINUTE);
	if (fraction != 0 || style == FRACTION_ALWAYS)
		out = put_fraction(out, fraction);
	while (style == FRACTION_TRIMMED && fraction != 0 && out[-1] == '0')
		out--;
	return out;
}

static inline char *
put_bc(char *out)
{
	memcpy(out, " BC", 3);
	return out + 3;
}

/* between: the character between date and time; zone: what follows the time */
static inline void
put_date_and_time(CdcWriter *writer, Timestamp value, char between, const char *zone,
				  Fraction fraction)
{
	char *out = cdc_writer_reserve(writer, TIME_MAX_LENGTH);
	int64 days = value / USECS_PER_DAY;
	int64 time = value % USECS_PER_DAY;
	bool bc;

	if (time < 0)
	{
		time += USECS_PER_DAY;
		days--;
	}
	*out++ = '"';
	out = put_day(writer, out, (int) days + POSTGRES_EPOCH_JDATE, &bc);
	*out++ = between;
	out = put_clock(out, time, fraction);
	while (*zone)
		*out++ = *zone++;
	if (bc)
		out = put_bc(out);
	*out++ = '"';
	writer->cur = out;
}

void
cdc_put_timestamp(CdcWriter *writer, Timestamp value, bool zulu)
{
	if (unlikely(TIMESTAMP_IS_NOBEGIN(value)))
		cdc_put_literal(writer, "\"-infinity\"");
	else if (unlikely(TIMESTAMP_IS_NOEND(value)))
		cdc_put_literal(writer, "\"infinity\"");
	else
		put_date_and_time(writer, value, 'T', zulu ? "Z" : "", FRACTION_NOT_ZERO);
}

void
cdc_put_timestamp_text(CdcWriter *writer, Timestamp value, bool utc)
{
	if (unlikely(TIMESTAMP_NOT_FINITE(value)))
		cdc_put_timestamp(writer, value, utc);
	else
		put_date_and_time(writer, value, ' ', utc ? "+00" : "", FRACTION_TRIMMED);
}

void
cdc_put_commit_time(CdcWriter *writer, TimestampTz value)
{
	put_date_and_time(writer, value, 'T', "Z", FRACTION_ALWAYS);
}

void
cdc_put_date(CdcWriter *writer, int32 days_since_2000)
{
	char *out;
	bool bc;

	if (unlikely(DATE_IS_NOBEGIN(days_since_2000)))
	{
		cdc_put_literal(writer, "\"-infinity\"");
		return;
	}
	if (unlikely(DATE_IS_NOEND(days_since_2000)))
	{
		cdc_put_literal(writer, "\"infinity\"");
		return;
	}
	out = cdc_writer_reserve(writer, TIME_MAX_LENGTH);
	*out++ = '"';
	out = put_day(writer, out, days_since_2000 + POSTGRES_EPOCH_JDATE, &bc);
	if (bc)
		out = put_bc(out);
	*out++ = '"';
	writer->cur = out;
}

static inline void
put_time(CdcWriter *writer, int64 microseconds, Fraction fraction)
{
	char *out = cdc_writer_reserve(writer, TIME_MAX_LENGTH);

	*out++ = '"';
	out = put_clock(out, microseconds, fraction);
	*out++ = '"';
	writer->cur = out;
}

void
cdc_put_time(CdcWriter *writer, int64 microseconds)
{
	put_time(writer, microseconds, FRACTION_NOT_ZERO);
}

void
cdc_put_time_text(CdcWriter *writer, int64 microseconds)
{
	put_time(writer, microseconds, FRACTION_TRIMMED);
}

void
cdc_put_timetz(CdcWriter *writer, int64 microseconds, int32 seconds_west)
{
	char *out = cdc_writer_reserve(writer, TIME_MAX_LENGTH);
	int32 offset = abs(seconds_west);

	*out++ = '"';
	out = put_clock(out, microseconds, FRACTION_NOT_ZERO);
	*out++ = seconds_west > 0 ? '-' : '+';
	out = put_two_digits(out, offset / SECS_PER_HOUR);
	*out++ = ':';
	out = put_two_digits(out, offset / SECS_PER_MINUTE % MINS_PER_HOUR);
	if (offset % SECS_PER_MINUTE != 0)
	{
		*out++ = ':';
		out = put_two_digits(out, offset % SECS_PER_MINUTE);
	}
	*out++ = '"';
	writer->cur = out;
}
