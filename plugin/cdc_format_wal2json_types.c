/*
 * cdc_format_wal2json_types.c
 *		Values as format-version 2 of wal2json has them; see cdc_format_wal2json.h.
 *
 * Numbers and bool are bare (NaN and infinities null, or all numbers strings on request), bytea is
 * hex without \x, and all else a string of what the type's output function prints.  That is decided by
 * the column's very type: a domain over a number is a string.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "cdc_compat.h"
#include "cdc_detoast.h"
#include "cdc_format_wal2json.h"
#include "cdc_json.h"
#include "cdc_numeric.h"
#include "cdc_options.h"
#include "cdc_scalar.h"

static void
put_finite_float4(CdcWriter *writer, Datum value, const CdcType *type)
{
	if (isfinite(DatumGetFloat4(value)))
		cdc_put_float4(writer, DatumGetFloat4(value));
	else
		cdc_put_literal(writer, "null");
}

static void
put_finite_float8(CdcWriter *writer, Datum value, const CdcType *type)
{
	if (isfinite(DatumGetFloat8(value)))
		cdc_put_float8(writer, DatumGetFloat8(value));
	else
		cdc_put_literal(writer, "null");
}

static void
put_finite_numeric(CdcWriter *writer, Datum value, const CdcType *type)
{
	const struct varlena *stored = cdc_detoast_packed(value);

	if (cdc_numeric_is_finite(stored))
		cdc_put_numeric(writer, stored, false);
	else
		cdc_put_literal(writer, "null");
}

static void
put_quoted_int2(CdcWriter *writer, Datum value, const CdcType *type)
{
	cdc_put_byte(writer, '"');
	cdc_put_int64(writer, DatumGetInt16(value));
	cdc_put_byte(writer, '"');
}

static void
put_quoted_int4(CdcWriter *writer, Datum value, const CdcType *type)
{
	cdc_put_byte(writer, '"');
	cdc_put_int64(writer, DatumGetInt32(value));
	cdc_put_byte(writer, '"');
}

static void
put_quoted_int8(CdcWriter *writer, Datum value, const CdcType *type)
{
	cdc_put_byte(writer, '"');
	cdc_put_int64(writer, DatumGetInt64(value));
	cdc_put_byte(writer, '"');
}

static void
put_quoted_oid(CdcWriter *writer, Datum value, const CdcType *type)
{
	cdc_put_byte(writer, '"');
	cdc_put_uint64(writer, DatumGetObjectId(value));
	cdc_put_byte(writer, '"');
}

/* Those that are not finite have quotes already. */
static void
put_quoted_float4(CdcWriter *writer, Datum value, const CdcType *type)
{
	bool finite = isfinite(DatumGetFloat4(value));

	if (finite)
		cdc_put_byte(writer, '"');
	cdc_put_float4(writer, DatumGetFloat4(value));
	if (finite)
		cdc_put_byte(writer, '"');
}

static void
put_quoted_float8(CdcWriter *writer, Datum value, const CdcType *type)
{
	bool finite = isfinite(DatumGetFloat8(value));

	if (finite)
		cdc_put_byte(writer, '"');
	cdc_put_float8(writer, DatumGetFloat8(value));
	if (finite)
		cdc_put_byte(writer, '"');
}

static void
put_quoted_numeric(CdcWriter *writer, Datum value, const CdcType *type)
{
	cdc_put_numeric(writer, cdc_detoast_packed(value), true);
}

static void
put_bool_letter(CdcWriter *writer, Datum value, const CdcType *type)
{
	if (DatumGetBool(value))
		cdc_put_literal(writer, "\"t\"");
	else
		cdc_put_literal(writer, "\"f\"");
}

