/*
 * cdc_snapshot_read.c
 *		cdc.read_chunk(): existing rows of a table as records, between two watermarks.
 *
 * In this order: the table is locked (ACCESS SHARE), so that what its rows consist of is known; the low
 * watermark is written; a snapshot is taken that sees all that precedes it; rules and publications are read, so
 * that those that precede it hold; rows are read, and records made of them.  Once the client has them it has
 * cdc.write_watermark() write the high watermark: the stream waits there until the chunk can be delivered, so
 * nothing that takes time may come behind it.  What becomes of the table, of rules and publications before it
 * makes it void (cdc_snapshot_window.h).  Where it lies is the records' identity, which is not known yet when they
 * are made: they come with the places where it belongs (cdc_protocol.h).
 *
 * On a standby no watermarks can be written.  cdc.write_watermark() writes both on the primary, and
 * cdc.read_chunk() is told what it has to have replayed: the low one.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
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
CDC_SQL_FUNCTION(cdc_write_watermark);

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
	ARG_BEHIND,
};
enum
{
	OUT_LOW,
	OUT_ROWS,
	OUT_SCANNED,
	OUT_LAST,
	OUT_DONE,
	OUT_KEYS,
	OUT_RECORDS,
	OUT_PLACES,
	OUT_TIMELINE,
	OUT_TOOK,
	NUM_OUT,
};

/* What a backend that has read a chunk keeps at most of the memory that it freed; some times a chunk. */
#define KEPT_MEMORY ((Size) 48 * 1024 * 1024)

typedef struct Chunk
{
	CdcSnapshotSession *session;
	Relation relation;
	CdcRelation *known;
	CdcScanKey key;
	CdcExpression *filter; /* NULL: all rows */
	bool on_standby;
	CdcWatermark watermark; /* on the primary */
	XLogRecPtr low;
	XLogRecPtr low_end;
	TimestampTz began; /* to read */
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
read_watermark(CdcWatermark *watermark, Oid relid, const char *text)
{
	char *whole = psprintf("%s %u low", text, relid);

	if (!cdc_watermark_parse(watermark, whole, strlen(whole)) || watermark->relid != relid)
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

/* Records of what was read, as if they lay where the low watermark ends. */
static void
make_records(Chunk *chunk)
{
	CdcSnapshotSession *session = chunk->session;

	session->transaction.commit_lsn = session->transaction.end_lsn = chunk->low_end;
	session->transaction.commit_time = GetCurrentTimestamp();
	session->transaction.transactional = true;
	session->recorder.change_lsn = chunk->low_end;
	cdc_recorder_begin(&session->recorder, &session->transaction);
	cdc_settings_pin(&session->settings);
	record_rows(chunk);
	note_last(chunk);
}

/* Rows of the snapshot, as records. */
static void
read_rows(Chunk *chunk, const CdcScanLimit *limit, Snapshot snapshot)
{
	chunk->began = GetCurrentTimestamp();
	PushActiveSnapshot(snapshot);
	cdc_settings_unpin(&chunk->session->settings);
	configure(chunk);
	if (chunk->known->selected[CDC_SNAPSHOT])
	{
		chunk->tuples = cdc_scan_rows(&chunk->key, chunk->relation, snapshot, limit, &chunk->done);
		require_whole(chunk, limit);
		make_records(chunk);
	}
	else
		chunk->done = true; /* no longer selected: there is nothing to be read */
	PopActiveSnapshot();
}

/* From its low watermark on. */
static void
read_on_primary(Chunk *chunk, const CdcScanLimit *limit)
{
	Snapshot snapshot;

	chunk->low = cdc_watermark_write(&chunk->watermark, &chunk->low_end);
	snapshot = cdc_snapshot_take();
	read_rows(chunk, limit, snapshot);
	UnregisterSnapshot(snapshot);
}

/* The same where the watermark was written elsewhere, and was replayed. */
static void
read_on_standby(Chunk *chunk, const CdcScanLimit *limit)
{
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());

	read_rows(chunk, limit, snapshot);
	UnregisterSnapshot(snapshot);
	/* what was promoted may hold changes that the stream never sees */
	cdc_snapshot_require_standby();
}

static bytea *
make_places(const CdcSnapshotSession *session)
{
	const StringInfoData *places = &session->places;
	int count = places->len / sizeof(CdcPlace);
	bytea *result = palloc(VARHDRSZ + count * CDC_PLACE_SIZE);
	char *out = VARDATA(result);

	for (int i = 0; i < count; i++)
	{
		const CdcPlace *place = (const CdcPlace *) places->data + i;
		uint32 offset = pg_hton32(place->offset - VARHDRSZ);

		memcpy(out, &offset, sizeof(offset));
		out[sizeof(offset)] = place->form;
		out += CDC_PLACE_SIZE;
	}
	SET_VARSIZE(result, VARHDRSZ + count * CDC_PLACE_SIZE);
	return result;
}

static Datum
make_result(Chunk *chunk, TupleDesc desc)
{
	StringInfo message = &chunk->session->message;
	Datum values[NUM_OUT];
	bool nulls[NUM_OUT] = {false};

	values[OUT_LOW] = LSNGetDatum(chunk->low);
	nulls[OUT_LOW] = chunk->on_standby;
	values[OUT_ROWS] = Int32GetDatum(chunk->rows);
	values[OUT_SCANNED] = Int32GetDatum(list_length(chunk->tuples));
	nulls[OUT_LAST] = chunk->last == NULL;
	if (chunk->last)
		values[OUT_LAST] = cdc_scan_key_array(&chunk->key, chunk->last);
	values[OUT_DONE] = BoolGetDatum(chunk->done);
	values[OUT_KEYS] = PointerGetDatum(cstring_to_text_with_len(chunk->keys.data, chunk->keys.len));
	SET_VARSIZE(message->data, message->len);
	values[OUT_RECORDS] = PointerGetDatum(message->data);
	values[OUT_PLACES] = PointerGetDatum(make_places(chunk->session));
	values[OUT_TIMELINE] =
		Int32GetDatum((int32) chunk->session->output.ops->timeline(&chunk->session->output));
	values[OUT_TOOK] = Int32GetDatum(Min(GetCurrentTimestamp() - chunk->began, PG_INT32_MAX));
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

/*
 * A chunk's buffers are not to go back to the system after each, which clears the pages that it gives
 * again: that was half of a chunk's time.  glibc keeps as much as twice the largest block that was mapped
 * by itself, of up to 32 MB, and freed (mallopt(3), M_MMAP_THRESHOLD).  A block that nobody writes to costs
 * nothing; other allocators take no notice.
 */
static void
keep_freed_memory(void)
{
	static bool kept = false;

	if (kept)
		return;
	pfree(palloc(KEPT_MEMORY / 2));
	kept = true;
}

static void
require_arguments(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(ARG_OPTIONS) || PG_ARGISNULL(ARG_RELATION))
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("options and relation must not be NULL"));
	if (PG_ARGISNULL(ARG_WATERMARK) == PG_ARGISNULL(ARG_BEHIND))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("either watermark or behind must be given"),
				errhint("On the primary the chunk's watermarks are written; a standby is told what "
						"it has to have replayed, by behind."));
}

