/*
 * snapshot_begin.c
 *		Whether existing rows are to be delivered, and where that goes on.
 */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "pgconn.h"
#include "snapshot_private.h"
#include "snapshot_standby.h"

bool
snapshot_is_asked_for(const CdcOptions *options)
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
	const RecordId *id = &session->start.id;
	bool keeps = !ops->keeps_no_position && !ops->keeps_no_snapshot;

	/* the standard output goes on with what it took, whether it was written when the last session ended or not */
	if (!keeps && stream->snapshot_known && cursor == NULL)
	{
		cursor = stream->snapshot_cursor;
		id = &stream->snapshot_id;
	}
	memset(state, 0, sizeof(*state));
	if (cursor != NULL)
	{
		snapshot_cursor_state(cursor, id, state);
		if (state->kind == SNAPSHOT_BACKFILL)
		{
			if (session->start.snapshot == NULL)
				session->start.snapshot = session->taken.snapshot =
					snapshot_cursor_create(state, NULL);
			return false;
		}
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
	return snapshot_is_asked_for(options) || (!options->snapshot_never && stream->slot_created);
}

/* What the sink keeps does not tell whether existing rows are to be delivered, and this run does not know it either. */
static CdcStatus
check_known(const Session *session, bool found, CdcError *err)
{
	const StreamState *stream = session->state;

	if (!found || !stream->sink->base.ops->keeps_no_snapshot || stream->snapshot_known ||
		!snapshot_is_asked_for(stream->options))
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

void
snapshot_begin_initial(Session *session, SnapshotState *state)
{
	if (state->name == NULL)
	{
		SnapshotState empty = {.kind = SNAPSHOT_INITIAL, .began = clock_timestamp()};

		snapshot_state_copy(state, &empty);
	}
	session->start.snapshot = session->taken.snapshot = snapshot_cursor_create(state, NULL);
}

/*
 * Watermarks have to be written where the stream is decoded: a connection that led to another server would
 * read rows there, and wait for their watermarks here for ever.
 */
static CdcStatus
check_same_server(const Session *session, PGconn *conn, CdcError *err)
{
	static const char sql[] =
		"SELECT 1 FROM pg_catalog.pg_replication_slots WHERE slot_name = $1 AND active_pid = $2";
	const char *slot = session->state->options->slot;
	char pid[16];
	const char *params[] = {slot, pid};
	PGresult *result;
	CdcStatus status;
	bool same;

	snprintf(pid, sizeof(pid), "%d", session->slot.active_pid);
	status = pgconn_query_params(conn, sql, 2, params, &result, err);
	if (status != CDC_OK)
		return status;
	same = PQntuples(result) == 1;
	PQclear(result);
	if (same)
		return CDC_OK;
	cdc_error(
		err, CDC_RETRY,
		"slot \"%s\" is not streamed by us from the server that a connection for existing rows "
		"led to (\"%s\", port %s)",
		slot, PQhost(conn), PQport(conn));
	cdc_error_hint(err,
				   "Where --dbname names several servers, all connections must lead to the same "
				   "one: target_session_attrs=read-write finds the primary. If it names one, the "
				   "stream has just ended.");
	return CDC_RETRY;
}

static CdcStatus
open_worker(Snapshot *snapshot, bool required, bool *possible, CdcError *err)
{
	StreamState *stream = snapshot->session->state;
	SnapshotWorker *worker = &snapshot->workers[snapshot->num_workers++];
	CdcStatus status =
		pgconn_open(&worker->conn, stream->options->dbname, PGCONN_SQL, stream->interrupted, err);

	if (status == CDC_OK)
		status = snapshot_plan_check(worker->conn, required, possible, err);
	if (status == CDC_OK && *possible)
		status = check_same_server(snapshot->session, worker->conn, err);
	if (status == CDC_OK && *possible && stream->options->snapshot_from != NULL)
		status = snapshot_standby_open(snapshot->session, worker, err);
	return status;
}

/* What was asked for is tried: the table may have more room than rows.	But who waits for hours should know. */
static void
warn_of_large(const SnapshotPlan *plan)
{
	for (int i = 0; i < plan->num_tables; i++)
	{
		const SnapshotTable *table = &plan->tables[i];

		if (table->columns == 0 && table->bytes > SNAPSHOT_WHOLE_BYTES)
			log_line(
				LOG_WARNING,
				"table %s has no primary key to read it in parts by, and takes %.0f MB: if its "
				"rows are more than %d MB, the snapshot will stop at it",
				table->name, table->bytes / (1024 * 1024), SNAPSHOT_WHOLE_BYTES / (1024 * 1024));
	}
}

void
snapshot_disconnect(Snapshot *snapshot)
{
	for (int i = 0; i < snapshot->num_workers; i++)
	{
		SnapshotWorker *worker = &snapshot->workers[i];
		PGcancel *cancel =
			snapshot_is_awaited(worker) ? PQgetCancel(snapshot_awaited(worker)) : NULL;
		char ignored[256];

		if (cancel != NULL)
			PQcancel(cancel, ignored, sizeof(ignored));
		PQfreeCancel(cancel);
		PQfinish(worker->conn);
		PQfinish(worker->marker);
		memset(worker, 0, sizeof(*worker));
	}
	snapshot->num_workers = 0;
}

CdcStatus
snapshot_connect(Snapshot *snapshot, CdcError *err)
{
	int wanted = (int) snapshot->session->state->options->snapshot_workers;
	CdcStatus status = CDC_OK;
	bool possible;

	while (status == CDC_OK && snapshot->num_workers < wanted)
		status = open_worker(snapshot, true, &possible, err);
	if (status != CDC_OK)
		snapshot_disconnect(snapshot);
	return status;
}

CdcStatus
snapshot_open_plan(Snapshot *snapshot, bool required, bool *possible, CdcError *err)
{
	const CdcOptions *options = snapshot->session->state->options;
	CdcStatus status = open_worker(snapshot, required, possible, err);

	if (status == CDC_OK && *possible)
		status = snapshot_plan_read(&snapshot->job.plan, snapshot_primary(&snapshot->workers[0]),
									options, err);
	if (status == CDC_OK && *possible && !required)
		*possible = snapshot_plan_fits(&snapshot->job.plan, SNAPSHOT_WHOLE_BYTES);
	else if (status == CDC_OK && *possible)
		warn_of_large(&snapshot->job.plan);
	while (status == CDC_OK && *possible && snapshot->num_workers < (int) options->snapshot_workers)
		status = open_worker(snapshot, true, possible, err);
	return status;
}

CdcStatus
snapshot_wanted(Session *session, bool found, SnapshotState *state, bool *wanted, bool *changed,
				CdcError *err)
{
	CdcStatus status = check_known(session, found, err);

	*wanted = status == CDC_OK && wants_snapshot(session, found, state, changed);
	return status;
}
