/*
 * cdc_options.h
 *		The plugin's options: one table of names, types, defaults, ranges and descriptions.
 */
#ifndef CDC_OPTIONS_H
#define CDC_OPTIONS_H

#include "access/xlogdefs.h"
#include "nodes/pg_list.h"

#include "cdc_value.h"

typedef enum CdcFormat
{
	CDC_FORMAT_CDC,
	CDC_FORMAT_CLOUDEVENTS,
	CDC_FORMAT_DEBEZIUM,
	CDC_FORMAT_WAL2JSON,
	CDC_NUM_FORMATS,
} CdcFormat;

typedef enum CdcFraming
{
	CDC_FRAMING_LINES,
	CDC_FRAMING_FRAMES,
} CdcFraming;

typedef enum CdcDelete
{
	CDC_DELETE_FULL,
	CDC_DELETE_KEY,
} CdcDelete;

typedef enum CdcNumeric
{
	CDC_NUMERIC_STRING,
	CDC_NUMERIC_NUMBER,
} CdcNumeric;

typedef enum CdcBigint
{
	CDC_BIGINT_NUMBER,
	CDC_BIGINT_STRING,
} CdcBigint;

typedef enum CdcBinary
{
	CDC_BINARY_HEX,
	CDC_BINARY_BASE64,
} CdcBinary;

typedef enum CdcGeneratedColumns
{
	CDC_GENERATED_ALL,
	CDC_GENERATED_STORED,
	CDC_GENERATED_NONE,
} CdcGeneratedColumns;

typedef enum CdcOrigin
{
	CDC_ORIGIN_ANY,
	CDC_ORIGIN_NONE,
} CdcOrigin;

typedef enum CdcExpressionError
{
	CDC_EXPRESSION_ERROR_STOP,
	CDC_EXPRESSION_ERROR_NULL,
} CdcExpressionError;

typedef enum CdcPrivileges
{
	CDC_PRIVILEGES_IGNORE,
	CDC_PRIVILEGES_ENFORCE,
} CdcPrivileges;

typedef enum CdcDdl
{
	CDC_DDL_AUTO, /* on, but not with a pipeline, whose rules do not hold for a command's text */
	CDC_DDL_ON,
	CDC_DDL_OFF,
} CdcDdl;

/* Of format=debezium, in the connector's words. */
typedef enum CdcDecimalMode
{
	CDC_DECIMAL_PRECISE,
	CDC_DECIMAL_DOUBLE,
	CDC_DECIMAL_STRING,
} CdcDecimalMode;

typedef enum CdcTimeMode
{
	CDC_TIME_ADAPTIVE,
	CDC_TIME_ADAPTIVE_MICROSECONDS, /* of times of day; timestamps as in the one before */
	CDC_TIME_CONNECT,
	CDC_TIME_ISOSTRING,
	CDC_TIME_MICROSECONDS,
	CDC_TIME_NANOSECONDS,
} CdcTimeMode;

typedef enum CdcBinaryMode
{
	CDC_BINARY_MODE_BYTES, /* base64 in JSON, but not called a string */
	CDC_BINARY_MODE_BASE64,
	CDC_BINARY_MODE_BASE64_URL,
	CDC_BINARY_MODE_HEX,
} CdcBinaryMode;

typedef enum CdcIntervalMode
{
	CDC_INTERVAL_NUMERIC,
	CDC_INTERVAL_STRING,
} CdcIntervalMode;

typedef enum CdcHstoreMode
{
	CDC_HSTORE_JSON,
	CDC_HSTORE_MAP,
} CdcHstoreMode;

/* A record by its identity. */
typedef struct CdcRecordName
{
	XLogRecPtr commit_lsn;
	uint64 seq;
} CdcRecordName;

/* Enumerations are kept as int, so that the table can point to them. */
typedef struct CdcOptions
{
	int protocol_version;
	int format;
	int framing;
	int batch_bytes; /* -1 until defaulted by framing */
	char *source;    /* NULL: the database's name */
	int delete_records;
	int numeric;
	int bigint;
	int binary;
	int generated_columns;
	int origin;
	bool transaction_records;
	bool messages;
	List *message_prefixes; /* of char *; NIL: all; a trailing * matches any continuation */
	int max_record_bytes;
	List *publication_names; /* of char *; NIL: everything is selected */
	char *pipeline;          /* NULL: no rules */
	int on_expression_error;
	int privileges;
	int ddl;
	bool schemas;
	List *strip_records; /* of CdcRecordName *: sent without what is in their rows */
	char *watermarks;    /* token of those that are for this session; NULL: none are */

	/* of format=wal2json, by its names */
	int format_version;
	bool include_xids;
	bool include_timestamp;
	bool include_origin;
	bool include_lsn;
	bool include_schemas;
	bool include_types;
	bool include_type_oids;
	bool include_typmod; /* of no effect, as in its version 2 */
	bool include_domain_data_type;
	bool include_column_positions;
	bool include_not_null;
	bool include_default;
	bool include_pk;
	bool include_transaction;
	bool include_empty_transaction;
	bool numeric_data_types_as_string;
	bool partition_root;
	bool pretty_print;    /* false */
	bool write_in_chunks; /* of no effect */
	int actions;          /* 1 << CdcChangeKind */
	List *filter_tables;  /* of CdcTableName * (cdc_selector.c) */
	List *add_tables;     /* NIL: all */
	List *filter_msg_prefixes;
	List *add_msg_prefixes;  /* NIL: all */
	List *filter_origins;    /* OIDs */
	const char *search_path; /* NULL until defaulted */

	/* of format=debezium, by the connector's names */
	int decimal_mode;
	int time_mode;
	int binary_mode;
	int interval_mode;
	int hstore_mode;
	bool include_unknown_datatypes;
	char *unavailable_placeholder;
	char *topic_prefix; /* NULL: the source's name */
	bool transaction_metadata;
	bool tombstones;
	int skipped_operations; /* 1 << CdcChangeKind */
	bool schema;

	bool
		empty_transactions; /* begin and commit are told where nothing of the transaction is, too */
} CdcOptions;

/*
 * Reads the options of START_REPLICATION or of the SQL functions (a list of DefElem, values String or
 * NULL) over those of a pipeline (likewise, or NIL) into *options, in CurrentMemoryContext.	ERROR on an
 * unknown option, on a bad value, and on one given twice, naming the option and what is allowed.
 */
extern void cdc_options_read(CdcOptions *options, List *pipeline, List *elements);

/* Is a logical message of this prefix asked for? */
extern bool cdc_options_want_message(const CdcOptions *options, const char *prefix);

/* Is this one of strip_records? */
extern bool cdc_options_strip(const CdcOptions *options, XLogRecPtr commit_lsn, uint64 seq);

#endif /* CDC_OPTIONS_H */
