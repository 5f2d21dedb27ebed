/*
 * offsets.c
 *		The position that a sink holds: shown, and set by hand.
 *
 * A position is changed through the sink's own open() and store(): whoever has the sink is shut out
 * first, and a client that streams is asked to stop by a refusal before anything is touched.
 */
#include "offsets.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "json_out.h"
#include "log.h"
#include "offset_plan.h"
#include "pgconn.h"
#include "sink.h"
#include "sink_look.h"
#include "slot.h"
#include "source_name.h"

/* A sink that cannot be opened, or does not make a position durable, in so long has failed. */
#define CHANGE_TIMEOUT (60 * CLOCK_SECOND)

typedef struct Change
{
	const CdcOptions *options;
	const volatile int *interrupted;
	int64_t deadline;
	ServerIdentity identity;
	SlotInfo slot;
	Source source;
} Change;

static int
finish(CdcStatus status, const CdcError *err)
{
	if (status != CDC_OK)
		log_error(LOG_ERROR, err);
	return status == CDC_REFUSED ? (int) CDC_STOP : (int) status;
}

static struct json_object *
look_json(const CdcOptions *options, const SinkLook *look, const SlotInfo *slot)
{
	struct json_object *object = json_object_new_object();
	char lsn[LSN_TEXT_SIZE];

	json_add_text(object, "slot", options->slot);
	json_add_text(object, "slot_confirmed",
				  slot->exists ? lsn_format(lsn, slot->confirmed_flush_lsn) : NULL);
	json_object_object_add(object, "position",
						   look->found ? position_to_json(&look->source, &look->position) : NULL);
	if (look->found)
		json_add_bool(object, "same_source", look->same_source);
	if (!look->opened)
		json_add_text(object, "reason", look->why);
	return object;
}

static void
put_line(const char *name, const char *value)
{
	printf("%-23s %s\n", name, value);
}

static void
put_position(const SinkLook *look)
{
	const Position *position = &look->position;
	char text[TIME_TEXT_SIZE];
	char lsn[LSN_TEXT_SIZE];

	put_line("source", look->same_source ? "this slot" : "ANOTHER STREAM");
	put_line("system identifier", look->source.system_identifier);
	put_line("database", look->source.database);
	put_line("slot", look->source.slot);
	printf("%-23s %" PRIu32 "\n", "timeline", position->timeline);
	printf("%-23s %" PRIu32 "\n", "incarnation", position->incarnation);
	printf("%-23s %s seq %" PRIu64 " part %u\n", "last record",
		   lsn_format(lsn, position->id.commit_lsn), position->id.seq,
		   (unsigned) position->id.part);
	put_line("last whole transaction", lsn_format(lsn, position->end_lsn));
	put_line("confirmed", lsn_format(lsn, position->confirmed));
	if (position->commit_time != 0)
		put_line("commit time", commit_time_format(text, position->commit_time));
}

int
offsets_show_main(const CdcOptions *options, const volatile int *interrupted)
{
	PGconn *conn = NULL;
	SlotInfo slot = {0};
	SinkLook look = {0};
	CdcError err;
	char lsn[LSN_TEXT_SIZE];
	CdcStatus status = pgconn_open(&conn, options->dbname, PGCONN_REPLICATION, interrupted, &err);

	if (status == CDC_OK)
		status = slot_read(conn, options->slot, &slot, &err);
	if (status == CDC_OK)
		status = sink_look(options, conn, interrupted, &look, &err);
	PQfinish(conn);
	if (status != CDC_OK)
		return finish(status, &err);
	if (options->json)
	{
		json_write_line(stdout, look_json(options, &look, &slot));
		return CDC_OK;
	}
	if (look.found)
		put_position(&look);
	else
		put_line("position", look.opened ? "none: the sink has none for this slot yet" : look.why);
	put_line("slot is confirmed at",
			 slot.exists ? lsn_format(lsn, slot.confirmed_flush_lsn) : "(there is no such slot)");
	return CDC_OK;
}

static bool
still_patient(void *arg)
{
	const Change *change = arg;

	return *change->interrupted == 0 && clock_now() < change->deadline;
}

