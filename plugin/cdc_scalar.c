/*
 * cdc_scalar.c
 *		Writers for the types that need nothing but their OID to be known; see cdc_scalar.h.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#include "utils/varbit.h"

#include "cdc_compat.h"
#include "cdc_detoast.h"
#include "cdc_json.h"
#include "cdc_jsonb.h"
#include "cdc_numeric.h"
#include "cdc_scalar.h"

static void
put_bool(CdcWriter *writer, Datum value, const CdcType *type)
{
	if (DatumGetBool(value))
		cdc_put_literal(writer, "true");
	else
		cdc_put_literal(writer, "false");
}

static void
put_int2(CdcWriter *writer, Datum value, const CdcType *type)
{
	cdc_put_int64(writer, DatumGetInt16(value));
}

static void
put_int4(CdcWriter *writer, Datum value, const CdcType *type)
{
	cdc_put_int64(writer, DatumGetInt32(value));
}

static void
put_int8(CdcWriter *writer, Datum value, const CdcType *type)
{
	cdc_put_int64(writer, DatumGetInt64(value));
}

static void
put_int8_string(CdcWriter *writer, Datum value, const CdcType *type)
{
	cdc_put_byte(writer, '"');
	cdc_put_int64(writer, DatumGetInt64(value));
	cdc_put_byte(writer, '"');
}

static void
put_oid(CdcWriter *writer, Datum value, const CdcType *type)
{
	cdc_put_uint64(writer, DatumGetObjectId(value));
}

static void
put_float4(CdcWriter *writer, Datum value, const CdcType *type)
{
	cdc_put_float4(writer, DatumGetFloat4(value));
}

static void
put_float8(CdcWriter *writer, Datum value, const CdcType *type)
{
	cdc_put_float8(writer, DatumGetFloat8(value));
}

static void
put_numeric_string(CdcWriter *writer, Datum value, const CdcType *type)
{
	cdc_put_numeric(writer, cdc_detoast_packed(value), true);
}

static void
put_numeric_number(CdcWriter *writer, Datum value, const CdcType *type)
{
	cdc_put_numeric(writer, cdc_detoast_packed(value), false);
}

void
cdc_put_text(CdcWriter *writer, Datum value, const CdcType *type)
{
	struct varlena *text = cdc_detoast_packed(value);

	cdc_put_string(writer, VARDATA_ANY(text), VARSIZE_ANY_EXHDR(text));
}

static void
put_name(CdcWriter *writer, Datum value, const CdcType *type)
{
	const char *name = NameStr(*DatumGetName(value));

	cdc_put_string(writer, name, strlen(name));
}

static void
put_json(CdcWriter *writer, Datum value, const CdcType *type)
{
	struct varlena *text = cdc_detoast_packed(value);

	cdc_put_json_text(writer, VARDATA_ANY(text), VARSIZE_ANY_EXHDR(text));
}

static void
put_jsonb(CdcWriter *writer, Datum value, const CdcType *type)
{
	cdc_put_jsonb(writer, (Jsonb *) cdc_detoast_aligned(value));
}

static void
put_bytea_hex(CdcWriter *writer, Datum value, const CdcType *type)
{
	struct varlena *bytes = cdc_detoast_packed(value);

	cdc_put_literal(writer, "\"\\\\x");
	cdc_put_hex(writer, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	cdc_put_byte(writer, '"');
}

static void
put_bytea_base64(CdcWriter *writer, Datum value, const CdcType *type)
{
	struct varlena *bytes = cdc_detoast_packed(value);

	cdc_put_byte(writer, '"');
	cdc_put_base64(writer, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	cdc_put_byte(writer, '"');
}

static void
put_uuid(CdcWriter *writer, Datum value, const CdcType *type)
{
	const char *bytes = (const char *) DatumGetUUIDP(value)->data;

	cdc_put_byte(writer, '"');
	cdc_put_hex(writer, bytes, 4);
	for (int at = 4; at < 10; at += 2)
	{
		cdc_put_byte(writer, '-');
		cdc_put_hex(writer, bytes + at, 2);
	}
	cdc_put_byte(writer, '-');
	cdc_put_hex(writer, bytes + 10, 6);
	cdc_put_byte(writer, '"');
}

static void
put_date(CdcWriter *writer, Datum value, const CdcType *type)
{
	cdc_put_date(writer, DatumGetDateADT(value));
}

static void
put_time(CdcWriter *writer, Datum value, const CdcType *type)
{
	cdc_put_time(writer, DatumGetTimeADT(value));
}

static void
put_timetz(CdcWriter *writer, Datum value, const CdcType *type)
{
	TimeTzADT *time = DatumGetTimeTzADTP(value);

	cdc_put_timetz(writer, time->time, time->zone);
}

static void
put_timestamp(CdcWriter *writer, Datum value, const CdcType *type)
{
	cdc_put_timestamp(writer, DatumGetTimestamp(value), false);
}

static void
put_timestamptz(CdcWriter *writer, Datum value, const CdcType *type)
{
	cdc_put_timestamp(writer, DatumGetTimestampTz(value), true);
}

static void
put_interval(CdcWriter *writer, Datum value, const CdcType *type)
{
	char text[MAXDATELEN + 1];

	cdc_interval_to_text(DatumGetIntervalP(value), INTSTYLE_ISO_8601, text);
	cdc_put_string(writer, text, strlen(text));
}

static void
put_bits(CdcWriter *writer, Datum value, const CdcType *type)
{
	VarBit *bits = (VarBit *) cdc_detoast_aligned(value);
	int left = VARBITLEN(bits);

	cdc_put_byte(writer, '"');
	for (uint8 *byte = VARBITS(bits); left > 0; byte++, left -= 8)
	{
		char *out = cdc_writer_reserve(writer, 8);
		int count = Min(left, 8);

		for (int i = 0; i < count; i++)
			out[i] = (*byte << i) & 0x80 ? '1' : '0';
		writer->cur += count;
	}
	cdc_put_byte(writer, '"');
}

CdcValueWriter
cdc_scalar_writer(Oid type_oid, const CdcValueOptions *options)
{
	switch (type_oid)
	{
		case BOOLOID:
			return put_bool;
		case INT2OID:
			return put_int2;
		case INT4OID:
			return put_int4;
		case INT8OID:
			return options->bigint_as_string ? put_int8_string : put_int8;
		case OIDOID:
			return put_oid;
		case FLOAT4OID:
			return put_float4;
		case FLOAT8OID:
			return put_float8;
		case NUMERICOID:
			return options->numeric_as_number ? put_numeric_number : put_numeric_string;
		case NAMEOID:
			return put_name;
		case JSONOID:
			return put_json;
		case JSONBOID:
			return put_jsonb;
		case BYTEAOID:
			return options->binary_as_base64 ? put_bytea_base64 : put_bytea_hex;
		case UUIDOID:
			return put_uuid;
		case DATEOID:
			return put_date;
		case TIMEOID:
			return put_time;
		case TIMETZOID:
			return put_timetz;
		case TIMESTAMPOID:
			return put_timestamp;
		case TIMESTAMPTZOID:
			return put_timestamptz;
		case INTERVALOID:
			return put_interval;
		case BITOID:
		case VARBITOID:
			return put_bits;
		default:
			return NULL;
	}
}
