/*
 * session.c
 *		One stretch of streaming: how it begins and ends.
 *
 * The order of the beginning is part of the guarantee: the slot first, since whoever has it is the
 * only one to deliver; then the sink, which shuts out any client that has lost the slot without
 * knowing; only then the position, which nobody else can change any more; and the slot's own position
 * last, by a second connection, since nobody else can move that either now.
 */
#include "session.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "pgwait.h"
#include "selection.h"
#include "source_name.h"
#include "wal_message.h"

/* How long the server may take to end CopyBoth; a large transaction under way can keep it busy. */
#define LEAVE_TIMEOUT (5 * CLOCK_SECOND)

#define DRAIN_TIMEOUT (10 * CLOCK_SECOND)

static void
log_notice(const char *line)
{
	log_line(LOG_INFO, "%s", line);
}

CdcStatus
session_send_status(Session *session, int64_t now, CdcError *err)
{
	uint8_t bytes[WAL_STATUS_SIZE];

	feedback_build(&session->feedback, bytes, now, clock_timestamp());
	if (PQputCopyData(session->conn, (const char *) bytes, sizeof(bytes)) < 0 ||
		PQflush(session->conn) < 0)
		return pgconn_error(session->conn, NULL, "sending a status update", err);
	return CDC_OK;
}

CdcStatus
session_send_feedback(Session *session, int64_t now, CdcError *err)
{
	if (feedback_deadline(&session->feedback) <= now)
		return session_send_status(session, now, err);
	if (PQflush(session->conn) < 0)
		return pgconn_error(session->conn, NULL, "sending a status update", err);
	return CDC_OK;
}

CdcStatus
session_sink_status(Session *session, CdcStatus status)
{
	if (status != CDC_OK)
		session->sink_failed = true;
	return status;
}

/* SinkConfig's tick: the server must not take us for dead while the sink is being opened. */
bool
session_tick(void *session_arg)
{
	Session *session = session_arg;
	CdcError ignored;

	if (*session->state->interrupted != 0)
		return false;
	return session_send_feedback(session, clock_now(), &ignored) == CDC_OK;
}

static CdcStatus
query_one(PGconn *conn, const char *sql, char *value, size_t size, CdcError *err)
{
	PGresult *result;
	CdcStatus status = pgconn_query(conn, sql, &result, err);

	if (status != CDC_OK)
		return status;
	if (PQntuples(result) == 1 && PQnfields(result) == 1)
		snprintf(value, size, "%s", PQgetvalue(result, 0, 0));
	else
		status = cdc_error(err, CDC_RETRY, "the server answered \"%s\" without a row", sql);
	PQclear(result);
	return status;
}

/* How the server came to its timeline; asked before the slot is acquired, as then no more can be. */
static CdcStatus
read_history(Session *session, CdcError *err)
{
	uint32_t timeline = session->identity.timeline;
	PGresult *result;
	char command[64];
	CdcStatus status;

	session->history.current = timeline;
	if (timeline <= 1) /* which has no history, and asking for it is an error */
		return CDC_OK;
	snprintf(command, sizeof(command), "TIMELINE_HISTORY %" PRIu32, timeline);
	status = pgconn_query(session->conn, command, &result, err);
	if (status != CDC_OK)
		return status;
	if (PQntuples(result) == 1 && PQnfields(result) == 2)
		status = timeline_history_parse(&session->history, timeline, PQgetvalue(result, 0, 1),
										(size_t) PQgetlength(result, 0, 1), err);
	else
		status = cdc_error(err, CDC_RETRY, "the server answered %s without a row", command);
	PQclear(result);
	return status;
}

/* Who the server is, and what it can tell only before CopyBoth. */
static CdcStatus
learn_server(Session *session, CdcError *err)
{
	const CdcOptions *options = session->state->options;
	char text[32] = "";
	CdcStatus status = pgconn_identify(session->conn, &session->identity, err);

	if (status == CDC_OK)
		status = read_history(session, err);
	if (status == CDC_OK)
		status = query_one(session->conn, "SELECT pg_catalog.pg_is_in_recovery()", text,
						   sizeof(text), err);
	session->in_recovery = text[0] == 't';
	if (status == CDC_OK)
		status = query_one(session->conn,
						   "SELECT setting FROM pg_catalog.pg_settings "
						   "WHERE name = 'wal_sender_timeout'",
						   text, sizeof(text), err);
	if (status != CDC_OK)
		return status;
	feedback_start(&session->feedback, options->status_interval,
				   strtoll(text, NULL, 10) * (CLOCK_SECOND / 1000), 0);
	snprintf(session->source.system_identifier, sizeof(session->source.system_identifier), "%s",
			 session->identity.system_identifier);
	snprintf(session->source.database, sizeof(session->source.database), "%s",
			 session->identity.database);
	snprintf(session->source.slot, sizeof(session->source.slot), "%s", options->slot);
	return CDC_OK;
}

