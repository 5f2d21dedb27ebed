/*
 * snapshot.c
 *		Existing rows into a running stream.
 *
 * Two places in the work: where the next chunk that is asked for begins (ask_*), and how far what was
 * delivered reaches (delivered), which is what positions say.	When a chunk has to be read again, the
 * first is set back to the second, and chunks that were asked for meanwhile are given up.
 */
#include "snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "../plugin/cdc_protocol.h"
#include "clock.h"
#include "log.h"
#include "snapshot_chunk.h"
#include "snapshot_plan.h"
#include "text.h"

/* One is delivered while the next one is read. */
#define MAX_CHUNKS 2

/* How long the reading of a chunk is to take: it is a window in which changes drop rows. */
#define CHUNK_TIME (CLOCK_SECOND / 10)
#define FIRST_ROWS 1000
#define MAX_ROWS 100000

/* Of rows as they are stored; records are a few times as long. */
#define CHUNK_BYTES (1024 * 1024)
/* A table that cannot be read in parts. */
#define WHOLE_BYTES (64 * 1024 * 1024)

/* A table of which changes cannot be told apart is read again so often, with pauses that grow. */
#define MAX_ATTEMPTS 20
#define RETRY_PAUSE (CLOCK_SECOND / 10)
#define MAX_RETRY_PAUSE (5 * CLOCK_SECOND)

/* --max-lag is looked at again after this. */
#define LAG_PAUSE (CLOCK_SECOND / 20)

#define CONFLICT_LOG_INTERVAL (10 * CLOCK_SECOND)

struct Snapshot
{
	Session *session;
	PGconn *conn;
	SnapshotPlan plan;
	bool active;
	SnapshotState delivered;
	FrameReader reader; /* of chunks: relations are announced in each anew */

	/* where the next chunk begins */
	int ask_table; /* of the plan; past the last: all has been asked for */
	char *ask_after;
	bool asking;        /* an answer is awaited, for the newest chunk */
	int64_t asked;      /* when */
	int64_t not_before; /* a pause */
	int max_rows;

	struct
	{
		SnapshotChunk chunk;
		int table;
	} queue[MAX_CHUNKS]; /* oldest first */
	int num_chunks;
	uint64_t last_number;

	/* of the oldest, once its second watermark has come */
	bool delivering;
	bool read_again; /* from where it ends */
	const SnapshotCursor *cursor;
	SnapshotState end;
	int attempts; /* at the same place */
	int64_t conflict_logged;
	bool lagging; /* waits for the sink, and has said so */

	int64_t began;
	uint64_t rows_before; /* delivered by earlier sessions */
	int64_t progress_logged;
};

void
snapshot_make_token(char *token)
{
	uint8_t bytes[(SNAPSHOT_TOKEN_SIZE - 1) / 2];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t) sizeof(bytes))
		abort(); /* so few bytes are never cut short once the kernel has begun to give them */
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(token + 2 * i, 3, "%02x", bytes[i]);
}

static void
set_text(char **to, const char *text)
{
	char *copy = text_copy(text);

	free(*to);
	*to = copy;
}

/* Begins to ask behind what was delivered. */
static void
ask_from_delivered(Snapshot *snapshot)
{
	const SnapshotState *state = &snapshot->delivered;

	snapshot->ask_table = snapshot_plan_find(&snapshot->plan, state->relation, state->table_done);
	set_text(&snapshot->ask_after, "");
	if (!state->table_done && snapshot->ask_table < snapshot->plan.num_tables &&
		snapshot->plan.tables[snapshot->ask_table].relation == state->relation)
		set_text(&snapshot->ask_after, state->after);
}

static void
log_begin(const Snapshot *snapshot)
{
	const SnapshotPlan *plan = &snapshot->plan;
	const SnapshotState *state = &snapshot->delivered;
	int left = plan->num_tables - snapshot->ask_table;

	if (state->relation != 0)
		log_line(LOG_INFO,
				 "snapshot of existing rows: going on with %d of %d tables, %" PRIu64
				 " rows were delivered, the last ones of %s",
				 left, plan->num_tables, state->rows, state->name);
	else
		log_line(LOG_INFO, "snapshot of existing rows: %d tables, about %.0f rows", left,
				 plan->estimated_rows);
}

