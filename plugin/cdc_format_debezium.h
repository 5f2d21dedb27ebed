/*
 * cdc_format_debezium.h
 *		What the files of format=debezium share (doc/format-debezium.md).
 *
 * The Debezium connector for PostgreSQL (io.debezium:debezium-connector-postgres 3.6) is the measure; what it makes of
 * each type and option was taken from what it sends (test/tap/065_debezium.pl asks it again).
 */
#ifndef CDC_FORMAT_DEBEZIUM_H
#define CDC_FORMAT_DEBEZIUM_H

#include "cdc_head.h"
#include "cdc_relation.h"

/* What the connector takes a type for. */
typedef enum DebeziumKind
{
	DEBEZIUM_UNKNOWN, /* none: the column is left out, or is bytes of its text */
	DEBEZIUM_NEVER,   /* left out even where unknown ones are asked for */
	DEBEZIUM_BOOL,
	DEBEZIUM_INT16,
	DEBEZIUM_INT32,
	DEBEZIUM_INT64,
	DEBEZIUM_OID,
	DEBEZIUM_FLOAT32,
	DEBEZIUM_FLOAT64,
	DEBEZIUM_NUMERIC,
	DEBEZIUM_MONEY,
	DEBEZIUM_STRING,
	DEBEZIUM_OUTPUT, /* a string, too: what the output function prints */
	DEBEZIUM_JSON,
	DEBEZIUM_JSONB,
	DEBEZIUM_XML,
	DEBEZIUM_UUID,
	DEBEZIUM_ENUM,
	DEBEZIUM_LTREE,
	DEBEZIUM_TSVECTOR,
	DEBEZIUM_HSTORE,
	DEBEZIUM_BYTES,
	DEBEZIUM_BIT, /* one, as a boolean */
	DEBEZIUM_BITS,
	DEBEZIUM_DATE,
	DEBEZIUM_TIME,
	DEBEZIUM_TIMETZ,
	DEBEZIUM_TIMESTAMP,
	DEBEZIUM_TIMESTAMPTZ,
	DEBEZIUM_INTERVAL,
	DEBEZIUM_POINT,
	DEBEZIUM_ARRAY,
	DEBEZIUM_VECTOR, /* of oids or of int2: an array */
} DebeziumKind;

typedef struct DebeziumType
{
	DebeziumKind kind;
	Oid type; /* beneath all domains */
	int32 typmod;
	DebeziumKind element; /* of an array; and its type */
	Oid element_type;
} DebeziumType;

/* Needs a transaction. */
extern DebeziumType cdc_debezium_classify(Oid type_oid, int32 typmod);

/* Is the column told, with these options? */
extern bool cdc_debezium_tells(const DebeziumType *type, const CdcOptions *options);

/* Digits behind the point: of seconds, 6 where none are asked for; of a numeric, -1 where each value has its own. */
extern int cdc_debezium_time_precision(const DebeziumType *type);
extern int cdc_debezium_numeric_scale(const DebeziumType *type);

/* See CdcRecordFormat. */
extern bool cdc_debezium_build_type(CdcType *type, Oid type_oid, int32 typmod,
									CdcTypeBuilder *builder);
extern char *cdc_debezium_stand_in(const CdcLabelInput *input, CdcStandIn what, int *len);

/* The writer for a kind that is no array; type has what else it needs.	 NULL: as cdc_type_build_output() chooses. */
extern CdcValueWriter cdc_debezium_writer(CdcType *type, const DebeziumType *known,
										  const CdcOptions *options);

/* The same for numbers that are not integers, and one as Java prints it. */
extern CdcValueWriter cdc_debezium_number_writer(CdcType *type, const DebeziumType *known,
												 const CdcOptions *options);
extern void cdc_debezium_put_double(CdcWriter *writer, double value);

/* The same for times. */
extern CdcValueWriter cdc_debezium_time_writer(CdcType *type, const DebeziumType *known,
											   const CdcOptions *options);

/* Bytes as binary.handling.mode has them, with quotes. */
extern void cdc_debezium_put_bytes(CdcWriter *writer, const char *bytes, Size len, int mode);

/* An hstore of one pair. */
extern void cdc_debezium_put_hstore(CdcWriter *writer, const char *key, const char *value,
									const CdcOptions *options);

/* {"schema":{...},"payload":  of the records of a relation, of its keys, and of those that have no relation. */
extern char *cdc_debezium_value_schema(const CdcHeadInput *input, int *len);
extern char *cdc_debezium_key_schema(const CdcHeadInput *input, int *len);
extern void cdc_debezium_put_message_schema(CdcWriter *writer, const CdcOptions *options, bool key);
extern void cdc_debezium_put_transaction_schema(CdcWriter *writer, bool key);

/* The topic that something of the prefix is sent to: what no topic's name may have in it becomes '_'. */
extern char *cdc_debezium_topic(CdcEncoding *encoding, const char *prefix, const char *schema,
								const char *table);

#endif /* CDC_FORMAT_DEBEZIUM_H */
