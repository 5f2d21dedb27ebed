/*
 * snapshot_ask.c
 *		The asking side of a snapshot: which chunk next, how large, when, and what the server answers.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "pgconn.h"
#include "snapshot_private.h"
#include "text.h"

/* How long the reading of a chunk is to take: it is a window in which changes drop rows. */
#define CHUNK_TIME (CLOCK_SECOND / 10)
#define MAX_ROWS 100000

/* Of rows as they are stored; records are a few times as long. */
#define CHUNK_BYTES (1024 * 1024)

/* Before a table, of which changes cannot be told apart, is read again. */
#define RETRY_PAUSE (CLOCK_SECOND / 10)
#define MAX_RETRY_PAUSE (5 * CLOCK_SECOND)

/* --max-lag is looked at again after this. */
#define LAG_PAUSE (CLOCK_SECOND / 20)

static void
set_text(char **to, const char *text)
{
	char *copy = text_copy(text);

	free(*to);
	*to = copy;
}

void
snapshot_ask_again(Snapshot *snapshot)
{
	const SnapshotState *state = &snapshot->delivered;

	snapshot->ask_table =
		snapshot_plan_find(&snapshot->job.plan, state->relation, state->table_done);
	set_text(&snapshot->ask_after, "");
	if (!state->table_done && snapshot->ask_table < snapshot->job.plan.num_tables &&
		snapshot->job.plan.tables[snapshot->ask_table].relation == state->relation)
		set_text(&snapshot->ask_after, state->after);
}

void
snapshot_pause_asking(Snapshot *snapshot, int64_t now)
{
	int64_t pause = RETRY_PAUSE;

	for (int i = 1; i < snapshot->attempts && pause < MAX_RETRY_PAUSE; i++)
		pause *= 2;
	snapshot->not_before = now + pause;
}

