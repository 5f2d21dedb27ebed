/*
 * cdc_option_table.c
 *		The table of the plugin's options; see cdc_option_table.h.
 */
#include "postgres.h"

#include "cdc_option_table.h"
#include "cdc_protocol.h"
#include "cdc_publication.h"

#define MIB (1024 * 1024)

#define FIELD(name) offsetof(CdcOptions, name)
#define CHOICES(...)                                                                               \
	(const char *const[])                                                                          \
	{                                                                                              \
		__VA_ARGS__, NULL                                                                          \
	}

/* Formats whose values are those of doc/records.md. */
#define OWN_VALUES (CDC_OF(CDC_FORMAT_CDC) | CDC_OF(CDC_FORMAT_CLOUDEVENTS))
#define WAL2JSON CDC_OF(CDC_FORMAT_WAL2JSON)
#define DEBEZIUM CDC_OF(CDC_FORMAT_DEBEZIUM)

#define ALL_ACTIONS (1 << CDC_INSERT | 1 << CDC_UPDATE | 1 << CDC_DELETE | 1 << CDC_TRUNCATE)

/* PostgreSQL allows no string over 1 GiB, and a client must be able to hold a record. */
#define MAX_RECORD_BYTES (900 * MIB)

const char *const cdc_format_names[] = {
	[CDC_FORMAT_CDC] = "cdc",           [CDC_FORMAT_CLOUDEVENTS] = "cloudevents",
	[CDC_FORMAT_DEBEZIUM] = "debezium", [CDC_FORMAT_WAL2JSON] = "wal2json",
	[CDC_NUM_FORMATS] = NULL,
};

