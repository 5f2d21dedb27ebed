/*
 * snapshot_ask.c
 *		The asking side of a snapshot: which chunk next, how large, when, and what the server answers.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backfill_job.h"
#include "clock.h"
#include "log.h"
#include "pgconn.h"
#include "snapshot_divide.h"
#include "snapshot_private.h"
#include "text.h"

/*
 * How long the reading of a chunk is to take: it is a window in which changes drop rows.  Changes that come behind it
 * wait until it is there, so while there are any it is shorter; a hundredth of a second still is many
 * times what asking takes.
 */
#define CHUNK_TIME (CLOCK_SECOND / 10)
#define LIVE_CHUNK_TIME (CLOCK_SECOND / 100)
#define MAX_ROWS 100000

/*
 * Of rows as they are stored; records are a few times as long.	 Several workers share what is held in
 * memory, but a chunk of less than the least is mostly the way there and back.
 */
#define CHUNK_BYTES (1024 * 1024)
#define ALL_CHUNKS_BYTES (3 * CHUNK_BYTES)
#define MIN_CHUNK_BYTES (256 * 1024)

/* Before what was read in vain is read again. */
#define RETRY_PAUSE (CLOCK_SECOND / 10)
#define MAX_RETRY_PAUSE (5 * CLOCK_SECOND)

/* --max-lag is looked at again after this. */
#define LAG_PAUSE (CLOCK_SECOND / 20)

void
snapshot_pause_range(SnapshotRange *range, int64_t now)
{
	int64_t pause = RETRY_PAUSE;

	for (int i = 1; i < range->attempts && pause < MAX_RETRY_PAUSE; i++)
		pause *= 2;
	range->not_before = now + pause;
}

static int
rows_to_ask(const Snapshot *snapshot, const SnapshotRange *range)
{
	int rows = snapshot->max_rows;

	if (range->max_rows > 0 && range->max_rows < rows)
		rows = range->max_rows;
	return snapshot_pace_rows(&snapshot->pace, rows);
}

static int
bytes_to_ask(const Snapshot *snapshot, const SnapshotTable *table)
{
	int bytes = ALL_CHUNKS_BYTES / (snapshot->num_workers + 1);

	if (table->columns == 0)
		return SNAPSHOT_WHOLE_BYTES;
	if (bytes > CHUNK_BYTES)
		return CHUNK_BYTES;
	return bytes > MIN_CHUNK_BYTES ? bytes : MIN_CHUNK_BYTES;
}

/*
 * The next chunk has to wait: for its time, or for the sink, which is behind with what has changed.  What the server
 * decodes is held up while existing rows are read and delivered, so less of them lets it catch up.
 */
static bool
must_wait(Snapshot *snapshot, int64_t now)
{
	const Session *session = snapshot->session;
	uint64_t max_lag = session->state->options->max_lag;
	uint64_t durable = session->progress.durable.confirmed;
	uint64_t server_end = session->feedback.server_end;

	if (now < snapshot->not_before || now < snapshot->pace.not_before)
		return true;
	if (max_lag == 0 || server_end <= durable || server_end - durable <= max_lag)
		return false;
	if (!snapshot->lagging)
		log_line(LOG_DEBUG, "snapshot: waiting, the sink is %" PRIu64 " bytes of WAL behind",
				 server_end - durable);
	snapshot->lagging = true;
	snapshot->not_before = now + LAG_PAUSE;
	return true;
}

/* What is to be read next: NULL, or the work that has a free range. */
static const SnapshotWork *
find_free(const Snapshot *snapshot)
{
	for (int i = 0; i < snapshot->num_works; i++)
		if (snapshot_ranges_count_free(&snapshot->works[i].ranges) > 0)
			return &snapshot->works[i];
	return NULL;
}

/* A question about it is under way, so more of it may turn out to be left. */
static bool
is_asked_about(const Snapshot *snapshot, const SnapshotWork *work)
{
	for (int i = 0; i < snapshot->num_workers; i++)
		if (snapshot->workers[i].asking &&
			snapshot_ranges_find(&work->ranges, snapshot->workers[i].chunk) != NULL)
			return true;
	return false;
}

