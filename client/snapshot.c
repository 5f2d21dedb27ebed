/*
 * snapshot.c
 *		Existing rows into a running stream: its life, and its turns in the loop.
 */
#include "snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "clock.h"
#include "log.h"
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

/* Begins a job, whose plan is read, where the state says. */
static void
begin_job(Snapshot *snapshot, const SnapshotState *state)
{
	snapshot->delivered = *state;
	snapshot->max_rows = FIRST_ROWS;
	snapshot->active = true;
	snapshot->began = snapshot->progress_logged = clock_now();
	snapshot->rows_before = state->rows;
	snapshot_ask_again(snapshot);
	log_begin(snapshot);
}

CdcStatus
snapshot_open(Snapshot **result, Session *session, bool found, bool *changed, CdcError *err)
{
	SnapshotState state;
	Snapshot *snapshot;
	bool possible = false;
	bool wanted;
	bool resumes;
	bool required;
	CdcStatus status = snapshot_wanted(session, found, &state, &wanted, changed, err);

	if (status != CDC_OK || !wanted)
		return status;
	snapshot = calloc(1, sizeof(*snapshot));
	if (snapshot == NULL)
		abort();
	*result = snapshot;
	snapshot->session = session;
	resumes = state.name != NULL;
	required = resumes || snapshot_is_asked_for(session->state->options);
	status = snapshot_open_plan(snapshot, required, &possible, err);
	if (status != CDC_OK || !possible)
	{
		if (status == CDC_OK)
			session->state->snapshot_known = true; /* not by later sessions either */
		snapshot_state_free(&state);
		return status;
	}
	if (!resumes)
	{
		snapshot_begin_initial(session, &state);
		*changed = true;
	}
	begin_job(snapshot, &state);
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
	for (int i = 0; i < SNAPSHOT_MAX_CHUNKS; i++)
		snapshot_chunk_reset(&snapshot->queue[i].chunk);
	snapshot_plan_free(&snapshot->job.plan);
	free(snapshot->job.filter);
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
	if (snapshot_can_ask(snapshot) && snapshot->not_before < *deadline)
		*deadline = snapshot->not_before;
	return -1;
}

/*
 * The job is through, and positions no longer speak of it.	 Another one may be begun here (begin_job()),
 * with a plan of its own.
 */
static CdcStatus
end_job(Snapshot *snapshot, bool store, CdcError *err)
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

CdcStatus
snapshot_turn(Snapshot *snapshot, int64_t now, bool between, CdcError *err)
{
	CdcStatus status;

	if (!snapshot_is_active(snapshot))
		return CDC_OK;
	status = snapshot_ask_turn(snapshot, now, err);
	if (status == CDC_OK && snapshot->num_chunks == 0 && between && !snapshot_has_more(snapshot))
		status = end_job(snapshot, !snapshot->delivered.finished, err);
	return status;
}
