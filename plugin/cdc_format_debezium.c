/*
 * cdc_format_debezium.c
 *		format=debezium: keys and values as the Debezium connector for PostgreSQL has them (doc/format-debezium.md).
 *
 * All bytes follow from WAL and the options, so times of processing are the commit's time.	What the connector has no
 * member for (see cdc_members.h) stands at the record's end by the names that our own records have.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "commands/dbcommands.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "replication/origin.h"
#include "utils/memutils.h"

#include "cdc_format.h"
#include "cdc_format_debezium.h"
#include "cdc_json.h"
#include "cdc_members.h"

#define VERSION "cdc_decoder 1.0"

static const char ops[CDC_NUM_CHANGE_KINDS] = {
	[CDC_INSERT] = 'c',   [CDC_UPDATE] = 'u',   [CDC_DELETE] = 'd',
	[CDC_TRUNCATE] = 't', [CDC_SNAPSHOT] = 'r',
};

/* Text that is the same in all records of a transaction. */
typedef enum StampPart
{
	STAMP_TIME,   /* 1769903999123, */
	STAMP_COMMIT, /* the commit's LSN, and what leads to the change's */
	STAMP_TIMES,  /* what is behind that: "]","ts_us":...,"ts_ns":... */
	STAMP_XID,    /* 771,"lsn": */
	STAMP_ORIGIN, /* ,"xmin":null,"origin":null,"origin_lsn":null} */
	STAMP_NOW,    /* ,"ts_ms":...,"ts_us":...,"ts_ns":... */
	NUM_STAMP_PARTS,
} StampPart;

/* How many events of a table the transaction has. */
typedef struct Collection
{
	char *name; /* schema.table */
	uint64 events;
} Collection;

typedef struct DebeziumState
{
	MemoryContext context; /* of the collections; reset with each transaction */
	StringInfoData stamp;
	int stamp_end[NUM_STAMP_PARTS];
	List *collections; /* of Collection * */
	uint64 events;
	Collection *current; /* of the record at hand */
	uint64 counted_seq;  /* the record that was counted last: it may be written again */
	int counted_part;
} DebeziumState;

/* ---------------------------------------------------------------------------------------------
 * Heads and labels
 * --------------------------------------------------------------------------------------------- */

static const char *
prefix_of(const CdcHeadInput *input)
{
	return input->options->topic_prefix ? input->options->topic_prefix : input->source;
}

/* The text that a writer was given, padded; *len gets its length. */
static char *
finish_text(CdcWriter *writer, StringInfo text, int *len)
{
	char *padded;

	cdc_writer_detach(writer);
	padded = cdc_pad(text->data, text->len);
	*len = text->len;
	pfree(text->data);
	return padded;
}

/*
 * Of a relation, text: {"before":  or with its schema before that; tail: ,"schema":"public","table":"orders","txId":
 * Of none, text: ,"source":{"version":...,"name":"shop","ts_ms":  and tail: ,"snapshot":"false","db":"shop","sequence":"[\"
 */
static CdcHead
make_head(const CdcHeadInput *input)
{
	CdcWriter writer = {.encoding = input->encoding};
	uint64 replaced_before = input->encoding->replaced;
	const char *db = get_database_name(MyDatabaseId);
	StringInfoData text;
	CdcHead head = {0};

	if (input->table)
	{
		if (input->options->schema)
			head.text = cdc_debezium_value_schema(input, &head.len);
		else
		{
			head.text = cdc_pad("{\"before\":", strlen("{\"before\":"));
			head.len = strlen("{\"before\":");
		}
	}
	else
	{
		initStringInfo(&text);
		cdc_writer_attach(&writer, &text);
		cdc_put_literal(&writer, ",\"source\":{\"version\":\"" VERSION
								 "\",\"connector\":\"postgresql\",\"name\":");
		cdc_put_string(&writer, prefix_of(input), strlen(prefix_of(input)));
		cdc_put_literal(&writer, ",\"ts_ms\":");
		head.text = finish_text(&writer, &text, &head.len);
	}
	initStringInfo(&text);
	cdc_writer_attach(&writer, &text);
	if (input->table)
	{
		cdc_put_literal(&writer, ",\"schema\":");
		cdc_put_string(&writer, input->schema, strlen(input->schema));
		cdc_put_literal(&writer, ",\"table\":");
		cdc_put_string(&writer, input->table, strlen(input->table));
		cdc_put_literal(&writer, ",\"txId\":");
	}
	else
	{
		cdc_put_literal(&writer, "\",\"db\":");
		cdc_put_string(&writer, db, strlen(db));
		cdc_put_literal(&writer, ",\"sequence\":\"[\\\"");
	}
	head.tail = finish_text(&writer, &text, &head.tail_len);
	head.replaced = input->encoding->replaced - replaced_before;
	input->encoding->replaced = replaced_before;
	return head;
}