const CdcOption cdc_option_table[] = {
	{"protocol_version", CDC_OPTION_INT, FIELD(protocol_version), CDC_PROTOCOL_VERSION,
	 CDC_PROTOCOL_VERSION, CDC_PROTOCOL_VERSION, NULL, "version of the frames", true},
	{"format", CDC_OPTION_ENUM, FIELD(format), CDC_FORMAT_CDC, 0, 0, cdc_format_names,
	 "how a record is written"},
	{"framing", CDC_OPTION_ENUM, FIELD(framing), CDC_FRAMING_LINES, 0, 0,
	 CHOICES("lines", "frames"), "plain records, or binary frames for cdc_client", true},
	{"batch_bytes", CDC_OPTION_INT, FIELD(batch_bytes), -1, 0, 16 * MIB, NULL,
	 "gather records in one message until so many bytes; 0: one record per message"},
	{"source", CDC_OPTION_STRING, FIELD(source), 0, 1, 255, NULL,
	 "name of this source (default: the database)"},
	{"delete", CDC_OPTION_ENUM, FIELD(delete_records), CDC_DELETE_FULL, 0, 0,
	 CHOICES("full", "key"), "deletes with the old row, or with its key only"},
	{"numeric", CDC_OPTION_ENUM, FIELD(numeric), CDC_NUMERIC_STRING, 0, 0,
	 CHOICES("string", "number"), "numeric as an exact string, or as a bare number",
	 .formats = OWN_VALUES},
	{"bigint", CDC_OPTION_ENUM, FIELD(bigint), CDC_BIGINT_NUMBER, 0, 0, CHOICES("number", "string"),
	 "int8 as a number, or as a string for readers that round at 2^53", .formats = OWN_VALUES},
	{"binary", CDC_OPTION_ENUM, FIELD(binary), CDC_BINARY_HEX, 0, 0, CHOICES("hex", "base64"),
	 "bytea as \\x hex, or as base64", .formats = OWN_VALUES},
	{"generated_columns", CDC_OPTION_ENUM, FIELD(generated_columns), -1, 0, 0,
	 CHOICES("all", "stored", "none"),
	 "which generated columns are in records (default: all; of format=debezium none)"},
	{"origin", CDC_OPTION_ENUM, FIELD(origin), CDC_ORIGIN_ANY, 0, 0, CHOICES("any", "none"),
	 "all changes, or only those that were not replicated from elsewhere"},
	{"transaction_records", CDC_OPTION_BOOL, FIELD(transaction_records), false, 0, 0, NULL,
	 "records for begin and commit, too", .formats = OWN_VALUES},
	{"messages", CDC_OPTION_BOOL, FIELD(messages), true, 0, 0, NULL,
	 "records for logical messages (pg_logical_emit_message), too"},
	{"message_prefixes", CDC_OPTION_LIST, FIELD(message_prefixes), 0, 0, 0, NULL,
	 "only messages of these prefixes; prefix* matches what begins with it"},
	{"ddl", CDC_OPTION_ENUM, FIELD(ddl), CDC_DDL_AUTO, 0, 0, CHOICES("auto", "on", "off"),
	 "records for DDL, where cdc.enable_ddl() was called; auto: not with a pipeline"},
	{"schemas", CDC_OPTION_BOOL, FIELD(schemas), false, 0, 0, NULL,
	 "records that describe relations, before the first record of each and when it changes",
	 .formats = CDC_OF(CDC_FORMAT_CDC)},
	{"max_record_bytes", CDC_OPTION_INT, FIELD(max_record_bytes), 64 * MIB, MIB, MAX_RECORD_BYTES,
	 NULL, "a longer record leaves out its largest columns and names them"},
	{"publication_names", CDC_OPTION_IDENTIFIERS, FIELD(publication_names), 0, 0, 0, NULL,
	 "select what these publications publish (default: everything)"},
	{"pipeline", CDC_OPTION_STRING, FIELD(pipeline), 0, 1, NAMEDATALEN - 1, NULL,
	 "follow the rules of this pipeline (cdc.create_pipeline())", true},
	{"on_expression_error", CDC_OPTION_ENUM, FIELD(on_expression_error), CDC_EXPRESSION_ERROR_STOP,
	 0, 0, CHOICES("stop", "null"),
	 "a rule's expression that fails is an ERROR, or null and named in the record"},
	{"privileges", CDC_OPTION_ENUM, FIELD(privileges), CDC_PRIVILEGES_IGNORE, 0, 0,
	 CHOICES("ignore", "enforce"),
	 "all that is selected, or only what the streaming role may SELECT"},
	{"strip_records", CDC_OPTION_RECORDS, FIELD(strip_records), 0, 0, 0, NULL,
	 "these records, which rules cannot transform, are sent without their rows", true},
	{"watermarks", CDC_OPTION_STRING, FIELD(watermarks), 0, 1, 63, NULL,
	 "frames for the watermarks of chunks of existing rows that name this token", true},
	{"format-version", CDC_OPTION_INT, FIELD(format_version), 2, 2, 2, NULL,
	 "version of wal2json's records; version 1, a transaction in one document, is not written, "
	 "since "
	 "a large one could not be sent",
	 false, WAL2JSON},
	{"include-xids", CDC_OPTION_BOOL, FIELD(include_xids), false, 0, 0, NULL,
	 "the transaction's id", false, WAL2JSON},
	{"include-timestamp", CDC_OPTION_BOOL, FIELD(include_timestamp), false, 0, 0, NULL,
	 "the commit time, in UTC", false, WAL2JSON},
	{"include-origin", CDC_OPTION_BOOL, FIELD(include_origin), false, 0, 0, NULL,
	 "the replication origin's number; 0: made here", false, WAL2JSON},
	{"include-lsn", CDC_OPTION_BOOL, FIELD(include_lsn), false, 0, 0, NULL,
	 "where the change lies in WAL; for B and C also where the transaction ends", false, WAL2JSON},
	{"include-schemas", CDC_OPTION_BOOL, FIELD(include_schemas), true, 0, 0, NULL,
	 "the schema beside the table", false, WAL2JSON},
	{"include-types", CDC_OPTION_BOOL, FIELD(include_types), true, 0, 0, NULL,
	 "the types of columns, with their modifiers", false, WAL2JSON},
	{"include-type-oids", CDC_OPTION_BOOL, FIELD(include_type_oids), false, 0, 0, NULL,
	 "the OIDs of columns' types", false, WAL2JSON},
	{"include-typmod", CDC_OPTION_BOOL, FIELD(include_typmod), true, 0, 0, NULL,
	 "of no effect, as in format-version 2 of wal2json", false, WAL2JSON},
	{"include-domain-data-type", CDC_OPTION_BOOL, FIELD(include_domain_data_type), false, 0, 0,
	 NULL, "in place of a domain's name that of the type it is over", false, WAL2JSON},
	{"include-column-positions", CDC_OPTION_BOOL, FIELD(include_column_positions), false, 0, 0,
	 NULL, "pg_attribute.attnum of columns", false, WAL2JSON},
	{"include-not-null", CDC_OPTION_BOOL, FIELD(include_not_null), false, 0, 0, NULL,
	 "may the column be null: optional", false, WAL2JSON},
	{"include-default", CDC_OPTION_BOOL, FIELD(include_default), false, 0, 0, NULL,
	 "default expressions of columns", false, WAL2JSON},
	{"include-pk", CDC_OPTION_BOOL, FIELD(include_pk), false, 0, 0, NULL,
	 "names and types of the primary key's columns", false, WAL2JSON},
	{"include-transaction", CDC_OPTION_BOOL, FIELD(include_transaction), true, 0, 0, NULL,
	 "records B and C for begin and commit", false, WAL2JSON},
	{"include-empty-transaction", CDC_OPTION_BOOL, FIELD(include_empty_transaction), true, 0, 0,
	 NULL, "B and C also for transactions of which nothing else is sent", true, WAL2JSON},
	{"numeric-data-types-as-string", CDC_OPTION_BOOL, FIELD(numeric_data_types_as_string), false, 0,
	 0, NULL, "numbers as strings, so that NaN and infinities are not null", false, WAL2JSON},
	{"partition-root", CDC_OPTION_BOOL, FIELD(partition_root), false, 0, 0, NULL,
	 "partitions under the name of the root of their tree", false, WAL2JSON},
	{"pretty-print", CDC_OPTION_REFUSED, FIELD(pretty_print), false, 0, 0, NULL,
	 "a record is one line: format it where it is read", false, WAL2JSON},
	{"write-in-chunks", CDC_OPTION_BOOL, FIELD(write_in_chunks), false, 0, 0, NULL,
	 "of no effect, as in format-version 2 of wal2json", false, WAL2JSON},
	{"actions", CDC_OPTION_ACTIONS, FIELD(actions), ALL_ACTIONS, 0, 0, NULL,
	 "only these operations", false, WAL2JSON},
	{"filter-tables", CDC_OPTION_TABLES, FIELD(filter_tables), 0, 0, 0, NULL, "not these tables",
	 false, WAL2JSON},
	{"add-tables", CDC_OPTION_TABLES, FIELD(add_tables), 0, 1, 0, NULL, "only these tables", false,
	 WAL2JSON},
	{"filter-msg-prefixes", CDC_OPTION_WORDS, FIELD(filter_msg_prefixes), 0, 0, 0, NULL,
	 "not messages of these prefixes", false, WAL2JSON},
	{"add-msg-prefixes", CDC_OPTION_WORDS, FIELD(add_msg_prefixes), 0, 0, 0, NULL,
	 "only messages of these prefixes", false, WAL2JSON},
	{"filter-origins", CDC_OPTION_OIDS, FIELD(filter_origins), 0, 0, 0, NULL,
	 "not what came from these replication origins", false, WAL2JSON},
	{"search-path", CDC_OPTION_PATH, FIELD(search_path), 0, 0, 0, NULL,
	 "types and other names in text are qualified as under this search_path (default: public)",
	 false, WAL2JSON},
	{"decimal.handling.mode", CDC_OPTION_ENUM, FIELD(decimal_mode), CDC_DECIMAL_PRECISE, 0, 0,
	 CHOICES("precise", "double", "string"),
	 "numeric and money as bytes of a whole number, as floats, or as strings", false, DEBEZIUM},
	{"time.precision.mode", CDC_OPTION_ENUM, FIELD(time_mode), CDC_TIME_ADAPTIVE, 0, 0,
	 CHOICES("adaptive", "adaptive_time_microseconds", "connect", "isostring", "microseconds",
			 "nanoseconds"),
	 "how date, time and timestamp are told", false, DEBEZIUM},
	{"binary.handling.mode", CDC_OPTION_ENUM, FIELD(binary_mode), CDC_BINARY_MODE_BYTES, 0, 0,
	 CHOICES("bytes", "base64", "base64-url-safe", "hex"), "how bytea is told", false, DEBEZIUM},
	{"interval.handling.mode", CDC_OPTION_ENUM, FIELD(interval_mode), CDC_INTERVAL_NUMERIC, 0, 0,
	 CHOICES("numeric", "string"), "intervals as microseconds, or as ISO 8601 strings", false,
	 DEBEZIUM},
	{"hstore.handling.mode", CDC_OPTION_ENUM, FIELD(hstore_mode), CDC_HSTORE_JSON, 0, 0,
	 CHOICES("json", "map"), "hstore as a string of JSON, or as an object", false, DEBEZIUM},
	{"include.unknown.datatypes", CDC_OPTION_BOOL, FIELD(include_unknown_datatypes), false, 0, 0,
	 NULL, "columns of types that the connector does not know, as bytes of their text", false,
	 DEBEZIUM},
	{"unavailable.value.placeholder", CDC_OPTION_STRING, FIELD(unavailable_placeholder), 0, 1, 1000,
	 NULL,
	 "what stands in place of an out-of-line value that was not logged (default: "
	 "__debezium_unavailable_value)",
	 false, DEBEZIUM},
	{"topic.prefix", CDC_OPTION_STRING, FIELD(topic_prefix), 0, 1, 200, NULL,
	 "what topics' names begin with, and the source's name (default: the database)", false,
	 DEBEZIUM},
	{"provide.transaction.metadata", CDC_OPTION_BOOL, FIELD(transaction_metadata), false, 0, 0,
	 NULL, "records for begin and commit, and each change's place in its transaction", false,
	 DEBEZIUM},
	{"tombstones.on.delete", CDC_OPTION_BOOL, FIELD(tombstones), true, 0, 0, NULL,
	 "a sink that can sends a tombstone after each delete", false, DEBEZIUM},
	{"skipped.operations", CDC_OPTION_SKIPPED, FIELD(skipped_operations), 1 << CDC_TRUNCATE, 0, 0,
	 NULL, "changes that are not told", false, DEBEZIUM},
	{"schema", CDC_OPTION_BOOL, FIELD(schema), false, 0, 0, NULL,
	 "keys and values together with their schema, for readers that want it", false, DEBEZIUM},
};