/* The slot as it stands, made if it is missing and --create-slot allows. */
static CdcStatus
find_slot(Session *session, CdcError *err)
{
	const CdcOptions *options = session->state->options;
	uint64_t consistent_point;
	char lsn[LSN_TEXT_SIZE];
	CdcStatus status = slot_read(session->conn, options->slot, &session->slot, err);

	if (status == CDC_OK && !session->slot.exists && options->create_slot)
	{
		status = slot_create(session->conn, options->dbname, options->slot, options->failover,
							 session->state->interrupted, log_notice, &consistent_point, err);
		if (status == CDC_OK)
		{
			log_line(LOG_INFO, "created slot \"%s\" at %s", options->slot,
					 lsn_format(lsn, consistent_point));
			status = slot_read(session->conn, options->slot, &session->slot, err);
		}
	}
	if (status != CDC_OK)
		return status;
	if (!session->slot.exists)
	{
		cdc_error(err, CDC_STOP, "slot \"%s\" does not exist", options->slot);
		cdc_error_hint(err,
					   "cdc_client slot list shows those there are.  To make it: cdc_client slot "
					   "create --slot=%s, or "
					   "stream --create-slot; it begins with what is committed from then on."
					   "%s",
					   options->slot,
					   session->identity.timeline > 1 && session->identity.version < 170000
						   ? " A server before PostgreSQL 17 that was promoted does not have the "
							 "slots of its primary."
						   : "");
		return CDC_STOP;
	}
	return slot_check_usable(&session->slot, options->slot, session->identity.database, err);
}

/* Appends to a command that is being built; false: out of memory. */
static bool append(char **command, const char *fmt, ...) CDC_PRINTF(2, 3);

static bool
append(char **command, const char *fmt, ...)
{
	char *more = NULL;
	char *longer = NULL;
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&more, fmt, args) < 0)
		more = NULL;
	va_end(args);
	if (more != NULL && asprintf(&longer, "%s%s", *command != NULL ? *command : "", more) < 0)
		longer = NULL;
	free(more);
	if (longer == NULL)
		return false;
	free(*command);
	*command = longer;
	return true;
}

/* START_REPLICATION with all plugin options; malloc'd, NULL: out of memory. */
static char *
build_start_command(const CdcOptions *options)
{
	char *command = NULL;
	char *slot = pgconn_quote_identifier(options->slot);
	bool good =
		slot != NULL && append(&command,
							   "START_REPLICATION SLOT %s LOGICAL 0/0 (\"framing\" 'frames', "
							   "\"protocol_version\" '1'",
							   slot);

	free(slot);
	for (int i = 0; i < options->num_plugin_options && good; i++)
	{
		char *name = pgconn_quote_identifier(options->plugin_options[i].name);
		char *value = pgconn_quote_literal(options->plugin_options[i].value);

		good = name != NULL && value != NULL && append(&command, ", %s %s", name, value);
		free(name);
		free(value);
	}
	if (good)
		good = append(&command, ")");
	if (!good)
	{
		free(command);
		return NULL;
	}
	return command;
}