static char *
make_key_head(const CdcHeadInput *input, int *len)
{
	return input->options->schema ? cdc_debezium_key_schema(input, len) : NULL;
}

static char *
make_target(const CdcHeadInput *input)
{
	const char *kind = "message";

	if (input->table)
		return cdc_debezium_topic(input->encoding, prefix_of(input), input->schema, input->table);
	if (strcmp(input->op, "begin") == 0 || strcmp(input->op, "commit") == 0)
		kind = "transaction";
	return cdc_debezium_topic(input->encoding, prefix_of(input), NULL, kind);
}

/* ,"name": */
static char *
make_label(const CdcLabelInput *input, int *len)
{
	return cdc_make_label(input->member, input->encoding, len);
}

/* ---------------------------------------------------------------------------------------------
 * Transactions
 * --------------------------------------------------------------------------------------------- */

static DebeziumState *
state_of(CdcRecorder *recorder)
{
	DebeziumState *state = recorder->state;
	MemoryContext caller;

	if (likely(state != NULL))
		return state;
	caller = MemoryContextSwitchTo(recorder->rows.context);
	recorder->state = state = palloc0(sizeof(DebeziumState));
	state->context = AllocSetContextCreate(CurrentMemoryContext, "cdc_decoder transaction",
										   ALLOCSET_SMALL_SIZES);
	initStringInfo(&state->stamp);
	MemoryContextSwitchTo(caller);
	return state;
}

static inline void
put_stamp(CdcWriter *writer, const DebeziumState *state, StampPart part)
{
	int start = part == 0 ? 0 : state->stamp_end[part - 1];

	cdc_put_bytes(writer, state->stamp.data + start, state->stamp_end[part] - start);
}

