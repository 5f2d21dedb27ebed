/*
 * cdc_format_debezium_schema.c
 *		Schemas of keys and values, as Kafka Connect's JSON converter writes them, and topics' names; see
 *		cdc_format_debezium.h.
 */
#include "postgres.h"

#include "catalog/pg_enum.h"
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "cdc_enum.h"
#include "cdc_format_debezium.h"
#include "cdc_json.h"
#include "cdc_options.h"

#define SOURCE_SCHEMA                                                                              \
	"{\"type\":\"struct\",\"fields\":[{\"type\":\"string\",\"optional\":false,\"field\":"          \
	"\"version\"},"                                                                                \
	"{\"type\":\"string\",\"optional\":false,\"field\":\"connector\"},"                            \
	"{\"type\":\"string\",\"optional\":false,\"field\":\"name\"},"                                 \
	"{\"type\":\"int64\",\"optional\":false,\"field\":\"ts_ms\"},"                                 \
	"{\"type\":\"string\",\"optional\":true,\"name\":\"io.debezium.data.Enum\",\"version\":1,"     \
	"\"parameters\":{\"allowed\":\"true,first,first_in_data_collection,last_in_data_collection,"   \
	"last,false,incremental\"},\"default\":\"false\",\"field\":\"snapshot\"},"                     \
	"{\"type\":\"string\",\"optional\":false,\"field\":\"db\"},"                                   \
	"{\"type\":\"string\",\"optional\":true,\"field\":\"sequence\"},"                              \
	"{\"type\":\"int64\",\"optional\":true,\"field\":\"ts_us\"},"                                  \
	"{\"type\":\"int64\",\"optional\":true,\"field\":\"ts_ns\"},"                                  \
	"{\"type\":\"string\",\"optional\":false,\"field\":\"schema\"},"                               \
	"{\"type\":\"string\",\"optional\":false,\"field\":\"table\"},"                                \
	"{\"type\":\"int64\",\"optional\":true,\"field\":\"txId\"},"                                   \
	"{\"type\":\"int64\",\"optional\":true,\"field\":\"lsn\"},"                                    \
	"{\"type\":\"int64\",\"optional\":true,\"field\":\"xmin\"},"                                   \
	"{\"type\":\"string\",\"optional\":true,\"field\":\"origin\"},"                                \
	"{\"type\":\"int64\",\"optional\":true,\"field\":\"origin_lsn\"}],\"optional\":false,"         \
	"\"name\":\"io.debezium.connector.postgresql.Source\",\"version\":1,\"field\":\"source\"}"

#define TRANSACTION_SCHEMA                                                                         \
	"{\"type\":\"struct\",\"fields\":[{\"type\":\"string\",\"optional\":false,\"field\":\"id\"},"  \
	"{\"type\":\"int64\",\"optional\":false,\"field\":\"total_order\"},"                           \
	"{\"type\":\"int64\",\"optional\":false,\"field\":\"data_collection_order\"}],"                \
	"\"optional\":true,\"name\":\"event.block\",\"version\":1,\"field\":\"transaction\"}"

static void
put_text(CdcWriter *writer, const char *text)
{
	cdc_put_bytes(writer, text, strlen(text));
}

/* One field's or element's type, in the words of Kafka Connect. */
typedef struct Described
{
	const char *type;
	const char *name; /* NULL: none, and no version */
} Described;

static Described
describe_time(const DebeziumType *known, const CdcOptions *options)
{
	bool time = known->kind == DEBEZIUM_TIME;
	int mode = options->time_mode;
	bool adaptive = mode == CDC_TIME_ADAPTIVE || (mode == CDC_TIME_ADAPTIVE_MICROSECONDS && !time);

	if (adaptive && cdc_debezium_time_precision(known) <= 3)
		return time ? (Described){"int32", "io.debezium.time.Time"}
					: (Described){"int64", "io.debezium.time.Timestamp"};
	switch (mode)
	{
		case CDC_TIME_ISOSTRING:
			return (Described){"string",
							   time ? "io.debezium.time.IsoTime" : "io.debezium.time.IsoTimestamp"};
		case CDC_TIME_CONNECT:
			return time ? (Described){"int32", "org.apache.kafka.connect.data.Time"}
						: (Described){"int64", "org.apache.kafka.connect.data.Timestamp"};
		case CDC_TIME_NANOSECONDS:
			return (Described){"int64", time ? "io.debezium.time.NanoTime"
											 : "io.debezium.time.NanoTimestamp"};
		default:
			return (Described){"int64", time ? "io.debezium.time.MicroTime"
											 : "io.debezium.time.MicroTimestamp"};
	}
}

