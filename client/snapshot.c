/*
 * snapshot.c
 *		Existing rows into a running stream: its life, and its turns in the loop.
 */
#include "snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "clock.h"
#include "log.h"
#include "selection.h"
#include "snapshot_private.h"

/* Of the first chunk; the next ones' is what the time that it takes allows. */
#define FIRST_ROWS 1000

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
log_begin(const Snapshot *snapshot)
{
	const SnapshotPlan *plan = &snapshot->job.plan;
	const SnapshotState *state = &snapshot->delivered;
	int left = plan->num_tables - snapshot->next_table + snapshot->num_works;
	char what[64] = "snapshot of existing rows";

	if (state->kind == SNAPSHOT_BACKFILL)
		snprintf(what, sizeof(what), "request %" PRId64 " for existing rows", state->request);
	if (state->relation != 0)
		log_line(LOG_INFO,
				 "%s: going on with %d of %d tables, %" PRIu64
				 " rows were delivered, the last ones of %s",
				 what, left, plan->num_tables, state->rows, state->name);
	else
		log_line(LOG_INFO, "%s: %d tables, about %.0f rows", what, left, plan->estimated_rows);
}

void
snapshot_begin_job(Snapshot *snapshot, const SnapshotState *state)
{
	const CdcOptions *options = snapshot->session->state->options;

	snapshot_state_free(&snapshot->delivered);
	snapshot->delivered = *state;
	snapshot->num_works = 0;
	snapshot->max_rows = FIRST_ROWS;
	snapshot->stopped = false;
	snapshot->active = true;
	snapshot_ask_begin(snapshot, state);
	snapshot_pace_begin(&snapshot->pace, options->max_rate);
	snapshot_progress_begin(&snapshot->progress, &snapshot->job.plan,
							snapshot->next_table - snapshot->num_works, state, options,
							clock_now());
	log_begin(snapshot);
}

void
snapshot_job_reset(SnapshotJob *job)
{
	snapshot_plan_free(&job->plan);
	free(job->filter);
	job->filter = NULL;
}

/* What the stream begins with; state is taken over. */
static CdcStatus
open_initial(Snapshot *snapshot, SnapshotState *state, bool *changed, CdcError *err)
{
	Session *session = snapshot->session;
	bool possible = false;
	bool resumes = state->name != NULL;
	bool required = resumes || snapshot_is_asked_for(session->state->options);
	CdcStatus status = snapshot_open_plan(snapshot, required, &possible, err);

	if (status != CDC_OK || !possible)
	{
		if (status == CDC_OK)
			session->state->snapshot_known = true; /* not by later sessions either */
		snapshot_disconnect(snapshot);
		snapshot_state_free(state);
		return status;
	}
	if (!resumes)
	{
		snapshot_begin_initial(session, state);
		*changed = true;
	}
	snapshot_begin_job(snapshot, state);
	memset(state, 0, sizeof(*state));
	return CDC_OK;
}

/* Rows are requested through a pipeline. */
static bool
may_be_requested(const Session *session)
{
	const CdcOptions *options = session->state->options;

	return selection_option(options, "pipeline") != NULL && !session->in_recovery &&
		   !options->snapshot_only;
}

CdcStatus
snapshot_open(Snapshot **result, Session *session, bool found, bool *changed, CdcError *err)
{
	SnapshotState state = {0};
	Snapshot *snapshot;
	bool wanted;
	CdcStatus status = snapshot_wanted(session, found, &state, &wanted, changed, err);

	if (status != CDC_OK || !(wanted || may_be_requested(session)))
	{
		snapshot_state_free(&state);
		return status;
	}
	snapshot = calloc(1, sizeof(*snapshot));
	if (snapshot == NULL)
		abort();
	*result = snapshot;
	snapshot->session = session;
	if (wanted)
		status = open_initial(snapshot, &state, changed, err);
	if (status == CDC_OK && may_be_requested(session))
		return backfill_job_open(snapshot, &state, err);
	snapshot_state_free(&state);
	return status;
}

static void
free_work(SnapshotWork *work)
{
	snapshot_ranges_clear(&work->ranges);
	free(work->key);
}

