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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "session_server.h"
#include "snapshot.h"
#include "wal_message.h"

/* How long the server may take to end CopyBoth; a large transaction under way can keep it busy. */
#define LEAVE_TIMEOUT (5 * CLOCK_SECOND)

#define DRAIN_TIMEOUT (10 * CLOCK_SECOND)

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
	/* only deliver() and poll() refuse records (sink.h), and are asked where they do */
	return status == CDC_REFUSED ? CDC_RETRY : status;
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

/*
 * Opening the sink can take long.  Meanwhile we may have lost the slot without knowing, and who has it
 * now may have delivered what the server had not yet written when it was asked: no divergence.
 */
static CdcStatus
refresh_wal_end(Session *session, ResumeInput *input, CdcError *err)
{
	const Position *stored = &input->stored;

	if (!input->found ||
		(stored->end_lsn <= input->wal_end && stored->id.commit_lsn <= input->wal_end))
		return CDC_OK;
	return session_read_wal_end(session, &input->wal_end, err);
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
		.wal_end = session->flush_lsn,
		.in_recovery = session->in_recovery,
		.slot_confirmed = session->slot.confirmed_flush_lsn,
		.sink_forgets = ops->keeps_no_position,
		.had_position =
			!ops->keeps_no_position && source_equal(&session->source, &state->position_of),
		.require_position = state->options->require_position,
		.snapshot_said = state->options->snapshot_initial || state->options->snapshot_only ||
						 state->options->snapshot_never,
		.accepts = state->accepts,
	};
	bool begins = false;
	CdcStatus status;

	session->sink_open = true; /* close() is safe after a failed open() */
	status = ops->open(state->sink, &session->source, &input.stored_source, &input.stored,
					   &input.found, err);
	status = session_sink_status(session, status);
	if (status == CDC_OK)
		status = refresh_wal_end(session, &input, err);
	if (status == CDC_OK)
		status = resume_decide(&input, &plan, err);
	if (status != CDC_OK)
		return status;
	for (int i = 0; i < plan.num_notes; i++)
		log_line(plan.notes[i].warning ? LOG_WARNING : LOG_INFO, "%s", plan.notes[i].text);
	session->start = session->taken = plan.start;
	session->feedback.floor = session->slot.confirmed_flush_lsn;
	feedback_note_server_end(&session->feedback, session->flush_lsn);
	status =
		snapshot_open(&session->snapshot, session, input.found && !plan.begins_anew, &begins, err);
	if (status != CDC_OK || (!plan.changed && !begins))
		return status;
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
	snapshot_make_token(session->token);
	status = pgconn_open(&session->conn, state->options->dbname, PGCONN_REPLICATION,
						 state->interrupted, err);
	if (status == CDC_OK)
		status = session_learn_server(session, err);
	if (status == CDC_OK)
		status = session_acquire_slot(session, err);
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

/* Where the sink keeps no position, how far existing rows have come is known here only. */
static void
remember_snapshot(const Session *session)
{
	StreamState *state = session->state;
	const Position *durable = &session->progress.durable;

	if (session->snapshot == NULL ||
		(!state->sink->base.ops->keeps_no_position && !state->sink->base.ops->keeps_no_snapshot))
		return;
	/* a session in which nothing became durable leaves it as it was */
	if (durable->snapshot != NULL)
	{
		state->snapshot_id = durable->id;
		state->snapshot_cursor = durable->snapshot;
	}
	else if (!state->snapshot_known && session->start.snapshot != NULL)
		state->snapshot_cursor = session->start.snapshot;
	else
		return; /* one that failed before it began is still to be begun */
	state->snapshot_known = true;
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
	remember_snapshot(session);
	snapshot_close(session->snapshot);
	session->snapshot = NULL;
	if (session->sink_open)
		state->sink->base.ops->close(state->sink);
	session->sink_open = false;
	dead_letters_close(state->dead_letters);
	PQfinish(session->conn);
	session->conn = NULL;
	frame_reader_reset(&session->reader);
	timeline_history_free(&session->history);
}