static SnapshotWork *
begin_work(Snapshot *snapshot, const char *key)
{
	SnapshotWork *work = &snapshot->works[snapshot->num_works++];

	memset(work, 0, sizeof(*work));
	work->table = snapshot->next_table++;
	work->key = text_copy(key);
	return work;
}

/* The next table, once all of the one before has been read, if not delivered. */
static void
begin_next_table(Snapshot *snapshot)
{
	const SnapshotPlan *plan = &snapshot->job.plan;

	if (snapshot->next_table >= plan->num_tables || snapshot->num_works == SNAPSHOT_MAX_WORKS ||
		find_free(snapshot) != NULL)
		return;
	for (int i = 0; i < snapshot->num_works; i++)
		if (is_asked_about(snapshot, &snapshot->works[i]))
			return;
	snapshot_ranges_add(&begin_work(snapshot, plan->tables[snapshot->next_table].key)->ranges, "",
						"");
}

void
snapshot_ask_begin(Snapshot *snapshot, const SnapshotState *state)
{
	const SnapshotPlan *plan = &snapshot->job.plan;
	int table = snapshot_plan_find(plan, state->relation, state->table_done);

	snapshot->next_table = table;
	if (table < plan->num_tables && plan->tables[table].relation == state->relation &&
		!state->table_done && state->ranges.count > 0)
		snapshot_ranges_copy(&begin_work(snapshot, state->key)->ranges, &state->ranges, 0, true);
}

bool
snapshot_is_through(const Snapshot *snapshot)
{
	for (int i = 0; i < snapshot->num_workers; i++)
		if (snapshot->workers[i].asking)
			return false;
	return snapshot->num_works == 0 && snapshot->next_table >= snapshot->job.plan.num_tables;
}

static SnapshotSlot *
free_slot(const Snapshot *snapshot)
{
	for (int i = 0; i <= snapshot->num_workers; i++)
		if (snapshot->slots[i].chunk.number == 0)
			return (SnapshotSlot *) &snapshot->slots[i];
	return NULL;
}

int64_t
snapshot_ask_deadline(const Snapshot *snapshot)
{
	const SnapshotWork *work = find_free(snapshot);
	bool idle = false;
	int64_t deadline;

	for (int i = 0; i < snapshot->num_workers; i++)
		idle = idle || !snapshot->workers[i].asking;
	if (work == NULL || !idle || free_slot(snapshot) == NULL)
		return INT64_MAX;
	deadline = snapshot_ranges_deadline(&work->ranges);
	if (deadline < snapshot->pace.not_before)
		deadline = snapshot->pace.not_before;
	return deadline > snapshot->not_before ? deadline : snapshot->not_before;
}

static CdcStatus
ask_chunk(Snapshot *snapshot, SnapshotWorker *worker, const SnapshotWork *work,
		  SnapshotRange *range, CdcError *err)
{
	const SnapshotTable *table = &snapshot->job.plan.tables[work->table];
	SnapshotSlot *slot = free_slot(snapshot);
	SnapshotAsk question = {.table = table,
							.key = work->key,
							.after = range->after,
							.upto = range->upto,
							.filter = snapshot->job.filter,
							.max_rows = rows_to_ask(snapshot, range),
							.max_bytes = bytes_to_ask(snapshot, table),
							.token = snapshot->session->token,
							.worker = (int) (worker - snapshot->workers),
							.number = worker->chunk};

	worker->dividing = false;
	worker->limited = question.max_rows < snapshot->max_rows;
	worker->estimated = snapshot_pace_ask(&snapshot->pace, question.max_rows, worker->asked);
	snapshot_chunk_begin(&slot->chunk, question.number, table->columns);
	slot->table = work->table;
	return snapshot_plan_ask(&snapshot->job.plan, worker->conn, &question, err);
}