static bool
is_asked_for(const CdcOptions *options)
{
	return options->snapshot_initial || options->snapshot_only;
}

/* What is wanted: what the position says, else what the options say. */
static bool
wants_snapshot(Session *session, bool found, SnapshotState *state, bool *changed)
{
	StreamState *stream = session->state;
	const CdcOptions *options = stream->options;
	const SnapshotCursor *cursor = session->start.snapshot;
	const SinkOps *ops = stream->sink->base.ops;
	bool keeps = !ops->keeps_no_position && !ops->keeps_no_snapshot;

	if (!keeps && stream->snapshot_known)
		cursor = stream->snapshot_cursor;
	memset(state, 0, sizeof(*state));
	if (cursor != NULL)
	{
		snapshot_cursor_state(cursor, keeps ? &session->start.id : &stream->snapshot_id, state);
		if (!state->finished && !options->snapshot_never)
			return true;
		if (!state->finished)
			log_line(
				LOG_WARNING,
				"the snapshot of existing rows that was begun, and came as far as table %s, is "
				"given up (--snapshot=never)",
				state->name);
		snapshot_state_free(state);
		*changed = session->start.snapshot != NULL;
		session->start.snapshot = session->taken.snapshot = NULL;
		return false;
	}
	if (found || (!keeps && stream->snapshot_known))
		return false;
	return is_asked_for(options) || (!options->snapshot_never && stream->slot_created);
}

/* What the sink keeps does not tell whether existing rows are to be delivered, and this run does not know it either. */
static CdcStatus
check_known(const Session *session, bool found, CdcError *err)
{
	const StreamState *stream = session->state;

	if (!found || !stream->sink->base.ops->keeps_no_snapshot || stream->snapshot_known ||
		!is_asked_for(stream->options))
		return CDC_OK;
	cdc_error(err, CDC_STOP,
			  "the sink has a position, but a position of sink \"%s\" does not tell whether a "
			  "snapshot of existing rows is through",
			  stream->sink->base.ops->name);
	cdc_error_hint(err,
				   "If it is (the client's log says so), or no existing rows are wanted, start "
				   "without --snapshot. If it is not, empty the receiver, its position too, and "
				   "start again.");
	return CDC_STOP;
}

/* From now on positions say that it has begun. */
static void
begin_initial(Session *session, SnapshotState *state)
{
	if (state->name == NULL)
	{
		SnapshotState empty = {.kind = SNAPSHOT_INITIAL};

		snapshot_state_copy(state, &empty);
	}
	session->start.snapshot = session->taken.snapshot =
		snapshot_cursor_create(state, 0, 0, 0, NULL, 0);
}

static CdcStatus
open_plan(Snapshot *snapshot, bool required, bool *possible, CdcError *err)
{
	StreamState *stream = snapshot->session->state;
	CdcStatus status;

	status =
		pgconn_open(&snapshot->conn, stream->options->dbname, PGCONN_SQL, stream->interrupted, err);
	if (status == CDC_OK)
		status = snapshot_plan_check(snapshot->conn, required, possible, err);
	if (status == CDC_OK && *possible)
		status = snapshot_plan_read(&snapshot->plan, snapshot->conn, stream->options, err);
	if (status == CDC_OK && *possible && !required)
		*possible = snapshot_plan_fits(&snapshot->plan, WHOLE_BYTES);
	return status;
}