static CdcStatus
start_replication(Session *session, CdcError *err)
{
	const CdcOptions *options = session->state->options;
	char *command = build_start_command(options);
	PGresult *result;
	char what[120];
	CdcStatus status;

	if (command == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	status = pgwait_result(session->conn, PQsendQuery(session->conn, command),
						   session->state->interrupted, PGWAIT_TIMEOUT, &result, err);
	free(command);
	if (status != CDC_OK)
		return status;
	snprintf(what, sizeof(what), "START_REPLICATION of slot \"%s\"", options->slot);
	if (PQresultStatus(result) != PGRES_COPY_BOTH)
		status = pgconn_error(session->conn, result, what, err);
	PQclear(result);
	if (status == CDC_OK && PQsetnonblocking(session->conn, 1) != 0)
		status = pgconn_error(session->conn, NULL, what, err);
	return status;
}

/*
 * The slot is not in use although it was acquired.	 If the walsender has ended, what it ended with says
 * more; else the second connection has led elsewhere.	 (Messages that have come meanwhile are dropped: the
 * session ends.)
 */
static CdcStatus
explain_inactive(Session *session, PGconn *sql, CdcError *err)
{
	const char *slot = session->state->options->slot;
	int length = PQconsumeInput(session->conn) ? 1 : -2;

	while (length > 0)
	{
		char *message = NULL;

		length = PQgetCopyData(session->conn, &message, 1);
		PQfreemem(message);
	}
	if (length < 0)
	{
		PGresult *result = PQgetResult(session->conn);
		CdcStatus status = pgconn_error(session->conn, result, "streaming", err);

		PQclear(result);
		return status;
	}
	cdc_error(
		err, CDC_RETRY,
		"slot \"%s\" is streamed from one server, but is not in use on the one that the second "
		"connection led to (\"%s\", port %s)",
		slot, PQhost(sql), PQport(sql));
	cdc_error_hint(err,
				   "Where --dbname names several servers, all connections must lead to the same "
				   "one: target_session_attrs=read-write finds the primary.");
	return CDC_RETRY;
}

/* Where the slot and the server are now that nobody else can move the slot. */
static CdcStatus
read_acquired_slot(Session *session, CdcError *err)
{
	const CdcOptions *options = session->state->options;
	char text[32] = "";
	PGconn *sql = NULL;
	CdcStatus status =
		pgconn_open(&sql, options->dbname, PGCONN_SQL, session->state->interrupted, err);

	if (status == CDC_OK)
		status = slot_read(sql, options->slot, &session->slot, err);
	if (status == CDC_OK && (!session->slot.exists || !session->slot.active))
		status = explain_inactive(session, sql, err);
	if (status == CDC_OK)
		status = query_one(sql,
						   "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() "
						   "THEN pg_catalog.pg_last_wal_replay_lsn() "
						   "ELSE pg_catalog.pg_current_wal_flush_lsn() END",
						   text, sizeof(text), err);
	if (status == CDC_OK && !lsn_parse(text, &session->flush_lsn))
		status = cdc_error(err, CDC_RETRY, "the server says that its WAL ends at \"%s\"", text);
	if (status == CDC_OK)
		status = source_name_read(sql, options, session->identity.database, session->source.name,
								  sizeof(session->source.name), err);
	/* later it may be dropped, which the plugin tells: what was selected is still in the WAL */
	if (status == CDC_OK && !session->state->selection_known)
		status = selection_check(sql, options, err);
	if (status == CDC_OK)
		session->state->selection_known = true;
	PQfinish(sql);
	return status;
}

CdcStatus
session_check_promotion(Session *session, CdcError *err)
{
	char text[32] = "";
	PGconn *sql = NULL;
	CdcStatus status;

	if (!session->in_recovery)
		return CDC_OK;
	status = pgconn_open(&sql, session->state->options->dbname, PGCONN_SQL,
						 session->state->interrupted, err);
	if (status == CDC_OK)
		status = query_one(sql, "SELECT pg_catalog.pg_is_in_recovery()", text, sizeof(text), err);
	if (status == CDC_OK && text[0] != 't')
		status = cdc_error(err, CDC_RETRY, "the standby has been promoted: beginning anew");
	PQfinish(sql);
	return status;
}

/* Opens the sink and decides where to go on. */
static CdcStatus
resume(Session *session, CdcError *err)
{
	StreamState *state = session->state;
	const SinkOps *ops = state->sink->base.ops;
	ResumePlan plan;
	ResumeInput input = {
		.source = &session->source,
		.history = &session->history,
		.wal_end = session->identity.wal_end,
		.in_recovery = session->in_recovery,
		.slot_confirmed = session->slot.confirmed_flush_lsn,
		.sink_forgets = ops->keeps_no_position,
		.require_position = state->options->require_position,
		.accepts = state->accepts,
	};
	CdcStatus status;

	session->sink_open = true; /* close() is safe after a failed open() */
	status = ops->open(state->sink, &session->source, &input.stored_source, &input.stored,
					   &input.found, err);
	status = session_sink_status(session, status);
	if (status == CDC_OK)
		status = resume_decide(&input, &plan, err);
	if (status != CDC_OK)
		return status;
	for (int i = 0; i < plan.num_notes; i++)
		log_line(plan.notes[i].warning ? LOG_WARNING : LOG_INFO, "%s", plan.notes[i].text);
	/* What was accepted was accepted once: a gap that opens later is another one. */
	state->accepts = (ResumeAccepts){0};
	session->start = session->taken = plan.start;
	session->feedback.floor = session->slot.confirmed_flush_lsn;
	feedback_note_server_end(&session->feedback, session->identity.wal_end);
	if (!plan.changed)
		return CDC_OK;
	return session_sink_status(session, ops->store(state->sink, &session->taken, err));
}

static void
log_opened(const Session *session)
{
	const Source *source = &session->source;
	bool named = strcmp(source->name, source->database) != 0;
	char lsn[LSN_TEXT_SIZE];

	log_line(LOG_INFO,
			 "streaming slot \"%s\" of database \"%s\"%s%s%s from %s to sink \"%s\" (PostgreSQL "
			 "%d.%d, timeline %" PRIu32 "%s)",
			 source->slot, source->database, named ? ", source \"" : "", named ? source->name : "",
			 named ? "\"," : "", lsn_format(lsn, session->start.confirmed),
			 session->state->sink->base.ops->name, session->identity.version / 10000,
			 session->identity.version % 10000, session->identity.timeline,
			 session->in_recovery ? ", standby" : "");
}

/* --until=now is the server's WAL end at the very first start, whatever is reconnected to later. */
static void
settle_endpos(Session *session)
{
	StreamState *state = session->state;

	if (state->endpos == 0 && state->options->until_now)
		state->endpos = session->flush_lsn;
}

CdcStatus
session_open(Session *session, StreamState *state, CdcError *err)
{
	CdcStatus status;

	memset(session, 0, sizeof(*session));
	session->state = state;
	status = pgconn_open(&session->conn, state->options->dbname, PGCONN_REPLICATION,
						 state->interrupted, err);
	if (status == CDC_OK)
		status = learn_server(session, err);
	if (status == CDC_OK)
		status = find_slot(session, err);
	if (status == CDC_OK)
		status = start_replication(session, err);
	if (status == CDC_OK)
		status = read_acquired_slot(session, err);
	if (status == CDC_OK)
		status = resume(session, err);
	if (status != CDC_OK)
		return status;
	settle_endpos(session);
	session->opened = clock_now();
	log_opened(session);
	return CDC_OK;
}

void
session_leave(Session *session)
{
	int64_t deadline = clock_now() + LEAVE_TIMEOUT;
	CdcError ignored;
	char *buffer;
	int got;

	if (session_send_status(session, clock_now(), &ignored) != CDC_OK ||
		PQputCopyEnd(session->conn, NULL) < 0)
		return;
	while (clock_now() < deadline && *session->state->interrupted < 2)
	{
		struct pollfd fd = {.fd = PQsocket(session->conn), .events = POLLIN};

		if (PQflush(session->conn) > 0)
			fd.events |= POLLOUT;
		got = PQgetCopyData(session->conn, &buffer, 1);
		if (got > 0)
			PQfreemem(buffer);
		else if (got < 0)
			return; /* the server has ended it, so it has read our last status */
		else if (poll(&fd, 1, 100) > 0 && !PQconsumeInput(session->conn))
			return;
	}
}

void
session_close(Session *session)
{
	StreamState *state = session->state;
	CdcError ignored;

	/* What was received before the connection broke need not be received again. */
	if (session->sink_open && !session->sink_failed && session->opened > 0 &&
		sink_drain(state->sink, &session->taken, clock_now() + DRAIN_TIMEOUT, state->interrupted,
				   &session->progress, &ignored) != CDC_OK)
	{
		session->sink_failed = true;
		log_error(LOG_DEBUG, &ignored);
	}
	if (session->sink_open)
		state->sink->base.ops->close(state->sink);
	session->sink_open = false;
	dead_letters_close(state->dead_letters);
	PQfinish(session->conn);
	session->conn = NULL;
	frame_reader_reset(&session->reader);
	timeline_history_free(&session->history);
}
