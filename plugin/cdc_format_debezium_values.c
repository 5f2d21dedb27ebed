/*
 * cdc_format_debezium_values.c
 *		Values as the connector writes them; see cdc_format_debezium.h.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "utils/builtins.h"
#include "utils/cash.h"
#include "utils/fmgrprotos.h"
#include "utils/geo_decls.h"
#include "utils/memutils.h"
#include "utils/varbit.h"

#include "cdc_compat.h"
#include "cdc_detoast.h"
#include "cdc_format_debezium.h"
#include "cdc_json.h"
#include "cdc_jsonb.h"
#include "cdc_numeric.h"
#include "cdc_options.h"
#include "cdc_scalar.h"

/* Java's numbers, with room: -1.7976931348623157E308 */
#define NUMBER_LENGTH 40

/* ---------------------------------------------------------------------------------------------
 * Numbers
 * --------------------------------------------------------------------------------------------- */

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
	while (ndigits > 1 && digits[ndigits - 1] == '0')
		ndigits--;
	if (ndigits == 0)
	{
		memcpy(out, "0.0", 3);
		writer->cur = out + 3;
		return;
	}
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

static void
put_double(CdcWriter *writer, double value)
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
	put_double(writer, DatumGetFloat8(value));
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

	put_double(writer, DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
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
	put_double(writer, strtod(text, NULL));
}

/* ---------------------------------------------------------------------------------------------
 * Bytes and bits
 * --------------------------------------------------------------------------------------------- */

/* Base64 with the alphabet of RFC 4648, section 5, padded. */
static void
put_base64_for_url(CdcWriter *writer, const char *bytes, Size len)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

	for (Size at = 0; at < len; at += 3)
	{
		char *out = cdc_writer_reserve(writer, 4);
		uint32 three = (uint32) (uint8) bytes[at] << 16;

		if (at + 1 < len)
			three |= (uint32) (uint8) bytes[at + 1] << 8;
		if (at + 2 < len)
			three |= (uint8) bytes[at + 2];
		out[0] = alphabet[three >> 18];
		out[1] = alphabet[three >> 12 & 0x3F];
		out[2] = at + 1 < len ? alphabet[three >> 6 & 0x3F] : '=';
		out[3] = at + 2 < len ? alphabet[three & 0x3F] : '=';
		writer->cur += 4;
	}
}

void
cdc_debezium_put_bytes(CdcWriter *writer, const char *bytes, Size len, int mode)
{
	cdc_put_byte(writer, '"');
	switch (mode)
	{
		case CDC_BINARY_MODE_HEX:
			cdc_put_hex(writer, bytes, len);
			break;
		case CDC_BINARY_MODE_BASE64_URL:
			put_base64_for_url(writer, bytes, len);
			break;
		default:
			cdc_put_base64(writer, bytes, len);
	}
	cdc_put_byte(writer, '"');
}

static void
put_bytea(CdcWriter *writer, Datum value, const CdcType *type)
{
	struct varlena *bytes = cdc_detoast_packed(value);

	cdc_debezium_put_bytes(writer, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), type->mode);
}

/* What is not known: the bytes of its text. */
static void
put_unknown(CdcWriter *writer, Datum value, const CdcType *type)
{
	const char *text;

	cdc_settings_pin(type->settings);
	text = OutputFunctionCall(unconstify(FmgrInfo *, &type->function), value);
	text = cdc_encoding_to_utf8(writer->encoding, text);
	cdc_debezium_put_bytes(writer, text, strlen(text), type->mode);
}

/* Nothing at all is null, as the connector has it. */
static void
put_bit(CdcWriter *writer, Datum value, const CdcType *type)
{
	VarBit *bits = (VarBit *) cdc_detoast_aligned(value);

	if (VARBITLEN(bits) == 0)
		cdc_put_literal(writer, "null");
	else if (*VARBITS(bits) & 0x80)
		cdc_put_literal(writer, "true");
	else
		cdc_put_literal(writer, "false");
}

/* The number that the bits are, its least byte first, without the bytes that are zero at its end. */
static void
put_bits(CdcWriter *writer, Datum value, const CdcType *type)
{
	VarBit *bits = (VarBit *) cdc_detoast_aligned(value);
	int count = VARBITBYTES(bits);
	int unused = VARBITPAD(bits);
	uint8 *bytes = palloc(count + 1);

	for (int i = 0; i < count; i++)
	{
		const uint8 *stored = VARBITS(bits) + count - 1 - i;

		bytes[i] = *stored >> unused;
		if (unused > 0 && i + 1 < count)
			bytes[i] |= stored[-1] << (BITS_PER_BYTE - unused);
	}
	while (count > 0 && bytes[count - 1] == 0)
		count--;
	cdc_debezium_put_bytes(writer, (char *) bytes, count, CDC_BINARY_MODE_BYTES);
}

/* ---------------------------------------------------------------------------------------------
 * Strings and structures
 * --------------------------------------------------------------------------------------------- */

/* The text that jsonb_out() has, as a string. */
static void
put_jsonb(CdcWriter *writer, Datum value, const CdcType *type)
{
	Jsonb *jsonb = (Jsonb *) cdc_detoast_aligned(value);
	CdcWriter inner = {.encoding = writer->encoding};
	StringInfoData text;

	initStringInfo(&text);
	cdc_writer_attach(&inner, &text);
	cdc_writer_start_record(&inner, MaxAllocSize / 2);
	cdc_put_jsonb_spaced(&inner, jsonb);
	if (cdc_writer_overflowed(&inner))
		cdc_writer_fail_record(writer);
	else
	{
		cdc_put_byte(writer, '"');
		cdc_put_escaped_utf8(writer, text.data, cdc_writer_offset(&inner));
		cdc_put_byte(writer, '"');
	}
	cdc_writer_detach(&inner);
	pfree(text.data);
}

