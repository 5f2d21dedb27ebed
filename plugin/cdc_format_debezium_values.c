/*
 * cdc_format_debezium_values.c
 *		Values as the connector writes them; see cdc_format_debezium.h.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/geo_decls.h"
#include "utils/memutils.h"
#include "utils/varbit.h"

#include "cdc_compat.h"
#include "cdc_detoast.h"
#include "cdc_format_debezium.h"
#include "cdc_json.h"
#include "cdc_jsonb.h"
#include "cdc_options.h"
#include "cdc_scalar.h"

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
	cdc_debezium_put_double(writer, point->x);
	cdc_put_literal(writer, ",\"y\":");
	cdc_debezium_put_double(writer, point->y);
	cdc_put_literal(writer, ",\"wkb\":");
	cdc_debezium_put_bytes(writer, wkb, sizeof(wkb), CDC_BINARY_MODE_BYTES);
	cdc_put_literal(writer, ",\"srid\":null}");
}

CdcValueWriter
cdc_debezium_writer(CdcType *type, const DebeziumType *known, const CdcOptions *options)
{
	static const CdcValueOptions plain = {.numeric_as_number = false};

	type->mode = options->binary_mode;
	switch (known->kind)
	{
		case DEBEZIUM_FLOAT32:
		case DEBEZIUM_FLOAT64:
		case DEBEZIUM_NUMERIC:
		case DEBEZIUM_MONEY:
			return cdc_debezium_number_writer(type, known, options);
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