void
snapshot_close(Snapshot *snapshot)
{
	if (snapshot == NULL)
		return;
	snapshot_progress_end(&snapshot->progress);
	backfill_job_close(&snapshot->backfill);
	snapshot_disconnect(snapshot);
	for (int i = 0; i < SNAPSHOT_MAX_CHUNKS; i++)
		snapshot_chunk_reset(&snapshot->slots[i].chunk);
	for (int i = 0; i < snapshot->num_works; i++)
		free_work(&snapshot->works[i]);
	snapshot_job_reset(&snapshot->job);
	snapshot_state_free(&snapshot->delivered);
	snapshot_state_free(&snapshot->end);
	frame_reader_reset(&snapshot->reader);
	free(snapshot);
}

SnapshotWork *
snapshot_find_work(Snapshot *snapshot, int table)
{
	for (int i = 0; i < snapshot->num_works; i++)
		if (snapshot->works[i].table == table)
			return &snapshot->works[i];
	return NULL;
}

SnapshotSlot *
snapshot_find_slot(Snapshot *snapshot, uint64_t number)
{
	for (int i = 0; i < SNAPSHOT_MAX_CHUNKS && number != 0; i++)
		if (snapshot->slots[i].chunk.number == number)
			return &snapshot->slots[i];
	return NULL;
}

void
snapshot_drop_works(Snapshot *snapshot)
{
	int left = 0;

	for (int i = 0; i < snapshot->num_works; i++)
	{
		if (snapshot->works[i].ranges.count > 0)
			snapshot->works[left++] = snapshot->works[i];
		else
			free_work(&snapshot->works[i]);
	}
	snapshot->num_works = left;
}

bool
snapshot_is_active(const Snapshot *snapshot)
{
	return snapshot != NULL && (snapshot->active || backfill_is_busy(snapshot->backfill.requests));
}

void
snapshot_bell(Snapshot *snapshot, uint64_t number)
{
	if (snapshot != NULL)
		backfill_bell(snapshot->backfill.requests, (int64_t) number);
}

int
snapshot_wait(const Snapshot *snapshot, struct pollfd *fds, int64_t *deadline)
{
	int num_fds = 0;
	int64_t next;

	if (!snapshot_is_active(snapshot))
		return 0;
	num_fds = backfill_wait(snapshot->backfill.requests, fds, deadline);
	if (!snapshot->active)
		return num_fds;
	for (int i = 0; i < snapshot->num_workers; i++)
		if (snapshot_is_awaited(&snapshot->workers[i]))
			fds[num_fds++] = (struct pollfd){
				.fd = PQsocket(snapshot_awaited(&snapshot->workers[i])), .events = POLLIN};
	next = snapshot_ask_deadline(snapshot);
	if (next < *deadline)
		*deadline = next;
	return num_fds;
}

/*
 * The job is through, and positions say so: of the initial one by not speaking of it any more.  backfill_job.c
 * may begin another one.
 */
static CdcStatus
end_job(Snapshot *snapshot, bool store, CdcError *err)
{
	Session *session = snapshot->session;
	const SinkOps *ops = session->state->sink->base.ops;

	snapshot->active = false;
	snapshot_progress_end(&snapshot->progress);
	if (snapshot->delivered.kind == SNAPSHOT_BACKFILL)
		backfill_job_ended(snapshot);
	else
		log_line(LOG_INFO, "snapshot of existing rows: through, %" PRIu64 " rows",
				 snapshot->delivered.rows);
	/* the next request waits for the position: not for as long as the sink may gather records */
	if (!store && snapshot->delivered.kind != SNAPSHOT_BACKFILL)
		return CDC_OK;
	snapshot->delivered.finished = true;
	session->taken.snapshot = snapshot_cursor_create(&snapshot->delivered, NULL);
	return session_sink_status(session, ops->store(session->state->sink, &session->taken, err));
}

CdcStatus
snapshot_turn(Snapshot *snapshot, int64_t now, bool between, CdcError *err)
{
	CdcStatus status = CDC_OK;

	if (snapshot == NULL)
		return CDC_OK;
	if (snapshot->active)
	{
		status = snapshot_ask_turn(snapshot, now, err);
		snapshot_progress_show(&snapshot->progress, now);
	}
	if (status == CDC_OK && snapshot->active && between && snapshot_is_through(snapshot))
		status = end_job(snapshot, !snapshot->delivered.finished, err);
	if (status == CDC_OK)
		status = backfill_job_turn(snapshot, now, between, err);
	return status;
}