CdcStatus
snapshot_open(Snapshot **result, Session *session, bool found, bool *changed, CdcError *err)
{
	SnapshotState state;
	Snapshot *snapshot;
	bool possible = false;
	bool resumes;
	bool required;
	CdcStatus status;

	status = check_known(session, found, err);
	if (status != CDC_OK || !wants_snapshot(session, found, &state, changed))
		return status;
	snapshot = calloc(1, sizeof(*snapshot));
	if (snapshot == NULL)
		abort();
	*result = snapshot;
	snapshot->session = session;
	resumes = state.name != NULL;
	required = resumes || is_asked_for(session->state->options);
	status = open_plan(snapshot, required, &possible, err);
	if (status != CDC_OK || !possible)
	{
		if (status == CDC_OK)
			session->state->snapshot_known = true; /* not by later sessions either */
		snapshot_state_free(&state);
		return status;
	}
	if (!resumes)
	{
		begin_initial(session, &state);
		*changed = true;
	}
	snapshot->delivered = state;
	snapshot->max_rows = FIRST_ROWS;
	snapshot->active = true;
	snapshot->began = snapshot->progress_logged = clock_now();
	snapshot->rows_before = state.rows;
	ask_from_delivered(snapshot);
	log_begin(snapshot);
	return CDC_OK;
}

void
snapshot_close(Snapshot *snapshot)
{
	if (snapshot == NULL)
		return;
	if (snapshot->asking)
	{
		PGcancel *cancel = PQgetCancel(snapshot->conn);
		char ignored[256];

		if (cancel != NULL)
			PQcancel(cancel, ignored, sizeof(ignored));
		PQfreeCancel(cancel);
	}
	PQfinish(snapshot->conn);
	for (int i = 0; i < MAX_CHUNKS; i++)
		snapshot_chunk_reset(&snapshot->queue[i].chunk);
	snapshot_plan_free(&snapshot->plan);
	snapshot_state_free(&snapshot->delivered);
	snapshot_state_free(&snapshot->end);
	frame_reader_reset(&snapshot->reader);
	free(snapshot->ask_after);
	free(snapshot);
}

bool
snapshot_is_active(const Snapshot *snapshot)
{
	return snapshot != NULL && snapshot->active;
}

int
snapshot_wait(const Snapshot *snapshot, int64_t *deadline)
{
	if (snapshot == NULL || !snapshot->active)
		return -1;
	if (snapshot->asking)
		return PQsocket(snapshot->conn);
	if (snapshot->num_chunks < MAX_CHUNKS && snapshot->ask_table < snapshot->plan.num_tables &&
		snapshot->not_before < *deadline)
		*deadline = snapshot->not_before;
	return -1;
}

static void
forget_oldest(Snapshot *snapshot)
{
	SnapshotChunk *chunk = &snapshot->queue[0].chunk;

	snapshot_chunk_reset(chunk);
	if (snapshot->num_chunks > 1)
	{
		snapshot->queue[0] = snapshot->queue[1];
		memset(&snapshot->queue[1], 0, sizeof(snapshot->queue[1]));
	}
	snapshot->num_chunks--;
}