/* Milliseconds, and microseconds and nanoseconds, since 1970; 0 where WAL has no time. */
static int64
unix_microseconds(const CdcTransaction *transaction)
{
	if (transaction->commit_time == 0)
		return 0;
	return transaction->commit_time +
		   (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (int64) USECS_PER_DAY;
}

static int64
unix_milliseconds(const CdcTransaction *transaction)
{
	return unix_microseconds(transaction) / 1000;
}

static void
put_finer_times(CdcWriter *writer, const CdcTransaction *transaction)
{
	cdc_put_literal(writer, ",\"ts_us\":");
	cdc_put_int64(writer, unix_microseconds(transaction));
	cdc_put_literal(writer, ",\"ts_ns\":");
	cdc_put_int64(writer, unix_microseconds(transaction) * 1000);
}

/* ,"xmin":null,"origin":"elsewhere","origin_lsn":4294967296} */
static void
put_origin(CdcWriter *writer, const CdcTransaction *transaction)
{
	char *name = NULL;

	cdc_put_literal(writer, ",\"xmin\":null,\"origin\":");
	if (transaction->origin != 0 && replorigin_by_oid(transaction->origin, true, &name) && name)
	{
		cdc_put_string(writer, name, strlen(name));
		cdc_put_literal(writer, ",\"origin_lsn\":");
		cdc_put_uint64(writer, transaction->origin_lsn);
	}
	else
		cdc_put_literal(writer, "null,\"origin_lsn\":null");
	cdc_put_byte(writer, '}');
}

static void
begin_transaction(CdcRecorder *recorder, CdcTransaction *transaction)
{
	DebeziumState *state = state_of(recorder);
	CdcWriter writer = {.encoding = recorder->output->writer.encoding};

	MemoryContextReset(state->context);
	state->collections = NIL;
	state->events = 0;
	state->current = NULL;
	state->counted_part = -1;
	resetStringInfo(&state->stamp);
	cdc_writer_attach(&writer, &state->stamp);
	cdc_put_int64(&writer, unix_milliseconds(transaction));
	cdc_put_literal(&writer, ",\"snapshot\":\"");
	state->stamp_end[STAMP_TIME] = cdc_writer_offset(&writer);
	cdc_put_uint64(&writer, transaction->commit_lsn);
	cdc_put_literal(&writer, "\\\",\\\"");
	state->stamp_end[STAMP_COMMIT] = cdc_writer_offset(&writer);
	cdc_put_literal(&writer, "\\\"]\"");
	put_finer_times(&writer, transaction);
	state->stamp_end[STAMP_TIMES] = cdc_writer_offset(&writer);
	if (transaction->transactional)
		cdc_put_uint64(&writer, transaction->xid);
	else
		cdc_put_literal(&writer, "null");
	cdc_put_literal(&writer, ",\"lsn\":");
	state->stamp_end[STAMP_XID] = cdc_writer_offset(&writer);
	put_origin(&writer, transaction);
	state->stamp_end[STAMP_ORIGIN] = cdc_writer_offset(&writer);
	cdc_put_literal(&writer, ",\"ts_ms\":");
	cdc_put_int64(&writer, unix_milliseconds(transaction));
	put_finer_times(&writer, transaction);
	state->stamp_end[STAMP_NOW] = cdc_writer_offset(&writer);
	cdc_writer_detach(&writer);
}

/* The event belongs to a table, or is a message: counts it, once. */
static void
count_event(CdcRecorder *recorder, const char *schema, const char *table, uint64 seq, uint16 part)
{
	DebeziumState *state = recorder->state;
	MemoryContext caller;
	char *name;
	ListCell *cell;

	if (state->counted_part == part && state->counted_seq == seq)
		return;
	state->counted_seq = seq;
	state->counted_part = part;
	state->events++;
	caller = MemoryContextSwitchTo(state->context);
	name = schema ? psprintf("%s.%s", schema, table) : pstrdup(table);
	state->current = NULL;
	foreach (cell, state->collections)
	{
		if (strcmp(((Collection *) lfirst(cell))->name, name) == 0)
			state->current = lfirst(cell);
	}
	if (state->current)
		pfree(name);
	else
	{
		state->current = palloc0(sizeof(Collection));
		state->current->name = name;
		state->collections = lappend(state->collections, state->current);
	}
	state->current->events++;
	MemoryContextSwitchTo(caller);
}

/* "771:23994232" */
static void
put_transaction_id(CdcRecorder *recorder, XLogRecPtr lsn)
{
	CdcWriter *writer = &recorder->output->writer;

	cdc_put_byte(writer, '"');
	cdc_put_uint64(writer, recorder->transaction->xid);
	cdc_put_byte(writer, ':');
	cdc_put_uint64(writer, lsn);
	cdc_put_byte(writer, '"');
}

/* ,"transaction":{"id":"771:23994232","total_order":1,"data_collection_order":1} */
static void
put_transaction(CdcRecorder *recorder, const char *schema, const char *table, uint64 seq,
				uint16 part)
{
	const DebeziumState *state = recorder->state;
	CdcWriter *writer = &recorder->output->writer;

	if (!recorder->options->transaction_metadata || !recorder->transaction->transactional)
	{
		cdc_put_literal(writer, ",\"transaction\":null");
		return;
	}
	count_event(recorder, schema, table, seq, part);
	cdc_put_literal(writer, ",\"transaction\":{\"id\":");
	put_transaction_id(recorder, recorder->change_lsn);
	cdc_put_literal(writer, ",\"total_order\":");
	cdc_put_uint64(writer, state->events);
	cdc_put_literal(writer, ",\"data_collection_order\":");
	cdc_put_uint64(writer, state->current->events);
	cdc_put_byte(writer, '}');
}

/* ---------------------------------------------------------------------------------------------
 * Records
 * --------------------------------------------------------------------------------------------- */

static inline void
put_text(CdcWriter *writer, const char *text, int len)
{
	if (likely(len <= CDC_WRITER_MAX_RESERVE - CDC_PADDING))
		cdc_put_padded(writer, text, len);
	else
		cdc_put_bytes(writer, text, len);
}

/* ,"source":{...}; head: of the relation, whose names are in its tail */
static void
put_source(CdcRecorder *recorder, const char *names, int names_len, bool snapshot)
{
	const DebeziumState *state = recorder->state;
	const CdcHead *common = &recorder->heads[CDC_HEAD_MESSAGE];
	CdcWriter *writer = &recorder->output->writer;

	cdc_put_padded(writer, common->text, common->len);
	put_stamp(writer, state, STAMP_TIME);
	if (unlikely(snapshot))
		cdc_put_literal(writer, "true");
	else
		cdc_put_literal(writer, "false");
	cdc_put_padded(writer, common->tail, common->tail_len);
	put_stamp(writer, state, STAMP_COMMIT);
	cdc_put_uint64(writer, recorder->change_lsn);
	put_stamp(writer, state, STAMP_TIMES);
	put_text(writer, names, names_len);
	put_stamp(writer, state, STAMP_XID);
	cdc_put_uint64(writer, recorder->change_lsn);
	put_stamp(writer, state, STAMP_ORIGIN);
}

/* What is behind the rows. */
static void
put_envelope(CdcRecorder *recorder, const CdcChange *change)
{
	const CdcRelation *relation = change->relation;
	const CdcHead *head = &relation->heads[change->kind];
	CdcWriter *writer = &recorder->output->writer;

	put_source(recorder, head->tail, head->tail_len, change->kind == CDC_SNAPSHOT);
	put_transaction(recorder, relation->schema, relation->table, change->frame.seq,
					change->frame.part);
	cdc_put_literal(writer, ",\"op\":\"");
	cdc_put_byte(writer, ops[change->kind]);
	cdc_put_byte(writer, '"');
	put_stamp(writer, recorder->state, STAMP_NOW);
	cdc_put_bytes(writer, recorder->metadata, strlen(recorder->metadata));
}

static void
put_end(CdcRecorder *recorder, uint64 replaced)
{
	CdcWriter *writer = &recorder->output->writer;

	cdc_put_replaced(writer, replaced);
	cdc_put_byte(writer, '}');
	if (recorder->options->schema)
		cdc_put_byte(writer, '}');
}

/* known_only: an old row of which the identity's columns only were logged */
static void
put_row(CdcWriter *writer, const CdcRelation *relation, const CdcImage *image, bool known_only)
{
	int comma = 1; /* the first label is written without its comma */

	cdc_put_byte(writer, '{');
	for (int i = 0; i < relation->ncolumns; i++)
	{
		const CdcColumn *column = &relation->columns[i];

		cdc_put_padded(writer, column->label + comma, column->label_len - comma);
		comma = 0;
		if (known_only && !column->logged)
			cdc_put_padded(writer, column->unlogged, column->unlogged_len);
		else if (unlikely(column->omitted) || cdc_is_missing(image, column->index))
			put_text(writer, column->unchanged, column->unchanged_len);
		else if (image->nulls[column->index])
			cdc_put_literal(writer, "null");
		else
			cdc_put_value(writer, image->values[column->index], &column->type);
	}
	cdc_put_byte(writer, '}');
}

/*
 * Names the columns whose values were not logged and for which the connector has null: with that alone nobody could tell
 * them from such as are null.
 */
static void
put_unchanged(CdcWriter *writer, const CdcRelation *relation, const CdcImage *image)
{
	bool any = false;

	for (int i = 0; i < relation->ncolumns; i++)
	{
		const CdcColumn *column = &relation->columns[i];

		if (column->omitted || !image->missing[column->index] ||
			strncmp(column->unchanged, "null", column->unchanged_len) != 0)
			continue;
		if (any)
			cdc_put_byte(writer, ',');
		else
			cdc_put_literal(writer, ",\"unchanged\":[");
		cdc_put_bytes(writer, column->name, column->name_len);
		any = true;
	}
	if (any)
		cdc_put_byte(writer, ']');
}

static void
put_change(CdcRecorder *recorder, CdcChange *change, bool omitting)
{
	const CdcRelation *relation = change->relation;
	const CdcHead *head = &relation->heads[change->kind];
	const CdcImage *before = &recorder->rows.before;
	const CdcImage *after = &recorder->rows.after;
	CdcWriter *writer = &recorder->output->writer;

	writer->encoding->replaced = 0;
	put_text(writer, head->text, head->len);
	if (before->present)
		put_row(writer, relation, before,
				relation->identity != REPLICA_IDENTITY_FULL ||
					(change->kind == CDC_DELETE && relation->delete_key &&
					 cdc_key_is_known(relation, before)));
	else
		cdc_put_literal(writer, "null");
	cdc_put_literal(writer, ",\"after\":");
	if (after->present)
		put_row(writer, relation, after, false);
	else
		cdc_put_literal(writer, "null");
	put_envelope(recorder, change);
	if (after->present && unlikely(after->any_missing))
		put_unchanged(writer, relation, after);
	if (unlikely(recorder->rows.any_failed || omitting))
		cdc_put_exceptions(recorder, relation, false, omitting);
	put_end(recorder, head->replaced + relation->replaced);
}

/* Without its rows. */
static void
put_bare(CdcRecorder *recorder, CdcChange *change)
{
	const CdcHead *head = &change->relation->heads[change->kind];
	CdcWriter *writer = &recorder->output->writer;

	writer->encoding->replaced = 0;
	put_text(writer, head->text, head->len);
	cdc_put_literal(writer, "null,\"after\":null");
	put_envelope(recorder, change);
}

static void
put_stripped(CdcRecorder *recorder, CdcChange *change, int sqlstate)
{
	put_bare(recorder, change);
	cdc_put_stripped_members(&recorder->output->writer, sqlstate);
	put_end(recorder, change->relation->heads[change->kind].replaced);
}

static void
put_truncate(CdcRecorder *recorder, CdcChange *change)
{
	put_bare(recorder, change);
	put_end(recorder, change->relation->heads[CDC_TRUNCATE].replaced);
}

static void
put_key(CdcWriter *writer, const CdcRelation *relation, const CdcImage *image)
{
	if (relation->key_head)
		put_text(writer, relation->key_head, relation->key_head_len);
	cdc_put_row_key(writer, relation, image);
	if (relation->key_head)
		cdc_put_byte(writer, '}');
}

/* {"op":"m","ts_ms":...,"source":{...},"transaction":null,"message":{"prefix":"p","content":"..."}} */
static void
put_message(CdcRecorder *recorder, const CdcMessage *message, uint64 seq,
			CdcMessageOmission omission)
{
	static const char no_names[] =
		",\"schema\":\"\",\"table\":\"\",\"txId\":                                ";
	CdcWriter *writer = &recorder->output->writer;

	writer->encoding->replaced = 0;
	if (recorder->options->schema)
		cdc_debezium_put_message_schema(writer, recorder->options, false);
	cdc_put_literal(writer, "{\"op\":\"m\",\"ts_ms\":");
	cdc_put_int64(writer, unix_milliseconds(recorder->transaction));
	put_source(recorder, no_names, strlen(",\"schema\":\"\",\"table\":\"\",\"txId\":"), false);
	put_transaction(recorder, NULL, "message", seq, 0);
	cdc_put_literal(writer, ",\"message\":{\"prefix\":");
	if (omission == CDC_OMIT_PREFIX_TOO)
		cdc_put_literal(writer, "null");
	else
		cdc_put_string(writer, message->prefix, strlen(message->prefix));
	cdc_put_literal(writer, ",\"content\":");
	if (omission == CDC_OMIT_NOTHING)
		cdc_debezium_put_bytes(writer, message->content, message->content_len,
							   recorder->options->binary_mode);
	else
		cdc_put_literal(writer, "null");
	cdc_put_byte(writer, '}');
	cdc_put_bytes(writer, recorder->metadata, strlen(recorder->metadata));
	if (omission == CDC_OMIT_CONTENT)
		cdc_put_literal(writer, ",\"oversized\":[\"content\"]");
	else if (omission == CDC_OMIT_PREFIX_TOO)
		cdc_put_literal(writer, ",\"oversized\":[\"prefix\",\"content\"]");
	put_end(recorder, recorder->heads[CDC_HEAD_MESSAGE].replaced);
}

/* {"status":"BEGIN","id":"771:23994232","event_count":null,"data_collections":null,"ts_ms":1769903999123} */
static void
put_boundary(CdcRecorder *recorder, bool ends)
{
	const CdcTransaction *transaction = recorder->transaction;
	const DebeziumState *state = recorder->state;
	CdcWriter *writer = &recorder->output->writer;
	const char *separator = "[";
	ListCell *cell;

	if (recorder->options->schema)
		cdc_debezium_put_transaction_schema(writer, false);
	cdc_put_literal(writer, "{\"status\":\"");
	cdc_put_bytes(writer, ends ? "END" : "BEGIN", ends ? 3 : 5);
	cdc_put_literal(writer, "\",\"id\":");
	put_transaction_id(recorder, ends ? transaction->end_lsn : recorder->change_lsn);
	cdc_put_literal(writer, ",\"event_count\":");
	if (ends)
		cdc_put_uint64(writer, state->events);
	else
		cdc_put_literal(writer, "null");
	cdc_put_literal(writer, ",\"data_collections\":");
	foreach (cell, state->collections)
	{
		const Collection *collection = lfirst(cell);

		cdc_put_bytes(writer, separator, 1);
		cdc_put_literal(writer, "{\"data_collection\":\"");
		cdc_put_escaped_utf8(writer, collection->name, strlen(collection->name));
		cdc_put_literal(writer, "\",\"event_count\":");
		cdc_put_uint64(writer, collection->events);
		cdc_put_byte(writer, '}');
		separator = ",";
	}
	if (state->collections != NIL)
		cdc_put_byte(writer, ']');
	else if (ends)
		cdc_put_literal(writer, "[]");
	else
		cdc_put_literal(writer, "null");
	cdc_put_literal(writer, ",\"ts_ms\":");
	cdc_put_int64(writer, unix_milliseconds(transaction));
	cdc_put_byte(writer, '}');
	if (recorder->options->schema)
		cdc_put_byte(writer, '}');
}

static void
put_begin(CdcRecorder *recorder, const CdcFrame *frame)
{
	put_boundary(recorder, false);
}

static void
put_commit(CdcRecorder *recorder, const CdcFrame *frame)
{
	put_boundary(recorder, true);
}

/* {"id":"771:23994232"} of begin and commit, {"prefix":"p"} of a message */
static void
put_head_key(CdcRecorder *recorder, CdcHeadKind kind, const CdcMessage *message)
{
	const CdcTransaction *transaction = recorder->transaction;
	CdcWriter *writer = &recorder->output->writer;

	if (recorder->options->schema && message)
		cdc_debezium_put_message_schema(writer, recorder->options, true);
	else if (recorder->options->schema)
		cdc_debezium_put_transaction_schema(writer, true);
	if (message)
	{
		cdc_put_literal(writer, "{\"prefix\":");
		cdc_put_string(writer, message->prefix, strlen(message->prefix));
	}
	else
	{
		cdc_put_literal(writer, "{\"id\":");
		put_transaction_id(recorder,
						   kind == CDC_HEAD_COMMIT ? transaction->end_lsn : recorder->change_lsn);
	}
	cdc_put_byte(writer, '}');
	if (recorder->options->schema)
		cdc_put_byte(writer, '}');
}

const CdcRecordFormat cdc_format_debezium = {
	.splits_key_changes = true,
	.make_head = make_head,
	.make_key_head = make_key_head,
	.make_target = make_target,
	.make_label = make_label,
	.make_stand_in = cdc_debezium_stand_in,
	.build_type = cdc_debezium_build_type,
	.begin_transaction = begin_transaction,
	.put_change = put_change,
	.put_key = put_key,
	.key_behind = true,
	.put_stripped = put_stripped,
	.put_truncate = put_truncate,
	.put_message = put_message,
	.put_begin = put_begin,
	.put_commit = put_commit,
	.put_head_key = put_head_key,
};
