/*
 * cdc_format_debezium_types.c
 *		What the connector takes types for, and what stands in place of values that WAL does not hold; see
 *		cdc_format_debezium.h.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "common/md5.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "cdc_compat.h"
#include "cdc_format_debezium.h"
#include "cdc_json.h"
#include "cdc_options.h"
#include "cdc_value.h"

/* Precision of a time that was declared without one. */
#define MAX_TIME_PRECISION 6

/* Types of extensions, whose OIDs are not known, go by their names. */
static DebeziumKind
classify_extension(Oid type_oid)
{
	HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type_oid));
	DebeziumKind kind = DEBEZIUM_UNKNOWN;
	const char *name;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", type_oid);
	name = NameStr(((Form_pg_type) GETSTRUCT(tuple))->typname);
	if (((Form_pg_type) GETSTRUCT(tuple))->typtype == TYPTYPE_ENUM)
		kind = DEBEZIUM_ENUM;
	else if (((Form_pg_type) GETSTRUCT(tuple))->typtype != TYPTYPE_BASE)
		kind = DEBEZIUM_UNKNOWN;
	else if (strcmp(name, "citext") == 0)
		kind = DEBEZIUM_STRING;
	else if (strcmp(name, "isbn") == 0)
		kind = DEBEZIUM_OUTPUT;
	else if (strcmp(name, "ltree") == 0)
		kind = DEBEZIUM_LTREE;
	else if (strcmp(name, "hstore") == 0)
		kind = DEBEZIUM_HSTORE;
	ReleaseSysCache(tuple);
	return kind;
}

/* Of a type that is neither a domain nor an array. */
static DebeziumKind
classify_scalar(Oid type_oid, int32 typmod)
{
	switch (type_oid)
	{
		case BOOLOID:
			return DEBEZIUM_BOOL;
		case INT2OID:
			return DEBEZIUM_INT16;
		case INT4OID:
			return DEBEZIUM_INT32;
		case INT8OID:
			return DEBEZIUM_INT64;
		case OIDOID:
			return DEBEZIUM_OID;
		case FLOAT4OID:
			return DEBEZIUM_FLOAT32;
		case FLOAT8OID:
			return DEBEZIUM_FLOAT64;
		case NUMERICOID:
			return DEBEZIUM_NUMERIC;
		case CASHOID:
			return DEBEZIUM_MONEY;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			return DEBEZIUM_STRING;
		case CHAROID:
		case NAMEOID:
		case INETOID:
		case CIDROID:
		case MACADDROID:
		case MACADDR8OID:
		case INT4RANGEOID:
		case INT8RANGEOID:
		case NUMRANGEOID:
		case TSRANGEOID:
		case TSTZRANGEOID:
		case DATERANGEOID:
			return DEBEZIUM_OUTPUT;
		case JSONOID:
			return DEBEZIUM_JSON;
		case JSONBOID:
			return DEBEZIUM_JSONB;
		case XMLOID:
			return DEBEZIUM_XML;
		case UUIDOID:
			return DEBEZIUM_UUID;
		case TSVECTOROID:
			return DEBEZIUM_TSVECTOR;
		case BYTEAOID:
			return DEBEZIUM_BYTES;
		case BITOID:
		case VARBITOID:
			return typmod == 1 ? DEBEZIUM_BIT : DEBEZIUM_BITS;
		case DATEOID:
			return DEBEZIUM_DATE;
		case TIMEOID:
			return DEBEZIUM_TIME;
		case TIMETZOID:
			return DEBEZIUM_TIMETZ;
		case TIMESTAMPOID:
			return DEBEZIUM_TIMESTAMP;
		case TIMESTAMPTZOID:
			return DEBEZIUM_TIMESTAMPTZ;
		case INTERVALOID:
			return DEBEZIUM_INTERVAL;
		case POINTOID:
			return DEBEZIUM_POINT;
		case OIDVECTOROID:
		case INT2VECTOROID:
			return DEBEZIUM_VECTOR;
		default:
			return type_oid < FirstNormalObjectId ? DEBEZIUM_UNKNOWN : classify_extension(type_oid);
	}
}

