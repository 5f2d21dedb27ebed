/*
 * option_values.c
 *		Reading sizes, durations and LSNs.
 */
#include "options.h"

#include <ctype.h>
#include <string.h>

typedef struct Unit
{
	const char *name;
	uint64_t factor;
} Unit;

/* As PostgreSQL's own configuration: kB, MB, ... are powers of 1024; KiB, MiB, ... mean the same. */
static const Unit size_units[] = {
	{"", 1},
	{"B", 1},
	{"kB", UINT64_C(1) << 10},
	{"KiB", UINT64_C(1) << 10},
	{"MB", UINT64_C(1) << 20},
	{"MiB", UINT64_C(1) << 20},
	{"GB", UINT64_C(1) << 30},
	{"GiB", UINT64_C(1) << 30},
	{"TB", UINT64_C(1) << 40},
	{"TiB", UINT64_C(1) << 40},
	{NULL, 0},
};

static const Unit duration_units[] = {
	{"", UINT64_C(1000000)},      {"us", UINT64_C(1)},
	{"ms", UINT64_C(1000)},       {"s", UINT64_C(1000000)},
	{"min", UINT64_C(60000000)},  {"h", UINT64_C(3600000000)},
	{"d", UINT64_C(86400000000)}, {NULL, 0},
};

/* A whole number and a unit, spaces allowed between them; false where it is not, or above max. */
static bool
parse_with_unit(const char *text, const Unit *units, uint64_t max, uint64_t *value)
{
	uint64_t number = 0;

	if (!isdigit((unsigned char) *text))
		return false;
	for (; isdigit((unsigned char) *text); text++)
	{
		unsigned digit = (unsigned) (*text - '0');

		if (number > (max - digit) / 10)
			return false;
		number = number * 10 + digit;
	}
	while (*text == ' ')
		text++;
	for (const Unit *unit = units; unit->name != NULL; unit++)
	{
		if (strcmp(unit->name, text) == 0)
		{
			if (number > max / unit->factor)
				return false;
			*value = number * unit->factor;
			return true;
		}
	}
	return false;
}

CdcStatus
options_parse_size(const char *text, const char *what, uint64_t *bytes, CdcError *err)
{
	if (parse_with_unit(text, size_units, INT64_MAX, bytes))
		return CDC_OK;
	cdc_error(err, CDC_USAGE, "%s: \"%s\" is not a size", what, text);
	cdc_error_hint(err, "A size is a whole number and a unit: B, kB, MB, GB or TB, powers of 1024 "
						"(KiB, MiB, ... mean the same), for example 64MiB.");
	return CDC_USAGE;
}

CdcStatus
options_parse_duration(const char *text, const char *what, int64_t *us, CdcError *err)
{
	uint64_t value;

	if (parse_with_unit(text, duration_units, INT64_MAX, &value))
	{
		*us = (int64_t) value;
		return CDC_OK;
	}
	cdc_error(err, CDC_USAGE, "%s: \"%s\" is not a duration", what, text);
	cdc_error_hint(err, "A duration is a whole number and a unit: us, ms, s, min, h or d, for "
						"example 500ms; without a unit it counts seconds.");
	return CDC_USAGE;
}

/* One to eight hexadecimal digits; returns where they end, NULL where there are none or more. */
static const char *
parse_hex32(const char *text, uint32_t *value)
{
	int digits = 0;

	*value = 0;
	for (; isxdigit((unsigned char) *text); text++, digits++)
	{
		int c = tolower((unsigned char) *text);

		*value = (*value << 4) | (uint32_t) (c <= '9' ? c - '0' : c - 'a' + 10);
	}
	return digits >= 1 && digits <= 8 ? text : NULL;
}

CdcStatus
options_parse_lsn(const char *text, const char *what, uint64_t *lsn, CdcError *err)
{
	uint32_t high;
	uint32_t low;
	const char *end = parse_hex32(text, &high);

	if (end != NULL && *end == '/')
	{
		end = parse_hex32(end + 1, &low);
		if (end != NULL && *end == '\0')
		{
			*lsn = ((uint64_t) high << 32) | low;
			return CDC_OK;
		}
	}
	cdc_error(err, CDC_USAGE, "%s: \"%s\" is not an LSN", what, text);
	cdc_error_hint(err, "An LSN is written as PostgreSQL does, for example 0/16E2A10; "
						"SELECT pg_current_wal_lsn() gives the server's present one.");
	return CDC_USAGE;
}