/* The server's side: who it is, and that the slot is there and free. */
static CdcStatus
read_server(Change *change, CdcError *err)
{
	const CdcOptions *options = change->options;
	PGconn *conn = NULL;
	CdcStatus status =
		pgconn_open(&conn, options->dbname, PGCONN_REPLICATION, change->interrupted, err);

	if (status == CDC_OK)
		status = pgconn_identify(conn, &change->identity, err);
	if (status == CDC_OK)
		status = slot_read(conn, options->slot, &change->slot, err);
	if (status == CDC_OK)
		status = slot_check_usable(&change->slot, options->slot, change->identity.database, err);
	if (status == CDC_OK)
		status = source_fill(conn, options, &change->identity, &change->source, err);
	if (status == CDC_OK && change->slot.active)
	{
		status = cdc_error(err, CDC_STOP, "a client streams from slot \"%s\" (walsender pid %d)",
						   options->slot, change->slot.active_pid);
		cdc_error_hint(err, "Stop it first: what it delivers would not fit the position any more.");
	}
	PQfinish(conn);
	return status;
}

/* Without --yes nothing is touched: what would follow is the error. */
static CdcStatus
ask_for_yes(const Change *change, const OffsetPlan *plan, CdcError *err)
{
	const CdcOptions *options = change->options;
	char lsn[LSN_TEXT_SIZE];

	cdc_error(err, CDC_USAGE, "offsets %s was not told --yes, and has changed nothing",
			  options->command == CMD_OFFSETS_RESET ? "reset" : "set");
	cdc_error_detail(err, "The sink's position would be set to %s. %s",
					 lsn_format(lsn, plan->position.confirmed), plan->meaning);
	cdc_error_hint(err, "If that is what you want, add --yes.");
	return CDC_USAGE;
}

/* Plans by the position that read gives: the sink's look() or open(). */
static CdcStatus
plan_change(const Change *change, Sink *sink,
			CdcStatus (*read)(Sink *, const Source *, Source *, Position *, bool *, CdcError *),
			OffsetPlan *plan, CdcError *err)
{
	OffsetInput input = {.source = &change->source,
						 .timeline = change->identity.timeline,
						 .wal_end = change->identity.wal_end,
						 .slot_confirmed = change->slot.confirmed_flush_lsn,
						 .reset = change->options->command == CMD_OFFSETS_RESET,
						 .lsn = change->options->lsn};
	CdcStatus status =
		read(sink, &change->source, &input.stored_source, &input.stored, &input.found, err);

	return status == CDC_OK ? offset_plan_make(&input, plan, err) : status;
}

static CdcStatus
store(Change *change, Sink *sink, CdcError *err)
{
	const SinkOps *ops = sink->base.ops;
	OffsetPlan plan;
	SinkProgress progress = {0};
	char text[POSITION_TEXT_SIZE];
	CdcStatus status = plan_change(change, sink, ops->open, &plan, err);

	if (status == CDC_OK)
		status = ops->store(sink, &plan.position, err);
	if (status == CDC_OK)
		status =
			sink_drain(sink, &plan.position, change->deadline, change->interrupted, &progress, err);
	ops->close(sink);
	if (status != CDC_OK)
		return status;
	log_line(LOG_INFO, "the sink's position is now %s", position_describe(text, &plan.position));
	log_line(LOG_INFO, "%s", plan.meaning);
	return CDC_OK;
}

static CdcStatus
change_sink(Change *change, Sink *sink, CdcError *err)
{
	const SinkOps *ops = sink->base.ops;
	OffsetPlan plan;
	CdcStatus status;

	if (ops->keeps_no_position)
	{
		cdc_error(err, CDC_USAGE, "sink \"%s\" keeps no position that could be set", ops->name);
		cdc_error_hint(err, "Each start begins at the slot's confirmed position.");
		return CDC_USAGE;
	}
	if (change->options->yes)
		return store(change, sink, err);
	status = plan_change(change, sink, ops->look, &plan, err);
	return status == CDC_OK ? ask_for_yes(change, &plan, err) : status;
}

int
offsets_change_main(const CdcOptions *options, const volatile int *interrupted)
{
	Change change = {
		.options = options, .interrupted = interrupted, .deadline = clock_now() + CHANGE_TIMEOUT};
	SinkConfig config = {.uri = options->sink,
						 .table = options->sink_table,
						 .commit_interval =
							 sink_commit_interval(options->sink, options->commit_interval),
						 .max_in_flight = options->max_in_flight,
						 .tick = still_patient,
						 .tick_arg = &change};
	Sink *sink = NULL;
	CdcError err;
	CdcStatus status = sink_create(&sink, &config, &err);

	if (status == CDC_OK)
		status = read_server(&change, &err);
	if (status == CDC_OK)
		status = change_sink(&change, sink, &err);
	sink_destroy(sink);
	return finish(status, &err);
}
