/*
 * cdc_format_debezium_transaction.c
 *		What records of a transaction have in common; see cdc_format_debezium_transaction.h.
 */
#include "postgres.h"

#include "replication/origin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "cdc_format_debezium.h"
#include "cdc_format_debezium_transaction.h"
#include "cdc_json.h"

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
	int stamp_end[NUM_DEBEZIUM_STAMPS];
	List *collections; /* of Collection * */
	uint64 events;
	Collection *current; /* of the record at hand */
	uint64 counted_seq;  /* the record that was counted last: it may be written again */
	int counted_part;
} DebeziumState;

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

void
cdc_debezium_put_stamp(CdcRecorder *recorder, DebeziumStamp stamp)
{
	const DebeziumState *state = recorder->state;
	int start = stamp == 0 ? 0 : state->stamp_end[stamp - 1];

	cdc_put_bytes(&recorder->output->writer, state->stamp.data + start,
				  state->stamp_end[stamp] - start);
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

int64
cdc_debezium_milliseconds(const CdcTransaction *transaction)
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

void
cdc_debezium_begin_transaction(CdcRecorder *recorder, CdcTransaction *transaction)
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
	cdc_put_int64(&writer, cdc_debezium_milliseconds(transaction));
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
	cdc_put_int64(&writer, cdc_debezium_milliseconds(transaction));
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
void
cdc_debezium_put_transaction_id(CdcRecorder *recorder, XLogRecPtr lsn)
{
	CdcWriter *writer = &recorder->output->writer;

	cdc_put_byte(writer, '"');
	cdc_put_uint64(writer, recorder->transaction->xid);
	cdc_put_byte(writer, ':');
	cdc_writer_note_lsn(writer, 0, CDC_LSN_DECIMAL);
	cdc_put_uint64(writer, lsn);
	cdc_put_byte(writer, '"');
}

/* ,"transaction":{"id":"771:23994232","total_order":1,"data_collection_order":1} */
void
cdc_debezium_put_transaction(CdcRecorder *recorder, const char *schema, const char *table,
							 uint64 seq, uint16 part)
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
	cdc_debezium_put_transaction_id(recorder, recorder->change_lsn);
	cdc_put_literal(writer, ",\"total_order\":");
	cdc_put_uint64(writer, state->events);
	cdc_put_literal(writer, ",\"data_collection_order\":");
	cdc_put_uint64(writer, state->current->events);
	cdc_put_byte(writer, '}');
}

/* {"status":"BEGIN","id":"771:23994232","event_count":null,"data_collections":null,"ts_ms":1769903999123} */
void
cdc_debezium_put_boundary(CdcRecorder *recorder, bool ends)
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
	cdc_debezium_put_transaction_id(recorder, ends ? transaction->end_lsn : recorder->change_lsn);
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
	cdc_put_int64(writer, cdc_debezium_milliseconds(transaction));
	cdc_put_byte(writer, '}');
	if (recorder->options->schema)
		cdc_put_byte(writer, '}');
}
