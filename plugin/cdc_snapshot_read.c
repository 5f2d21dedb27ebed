/*
 * cdc_snapshot_read.c
 *		cdc.read_chunk(): existing rows of a table as records, between two watermarks.
 *
 * In this order: the table is locked (ACCESS SHARE), so that what its rows consist of stays the same; the
 * low watermark is written; a snapshot is taken that sees all that precedes it; rules and publications
 * are read, so that those that precede it hold (what comes later makes the high watermark void); rows are
 * read; the high watermark is written; and only then records are made of the rows, since their identity
 * is where the high watermark lies.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/pg_lsn.h"
#include "utils/snapmgr.h"

#include "cdc_backfill.h"
#include "cdc_compat.h"
#include "cdc_snapshot_key.h"
#include "cdc_snapshot_scan.h"
#include "cdc_snapshot_session.h"
#include "cdc_snapshot_wait.h"
#include "cdc_snapshot_window.h"

CDC_SQL_FUNCTION(cdc_read_chunk);

/* The function's arguments and columns, in their order (sql/cdc_decoder--1.0.sql). */
enum
{
	ARG_OPTIONS,
	ARG_RELATION,
	ARG_KEY,
	ARG_AFTER,
	ARG_UPTO,
	ARG_FILTER,
	ARG_MAX_ROWS,
	ARG_MAX_BYTES,
	ARG_WATERMARK,
};
enum
{
	OUT_LOW,
	OUT_HIGH,
	OUT_ROWS,
	OUT_SCANNED,
	OUT_LAST,
	OUT_DONE,
	OUT_KEYS,
	OUT_RECORDS,
	NUM_OUT,
};

typedef struct Chunk
{
	CdcSnapshotSession *session;
	Relation relation;
	CdcRelation *known;
	CdcScanKey key;
	CdcExpression *filter; /* NULL: all rows */
	CdcWatermark watermark;
	XLogRecPtr low;
	XLogRecPtr high;
	XLogRecPtr end;
	List *tuples;
	bool done;
	int rows; /* that became records */
	char **last;
	StringInfoData
		keys; /* of them: cdc_snapshot_key(), then each text of the scan's key, its length first */
} Chunk;

static ArrayType *
array_argument(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : PG_GETARG_ARRAYTYPE_P(n);
}

static int
count_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	int value = PG_ARGISNULL(n) ? 0 : PG_GETARG_INT32(n);

	if (value < 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("%s must not be negative", name));
	return value;
}

/* token worker chunk: the rest of what a watermark says is ours. */
static void
read_watermark(Chunk *chunk, const char *text)
{
	char *whole = psprintf("%s %u low", text, RelationGetRelid(chunk->relation));

	if (!cdc_watermark_parse(&chunk->watermark, whole, strlen(whole)))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("invalid watermark: \"%s\"", text),
				errhint("It is a token of up to %d characters without blanks, the worker's number "
						"below %d and the chunk's number.",
						CDC_WATERMARK_TOKEN_MAX, CDC_SNAPSHOT_WORKERS));
	pfree(whole);
}

/* What is made of its rows, as rules and publications say now. */
static void
configure(Chunk *chunk)
{
	cdc_snapshot_session_configure(chunk->session);
	chunk->known = cdc_relation_get(chunk->session->relations, chunk->relation);
	cdc_snapshot_require_lookups(chunk->relation, chunk->known);
	if (chunk->known->outbox)
		ereport(ERROR, errcode(ERRCODE_WRONG_OBJECT_TYPE),
				errmsg("\"%s\" is an outbox table, whose rows are no state",
					   RelationGetRelationName(chunk->relation)));
}

/* A table that cannot be read in parts has to fit. */
static void
require_whole(const Chunk *chunk, const CdcScanLimit *limit)
{
	if (chunk->key.index == NULL && !chunk->done)
		ereport(
			ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			errmsg("table \"%s\" has no primary key, so its rows can only be read all at once, and "
				   "they are more than %zu MB",
				   RelationGetRelationName(chunk->relation), limit->bytes / (1024 * 1024)),
			errhint("Give it a primary key, or a unique index on columns that are NOT NULL and "
					"ALTER TABLE ... REPLICA IDENTITY USING INDEX; or leave it out of what is "
					"selected."));
}