/* All has been delivered: positions no longer speak of it. */
static CdcStatus
finish(Snapshot *snapshot, bool store, CdcError *err)
{
	Session *session = snapshot->session;
	const SinkOps *ops = session->state->sink->base.ops;

	snapshot->active = false;
	log_line(LOG_INFO, "snapshot of existing rows: through, %" PRIu64 " rows",
			 snapshot->delivered.rows);
	if (!store)
		return CDC_OK;
	snapshot->delivered.finished = true;
	session->taken.snapshot = snapshot_cursor_create(&snapshot->delivered, 0, 0, 0, NULL, 0);
	return session_sink_status(session, ops->store(session->state->sink, &session->taken, err));
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
	const SnapshotTable *table = &snapshot->plan.tables[snapshot->ask_table];
	int i = snapshot->num_chunks++;
	SnapshotAsk question = {.table = table,
							.after = snapshot->ask_after,
							.max_rows = rows_to_ask(snapshot),
							.max_bytes = table->columns > 0 ? CHUNK_BYTES : WHOLE_BYTES,
							.token = snapshot->session->token,
							.number = ++snapshot->last_number};

	snapshot_chunk_begin(&snapshot->queue[i].chunk, question.number, table->columns);
	snapshot->queue[i].table = snapshot->ask_table;
	snapshot->lagging = false;
	snapshot->asking = true;
	snapshot->asked = now;
	return snapshot_plan_ask(&snapshot->plan, snapshot->conn, &question, err);
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

/* Pauses before what was asked is asked again. */
static void
pause_asking(Snapshot *snapshot, int64_t now)
{
	int64_t pause = RETRY_PAUSE;

	for (int i = 1; i < snapshot->attempts && pause < MAX_RETRY_PAUSE; i++)
		pause *= 2;
	snapshot->not_before = now + pause;
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
	const SnapshotTable *table = &snapshot->plan.tables[snapshot->queue[newest].table];
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
	if (snapshot->conflict_logged == 0 || now - snapshot->conflict_logged >= CONFLICT_LOG_INTERVAL)
	{
		snapshot->conflict_logged = now;
		log_error(LOG_WARNING, err);
	}
	snapshot->max_rows = snapshot->max_rows > 1 ? snapshot->max_rows / 2 : 1;
	pause_asking(snapshot, now);
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

CdcStatus
snapshot_turn(Snapshot *snapshot, int64_t now, bool between, CdcError *err)
{
	CdcStatus status = CDC_OK;

	if (!snapshot_is_active(snapshot))
		return CDC_OK;
	if (snapshot->asking)
	{
		if (!PQconsumeInput(snapshot->conn) || PQflush(snapshot->conn) < 0)
			return pgconn_error(snapshot->conn, NULL, "reading existing rows", err);
		if (!PQisBusy(snapshot->conn))
		{
			PGresult *result = PQgetResult(snapshot->conn);
			PGresult *more;

			while ((more = PQgetResult(snapshot->conn)) != NULL)
				PQclear(more);
			status = take_answer(snapshot, result, now, err);
		}
	}
	if (status == CDC_OK && !snapshot->asking && snapshot->num_chunks < MAX_CHUNKS &&
		snapshot->ask_table < snapshot->plan.num_tables && !must_wait(snapshot, now))
		status = ask(snapshot, now, err);
	if (status == CDC_OK && snapshot->num_chunks == 0 && between &&
		snapshot->ask_table >= snapshot->plan.num_tables)
		status = finish(snapshot, !snapshot->delivered.finished, err);
	return status;
}

static SnapshotChunk *
find_chunk(Snapshot *snapshot, uint64_t number)
{
	for (int i = 0; snapshot != NULL && i < snapshot->num_chunks; i++)
		if (snapshot->queue[i].chunk.number == number)
			return &snapshot->queue[i].chunk;
	return NULL;
}

void
snapshot_note(Snapshot *snapshot, const Frame *frame)
{
	SnapshotChunk *chunk = find_chunk(snapshot, frame->seq);

	if (chunk != NULL)
		snapshot_chunk_note(chunk, frame);
}

/* What is asked for from now on begins behind what was delivered. */
static void
give_up_rest(Snapshot *snapshot)
{
	for (int i = 1; i < snapshot->num_chunks; i++)
		snapshot->queue[i].chunk.given_up = true;
	ask_from_delivered(snapshot);
}

/* It has to be read again as a whole. */
static CdcStatus
read_again(Snapshot *snapshot, ChunkVerdict verdict, CdcError *err)
{
	const SnapshotTable *table = &snapshot->plan.tables[snapshot->queue[0].table];
	int64_t now = clock_now();

	if (verdict == CHUNK_UNKNOWN && ++snapshot->attempts > MAX_ATTEMPTS)
	{
		cdc_error(err, CDC_STOP,
				  "table %s changes all the time, and which of its rows change is not known: its "
				  "existing rows were read %d times in vain",
				  table->name, MAX_ATTEMPTS);
		cdc_error_hint(err,
					   "Give it a primary key or another replica identity (ALTER TABLE ... REPLICA "
					   "IDENTITY); or keep it quiet for a moment while its rows are read; or go on "
					   "without existing rows: --snapshot=never.");
		return CDC_STOP;
	}
	if (verdict == CHUNK_UNKNOWN)
	{
		pause_asking(snapshot, now);
		snapshot->max_rows = snapshot->max_rows > 1 ? snapshot->max_rows / 2 : 1;
	}
	log_line(LOG_DEBUG, "snapshot: reading rows of %s again: %s", table->name,
			 verdict == CHUNK_UNKNOWN ? "not known which have changed"
									  : "rules or publications have changed");
	give_up_rest(snapshot);
	forget_oldest(snapshot);
	return CDC_OK;
}

/* A row that changed without all of its values: it is read again, in a window as short as can be. */
static void
note_conflict(Snapshot *snapshot, int64_t now)
{
	const SnapshotTable *table = &snapshot->plan.tables[snapshot->queue[0].table];

	snapshot->max_rows = snapshot->queue[0].chunk.deliver > 0 ? snapshot->max_rows / 2 : 1;
	if (snapshot->max_rows < 1)
		snapshot->max_rows = 1;
	if (snapshot->queue[0].chunk.deliver > 0)
	{
		snapshot->attempts = 0;
		return;
	}
	if (++snapshot->attempts > MAX_ATTEMPTS &&
		now - snapshot->conflict_logged >= CONFLICT_LOG_INTERVAL)
	{
		snapshot->conflict_logged = now;
		log_line(LOG_WARNING,
				 "snapshot: a row of table %s changes so often that it has been read %d times in "
				 "vain; trying on",
				 table->name, snapshot->attempts);
	}
}

/* The second watermark of the oldest chunk: what of it counts, and what positions then say. */
static CdcStatus
settle(Snapshot *snapshot, bool configured, bool *counts, CdcError *err)
{
	SnapshotChunk *chunk = &snapshot->queue[0].chunk;
	const SnapshotTable *table = &snapshot->plan.tables[snapshot->queue[0].table];
	ChunkVerdict verdict = snapshot_chunk_settle(chunk, configured);
	SnapshotState end = snapshot->delivered;
	static char none[] = "";

	*counts = verdict == CHUNK_WHOLE || verdict == CHUNK_PART;
	if (!*counts)
		return read_again(snapshot, verdict, err);
	if (verdict == CHUNK_WHOLE)
		snapshot->attempts = 0;
	else
		note_conflict(snapshot, clock_now());
	snapshot->read_again = verdict == CHUNK_PART;
	if (end.relation != table->relation)
		end.after = none;
	end.relation = table->relation;
	end.name = table->name;
	end.key = table->key;
	end.table_done = verdict == CHUNK_WHOLE && chunk->done;
	if (verdict == CHUNK_PART && chunk->part_last != NULL)
		end.after = chunk->part_last;
	else if (verdict == CHUNK_WHOLE && chunk->last[0] != '\0')
		end.after = chunk->last;
	end.rows += chunk->deliver;
	end.finished = end.table_done && snapshot->queue[0].table + 1 >= snapshot->plan.num_tables;
	snapshot_state_free(&snapshot->end);
	snapshot_state_copy(&snapshot->end, &end);
	snapshot->cursor = snapshot_cursor_create(&snapshot->end, chunk->high, chunk->deliver,
											  chunk->columns, chunk->keys, chunk->keys_length);
	snapshot->delivering = true;
	return CDC_OK;
}

/* A line every progress interval: how far, how fast, how long yet. */
static void
log_snapshot_progress(Snapshot *snapshot)
{
	const CdcOptions *options = snapshot->session->state->options;
	int64_t now = clock_now();
	double rate = (double) (snapshot->delivered.rows - snapshot->rows_before) * CLOCK_SECOND /
				  (double) (now - snapshot->began + 1);
	double left = snapshot->plan.estimated_rows - (double) snapshot->delivered.rows;

	if (!options->progress || now - snapshot->progress_logged < options->progress_interval)
		return;
	snapshot->progress_logged = now;
	log_line(LOG_INFO,
			 "snapshot: %" PRIu64
			 " of about %.0f rows, %.0f rows/s, about %.0f s left; in table %s",
			 snapshot->delivered.rows, snapshot->plan.estimated_rows, rate,
			 left > 0 && rate > 0 ? left / rate : 0.0, snapshot->delivered.name);
}

static void
end_chunk(Snapshot *snapshot)
{
	bool table_done = snapshot->end.table_done;

	snapshot_state_free(&snapshot->delivered);
	snapshot->delivered = snapshot->end;
	memset(&snapshot->end, 0, sizeof(snapshot->end));
	if (table_done)
		log_line(LOG_INFO, "snapshot: table %s is through, %" PRIu64 " rows of all tables so far",
				 snapshot->delivered.name, snapshot->delivered.rows);
	log_snapshot_progress(snapshot);
	if (snapshot->read_again)
		give_up_rest(snapshot);
	snapshot->delivering = snapshot->read_again = false;
	forget_oldest(snapshot);
}

/*
 * Second watermarks come in the order in which chunks are asked for, and where the server said that it wrote
 * them.  Anything else would deliver one chunk's rows as another's, and leave some out.
 */
static CdcStatus
check_watermark(const Snapshot *snapshot, const SnapshotChunk *chunk, CdcError *err)
{
	uint64_t at = snapshot->session->reader.message.commit_lsn;
	char here[LSN_TEXT_SIZE];
	char there[LSN_TEXT_SIZE];

	if (chunk != &snapshot->queue[0].chunk)
	{
		cdc_error(err, CDC_STOP,
				  "the second watermark of chunk %" PRIu64 " of existing rows came before that of "
				  "chunk %" PRIu64,
				  chunk->number, snapshot->queue[0].chunk.number);
		cdc_error_hint(err, "This is a defect of cdc_client or cdc_decoder: please report it. What "
							"was delivered is whole; the next start goes on behind it.");
		return CDC_STOP;
	}
	if (chunk->high == at)
		return CDC_OK;
	cdc_error(err, CDC_STOP,
			  "a second watermark of chunk %" PRIu64 " of existing rows lies at %s, but "
			  "cdc.read_chunk() wrote it at %s",
			  chunk->number, lsn_format(here, at), lsn_format(there, chunk->high));
	cdc_error_hint(err,
				   "Somebody else writes watermarks with this session's token, by "
				   "pg_logical_emit_message() with prefix cdc_decoder.watermark: find out who. "
				   "What was delivered is whole; the next start goes on behind it.");
	return CDC_STOP;
}

CdcStatus
snapshot_next(Snapshot *snapshot, const Frame *watermark, SnapshotStep *step, SnapshotItem *item,
			  CdcError *err)
{
	SnapshotChunk *chunk = find_chunk(snapshot, watermark->seq);
	bool counts = true;
	bool found;
	CdcStatus status = CDC_OK;

	*step = SNAPSHOT_END;
	item->cursor = NULL;
	item->end_seq = 0;
	if (chunk == NULL)
		return CDC_OK; /* its question has failed */
	if (chunk->result == NULL)
	{
		*step = SNAPSHOT_WAIT;
		return CDC_OK;
	}
	status = check_watermark(snapshot, chunk, err);
	if (status != CDC_OK)
		return status;
	if (chunk->given_up)
	{
		forget_oldest(snapshot);
		return CDC_OK;
	}
	if (!snapshot->delivering)
		status = settle(snapshot, watermark->op == CDC_WATERMARK_HIGH_VOID, &counts, err);
	if (status != CDC_OK || !counts)
		return status;
	status = snapshot_chunk_next(chunk, &snapshot->reader, &found, err);
	if (status != CDC_OK)
		return status;
	item->cursor = snapshot->cursor;
	item->message = &snapshot->reader.message;
	item->frame = &chunk->frame;
	item->end_seq = (uint64_t) chunk->deliver + 1;
	if (found)
		*step = SNAPSHOT_RECORD;
	else
		end_chunk(snapshot);
	return CDC_OK;
}

void
snapshot_taken(Snapshot *snapshot)
{
	snapshot_chunk_taken(&snapshot->queue[0].chunk);
}
