/*
 * backfill_job.c
 *		One request for existing rows after the other.
 */
#include "backfill_job.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "json_out.h"
#include "log.h"
#include "snapshot_private.h"
#include "text.h"

/* How often the server is told how far a request is. */
#define REPORT_INTERVAL CLOCK_SECOND

/* Before another attempt to connect. */
#define CONNECT_PAUSE (5 * CLOCK_SECOND)

CdcStatus
backfill_job_open(Snapshot *snapshot, SnapshotState *state, CdcError *err)
{
	BackfillJob *job = &snapshot->backfill;
	bool begun = state->request != 0 && !state->finished;
	int64_t done = begun ? state->request - 1 : state->request;

	if (begun)
		job->resumed = *state;
	else
		snapshot_state_free(state);
	return backfill_open(&job->requests, snapshot->session, done, job->resumed.request, err);
}

void
backfill_job_close(BackfillJob *job)
{
	backfill_close(job->requests);
	snapshot_state_free(&job->resumed);
}

/* Tells the server. */
static void
report(Snapshot *snapshot, const char *state, int64_t now)
{
	BackfillJob *job = &snapshot->backfill;
	const SnapshotState *delivered = &snapshot->delivered;

	job->report.number = backfill_current(job->requests)->number;
	job->report.state = state;
	job->report.rows = delivered->request == job->report.number ? delivered->rows : 0;
	snprintf(job->report.reading, sizeof(job->report.reading), "%s",
			 delivered->name != NULL ? delivered->name : "");
	json_make_utf8(job->report.reading); /* it may have been cut */
	job->reported = now;
	backfill_report(job->requests, &job->report);
}

/* Why it ends before all was delivered. */
static void
note_failure(BackfillJob *job, const CdcError *err)
{
	const BackfillRequest *request = backfill_current(job->requests);

	if (job->failed)
		return;
	job->failed = true;
	snprintf(job->report.message, sizeof(job->report.message), "%.1000s", err->message);
	json_make_utf8(job->report.message);
	log_error(LOG_WARNING, err);
	log_line(LOG_WARNING, "request %" PRId64 " for existing rows of %s has failed", request->number,
			 request->name);
}

bool
backfill_job_fail(Snapshot *snapshot, const CdcError *err)
{
	if (snapshot->delivered.kind != SNAPSHOT_BACKFILL)
		return false;
	note_failure(&snapshot->backfill, err);
	snapshot_ask_stop(snapshot);
	return true;
}

/* Positions say from now on that it is through. */
static CdcStatus
store_finished(Snapshot *snapshot, int64_t number, CdcError *err)
{
	Session *session = snapshot->session;
	SnapshotState state = {.kind = SNAPSHOT_BACKFILL, .request = number, .finished = true};

	session->taken.snapshot = snapshot_cursor_create(&state, NULL);
	return session_sink_status(
		session, session->state->sink->base.ops->store(session->state->sink, &session->taken, err));
}

void
backfill_job_ended(Snapshot *snapshot)
{
	BackfillJob *job = &snapshot->backfill;
	const BackfillRequest *request = backfill_current(job->requests);
	const char *how = "through";

	if (job->failed)
		how = "has failed";
	else if (job->cancelled)
		how = "cancelled";
	job->ending = true;
	log_line(LOG_INFO, "request %" PRId64 " for existing rows of %s: %s, %" PRIu64 " rows",
			 request->number, request->name, how, snapshot->delivered.rows);
}

/* It ends before it has begun. */
static CdcStatus
end_unbegun(Snapshot *snapshot, CdcError *err)
{
	BackfillJob *job = &snapshot->backfill;

	snapshot_state_free(&snapshot->delivered);
	snapshot->delivered.kind = SNAPSHOT_BACKFILL;
	snapshot->delivered.request = backfill_current(job->requests)->number;
	if (job->resumed.request == snapshot->delivered.request)
	{
		snapshot->delivered.rows = job->resumed.rows;
		snapshot_state_free(&job->resumed);
	}
	backfill_job_ended(snapshot);
	return store_finished(snapshot, snapshot->delivered.request, err);
}

static bool
is_durably_ended(const Snapshot *snapshot)
{
	const Position *durable = &snapshot->session->progress.durable;
	SnapshotState state;
	bool ended;

	if (durable->snapshot == NULL)
		return false;
	snapshot_cursor_state(durable->snapshot, &durable->id, &state);
	ended = state.kind == SNAPSHOT_BACKFILL && state.finished &&
			state.request == snapshot->delivered.request;
	snapshot_state_free(&state);
	return ended;
}

