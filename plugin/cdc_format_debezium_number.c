/*
 * cdc_format_debezium_number.c
 *		Numbers as the connector writes them; see cdc_format_debezium.h.
 */
#include "postgres.h"

#include <math.h>

#include "common/shortest_dec.h"
#include "utils/builtins.h"
#include "utils/cash.h"

#include "cdc_compat.h"
#include "cdc_detoast.h"
#include "cdc_format_debezium.h"
#include "cdc_json.h"
#include "cdc_numeric.h"
#include "cdc_options.h"

/* Java's numbers, with room: -1.7976931348623157E308 */
#define NUMBER_LENGTH 40

/*
 * As Double.toString() prints it, 1.0 and 1.0E10, so that a reader who goes by a number's form finds a float.
 * shortest: what PostgreSQL makes of it.
 */
static void
put_java_number(CdcWriter *writer, const char *shortest, double magnitude)
{
	char *out = cdc_writer_reserve(writer, NUMBER_LENGTH);
	char digits[32];
	int ndigits = 0;
	int exponent = 0; /* the number is 0.DIGITS times ten to it */
	bool fraction = false;

	if (*shortest == '-')
		*out++ = *shortest++;
	for (; *shortest != '\0' && *shortest != 'e'; shortest++)
	{
		if (*shortest == '.')
		{
			fraction = true;
			continue;
		}
		if (ndigits > 0 || *shortest != '0')
		{
			digits[ndigits++] = *shortest;
			exponent += fraction ? 0 : 1;
		}
		else if (fraction)
			exponent--;
	}
	if (*shortest == 'e')
		exponent += atoi(shortest + 1);
	if (ndigits == 0)
	{
		memcpy(out, "0.0", 3);
		writer->cur = out + 3;
		return;
	}
	while (ndigits > 1 && digits[ndigits - 1] == '0')
		ndigits--;
	if (magnitude >= 1e-3 && magnitude < 1e7)
	{
		if (exponent <= 0)
			*out++ = '0';
		for (int i = 0; i < exponent; i++)
			*out++ = i < ndigits ? digits[i] : '0';
		*out++ = '.';
		for (int i = exponent; i < 0; i++)
			*out++ = '0';
		if (exponent >= ndigits)
			*out++ = '0';
		for (int i = Max(exponent, 0); i < ndigits; i++)
			*out++ = digits[i];
	}
	else
	{
		*out++ = digits[0];
		*out++ = '.';
		if (ndigits == 1)
			*out++ = '0';
		for (int i = 1; i < ndigits; i++)
			*out++ = digits[i];
		*out++ = 'E';
		out += sprintf(out, "%d", exponent - 1);
	}
	writer->cur = out;
}

void
cdc_debezium_put_double(CdcWriter *writer, double value)
{
	char shortest[DOUBLE_SHORTEST_DECIMAL_LEN];

	if (!isfinite(value))
	{
		cdc_put_float8(writer, value);
		return;
	}
	double_to_shortest_decimal_buf(value, shortest);
	put_java_number(writer, shortest, fabs(value));
}

static void
put_float8(CdcWriter *writer, Datum value, const CdcType *type)
{
	cdc_debezium_put_double(writer, DatumGetFloat8(value));
}

static void
put_float4(CdcWriter *writer, Datum value, const CdcType *type)
{
	float4 number = DatumGetFloat4(value);
	char shortest[FLOAT_SHORTEST_DECIMAL_LEN];

	if (!isfinite(number))
	{
		cdc_put_float4(writer, number);
		return;
	}
	float_to_shortest_decimal_buf(number, shortest);
	put_java_number(writer, shortest, fabsf(number));
}

/* Precise: the bytes of a whole number; NaN and infinities have none. */
static void
put_decimal(CdcWriter *writer, Datum value, const CdcType *type)
{
	const struct varlena *stored = cdc_detoast_packed(value);

	if (cdc_numeric_is_finite(stored))
		cdc_put_numeric_base64(writer, stored, type->scale);
	else
		cdc_put_literal(writer, "null");
}

/* The same where each value has a scale of its own. */
static void
put_variable_decimal(CdcWriter *writer, Datum value, const CdcType *type)
{
	const struct varlena *stored = cdc_detoast_packed(value);
	int scale;

	if (!cdc_numeric_is_finite(stored))
	{
		cdc_put_literal(writer, "null");
		return;
	}
	scale = cdc_numeric_least_scale(stored);
	cdc_put_literal(writer, "{\"scale\":");
	cdc_put_int64(writer, scale);
	cdc_put_literal(writer, ",\"value\":");
	cdc_put_numeric_base64(writer, stored, scale);
	cdc_put_byte(writer, '}');
}

static void
put_numeric_string(CdcWriter *writer, Datum value, const CdcType *type)
{
	cdc_put_numeric(writer, cdc_detoast_packed(value), true);
}

static void
put_numeric_double(CdcWriter *writer, Datum value, const CdcType *type)
{
	struct varlena *stored = cdc_detoast_packed(value);

	cdc_debezium_put_double(writer, DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
																	   PointerGetDatum(stored))));
}

static void
put_money(CdcWriter *writer, Datum value, const CdcType *type)
{
	cdc_put_int64_base64(writer, DatumGetCash(value));
}

static void
put_plain_money(CdcWriter *writer, Cash value)
{
	uint64 magnitude = value < 0 ? -(uint64) value : (uint64) value;

	if (value < 0)
		cdc_put_byte(writer, '-');
	cdc_put_uint64(writer, magnitude / 100);
	cdc_put_byte(writer, '.');
	cdc_put_byte(writer, '0' + magnitude / 10 % 10);
	cdc_put_byte(writer, '0' + magnitude % 10);
}

static void
put_money_string(CdcWriter *writer, Datum value, const CdcType *type)
{
	cdc_put_byte(writer, '"');
	put_plain_money(writer, DatumGetCash(value));
	cdc_put_byte(writer, '"');
}

static void
put_money_double(CdcWriter *writer, Datum value, const CdcType *type)
{
	/* nearest to the decimal number, which dividing a rounded one by 100 would not always be */
	char text[NUMBER_LENGTH];
	Cash cash = DatumGetCash(value);
	uint64 magnitude = cash < 0 ? -(uint64) cash : (uint64) cash;

	snprintf(text, sizeof(text), "%s" UINT64_FORMAT ".%02d", cash < 0 ? "-" : "", magnitude / 100,
			 (int) (magnitude % 100));
	cdc_debezium_put_double(writer, strtod(text, NULL));
}

CdcValueWriter
cdc_debezium_number_writer(CdcType *type, const DebeziumType *known, const CdcOptions *options)
{
	if (known->kind == DEBEZIUM_FLOAT32)
		return put_float4;
	if (known->kind == DEBEZIUM_FLOAT64)
		return put_float8;
	type->scale = cdc_debezium_numeric_scale(known);
	switch (options->decimal_mode)
	{
		case CDC_DECIMAL_DOUBLE:
			return known->kind == DEBEZIUM_MONEY ? put_money_double : put_numeric_double;
		case CDC_DECIMAL_STRING:
			return known->kind == DEBEZIUM_MONEY ? put_money_string : put_numeric_string;
		default:
			if (known->kind == DEBEZIUM_MONEY)
				return put_money;
			return type->scale < 0 ? put_variable_decimal : put_decimal;
	}
}
