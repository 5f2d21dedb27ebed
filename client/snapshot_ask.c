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

/* Before what was read in vain is read again. */
#define RETRY_PAUSE (CLOCK_SECOND / 10)
#define MAX_RETRY_PAUSE (5 * CLOCK_SECOND)

/* A standby is asked again what it has replayed: at first it may be behind by as little, later by hours. */
#define REPLAY_PAUSE (CLOCK_SECOND / 1000)
#define MAX_REPLAY_PAUSE (CLOCK_SECOND / 10)

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
		if (snapshot->workers[i].stage != WORKER_IDLE &&
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
		if (snapshot->workers[i].stage != WORKER_IDLE)
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
	int64_t waits = INT64_MAX;
	int64_t deadline;

	for (int i = 0; i < snapshot->num_workers; i++)
	{
		const SnapshotWorker *worker = &snapshot->workers[i];

		idle = idle || worker->stage == WORKER_IDLE;
		if (worker->stage == WORKER_WAITS && worker->not_before < waits)
			waits = worker->not_before;
	}
	if (work == NULL || !idle || free_slot(snapshot) == NULL)
		return waits;
	deadline = snapshot_ranges_deadline(&work->ranges);
	if (deadline < snapshot->pace.not_before)
		deadline = snapshot->pace.not_before;
	if (deadline < snapshot->not_before)
		deadline = snapshot->not_before;
	return deadline < waits ? deadline : waits;
}

/* Has the rows read; behind: what a standby has to have replayed, else NULL. */
static CdcStatus
ask_rows(Snapshot *snapshot, SnapshotWorker *worker, const SnapshotWork *work,
		 const SnapshotRange *range, const char *behind, CdcError *err)
{
	const SnapshotTable *table = &snapshot->job.plan.tables[work->table];
	char watermark[SNAPSHOT_WATERMARK_SIZE];
	SnapshotAsk question = {.table = table,
							.key = work->key,
							.after = range->after,
							.upto = range->upto,
							.filter = snapshot->job.filter,
							.max_rows = snapshot_size_rows(snapshot, range),
							.max_bytes = snapshot_size_bytes(snapshot, table),
							.watermark = behind == NULL ? watermark : NULL,
							.behind = behind};

	snapshot_plan_watermark(watermark, snapshot->session->token, (int) (worker - snapshot->workers),
							worker->chunk);
	worker->stage = WORKER_READS;
	worker->limited = question.max_rows < snapshot->max_rows;
	worker->asked = clock_now();
	worker->estimated = snapshot_pace_ask(&snapshot->pace, question.max_rows, worker->asked);
	return snapshot_plan_ask(&snapshot->job.plan, worker->conn, &question, err);
}

/* Has one of the watermarks of the worker's chunk written. */
static CdcStatus
mark(Snapshot *snapshot, SnapshotWorker *worker, uint32_t relation, bool high, CdcError *err)
{
	char watermark[SNAPSHOT_WATERMARK_SIZE];

	snapshot_plan_watermark(watermark, snapshot->session->token, (int) (worker - snapshot->workers),
							worker->chunk);
	worker->stage = high ? WORKER_HIGH : WORKER_LOW;
	return snapshot_plan_mark(snapshot_primary(worker), relation, watermark, high, err);
}

/* Begins with the chunk whose number the range has. */
static CdcStatus
ask_chunk(Snapshot *snapshot, SnapshotWorker *worker, const SnapshotWork *work,
		  const SnapshotRange *range, CdcError *err)
{
	const SnapshotTable *table = &snapshot->job.plan.tables[work->table];
	SnapshotSlot *slot = free_slot(snapshot);

	snapshot_chunk_begin(&slot->chunk, worker->chunk, table->columns);
	slot->table = work->table;
	if (worker->marker == NULL)
		return ask_rows(snapshot, worker, work, range, NULL, err);
	worker->estimated = 0;
	return mark(snapshot, worker, table->relation, false, err);
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
	range->chunk = worker->chunk = ++snapshot->last_number;
	if (snapshot_divide_wanted(snapshot, work, range))
		return snapshot_divide_ask(snapshot, worker, work, range, err);
	return ask_chunk(snapshot, worker, work, range, err);
}

/* SQLSTATEs that the next try, or the next table, may not meet. */
static bool
is_undefined_table(const CdcError *err)
{
	return strcmp(err->sqlstate, "42P01") == 0;
}

/*
 * lock_timeout; statement_timeout, or somebody's pg_cancel_backend(); on a standby, what is replayed was held up for
 * longer than max_standby_streaming_delay
 */