/* It has no way to write arrays of these, unknown ones included. */
static bool
array_is_never_told(Oid element)
{
	return element == CASHOID || element == NAMEOID || element == INTERVALOID ||
		   element == VARBITOID || element == XMLOID || element == POINTOID ||
		   element == REFCURSOROID;
}

DebeziumType
cdc_debezium_classify(Oid type_oid, int32 typmod)
{
	DebeziumType known = {.kind = DEBEZIUM_ARRAY, .typmod = typmod};

	known.type = getBaseTypeAndTypmod(type_oid, &known.typmod);
	if (known.type == OIDVECTOROID || known.type == INT2VECTOROID)
	{
		known.kind = DEBEZIUM_VECTOR;
		known.element_type = get_element_type(known.type);
		known.element = classify_scalar(known.element_type, -1);
		return known;
	}
	known.element_type = get_element_type(known.type);
	if (!OidIsValid(known.element_type))
		known.kind = classify_scalar(known.type, known.typmod);
	else if (array_is_never_told(known.element_type))
		known.kind = DEBEZIUM_NEVER;
	else if (get_typtype(known.element_type) == TYPTYPE_DOMAIN)
		known.element = DEBEZIUM_UNKNOWN;
	else
		known.element = classify_scalar(known.element_type, known.typmod);
	return known;
}

bool
cdc_debezium_tells(const DebeziumType *type, const CdcOptions *options)
{
	if (type->kind == DEBEZIUM_NEVER)
		return false;
	return options->include_unknown_datatypes ||
		   (type->kind != DEBEZIUM_UNKNOWN &&
			!(type->kind == DEBEZIUM_ARRAY && type->element == DEBEZIUM_UNKNOWN));
}

int
cdc_debezium_time_precision(const DebeziumType *type)
{
	return type->typmod < 0 ? MAX_TIME_PRECISION : Min(type->typmod, MAX_TIME_PRECISION);
}

