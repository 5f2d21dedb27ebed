/*
 * status.c
 *		Subcommand status: how far a stream is.
 */
#include "status.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "json_out.h"
#include "log.h"
#include "sink_look.h"
#include "slot_report.h"
#include "snapshot_cursor.h"

static CdcStatus
look_at_sink(const CdcOptions *options, const volatile int *interrupted, SinkLook *look,
			 CdcError *err)
{
	PGconn *replication = NULL;
	CdcStatus status =
		pgconn_open(&replication, options->dbname, PGCONN_REPLICATION, interrupted, err);

	if (status == CDC_OK)
		status = sink_look(options, replication, interrupted, look, err);
	PQfinish(replication);
	return status;
}

/* Since the snapshot was begun, whether a client ran all the while or not; < 0: not known. */
static double
snapshot_rate(const SnapshotState *state)
{
	double seconds = (double) (clock_timestamp() - state->began) / (double) CLOCK_SECOND;

	return state->began > 0 && seconds > 0 ? (double) state->rows / seconds : -1;
}

static double
snapshot_seconds_left(const SnapshotState *state)
{
	double rate = snapshot_rate(state);
	double left = state->total_rows > state->rows ? (double) (state->total_rows - state->rows) : 0;

	return rate > 0 && state->total_rows > 0 ? left / rate : -1;
}

/* What the position tells of existing rows, with what follows from it now. */
static void
add_snapshot(struct json_object *position, const Position *known)
{
	struct json_object *object;
	SnapshotState state;

	if (!json_object_object_get_ex(position, "snapshot", &object) || object == NULL)
		return;
	snapshot_cursor_state(known->snapshot, &known->id, &state);
	if (snapshot_rate(&state) >= 0)
		json_add_double(object, "rows_per_second", snapshot_rate(&state));
	if (snapshot_seconds_left(&state) >= 0)
		json_add_double(object, "seconds_left", snapshot_seconds_left(&state));
	snapshot_state_free(&state);
}

/* The same for people. */
static void
put_snapshot(FILE *out, const Position *known)
{
	SnapshotState state;

	if (known->snapshot == NULL)
		return;
	snapshot_cursor_state(known->snapshot, &known->id, &state);
	if (!state.finished)
	{
		fprintf(out, "%-26s%" PRIu64 " of about %" PRIu64 " rows, %.1f MB", "existing rows",
				state.rows, state.total_rows > state.rows ? state.total_rows : state.rows,
				(double) state.bytes / 1e6);
		if (snapshot_rate(&state) >= 0)
			fprintf(out, ", %.0f rows/s", snapshot_rate(&state));
		if (snapshot_seconds_left(&state) >= 0)
			fprintf(out, ", about %.0f s left", snapshot_seconds_left(&state));
		fprintf(out, "%s%s\n", state.relation != 0 ? "; in table " : "",
				state.relation != 0 ? state.name : "");
	}
	snapshot_state_free(&state);
}

static struct json_object *
sink_json(const SinkLook *look)
{
	struct json_object *object = json_object_new_object();

	json_add_bool(object, "opened", look->opened);
	if (!look->opened)
		json_add_text(object, "reason", look->why);
	json_object_object_add(object, "position",
						   look->found ? position_to_json(&look->source, &look->position) : NULL);
	if (look->found)
		add_snapshot(json_object_object_get(object, "position"), &look->position);
	if (look->found)
		json_add_bool(object, "same_source", look->same_source);
	return object;
}

static void
put_sink(FILE *out, const SinkLook *look)
{
	char text[POSITION_TEXT_SIZE];

	if (!look->opened)
		fprintf(out, "%-26s%s\n", "sink", look->why);
	else if (!look->found)
		fprintf(out, "%-26s%s\n", "sink", "holds no position yet");
	else if (!look->same_source)
		fprintf(out, "%-26sholds another stream's position: slot %s of database %s, system %s\n",
				"sink", look->source.slot, look->source.database, look->source.system_identifier);
	else
	{
		fprintf(out, "%-26s%s\n", "sink's position", position_describe(text, &look->position));
		put_snapshot(out, &look->position);
	}
}

static void
put_json(const PGresult *slots, const SinkLook *look)
{
	struct json_object *list = json_object_new_array();

	for (int row = 0; row < PQntuples(slots); row++)
	{
		struct json_object *slot = slot_report_json(slots, row);

		if (look != NULL)
			json_object_object_add(slot, "sink", sink_json(look));
		json_object_array_add(list, slot);
	}
	json_write_line(stdout, list);
}

static void
put_text(const PGresult *slots, const SinkLook *look)
{
	if (PQntuples(slots) == 0)
		fputs("this database has no replication slot of cdc_decoder\n", stdout);
	for (int row = 0; row < PQntuples(slots); row++)
	{
		if (row > 0)
			fputc('\n', stdout);
		slot_report_lines(stdout, slots, row);
		if (look != NULL)
			put_sink(stdout, look);
	}
}

int
status_main(const CdcOptions *options, const volatile int *interrupted)
{
	PGconn *conn = NULL;
	PGresult *slots = NULL;
	SinkLook look;
	CdcError err;
	CdcStatus status = CDC_OK;

	if (options->sink != NULL && options->slot == NULL)
	{
		status = cdc_error(&err, CDC_USAGE, "--sink: a sink's position is that of one slot");
		cdc_error_hint(&err, "Add --slot=NAME.");
	}
	if (status == CDC_OK)
		status = pgconn_open(&conn, options->dbname, PGCONN_SQL, interrupted, &err);
	if (status == CDC_OK)
		status = slot_report_read(conn, options->slot, options->slot == NULL, &slots, &err);
	if (status == CDC_OK && options->slot != NULL && PQntuples(slots) == 0)
	{
		status = cdc_error(&err, CDC_USAGE, "logical replication slot \"%s\" does not exist",
						   options->slot);
		cdc_error_hint(&err, "cdc_client slot list shows those there are.");
	}
	if (status == CDC_OK && options->sink != NULL)
		status = look_at_sink(options, interrupted, &look, &err);
	if (status == CDC_OK && options->json)
		put_json(slots, options->sink != NULL ? &look : NULL);
	else if (status == CDC_OK)
		put_text(slots, options->sink != NULL ? &look : NULL);
	PQclear(slots);
	PQfinish(conn);
	if (status != CDC_OK)
		log_error(LOG_ERROR, &err);
	return (int) status;
}