/* What hstore_to_json() has, without the spaces between its tokens. */
static struct varlena *
hstore_as_json(Datum value, const CdcType *type)
{
	FmgrInfo *function = unconstify(FmgrInfo *, &type->function);
	struct varlena *json = PG_DETOAST_DATUM(FunctionCall1(function, value));
	char *in = VARDATA(json);
	char *end = in + VARSIZE(json) - VARHDRSZ;
	char *out = in;
	bool in_string = false;

	for (; in < end; in++)
	{
		if (*in == '"')
			in_string = !in_string;
		if (*in == ' ' && !in_string)
			continue;
		if (*in == '\\' && in_string)
			*out++ = *in++;
		*out++ = *in;
	}
	SET_VARSIZE(json, out - (char *) json);
	return json;
}

static void
put_hstore_string(CdcWriter *writer, Datum value, const CdcType *type)
{
	struct varlena *json = hstore_as_json(value, type);

	cdc_put_string(writer, VARDATA(json), VARSIZE(json) - VARHDRSZ);
}

static void
put_hstore_map(CdcWriter *writer, Datum value, const CdcType *type)
{
	struct varlena *json = hstore_as_json(value, type);

	cdc_put_json_text(writer, VARDATA(json), VARSIZE(json) - VARHDRSZ);
}

void
cdc_debezium_put_hstore(CdcWriter *writer, const char *key, const char *value,
						const CdcOptions *options)
{
	StringInfoData text;
	CdcWriter inner = {.encoding = writer->encoding};

	initStringInfo(&text);
	cdc_writer_attach(&inner, &text);
	cdc_put_byte(&inner, '{');
	cdc_put_string(&inner, key, strlen(key));
	cdc_put_byte(&inner, ':');
	cdc_put_string(&inner, value, strlen(value));
	cdc_put_byte(&inner, '}');
	cdc_writer_detach(&inner);
	if (options->hstore_mode == CDC_HSTORE_MAP)
		cdc_put_bytes(writer, text.data, text.len);
	else
	{
		cdc_put_byte(writer, '"');
		cdc_put_escaped_utf8(writer, text.data, text.len);
		cdc_put_byte(writer, '"');
	}
	pfree(text.data);
}

static void
store_double(char *at, double value)
{
	uint64 bits;

	memcpy(&bits, &value, sizeof(bits));
	if (isnan(value))
		bits = UINT64CONST(0x7ff8000000000000);
	for (int i = 0; i < 8; i++)
		at[i] = (char) (bits >> (8 * i));
}

/* Well-known binary: little-endian, a point, its coordinates. */
static void
put_point(CdcWriter *writer, Datum value, const CdcType *type)
{
	Point *point = DatumGetPointP(value);
	char wkb[21] = {1, 1, 0, 0, 0};

	store_double(wkb + 5, point->x);
	store_double(wkb + 13, point->y);
	cdc_put_literal(writer, "{\"x\":");
	put_double(writer, point->x);
	cdc_put_literal(writer, ",\"y\":");
	put_double(writer, point->y);
	cdc_put_literal(writer, ",\"wkb\":");
	cdc_debezium_put_bytes(writer, wkb, sizeof(wkb), CDC_BINARY_MODE_BYTES);
	cdc_put_literal(writer, ",\"srid\":null}");
}

static CdcValueWriter
choose_numeric(CdcType *type, const DebeziumType *known, const CdcOptions *options)
{
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

CdcValueWriter
cdc_debezium_writer(CdcType *type, const DebeziumType *known, const CdcOptions *options)
{
	static const CdcValueOptions plain = {.numeric_as_number = false};

	type->mode = options->binary_mode;
	switch (known->kind)
	{
		case DEBEZIUM_FLOAT32:
			return put_float4;
		case DEBEZIUM_FLOAT64:
			return put_float8;
		case DEBEZIUM_NUMERIC:
		case DEBEZIUM_MONEY:
			return choose_numeric(type, known, options);
		case DEBEZIUM_JSON:
			return cdc_put_text;
		case DEBEZIUM_JSONB:
			return put_jsonb;
		case DEBEZIUM_HSTORE:
			cdc_type_build_as_text(type, known->type);
			if (!type->cast_to_json)
				return type->write;
			return options->hstore_mode == CDC_HSTORE_MAP ? put_hstore_map : put_hstore_string;
		case DEBEZIUM_BYTES:
			return put_bytea;
		case DEBEZIUM_BIT:
			return put_bit;
		case DEBEZIUM_BITS:
			return put_bits;
		case DEBEZIUM_DATE:
		case DEBEZIUM_TIME:
		case DEBEZIUM_TIMETZ:
		case DEBEZIUM_TIMESTAMP:
		case DEBEZIUM_TIMESTAMPTZ:
		case DEBEZIUM_INTERVAL:
			return cdc_debezium_time_writer(type, known, options);
		case DEBEZIUM_POINT:
			return put_point;
		case DEBEZIUM_UNKNOWN:
			cdc_type_build_output(type, known->type);
			return put_unknown;
		default:
			return cdc_scalar_writer(known->type, &plain);
	}
}
