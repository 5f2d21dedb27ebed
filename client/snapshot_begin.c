/*
 * snapshot_begin.c
 *		Whether existing rows are to be delivered, and where that goes on.
 */
#include <string.h>

#include "log.h"
#include "pgconn.h"
#include "snapshot_private.h"

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
		SnapshotState empty = {.kind = SNAPSHOT_INITIAL};

		snapshot_state_copy(state, &empty);
	}
	session->start.snapshot = session->taken.snapshot =
		snapshot_cursor_create(state, 0, 0, 0, NULL, 0);
}

CdcStatus
snapshot_open_plan(Snapshot *snapshot, bool required, bool *possible, CdcError *err)
{
	StreamState *stream = snapshot->session->state;
	CdcStatus status;

	status =
		pgconn_open(&snapshot->conn, stream->options->dbname, PGCONN_SQL, stream->interrupted, err);
	if (status == CDC_OK)
		status = snapshot_plan_check(snapshot->conn, required, possible, err);
	if (status == CDC_OK && *possible)
		status = snapshot_plan_read(&snapshot->job.plan, snapshot->conn, stream->options, err);
	if (status == CDC_OK && *possible && !required)
		*possible = snapshot_plan_fits(&snapshot->job.plan, SNAPSHOT_WHOLE_BYTES);
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