/* With --max-rate no more than a second's. */
static int
rows_to_ask(const Snapshot *snapshot)
{
	uint64_t max_rate = snapshot->session->state->options->max_rate;

	return max_rate > 0 && max_rate < (uint64_t) snapshot->max_rows ? (int) max_rate
																	: snapshot->max_rows;
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

	if (now < snapshot->not_before)
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

/* Asks for the next chunk. */
static CdcStatus
ask(Snapshot *snapshot, int64_t now, CdcError *err)
{
	const SnapshotTable *table = &snapshot->job.plan.tables[snapshot->ask_table];
	int i = snapshot->num_chunks++;
	SnapshotAsk question = {.table = table,
							.after = snapshot->ask_after,
							.filter = snapshot->job.filter,
							.max_rows = rows_to_ask(snapshot),
							.max_bytes = table->columns > 0 ? CHUNK_BYTES : SNAPSHOT_WHOLE_BYTES,
							.token = snapshot->session->token,
							.number = ++snapshot->last_number};

	snapshot_chunk_begin(&snapshot->queue[i].chunk, question.number, table->columns);
	snapshot->queue[i].table = snapshot->ask_table;
	snapshot->lagging = false;
	snapshot->asking = true;
	snapshot->asked = now;
	return snapshot_plan_ask(&snapshot->job.plan, snapshot->conn, &question, err);
}

/* So many rows that the next one takes as long as it should. */
static void
adapt(Snapshot *snapshot, const SnapshotChunk *chunk, int64_t took)
{
	int64_t rows = chunk->scanned;

	if (took < 1000)
		took = 1000;
	if (rows < snapshot->max_rows / 2 && !chunk->done)
		return; /* another limit ended it */
	rows = rows * CHUNK_TIME / took;
	if (rows > snapshot->max_rows * INT64_C(2))
		rows = snapshot->max_rows * INT64_C(2);
	if (rows < snapshot->max_rows / 2)
		rows = snapshot->max_rows / 2;
	if (rows > MAX_ROWS)
		rows = MAX_ROWS;
	snapshot->max_rows = rows > 0 ? (int) rows : 1;
}

static void
next_table(Snapshot *snapshot)
{
	snapshot->ask_table++;
	set_text(&snapshot->ask_after, "");
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

/* The server would not: what can be done about it. */
static CdcStatus
question_failed(Snapshot *snapshot, const PGresult *result, int64_t now, CdcError *err)
{
	int newest = snapshot->num_chunks - 1;
	const SnapshotTable *table = &snapshot->job.plan.tables[snapshot->queue[newest].table];
	bool given_up = snapshot->queue[newest].chunk.given_up;
	CdcStatus status;
	char what[200];

	snprintf(what, sizeof(what), "reading rows of table %.120s", table->name);
	status = pgconn_error(snapshot->conn, result, what, err);
	if (PQstatus(snapshot->conn) != CONNECTION_OK)
		return CDC_RETRY;
	if (!given_up && !is_undefined_table(err) && !is_timeout(err))
		return status == CDC_RETRY ? CDC_RETRY : CDC_STOP;
	snapshot_chunk_reset(&snapshot->queue[newest].chunk);
	snapshot->num_chunks--;
	if (given_up)
		return CDC_OK;
	if (is_undefined_table(err))
	{
		log_line(LOG_WARNING, "table %s was dropped before all of its rows were read", table->name);
		next_table(snapshot);
		return CDC_OK;
	}
	snapshot->attempts++;
	if (snapshot->conflict_logged == 0 ||
		now - snapshot->conflict_logged >= SNAPSHOT_CONFLICT_LOG_INTERVAL)
	{
		snapshot->conflict_logged = now;
		log_error(LOG_WARNING, err);
	}
	snapshot->max_rows = snapshot->max_rows > 1 ? snapshot->max_rows / 2 : 1;
	snapshot_pause_asking(snapshot, now);
	return CDC_OK;
}

/* What is asked for next begins behind this chunk. */
static void
go_on_behind(Snapshot *snapshot, const SnapshotChunk *chunk, int64_t now)
{
	int64_t max_rate = (int64_t) snapshot->session->state->options->max_rate;

	adapt(snapshot, chunk, now - snapshot->asked);
	if (max_rate > 0)
		snapshot->not_before = snapshot->asked + (int64_t) chunk->scanned * CLOCK_SECOND / max_rate;
	if (chunk->last[0] != '\0')
		set_text(&snapshot->ask_after, chunk->last);
	if (chunk->done)
		next_table(snapshot);
}

static CdcStatus
take_answer(Snapshot *snapshot, PGresult *result, int64_t now, CdcError *err)
{
	SnapshotChunk *chunk = &snapshot->queue[snapshot->num_chunks - 1].chunk;
	CdcStatus status;

	snapshot->asking = false;
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
	{
		status = question_failed(snapshot, result, now, err);
		PQclear(result);
		return status;
	}
	status = snapshot_chunk_arrive(chunk, result, err);
	if (status != CDC_OK)
		return status;
	if (!chunk->given_up)
		go_on_behind(snapshot, chunk, now);
	/* no second watermark will come for it, given up or not */
	if (chunk->high == 0)
		snapshot_chunk_reset(&snapshot->queue[--snapshot->num_chunks].chunk);
	return CDC_OK;
}

static CdcStatus
receive_answer(Snapshot *snapshot, int64_t now, CdcError *err)
{
	PGresult *result;
	PGresult *more;

	if (!PQconsumeInput(snapshot->conn) || PQflush(snapshot->conn) < 0)
		return pgconn_error(snapshot->conn, NULL, "reading existing rows", err);
	if (PQisBusy(snapshot->conn))
		return CDC_OK;
	result = PQgetResult(snapshot->conn);
	while ((more = PQgetResult(snapshot->conn)) != NULL)
		PQclear(more);
	return take_answer(snapshot, result, now, err);
}

bool
snapshot_has_more(const Snapshot *snapshot)
{
	return snapshot->ask_table < snapshot->job.plan.num_tables;
}

bool
snapshot_can_ask(const Snapshot *snapshot)
{
	return !snapshot->asking && snapshot->num_chunks < SNAPSHOT_MAX_CHUNKS &&
		   snapshot_has_more(snapshot);
}

CdcStatus
snapshot_ask_turn(Snapshot *snapshot, int64_t now, CdcError *err)
{
	CdcStatus status = snapshot->asking ? receive_answer(snapshot, now, err) : CDC_OK;

	if (status == CDC_OK && snapshot_can_ask(snapshot) && !must_wait(snapshot, now))
		status = ask(snapshot, now, err);
	return status;
}