static Described
describe_date(const CdcOptions *options)
{
	if (options->time_mode == CDC_TIME_ISOSTRING)
		return (Described){"string", "io.debezium.time.IsoDate"};
	return (Described){"int32", options->time_mode == CDC_TIME_CONNECT
									? "org.apache.kafka.connect.data.Date"
									: "io.debezium.time.Date"};
}

/* Of the kinds that need no more than this. */
static Described
describe(const DebeziumType *known, const CdcOptions *options)
{
	switch (known->kind)
	{
		case DEBEZIUM_BOOL:
		case DEBEZIUM_BIT:
			return (Described){"boolean", NULL};
		case DEBEZIUM_INT16:
			return (Described){"int16", NULL};
		case DEBEZIUM_INT32:
			return (Described){"int32", NULL};
		case DEBEZIUM_INT64:
		case DEBEZIUM_OID:
			return (Described){"int64", NULL};
		case DEBEZIUM_FLOAT32:
			return (Described){"float", NULL};
		case DEBEZIUM_FLOAT64:
			return (Described){"double", NULL};
		case DEBEZIUM_JSON:
		case DEBEZIUM_JSONB:
			return (Described){"string", "io.debezium.data.Json"};
		case DEBEZIUM_XML:
			return (Described){"string", "io.debezium.data.Xml"};
		case DEBEZIUM_UUID:
			return (Described){"string", "io.debezium.data.Uuid"};
		case DEBEZIUM_ENUM:
			return (Described){"string", "io.debezium.data.Enum"};
		case DEBEZIUM_LTREE:
			return (Described){"string", "io.debezium.data.Ltree"};
		case DEBEZIUM_TSVECTOR:
			return (Described){"string", "io.debezium.data.Tsvector"};
		case DEBEZIUM_HSTORE:
			return options->hstore_mode == CDC_HSTORE_MAP
					   ? (Described){"map", NULL}
					   : (Described){"string", "io.debezium.data.Json"};
		case DEBEZIUM_BYTES:
		case DEBEZIUM_UNKNOWN:
			return (Described){options->binary_mode == CDC_BINARY_MODE_BYTES ? "bytes" : "string",
							   NULL};
		case DEBEZIUM_BITS:
			return (Described){"bytes", "io.debezium.data.Bits"};
		case DEBEZIUM_NUMERIC:
		case DEBEZIUM_MONEY:
			if (options->decimal_mode == CDC_DECIMAL_DOUBLE)
				return (Described){"double", NULL};
			if (options->decimal_mode == CDC_DECIMAL_STRING)
				return (Described){"string", NULL};
			if (known->kind == DEBEZIUM_NUMERIC && cdc_debezium_numeric_scale(known) < 0)
				return (Described){"struct", "io.debezium.data.VariableScaleDecimal"};
			return (Described){"bytes", "org.apache.kafka.connect.data.Decimal"};
		case DEBEZIUM_DATE:
			return describe_date(options);
		case DEBEZIUM_TIME:
		case DEBEZIUM_TIMESTAMP:
			return describe_time(known, options);
		case DEBEZIUM_TIMETZ:
			return (Described){"string", "io.debezium.time.ZonedTime"};
		case DEBEZIUM_TIMESTAMPTZ:
			return (Described){"string", "io.debezium.time.ZonedTimestamp"};
		case DEBEZIUM_INTERVAL:
			return options->interval_mode == CDC_INTERVAL_STRING
					   ? (Described){"string", "io.debezium.time.Interval"}
					   : (Described){"int64", "io.debezium.time.MicroDuration"};
		case DEBEZIUM_POINT:
			return (Described){"struct", "io.debezium.data.geometry.Point"};
		default:
			return (Described){"string", NULL};
	}
}