Datum
cdc_read_chunk(PG_FUNCTION_ARGS)
{
	CdcScanLimit limit;
	Chunk *chunk = palloc0(sizeof(Chunk));
	TupleDesc desc;
	Datum result;

	require_arguments(fcinfo);
	keep_freed_memory();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	limit.rows = count_argument(fcinfo, ARG_MAX_ROWS, "max_rows");
	limit.bytes = count_argument(fcinfo, ARG_MAX_BYTES, "max_bytes");
	chunk->on_standby = PG_ARGISNULL(ARG_WATERMARK);
	if (chunk->on_standby)
	{
		chunk->low_end = PG_GETARG_LSN(ARG_BEHIND);
		cdc_snapshot_require_replayed(chunk->low_end);
	}
	else
		cdc_snapshot_require_primary();
	chunk->session = cdc_snapshot_session_start(PG_GETARG_ARRAYTYPE_P(ARG_OPTIONS));
	chunk->relation = cdc_snapshot_open_relation(PG_GETARG_OID(ARG_RELATION));
	if (!chunk->on_standby)
		read_watermark(&chunk->watermark, RelationGetRelid(chunk->relation),
					   text_to_cstring(PG_GETARG_TEXT_PP(ARG_WATERMARK)));
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
	if (chunk->on_standby)
		read_on_standby(chunk, &limit);
	else
		read_on_primary(chunk, &limit);
	result = make_result(chunk, BlessTupleDesc(desc));
	cdc_scan_key_close(&chunk->key);
	relation_close(chunk->relation, NoLock); /* until the end of the transaction */
	cdc_snapshot_session_end(chunk->session);
	PG_RETURN_DATUM(result);
}

/* What ends the window in which a chunk was read, or begins that of one that a standby will read. */
Datum
cdc_write_watermark(PG_FUNCTION_ARGS)
{
	Relation relation;
	CdcWatermark watermark;
	TupleDesc desc;
	XLogRecPtr end;
	Datum values[2];
	bool nulls[2] = {false};

	cdc_snapshot_require_primary();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	relation = cdc_snapshot_open_relation(PG_GETARG_OID(0));
	read_watermark(&watermark, RelationGetRelid(relation), text_to_cstring(PG_GETARG_TEXT_PP(1)));
	watermark.high = PG_GETARG_BOOL(2);
	values[0] = LSNGetDatum(cdc_watermark_write(&watermark, &end));
	values[1] = LSNGetDatum(end);
	relation_close(relation, AccessShareLock);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