const int cdc_option_count = lengthof(cdc_option_table);

const CdcOption *
cdc_option_find(const char *name)
{
	for (int i = 0; i < cdc_option_count; i++)
	{
		if (strcmp(cdc_option_table[i].name, name) == 0)
			return &cdc_option_table[i];
	}
	return NULL;
}

void
cdc_option_allowed(const CdcOption *option, StringInfo text)
{
	switch (option->type)
	{
		case CDC_OPTION_BOOL:
			appendStringInfoString(text, "on or off");
			break;
		case CDC_OPTION_INT:
			if (option->min == option->max)
				appendStringInfo(text, "%d", option->min);
			else
				appendStringInfo(text, "a whole number from %d to %d", option->min, option->max);
			break;
		case CDC_OPTION_ENUM:
			for (int i = 0; option->choices[i]; i++)
				appendStringInfo(text, "%s%s", i > 0 ? " or " : "", option->choices[i]);
			break;
		case CDC_OPTION_STRING:
			appendStringInfo(text, "a name of 1 to %d bytes", option->max);
			break;
		case CDC_OPTION_LIST:
			appendStringInfoString(text, "a comma-separated list of prefixes, none of them empty");
			break;
		case CDC_OPTION_IDENTIFIERS:
			appendStringInfoString(text,
								   "a comma-separated list of names, in double quotes where they "
								   "are not lower case");
			break;
		case CDC_OPTION_RECORDS:
			appendStringInfoString(text, "a comma-separated list of commit_lsn:seq, such as "
										 "0/16E2A10:3");
			break;
		case CDC_OPTION_WORDS:
			appendStringInfoString(text, "a comma-separated list");
			break;
		case CDC_OPTION_TABLES:
			appendStringInfoString(text, "a comma-separated list of schema.table; * stands for any "
										 "schema or table, a backslash precedes a space, comma, "
										 "period or asterisk of a name");
			break;
		case CDC_OPTION_OIDS:
			appendStringInfoString(text, "a comma-separated list of numbers "
										 "(pg_replication_origin.roident)");
			break;
		case CDC_OPTION_ACTIONS:
			appendStringInfoString(text,
								   "a comma-separated list of insert, update, delete, truncate");
			break;
		case CDC_OPTION_PATH:
			appendStringInfoString(text, "a list of schemas as search_path has it, or nothing");
			break;
		case CDC_OPTION_SKIPPED:
			appendStringInfoString(text, "none, or a comma-separated list of c, u, d, t");
			break;
		case CDC_OPTION_REFUSED:
			appendStringInfoString(text, "off only");
			break;
	}
}