/* The labels, as one text with commas between them. */
static void
put_enum_labels(CdcWriter *writer, Oid type_oid)
{
	ScanKeyData key;
	Relation catalog = table_open(EnumRelationId, AccessShareLock);
	SysScanDesc scan;
	HeapTuple tuple;
	bool first = true;

	ScanKeyInit(&key, Anum_pg_enum_enumtypid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(type_oid));
	/* by this index in the order of enumsortorder */
	scan = systable_beginscan(catalog, EnumTypIdSortOrderIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		const char *label = NameStr(((Form_pg_enum) GETSTRUCT(tuple))->enumlabel);

		if (!first)
			cdc_put_byte(writer, ',');
		cdc_put_escaped(writer, label, strlen(label));
		first = false;
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

/* ,"parameters":{...} and ,"doc":... */
static void
put_parameters(CdcWriter *writer, const DebeziumType *known, const char *name)
{
	if (name == NULL)
		return;
	if (known->kind == DEBEZIUM_POINT)
		put_text(writer, ",\"doc\":\"Geometry (POINT)\"");
	else if (strcmp(name, "io.debezium.data.VariableScaleDecimal") == 0)
		put_text(writer, ",\"doc\":\"Variable scaled decimal\"");
	else if (known->kind == DEBEZIUM_MONEY)
		put_text(writer, ",\"parameters\":{\"scale\":\"2\"}");
	else if (known->kind == DEBEZIUM_NUMERIC)
	{
		put_text(writer, ",\"parameters\":{\"scale\":\"");
		cdc_put_int64(writer, cdc_debezium_numeric_scale(known));
		put_text(writer, "\",\"connect.decimal.precision\":\"");
		/* numeric_typmod_precision() (utils/adt/numeric.c) */
		cdc_put_int64(writer, ((known->typmod - VARHDRSZ) >> 16) & 0xffff);
		put_text(writer, "\"}");
	}
	else if (known->kind == DEBEZIUM_BITS)
	{
		put_text(writer, ",\"parameters\":{\"length\":\"");
		cdc_put_int64(writer, known->typmod < 0 ? PG_INT32_MAX : known->typmod);
		put_text(writer, "\"}");
	}
	else if (known->kind == DEBEZIUM_ENUM)
	{
		put_text(writer, ",\"parameters\":{\"allowed\":\"");
		put_enum_labels(writer, known->type);
		put_text(writer, "\"}");
	}
}

/* A schema without its closing brace, behind which the field's name may come. */
static void
put_open_schema(CdcWriter *writer, const DebeziumType *known, const CdcOptions *options,
				bool optional)
{
	bool is_array = known->kind == DEBEZIUM_ARRAY || known->kind == DEBEZIUM_VECTOR;
	Described described = is_array ? (Described){"array", NULL} : describe(known, options);

	put_text(writer, "{\"type\":\"");
	put_text(writer, described.type);
	cdc_put_byte(writer, '"');
	if (is_array)
	{
		DebeziumType element = {
			.kind = known->element, .type = known->element_type, .typmod = known->typmod};

		put_text(writer, ",\"items\":");
		put_open_schema(writer, &element, options,
						known->kind == DEBEZIUM_ARRAY && element.kind != DEBEZIUM_ENUM &&
							element.kind != DEBEZIUM_TSVECTOR && element.kind != DEBEZIUM_UNKNOWN);
		cdc_put_byte(writer, '}');
	}
	else if (strcmp(described.type, "map") == 0)
		put_text(writer, ",\"keys\":{\"type\":\"string\",\"optional\":false},"
						 "\"values\":{\"type\":\"string\",\"optional\":true}");
	else if (known->kind == DEBEZIUM_POINT)
		put_text(writer, ",\"fields\":[{\"type\":\"double\",\"optional\":false,\"field\":\"x\"},"
						 "{\"type\":\"double\",\"optional\":false,\"field\":\"y\"},"
						 "{\"type\":\"bytes\",\"optional\":true,\"field\":\"wkb\"},"
						 "{\"type\":\"int32\",\"optional\":true,\"field\":\"srid\"}]");
	else if (strcmp(described.type, "struct") == 0)
		put_text(writer, ",\"fields\":[{\"type\":\"int32\",\"optional\":false,\"field\":\"scale\"},"
						 "{\"type\":\"bytes\",\"optional\":false,\"field\":\"value\"}]");
	put_text(writer, optional ? ",\"optional\":true" : ",\"optional\":false");
	if (described.name)
	{
		put_text(writer, ",\"name\":\"");
		put_text(writer, described.name);
		put_text(writer, "\",\"version\":1");
	}
	put_parameters(writer, known, described.name);
}

static void
put_field(CdcWriter *writer, const CdcHeadInput *input, const CdcColumn *column)
{
	const CdcLabelInput *label = &input->columns[column - input->relation->columns];
	DebeziumType known = cdc_debezium_classify(label->type, label->typmod);

	put_open_schema(writer, &known, input->options, !(label->attr && label->attr->attnotnull));
	put_text(writer, ",\"field\":");
	cdc_put_bytes(writer, column->name, column->name_len);
	cdc_put_byte(writer, '}');
}

/* "shop.public.orders.Value" */
static void
put_name(CdcWriter *writer, const CdcHeadInput *input, const char *suffix)
{
	const char *prefix =
		input->options->topic_prefix ? input->options->topic_prefix : input->source;

	cdc_put_byte(writer, '"');
	put_text(writer, cdc_debezium_topic(input->encoding, prefix, input->schema, input->table));
	put_text(writer, suffix);
	cdc_put_byte(writer, '"');
}

static void
put_row_schema(CdcWriter *writer, const CdcHeadInput *input, const char *field)
{
	put_text(writer, "{\"type\":\"struct\",\"fields\":[");
	for (int i = 0; i < input->relation->ncolumns; i++)
	{
		if (i > 0)
			cdc_put_byte(writer, ',');
		put_field(writer, input, &input->relation->columns[i]);
	}
	put_text(writer, "],\"optional\":true,\"name\":");
	put_name(writer, input, ".Value");
	put_text(writer, ",\"field\":\"");
	put_text(writer, field);
	put_text(writer, "\"},");
}

char *
cdc_debezium_value_schema(const CdcHeadInput *input, int *len)
{
	CdcWriter writer = {.encoding = input->encoding};
	StringInfoData text;

	initStringInfo(&text);
	cdc_writer_attach(&writer, &text);
	put_text(&writer, "{\"schema\":{\"type\":\"struct\",\"fields\":[");
	put_row_schema(&writer, input, "before");
	put_row_schema(&writer, input, "after");
	put_text(&writer, SOURCE_SCHEMA "," TRANSACTION_SCHEMA
									",{\"type\":\"string\",\"optional\":false,\"field\":\"op\"},"
									"{\"type\":\"int64\",\"optional\":true,\"field\":\"ts_ms\"},"
									"{\"type\":\"int64\",\"optional\":true,\"field\":\"ts_us\"},"
									"{\"type\":\"int64\",\"optional\":true,\"field\":\"ts_ns\"}],"
									"\"optional\":false,\"name\":");
	put_name(&writer, input, ".Envelope");
	put_text(&writer, ",\"version\":2},\"payload\":{\"before\":");
	return cdc_writer_finish(&writer, len);
}

char *
cdc_debezium_key_schema(const CdcHeadInput *input, int *len)
{
	CdcWriter writer = {.encoding = input->encoding};
	StringInfoData text;

	initStringInfo(&text);
	cdc_writer_attach(&writer, &text);
	put_text(&writer, "{\"schema\":{\"type\":\"struct\",\"fields\":[");
	for (int i = 0; i < input->relation->nkeys; i++)
	{
		if (i > 0)
			cdc_put_byte(&writer, ',');
		put_field(&writer, input, input->relation->keys[i]);
	}
	put_text(&writer, "],\"optional\":false,\"name\":");
	put_name(&writer, input, ".Key");
	put_text(&writer, "},\"payload\":");
	return cdc_writer_finish(&writer, len);
}

void
cdc_debezium_put_message_schema(CdcWriter *writer, const CdcOptions *options, bool key)
{
	bool bytes = options->binary_mode == CDC_BINARY_MODE_BYTES;

	if (key)
	{
		put_text(writer, "{\"schema\":{\"type\":\"struct\",\"fields\":[{\"type\":\"string\","
						 "\"optional\":true,\"field\":\"prefix\"}],\"optional\":false,\"name\":"
						 "\"io.debezium.connector.postgresql.MessageKey\",\"version\":1},"
						 "\"payload\":");
		return;
	}
	put_text(writer, "{\"schema\":{\"type\":\"struct\",\"fields\":[{\"type\":\"string\","
					 "\"optional\":false,\"field\":\"op\"},{\"type\":\"int64\",\"optional\":true,"
					 "\"field\":\"ts_ms\"}," SOURCE_SCHEMA "," TRANSACTION_SCHEMA
					 ",{\"type\":\"struct\",\"fields\":[{\"type\":\"string\",\"optional\":true,"
					 "\"field\":\"prefix\"},{\"type\":\"");
	put_text(writer, bytes ? "bytes" : "string");
	put_text(writer,
			 "\",\"optional\":true,\"field\":\"content\"}],\"optional\":false,\"name\":"
			 "\"io.debezium.connector.postgresql.Message\",\"version\":1,\"field\":\"message\"}],"
			 "\"optional\":false,\"name\":\"io.debezium.connector.postgresql.MessageValue\","
			 "\"version\":1},\"payload\":");
}

void
cdc_debezium_put_transaction_schema(CdcWriter *writer, bool key)
{
	if (key)
		put_text(writer,
				 "{\"schema\":{\"type\":\"struct\",\"fields\":[{\"type\":\"string\",\"optional\":"
				 "false,\"field\":\"id\"}],\"optional\":false,\"name\":"
				 "\"io.debezium.connector.common.TransactionMetadataKey\",\"version\":1},"
				 "\"payload\":");
	else
		put_text(
			writer,
			"{\"schema\":{\"type\":\"struct\",\"fields\":[{\"type\":\"string\",\"optional\":false,"
			"\"field\":\"status\"},{\"type\":\"string\",\"optional\":false,\"field\":\"id\"},"
			"{\"type\":\"int64\",\"optional\":true,\"field\":\"event_count\"},{\"type\":\"array\","
			"\"items\":{\"type\":\"struct\",\"fields\":[{\"type\":\"string\",\"optional\":false,"
			"\"field\":\"data_collection\"},{\"type\":\"int64\",\"optional\":false,\"field\":"
			"\"event_count\"}],\"optional\":true,\"name\":\"event.collection\",\"version\":1},"
			"\"optional\":true,\"field\":\"data_collections\"},{\"type\":\"int64\",\"optional\":"
			"false,\"field\":\"ts_ms\"}],\"optional\":false,\"name\":"
			"\"io.debezium.connector.common.TransactionMetadataValue\",\"version\":1},"
			"\"payload\":");
}

/* Characters, not bytes, become '_': of a name in UTF-8, two where Java's text has two. */
static void
append_topic_name(StringInfo topic, CdcEncoding *encoding, const char *name)
{
	uint64 replaced = encoding->replaced;

	for (const char *c = cdc_encoding_to_utf8(encoding, name); *c;
		 c += pg_utf_mblen((const unsigned char *) c))
	{
		if ((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
			(*c != '\0' && strchr("._-", *c)))
			appendStringInfoChar(topic, *c);
		else
			appendStringInfoString(topic,
								   pg_utf_mblen((const unsigned char *) c) == 4 ? "__" : "_");
	}
	encoding->replaced = replaced;
}

char *
cdc_debezium_topic(CdcEncoding *encoding, const char *prefix, const char *schema, const char *table)
{
	StringInfoData topic;

	initStringInfo(&topic);
	append_topic_name(&topic, encoding, prefix);
	appendStringInfoChar(&topic, '.');
	if (schema)
	{
		append_topic_name(&topic, encoding, schema);
		appendStringInfoChar(&topic, '.');
	}
	append_topic_name(&topic, encoding, table);
	return topic.data;
}