/* Has the worker ask for what comes next, if there is anything. */
static CdcStatus
ask(Snapshot *snapshot, SnapshotWorker *worker, int64_t now, CdcError *err)
{
	const SnapshotWork *work = find_free(snapshot);
	SnapshotRange *range = work != NULL ? snapshot_ranges_free(&work->ranges, now) : NULL;

	if (range == NULL || free_slot(snapshot) == NULL || must_wait(snapshot, now))
		return CDC_OK;
	snapshot->lagging = false;
	worker->asking = true;
	worker->asked = now;
	range->chunk = worker->chunk = ++snapshot->last_number;
	if (snapshot_divide_wanted(snapshot, work, range))
		return snapshot_divide_ask(snapshot, worker, work, range, err);
	return ask_chunk(snapshot, worker, work, range, err);
}

/* How long the next chunk is to take: have changes been delivered since the last one? */
static int64_t
chunk_time(Snapshot *snapshot)
{
	uint64_t changes = snapshot->session->state->records - snapshot->rows_taken;
	bool live = changes > snapshot->changes;

	snapshot->changes = changes;
	return live ? LIVE_CHUNK_TIME : CHUNK_TIME;
}

/* So many rows that the next one takes as long as it should. */
static void
adapt(Snapshot *snapshot, const SnapshotChunk *chunk, int64_t took)
{
	int64_t wanted = chunk_time(snapshot);
	int64_t rows = chunk->scanned;

	if (took < 1000)
		took = 1000;
	if (rows < snapshot->max_rows / 2 && took < wanted)
		return; /* another limit ended it, or its range */
	rows = rows * wanted / took;
	if (rows > snapshot->max_rows * INT64_C(2))
		rows = snapshot->max_rows * INT64_C(2);
	if (rows < snapshot->max_rows / 2)
		rows = snapshot->max_rows / 2;
	if (rows > MAX_ROWS)
		rows = MAX_ROWS;
	snapshot->max_rows = rows > 0 ? (int) rows : 1;
}

/* SQLSTATEs that the next try, or the next table, may not meet. */
static bool
is_undefined_table(const CdcError *err)
{
	return strcmp(err->sqlstate, "42P01") == 0;
}

/* lock_timeout; statement_timeout, or somebody's pg_cancel_backend() */
static bool
is_timeout(const CdcError *err)
{
	return strcmp(err->sqlstate, "55P03") == 0 || strcmp(err->sqlstate, "57014") == 0;
}

/* Nothing of a table that is gone can be read; what was read of it is delivered. */
static void
table_dropped(Snapshot *snapshot, const SnapshotSlot *slot)
{
	SnapshotWork *work = snapshot_find_work(snapshot, slot->table);

	if (work == NULL)
		return;
	log_line(LOG_WARNING, "table %s was dropped before all of its rows were read",
			 snapshot->job.plan.tables[slot->table].name);
	snapshot_ranges_remove(&work->ranges, slot->chunk.number);
	snapshot_ranges_remove_free(&work->ranges);
	snapshot_drop_works(snapshot);
}

/* The server would not: what can be done about it. */
static CdcStatus
question_failed(Snapshot *snapshot, SnapshotWorker *worker, SnapshotSlot *slot,
				const PGresult *result, int64_t now, CdcError *err)
{
	const SnapshotTable *table = &snapshot->job.plan.tables[slot->table];
	SnapshotWork *work = snapshot_find_work(snapshot, slot->table);
	SnapshotRange *range;
	CdcStatus status;
	char what[200];

	snprintf(what, sizeof(what), "reading rows of table %.120s", table->name);
	status = pgconn_error(worker->conn, result, what, err);
	if (PQstatus(worker->conn) != CONNECTION_OK)
		return CDC_RETRY;
	if (status == CDC_RETRY && !is_timeout(err))
		return CDC_RETRY;
	snapshot_pace_answer(&snapshot->pace, worker->estimated, 0, 0);
	if (!is_timeout(err) && !(is_undefined_table(err) && snapshot->job.plan.num_tables > 1) &&
		backfill_job_fail(snapshot, err))
	{
		snapshot_ranges_remove(&work->ranges, slot->chunk.number);
		snapshot_drop_works(snapshot);
	}
	else if (!is_undefined_table(err) && !is_timeout(err))
		return CDC_STOP;
	else if (is_undefined_table(err))
		table_dropped(snapshot, slot);
	else
	{
		range = snapshot_ranges_give_back(&work->ranges, slot->chunk.number, NULL);
		range->attempts++;
		snapshot->max_rows = snapshot->max_rows > 1 ? snapshot->max_rows / 2 : 1;
		snapshot_pause_range(range, now);
		if (snapshot->conflict_logged == 0 ||
			now - snapshot->conflict_logged >= SNAPSHOT_CONFLICT_LOG_INTERVAL)
		{
			snapshot->conflict_logged = now;
			log_error(LOG_WARNING, err);
		}
	}
	snapshot_chunk_reset(&slot->chunk);
	return CDC_OK;
}