static void
put_bytea(CdcWriter *writer, Datum value, const CdcType *type)
{
	const struct varlena *bytes = cdc_detoast_packed(value);

	cdc_put_byte(writer, '"');
	cdc_put_hex(writer, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	cdc_put_byte(writer, '"');
}

static void
put_time(CdcWriter *writer, Datum value, const CdcType *type)
{
	cdc_put_time_text(writer, DatumGetTimeADT(value));
}

static void
put_timestamp(CdcWriter *writer, Datum value, const CdcType *type)
{
	cdc_put_timestamp_text(writer, DatumGetTimestamp(value), false);
}

static void
put_timestamptz(CdcWriter *writer, Datum value, const CdcType *type)
{
	cdc_put_timestamp_text(writer, DatumGetTimestampTz(value), true);
}

static void
put_interval(CdcWriter *writer, Datum value, const CdcType *type)
{
	char text[MAXDATELEN + 1];

	cdc_interval_to_text(DatumGetIntervalP(value), INTSTYLE_POSTGRES, text);
	cdc_put_string(writer, text, strlen(text));
}

/* What the output function prints depends on settings in which we otherwise differ from a session's. */
static void
put_output_as_in_session(CdcWriter *writer, Datum value, const CdcType *type)
{
	int nest_level = cdc_settings_begin_session_like(type->settings);

	cdc_put_output(writer, value, type);
	cdc_settings_end_session_like(nest_level);
}

/* Of a column of just this type; NULL: as what its output function prints. */
static CdcValueWriter
choose_bare(Oid type_oid, const CdcTypeBuilder *builder)
{
	if (builder->format_options->numeric_data_types_as_string && type_oid != BOOLOID &&
		type_oid != BYTEAOID)
		return NULL;
	switch (type_oid)
	{
		case BOOLOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case OIDOID:
			return cdc_scalar_writer(type_oid, &builder->options);
		case FLOAT4OID:
			return put_finite_float4;
		case FLOAT8OID:
			return put_finite_float8;
		case NUMERICOID:
			return put_finite_numeric;
		case BYTEAOID:
			return put_bytea;
		default:
			return NULL;
	}
}

/* What the output function prints, for types that need not have it called; else NULL. */
static CdcValueWriter
choose_text(Oid type_oid, const CdcTypeBuilder *builder)
{
	switch (type_oid)
	{
		case BOOLOID:
			return put_bool_letter;
		case INT2OID:
			return put_quoted_int2;
		case INT4OID:
			return put_quoted_int4;
		case INT8OID:
			return put_quoted_int8;
		case OIDOID:
			return put_quoted_oid;
		case FLOAT4OID:
			return put_quoted_float4;
		case FLOAT8OID:
			return put_quoted_float8;
		case NUMERICOID:
			return put_quoted_numeric;
		case JSONOID:
			return cdc_put_text;
		case TIMEOID:
			return put_time;
		case TIMESTAMPOID:
			return put_timestamp;
		case TIMESTAMPTZOID:
			return put_timestamptz;
		case INTERVALOID:
			return put_interval;
		case BYTEAOID:
		case BITOID:
		case DATEOID:
		case NAMEOID:
		case UUIDOID:
		case VARBITOID:
			return cdc_scalar_writer(type_oid, &builder->options);
		default:
			return NULL;
	}
}

static bool depends_on_session(Oid type_oid, CdcTypeBuilder *builder);

static bool
row_depends_on_session(Oid type_oid, CdcTypeBuilder *builder)
{
	TupleDesc desc = lookup_rowtype_tupdesc_copy(type_oid, -1);
	bool depends = false;

	builder->row_relids = lappend_oid(builder->row_relids, get_typ_typrelid(type_oid));
	for (int i = 0; i < desc->natts && !depends; i++)
		depends = !TupleDescAttr(desc, i)->attisdropped &&
				  depends_on_session(TupleDescAttr(desc, i)->atttypid, builder);
	return depends;
}

/* Does its text depend on what cdc_settings_begin_session_like() sets? */
static bool
depends_on_session(Oid type_oid, CdcTypeBuilder *builder)
{
	Oid element;

	check_stack_depth();
	type_oid = getBaseType(type_oid);
	switch (type_oid)
	{
		case INTERVALOID:
		case REGPROCOID:
		case REGPROCEDUREOID:
		case REGOPEROID:
		case REGOPERATOROID:
		case REGCLASSOID:
		case REGCOLLATIONOID:
		case REGTYPEOID:
		case REGCONFIGOID:
		case REGDICTIONARYOID:
			return true;
		default:
			break;
	}
	element = get_element_type(type_oid);
	if (OidIsValid(element))
		return depends_on_session(element, builder);
	switch (get_typtype(type_oid))
	{
		case TYPTYPE_COMPOSITE:
			return row_depends_on_session(type_oid, builder);
		case TYPTYPE_RANGE:
			return depends_on_session(get_range_subtype(type_oid), builder);
		case TYPTYPE_MULTIRANGE:
			return depends_on_session(get_multirange_range(type_oid), builder);
		default:
			return false;
	}
}

bool
cdc_wal2json_build_type(CdcType *type, Oid type_oid, int32 typmod, CdcTypeBuilder *builder)
{
	Oid base = getBaseType(type_oid);

	type->write = choose_bare(type_oid, builder);
	if (type->write == NULL)
		type->write = choose_text(base, builder);
	if (type->write)
		return true;
	if (get_typtype(base) == TYPTYPE_ENUM)
		cdc_type_build_enum(type, base, builder);
	else
		cdc_type_build_output(type, base);
	if (type->write == cdc_put_output && depends_on_session(base, builder))
		type->write = put_output_as_in_session;
	return true;
}