/* Tells the server that it is through, once that is so for good. */
static void
end_current(Snapshot *snapshot, int64_t now)
{
	BackfillJob *job = &snapshot->backfill;

	if (!job->told)
	{
		if (!is_durably_ended(snapshot))
			return;
		report(snapshot, job->failed ? "failed" : job->cancelled ? "cancelled" : "done", now);
		job->told = true;
		return;
	}
	if (!backfill_has_reported(job->requests))
		return;
	backfill_end_current(job->requests);
	snapshot_disconnect(snapshot);
	job->ending = job->told = job->failed = job->cancelled = false;
	memset(&job->report, 0, sizeof(job->report));
}

/* Where it goes on: behind what the position says was delivered of it. */
static void
begin_state(BackfillJob *job, const BackfillRequest *request, SnapshotState *state)
{
	SnapshotState fresh = {.kind = SNAPSHOT_BACKFILL, .request = request->number};

	if (job->resumed.request == request->number)
	{
		*state = job->resumed;
		memset(&job->resumed, 0, sizeof(job->resumed));
	}
	else
		snapshot_state_copy(state, &fresh);
}

static CdcStatus
begin(Snapshot *snapshot, const BackfillRequest *request, SnapshotPlan *plan, int64_t now,
	  CdcError *err)
{
	BackfillJob *job = &snapshot->backfill;
	SnapshotState state;

	if (plan->num_tables == 0)
	{
		snapshot_plan_free(plan);
		(void) cdc_error(err, CDC_OK,
						 "table %s was dropped, or this stream does not select its rows",
						 request->name);
		cdc_error_hint(err,
					   "What the stream selects is what its publications do; --publication_names "
					   "stands in place of the pipeline's.");
		note_failure(job, err);
		return end_unbegun(snapshot, err);
	}
	begin_state(job, request, &state);
	snapshot_job_reset(&snapshot->job);
	snapshot->job.plan = *plan;
	snapshot->job.filter = request->filter != NULL ? text_copy(request->filter) : NULL;
	snapshot->session->taken.snapshot = snapshot_cursor_create(&state, NULL);
	snapshot_begin_job(snapshot, &state);
	report(snapshot, "running", now);
	return CDC_OK;
}

/* The next request's job, if there is one and the server has said what it consists of. */
static CdcStatus
begin_next(Snapshot *snapshot, int64_t now, CdcError *err)
{
	BackfillJob *job = &snapshot->backfill;
	const BackfillRequest *request;
	SnapshotPlan plan;
	CdcError why;

	if (now < job->not_before || !backfill_begin_next(job->requests))
		return CDC_OK;
	request = backfill_current(job->requests);
	if (request->cancelled)
	{
		job->cancelled = true;
		return end_unbegun(snapshot, err);
	}
	if (snapshot_connect(snapshot, &why) != CDC_OK)
	{
		log_error(LOG_WARNING, &why);
		job->not_before = now + CONNECT_PAUSE;
		return CDC_OK;
	}
	switch (backfill_plan(job->requests, &plan, &why))
	{
		case BACKFILL_PLAN_READY:
			return begin(snapshot, request, &plan, now, err);
		case BACKFILL_PLAN_FAILED:
			note_failure(job, &why);
			return end_unbegun(snapshot, err);
		case BACKFILL_PLAN_WAIT:
			break;
	}
	return CDC_OK;
}

/* While its rows are read and delivered. */
static void
watch(Snapshot *snapshot, int64_t now)
{
	BackfillJob *job = &snapshot->backfill;
	const BackfillRequest *request = backfill_current(job->requests);

	if (request->cancelled && !job->cancelled && !job->failed)
	{
		job->cancelled = true;
		log_line(LOG_INFO, "request %" PRId64 " for existing rows of %s is cancelled",
				 request->number, request->name);
		snapshot_ask_stop(snapshot);
	}
	if (now - job->reported >= REPORT_INTERVAL)
		report(snapshot, "running", now);
}

CdcStatus
backfill_job_turn(Snapshot *snapshot, int64_t now, bool between, CdcError *err)
{
	BackfillJob *job = &snapshot->backfill;

	if (job->requests == NULL)
		return CDC_OK;
	backfill_turn(job->requests, now);
	if (snapshot->active && snapshot->delivered.kind == SNAPSHOT_BACKFILL)
		watch(snapshot, now);
	else if (!snapshot->active && job->ending)
		end_current(snapshot, now);
	else if (!snapshot->active && between)
		return begin_next(snapshot, now, err);
	return CDC_OK;
}