/* What is asked for next begins behind this chunk. */
static void
go_on_behind(Snapshot *snapshot, const SnapshotWorker *worker, const SnapshotSlot *slot,
			 int64_t now)
{
	const SnapshotChunk *chunk = &slot->chunk;
	SnapshotWork *work = snapshot_find_work(snapshot, slot->table);

	if (!worker->limited)
		adapt(snapshot, chunk, now - worker->asked);
	snapshot_pace_answer(&snapshot->pace, worker->estimated, (int) chunk->scanned,
						 chunk->records_length);
	if (!chunk->done)
		snapshot_ranges_cut(&work->ranges, chunk->number, chunk->last);
}

static CdcStatus
take_answer(Snapshot *snapshot, SnapshotWorker *worker, PGresult *result, int64_t now,
			CdcError *err)
{
	SnapshotSlot *slot = snapshot_find_slot(snapshot, worker->chunk);
	CdcStatus status;

	if (PQresultStatus(result) != PGRES_TUPLES_OK)
	{
		status = question_failed(snapshot, worker, slot, result, now, err);
		PQclear(result);
		return status;
	}
	status = snapshot_chunk_arrive(&slot->chunk, result, err);
	if (status != CDC_OK)
		return status;
	go_on_behind(snapshot, worker, slot, now);
	if (slot->chunk.high == 0)
	{
		/* no second watermark will come: the table is no longer selected */
		snapshot_ranges_remove(&snapshot_find_work(snapshot, slot->table)->ranges,
							   slot->chunk.number);
		snapshot_drop_works(snapshot);
		snapshot_chunk_reset(&slot->chunk);
	}
	return CDC_OK;
}

static CdcStatus
receive_answer(Snapshot *snapshot, SnapshotWorker *worker, int64_t now, CdcError *err)
{
	PGresult *result;
	PGresult *more;

	if (!PQconsumeInput(worker->conn) || PQflush(worker->conn) < 0)
		return pgconn_error(worker->conn, NULL, "reading existing rows", err);
	if (PQisBusy(worker->conn))
		return CDC_OK;
	result = PQgetResult(worker->conn);
	while ((more = PQgetResult(worker->conn)) != NULL)
		PQclear(more);
	worker->asking = false;
	if (!worker->dividing)
		return take_answer(snapshot, worker, result, now, err);
	snapshot_divide_answer(snapshot, worker, result);
	return CDC_OK;
}

void
snapshot_ask_stop(Snapshot *snapshot)
{
	snapshot->stopped = true;
}

/* Of a job that was stopped nothing is left but what is under way. */
static void
give_up_rest(Snapshot *snapshot)
{
	for (int i = 0; i < snapshot->num_works; i++)
		snapshot_ranges_remove_free(&snapshot->works[i].ranges);
	snapshot_drop_works(snapshot);
	snapshot->next_table = snapshot->job.plan.num_tables;
}

CdcStatus
snapshot_ask_turn(Snapshot *snapshot, int64_t now, CdcError *err)
{
	CdcStatus status = CDC_OK;

	for (int i = 0; i < snapshot->num_workers && status == CDC_OK; i++)
		if (snapshot->workers[i].asking)
			status = receive_answer(snapshot, &snapshot->workers[i], now, err);
	if (status == CDC_OK && snapshot->stopped)
		give_up_rest(snapshot);
	if (status == CDC_OK)
		begin_next_table(snapshot);
	for (int i = 0; i < snapshot->num_workers && status == CDC_OK; i++)
		if (!snapshot->workers[i].asking)
			status = ask(snapshot, &snapshot->workers[i], now, err);
	return status;
}