static bool
is_timeout(const CdcError *err)
{
	return strcmp(err->sqlstate, "55P03") == 0 || strcmp(err->sqlstate, "57014") == 0 ||
		   strcmp(err->sqlstate, "40001") == 0;
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
	PGconn *conn = snapshot_awaited(worker);
	SnapshotRange *range;
	CdcStatus status;
	char what[200];

	snprintf(what, sizeof(what), "reading rows of table %.120s", table->name);
	status = pgconn_error(conn, result, what, err);
	if (PQstatus(conn) != CONNECTION_OK)
		return CDC_RETRY;
	if (status == CDC_RETRY && !is_timeout(err))
		return CDC_RETRY;
	/* it was promoted: the next session looks whether the stream comes from there now */
	if (worker->marker != NULL && strcmp(err->sqlstate, "55000") == 0)
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
		if (worker->stage == WORKER_READS && snapshot->max_rows > 1)
			snapshot->max_rows /= 2;
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
go_on_behind(Snapshot *snapshot, SnapshotWorker *worker, const SnapshotSlot *slot, int64_t now)
{
	const SnapshotChunk *chunk = &slot->chunk;
	SnapshotWork *work = snapshot_find_work(snapshot, slot->table);

	if (!worker->limited)
		snapshot_size_adapt(snapshot, chunk, now);
	snapshot_pace_answer(&snapshot->pace, worker->estimated, (int) chunk->scanned,
						 chunk->records_length);
	worker->estimated = 0;
	if (!chunk->done)
		snapshot_ranges_cut(&work->ranges, chunk->number, chunk->last);
}

/* The rows have come: their window can be closed. */
static CdcStatus
take_rows(Snapshot *snapshot, SnapshotWorker *worker, SnapshotSlot *slot, PGresult *result,
		  int64_t now, CdcError *err)
{
	uint32_t relation = snapshot->job.plan.tables[slot->table].relation;
	CdcStatus status = snapshot_chunk_arrive(&slot->chunk, result, err);

	if (status != CDC_OK)
		return status;
	go_on_behind(snapshot, worker, slot, now);
	return mark(snapshot, worker, relation, true, err);
}

static CdcStatus
ask_replayed(SnapshotWorker *worker, CdcError *err)
{
	worker->stage = WORKER_REPLAY;
	return snapshot_plan_ask_replayed(worker->conn, worker->behind, err);
}

/* A standby is to read what is behind the first watermark, once it has replayed that. */
static CdcStatus
take_low(SnapshotWorker *worker, const PGresult *result, CdcError *err)
{
	snprintf(worker->behind, sizeof(worker->behind), "%s", snapshot_plan_mark_ends(result));
	worker->replay_pause = REPLAY_PAUSE;
	return ask_replayed(worker, err);
}

static CdcStatus
take_replayed(Snapshot *snapshot, SnapshotWorker *worker, const SnapshotSlot *slot,
			  const PGresult *result, int64_t now, CdcError *err)
{
	const SnapshotWork *work = snapshot_find_work(snapshot, slot->table);
	bool replayed = false;
	CdcStatus status = snapshot_plan_replayed(result, &replayed, err);

	if (status != CDC_OK)
		return status;
	if (replayed)
		return ask_rows(snapshot, worker, work, snapshot_ranges_find(&work->ranges, worker->chunk),
						worker->behind, err);
	worker->stage = WORKER_WAITS;
	worker->not_before = now + worker->replay_pause;
	worker->replay_pause *= 2;
	if (worker->replay_pause > MAX_REPLAY_PAUSE)
		worker->replay_pause = MAX_REPLAY_PAUSE;
	return CDC_OK;
}

/* Takes the result over. */
static CdcStatus
take_answer(Snapshot *snapshot, SnapshotWorker *worker, PGresult *result, int64_t now,
			CdcError *err)
{
	SnapshotSlot *slot = snapshot_find_slot(snapshot, worker->chunk);
	CdcStatus status = CDC_OK;

	if (PQresultStatus(result) != PGRES_TUPLES_OK)
	{
		status = question_failed(snapshot, worker, slot, result, now, err);
		worker->stage = WORKER_IDLE;
	}
	else if (worker->stage == WORKER_READS)
		return take_rows(snapshot, worker, slot, result, now, err);
	else if (worker->stage == WORKER_LOW)
		status = take_low(worker, result, err);
	else if (worker->stage == WORKER_REPLAY)
		status = take_replayed(snapshot, worker, slot, result, now, err);
	else
	{
		worker->stage = WORKER_IDLE;
		snapshot_chunk_complete(&slot->chunk, snapshot_plan_mark_begins(result));
		snapshot->not_before = now + snapshot_size_rest(snapshot, slot->chunk.took, now);
	}
	PQclear(result);
	return status;
}

static CdcStatus
receive_answer(Snapshot *snapshot, SnapshotWorker *worker, int64_t now, CdcError *err)
{
	PGconn *conn = snapshot_awaited(worker);
	PGresult *result;
	PGresult *more;

	if (!PQconsumeInput(conn) || PQflush(conn) < 0)
		return pgconn_error(conn, NULL, "reading existing rows", err);
	if (PQisBusy(conn))
		return CDC_OK;
	result = PQgetResult(conn);
	while ((more = PQgetResult(conn)) != NULL)
		PQclear(more);
	if (worker->stage != WORKER_DIVIDES)
		return take_answer(snapshot, worker, result, now, err);
	worker->stage = WORKER_IDLE;
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
		if (snapshot_is_awaited(&snapshot->workers[i]))
			status = receive_answer(snapshot, &snapshot->workers[i], now, err);
		else if (snapshot->workers[i].stage == WORKER_WAITS &&
				 now >= snapshot->workers[i].not_before)
			status = ask_replayed(&snapshot->workers[i], err);
	if (status == CDC_OK && snapshot->stopped)
		give_up_rest(snapshot);
	if (status == CDC_OK)
		begin_next_table(snapshot);
	for (int i = 0; i < snapshot->num_workers && status == CDC_OK; i++)
		if (snapshot->workers[i].stage == WORKER_IDLE)
			status = ask(snapshot, &snapshot->workers[i], now, err);
	return status;
}