/* numeric_typmod_scale() (utils/adt/numeric.c); a negative one is that of whole numbers. */
int
cdc_debezium_numeric_scale(const DebeziumType *type)
{
	if (type->typmod < (int32) VARHDRSZ)
		return -1;
	return Max((((type->typmod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024, 0);
}

/* Elements are of the type that the array's says, unknown ones too. */
static bool
build_array_element(CdcType *type, Oid type_oid, int32 typmod, CdcTypeBuilder *builder)
{
	DebeziumType known = {.kind = DEBEZIUM_UNKNOWN, .type = type_oid, .typmod = typmod};

	if (get_typtype(type_oid) != TYPTYPE_DOMAIN)
		known.kind = classify_scalar(type_oid, typmod);
	type->write = cdc_debezium_writer(type, &known, builder->format_options);
	if (known.kind == DEBEZIUM_ENUM)
		cdc_type_build_enum(type, type_oid, builder);
	else if (type->write == NULL)
		cdc_type_build_output(type, type_oid);
	return true;
}

bool
cdc_debezium_build_type(CdcType *type, Oid type_oid, int32 typmod, CdcTypeBuilder *builder)
{
	DebeziumType known;

	if (builder->in_array)
		return build_array_element(type, type_oid, typmod, builder);
	known = cdc_debezium_classify(type_oid, typmod);
	if (!cdc_debezium_tells(&known, builder->format_options))
		return true; /* without a writer the column is left out */
	if (known.kind == DEBEZIUM_ARRAY || known.kind == DEBEZIUM_VECTOR)
		cdc_type_build_array(type, known.element_type, known.typmod, builder);
	else if (known.kind == DEBEZIUM_ENUM)
		cdc_type_build_enum(type, known.type, builder);
	else
	{
		type->write = cdc_debezium_writer(type, &known, builder->format_options);
		if (type->write == NULL)
			cdc_type_build_output(type, known.type);
	}
	return true;
}

/* ---------------------------------------------------------------------------------------------
 * What stands in place of values
 * --------------------------------------------------------------------------------------------- */

static void
put_text(CdcWriter *writer, const char *text)
{
	cdc_put_bytes(writer, text, strlen(text));
}

/* The zero of the type, which the connector gives a NOT NULL column whose value it does not know. */
static void
put_zero(CdcWriter *writer, const DebeziumType *known, const CdcOptions *options)
{
	bool isostring = options->time_mode == CDC_TIME_ISOSTRING;
	int scale = known->kind == DEBEZIUM_MONEY ? 2 : cdc_debezium_numeric_scale(known);

	switch (known->kind)
	{
		case DEBEZIUM_INT16:
		case DEBEZIUM_INT32:
		case DEBEZIUM_INT64:
		case DEBEZIUM_OID:
			put_text(writer, "0");
			break;
		case DEBEZIUM_FLOAT32:
		case DEBEZIUM_FLOAT64:
			put_text(writer, "0.0");
			break;
		case DEBEZIUM_NUMERIC:
		case DEBEZIUM_MONEY:
			if (options->decimal_mode == CDC_DECIMAL_DOUBLE)
				put_text(writer, "0.0");
			else if (options->decimal_mode == CDC_DECIMAL_STRING)
			{
				put_text(writer, scale > 0 ? "\"0." : "\"0");
				for (int i = 0; i < scale; i++)
					cdc_put_byte(writer, '0');
				cdc_put_byte(writer, '"');
			}
			else
				put_text(writer, scale < 0 ? "{\"scale\":0,\"value\":\"AA==\"}" : "\"AA==\"");
			break;
		case DEBEZIUM_BOOL:
		case DEBEZIUM_BIT:
			put_text(writer, "false");
			break;
		case DEBEZIUM_DATE:
			put_text(writer, isostring ? "\"1970-01-01Z\"" : "0");
			break;
		case DEBEZIUM_TIME:
			put_text(writer, isostring ? "\"00:00:00Z\"" : "0");
			break;
		case DEBEZIUM_TIMETZ:
			put_text(writer, "\"00:00:00Z\"");
			break;
		case DEBEZIUM_TIMESTAMP:
			put_text(writer, isostring ? "\"1970-01-01T00:00:00Z\"" : "0");
			break;
		case DEBEZIUM_TIMESTAMPTZ:
			put_text(writer, "\"1970-01-01T00:00:00Z\"");
			break;
		case DEBEZIUM_INTERVAL:
			put_text(writer,
					 options->interval_mode == CDC_INTERVAL_STRING ? "\"P0Y0M0DT0H0M0S\"" : "0");
			break;
		case DEBEZIUM_POINT:
			put_text(writer, "{\"x\":0.0,\"y\":0.0,\"wkb\":\"AQEAAAAAAAAAAAAAAAAAAAAAAAAA\","
							 "\"srid\":null}");
			break;
		case DEBEZIUM_HSTORE:
			put_text(writer, options->hstore_mode == CDC_HSTORE_MAP ? "{}" : "\"{}\"");
			break;
		case DEBEZIUM_ARRAY:
		case DEBEZIUM_VECTOR:
			put_text(writer, "[]");
			break;
		default:
			put_text(writer, "\"\"");
	}
}

/* The connector's UUID for the placeholder: version 3 of RFC 4122, of no namespace. */
static void
put_uuid_of(CdcWriter *writer, const char *text)
{
	uint8 md5[MD5_DIGEST_LENGTH];
	const char *error;

	if (!pg_md5_binary(text, strlen(text), md5, &error))
		memset(md5, 0, sizeof(md5));
	md5[6] = (md5[6] & 0x0F) | 0x30;
	md5[8] = (md5[8] & 0x3F) | 0x80;
	cdc_put_byte(writer, '"');
	for (int i = 0; i < MD5_DIGEST_LENGTH; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			cdc_put_byte(writer, '-');
		cdc_put_hex(writer, (char *) &md5[i], 1);
	}
	cdc_put_byte(writer, '"');
}

/* In an array, as far as the connector has a placeholder for such. */
static void
put_array_placeholder(CdcWriter *writer, const DebeziumType *known, const CdcOptions *options)
{
	const char *placeholder = options->unavailable_placeholder;

	cdc_put_byte(writer, '[');
	switch (known->element)
	{
		case DEBEZIUM_STRING:
		case DEBEZIUM_JSON:
		case DEBEZIUM_JSONB:
			cdc_put_string(writer, placeholder, strlen(placeholder));
			break;
		case DEBEZIUM_UUID:
			put_uuid_of(writer, placeholder);
			break;
		case DEBEZIUM_BYTES:
			cdc_debezium_put_bytes(writer, placeholder, strlen(placeholder), options->binary_mode);
			break;
		default:
			/* numbers: those of its bytes */
			for (const char *c = placeholder; *c; c++)
			{
				if (c > placeholder)
					cdc_put_byte(writer, ',');
				cdc_put_int64(writer, (signed char) *c);
			}
	}
	cdc_put_byte(writer, ']');
}

static bool
array_has_placeholder(const DebeziumType *known, const CdcOptions *options)
{
	switch (known->element)
	{
		case DEBEZIUM_STRING:
			return known->element_type < FirstNormalObjectId;
		case DEBEZIUM_JSON:
		case DEBEZIUM_JSONB:
		case DEBEZIUM_UUID:
		case DEBEZIUM_INT32:
		case DEBEZIUM_INT64:
			return true;
		case DEBEZIUM_BYTES:
			return options->binary_mode == CDC_BINARY_MODE_BYTES;
		case DEBEZIUM_DATE:
			return options->time_mode != CDC_TIME_ISOSTRING &&
				   options->time_mode != CDC_TIME_CONNECT;
		default:
			return false;
	}
}

/* Null where the connector has none for the type. */
static void
put_placeholder(CdcWriter *writer, const DebeziumType *known, const CdcOptions *options)
{
	const char *placeholder = options->unavailable_placeholder;
	Size len = strlen(placeholder);

	switch (known->kind)
	{
		case DEBEZIUM_NUMERIC:
			if (options->decimal_mode == CDC_DECIMAL_STRING)
				cdc_put_string(writer, placeholder, len);
			else
				put_text(writer, "null");
			break;
		case DEBEZIUM_STRING:
		case DEBEZIUM_OUTPUT:
		case DEBEZIUM_JSON:
		case DEBEZIUM_JSONB:
		case DEBEZIUM_XML:
		case DEBEZIUM_LTREE:
		case DEBEZIUM_TSVECTOR:
			cdc_put_string(writer, placeholder, len);
			break;
		case DEBEZIUM_BYTES:
		case DEBEZIUM_UNKNOWN:
			if (options->binary_mode == CDC_BINARY_MODE_HEX)
				cdc_put_string(writer, placeholder, len);
			else if (options->binary_mode == CDC_BINARY_MODE_BYTES)
				cdc_debezium_put_bytes(writer, placeholder, len, options->binary_mode);
			else
				put_text(writer, "null");
			break;
		case DEBEZIUM_HSTORE:
			cdc_debezium_put_hstore(writer, placeholder, placeholder, options);
			break;
		case DEBEZIUM_ARRAY:
			if (array_has_placeholder(known, options))
				put_array_placeholder(writer, known, options);
			else
				put_text(writer, "null");
			break;
		default:
			put_text(writer, "null");
	}
}

char *
cdc_debezium_stand_in(const CdcLabelInput *input, CdcStandIn what, int *len)
{
	DebeziumType known = cdc_debezium_classify(input->type, input->typmod);
	CdcWriter writer = {.encoding = input->encoding};
	uint64 replaced = input->encoding->replaced;
	StringInfoData text;

	initStringInfo(&text);
	cdc_writer_attach(&writer, &text);
	if (what == CDC_STAND_IN_UNCHANGED)
		put_placeholder(&writer, &known, input->options);
	else if (input->attr && input->attr->attnotnull)
		put_zero(&writer, &known, input->options);
	else
		put_text(&writer, "null");
	input->encoding->replaced = replaced;
	return cdc_writer_finish(&writer, len);
}