static void
write_watermark(Chunk *chunk, bool high, XLogRecPtr *start)
{
	char *text;

	chunk->watermark.high = high;
	text = cdc_watermark_format(&chunk->watermark);
	*start = cdc_watermark_write(text, &chunk->end);
	pfree(text);
}

static void
put_text(StringInfo out, const char *text)
{
	uint32 len = strlen(text);
	uint32 raw = pg_hton32(len);

	appendBinaryStringInfo(out, (char *) &raw, sizeof(raw));
	appendBinaryStringInfo(out, text, len);
}

static bool
row_is_wanted(Chunk *chunk)
{
	CdcRows *rows = &chunk->session->recorder.rows;
	CdcChangeKind kind = CDC_SNAPSHOT;
	bool isnull;
	Datum matches;

	if (!cdc_rows_filter(rows, chunk->known, &kind))
		return false;
	if (chunk->filter == NULL)
		return true;
	matches = cdc_expression_eval(chunk->filter, rows->after.values, rows->after.nulls, &isnull);
	return !isnull && DatumGetBool(matches);
}

/* Of each row that is wanted a record, and what it is known by. */
static void
record_rows(Chunk *chunk)
{
	CdcRecorder *recorder = &chunk->session->recorder;
	TupleDesc desc = RelationGetDescr(chunk->relation);
	MemoryContext row_context =
		AllocSetContextCreate(chunk->session->context, "cdc_decoder row", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(row_context);
	char identity[CDC_SNAPSHOT_KEY_SIZE];
	ListCell *cell;

	foreach (cell, chunk->tuples)
	{
		char **texts;

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(row_context);
		cdc_rows_load(&recorder->rows, chunk->known, desc, NULL, lfirst(cell));
		if (!row_is_wanted(chunk))
			continue;
		memset(identity, 0, sizeof(identity));
		(void) cdc_snapshot_key(chunk->known, &recorder->rows.after, identity);
		appendBinaryStringInfo(&chunk->keys, identity, sizeof(identity));
		texts = cdc_scan_key_texts(&chunk->key, recorder->rows.after.values);
		for (int i = 0; i < chunk->key.ncolumns; i++)
			put_text(&chunk->keys, texts[i]);
		cdc_record_change(recorder, CDC_SNAPSHOT, chunk->known, ++chunk->rows);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(row_context);
	cdc_output_finish(recorder->output);
}

static void
note_last(Chunk *chunk)
{
	CdcRows *rows = &chunk->session->recorder.rows;

	if (chunk->tuples == NIL || chunk->key.index == NULL)
		return;
	cdc_rows_load(rows, chunk->known, RelationGetDescr(chunk->relation), NULL,
				  llast(chunk->tuples));
	chunk->last = cdc_scan_key_texts(&chunk->key, rows->after.values);
}

/* Records of what was read between the watermarks. */
static void
make_records(Chunk *chunk)
{
	CdcSnapshotSession *session = chunk->session;

	session->transaction.commit_lsn = chunk->high;
	session->transaction.end_lsn = chunk->end;
	session->transaction.commit_time = GetCurrentTimestamp();
	session->transaction.transactional = true;
	session->recorder.change_lsn = chunk->high;
	cdc_recorder_begin(&session->recorder, &session->transaction);
	cdc_settings_pin(&session->settings);
	record_rows(chunk);
	note_last(chunk);
}

/* From the one watermark to the other, and what was read in between. */
static void
read_rows(Chunk *chunk, const CdcScanLimit *limit)
{
	Snapshot snapshot;

	write_watermark(chunk, false, &chunk->low);
	cdc_settings_unpin(&chunk->session->settings);
	snapshot = cdc_snapshot_take();
	PushActiveSnapshot(snapshot);
	configure(chunk);
	if (chunk->known->selected[CDC_SNAPSHOT])
	{
		chunk->tuples = cdc_scan_rows(&chunk->key, chunk->relation, snapshot, limit, &chunk->done);
		require_whole(chunk, limit);
	}
	write_watermark(chunk, true, &chunk->high);
	/* what is not flushed is not decoded, and an idle server flushes late */
	XLogFlush(chunk->end);
	if (chunk->known->selected[CDC_SNAPSHOT])
		make_records(chunk);
	else
	{
		/* no longer selected: there is nothing to be read, and no chunk */
		chunk->low = chunk->high = InvalidXLogRecPtr;
		chunk->done = true;
	}
	PopActiveSnapshot();
	UnregisterSnapshot(snapshot);
}

static Datum
make_result(Chunk *chunk, TupleDesc desc)
{
	StringInfo message = &chunk->session->message;
	Datum values[NUM_OUT];
	bool nulls[NUM_OUT] = {false};

	values[OUT_LOW] = LSNGetDatum(chunk->low);
	values[OUT_HIGH] = LSNGetDatum(chunk->high);
	values[OUT_ROWS] = Int32GetDatum(chunk->rows);
	values[OUT_SCANNED] = Int32GetDatum(list_length(chunk->tuples));
	nulls[OUT_LAST] = chunk->last == NULL;
	if (chunk->last)
		values[OUT_LAST] = cdc_scan_key_array(&chunk->key, chunk->last);
	values[OUT_DONE] = BoolGetDatum(chunk->done);
	values[OUT_KEYS] = PointerGetDatum(cstring_to_text_with_len(chunk->keys.data, chunk->keys.len));
	SET_VARSIZE(message->data, message->len);
	values[OUT_RECORDS] = PointerGetDatum(message->data);
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

static void
require_arguments(FunctionCallInfo fcinfo)
{
	static const int required[] = {ARG_OPTIONS, ARG_RELATION, ARG_WATERMARK};

	for (int i = 0; i < lengthof(required); i++)
	{
		if (PG_ARGISNULL(required[i]))
			ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					errmsg("options, relation and watermark must not be NULL"));
	}
	if (RecoveryInProgress())
		ereport(
			ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("existing rows cannot be read from a standby"),
			errdetail("Watermarks are written to the WAL, before and after each chunk of rows."),
			errhint("Let the stream connect to the primary."));
}

Datum
cdc_read_chunk(PG_FUNCTION_ARGS)
{
	CdcScanLimit limit;
	Chunk *chunk = palloc0(sizeof(Chunk));
	TupleDesc desc;
	Datum result;

	require_arguments(fcinfo);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	limit.rows = count_argument(fcinfo, ARG_MAX_ROWS, "max_rows");
	limit.bytes = count_argument(fcinfo, ARG_MAX_BYTES, "max_bytes");
	chunk->session = cdc_snapshot_session_start(PG_GETARG_ARRAYTYPE_P(ARG_OPTIONS));
	chunk->relation = cdc_snapshot_open_relation(PG_GETARG_OID(ARG_RELATION));
	read_watermark(chunk, text_to_cstring(PG_GETARG_TEXT_PP(ARG_WATERMARK)));
	initStringInfo(&chunk->keys);
	cdc_scan_key_open(&chunk->key, chunk->relation);
	if (chunk->key.index == NULL)
		limit.rows = 0;
	cdc_settings_pin(&chunk->session->settings);
	if (!PG_ARGISNULL(ARG_KEY) && (!PG_ARGISNULL(ARG_AFTER) || !PG_ARGISNULL(ARG_UPTO)))
		cdc_scan_key_require(&chunk->key, chunk->relation, PG_GETARG_ARRAYTYPE_P(ARG_KEY));
	cdc_scan_key_set_bounds(&chunk->key, chunk->relation, array_argument(fcinfo, ARG_AFTER),
							array_argument(fcinfo, ARG_UPTO));
	if (!PG_ARGISNULL(ARG_FILTER))
		chunk->filter = cdc_expression_build(
			chunk->relation,
			cdc_backfill_filter(chunk->relation, text_to_cstring(PG_GETARG_TEXT_PP(ARG_FILTER))),
			NULL);
	read_rows(chunk, &limit);
	result = make_result(chunk, BlessTupleDesc(desc));
	cdc_scan_key_close(&chunk->key);
	relation_close(chunk->relation, NoLock); /* until the end of the transaction */
	cdc_snapshot_session_end(chunk->session);
	PG_RETURN_DATUM(result);
}
