/*
 * pump.c
 *		The inner loop.
 *
 * Invariants:
 * - A message is read from the socket only when all frames of the one before were handed over: what
 *   the client holds is one message, and what the sink holds.
 * - What is told to the server is the durable position's "confirmed", nothing else (feedback.c).
 * - "confirmed" moves at the end of a transaction to its end_lsn, and between transactions to the
 *   WAL end that a keepalive has named; so it never passes anything that was not handed over.
 */
#include "pump.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>

#include "clock.h"
#include "delivery.h"
#include "divert.h"
#include "log.h"
#include "session_server.h"
#include "snapshot.h"
#include "wal_message.h"

/* A signal that arrives just before poll() is noticed after this at the latest. */
#define LONGEST_SLEEP_MS 500

/* An idle server's progress is stored in the sink no more often than this. */
#define IDLE_STORE_INTERVAL (5 * CLOCK_SECOND)

/* With an end to reach, a silent server is asked so often how far it is. */
#define ENDPOS_ASK_INTERVAL (CLOCK_SECOND / 20)

/* However busy the socket, the sink and the server's timer get their turn after this. */
#define TURN_INTERVAL (CLOCK_SECOND / 100)

#define PROGRESS_INTERVAL (CLOCK_SECOND / 5)

/* After a stop signal the sink has so long to make durable what it was given. */
#define STOP_TIMEOUT (60 * CLOCK_SECOND)

typedef struct Pump
{
	Session *session;
	Delivery delivery;
	uint64_t idle_lsn; /* WAL end of the last keepalive, if nothing came behind it */
	bool idle_asked;   /* the server waits for that to be confirmed */
	int64_t idle_stored;
	int64_t last_received;
	int64_t last_asked;
	int64_t last_turn;
	int64_t last_progress;
	bool stopping; /* nothing more is handed over; *end is set */
	int64_t stop_deadline;
	PumpEnd end;
} Pump;

static bool
everything_durable(const Session *session)
{
	return position_covers(&session->progress.durable, &session->taken);
}

/* The first end counts; but a signal bounds the wait for the sink that another end has begun. */
static void
begin_stop(Pump *pump, PumpEnd end, int64_t now)
{
	if (!pump->stopping)
	{
		pump->stopping = true;
		pump->end = end;
		pump->stop_deadline = INT64_MAX;
	}
	if (end == PUMP_INTERRUPTED && pump->stop_deadline == INT64_MAX)
		pump->stop_deadline = now + STOP_TIMEOUT;
}

/*
 * Whether the server, which has decoded up to wal_end, can have nothing left that is to be delivered
 * before endpos.  A record that starts at endpos itself belongs to it, if it was there when we
 * began.
 */
static bool
endpos_reached(const Session *session, uint64_t wal_end)
{
	uint64_t endpos = session->state->endpos;

	if (endpos == 0 || snapshot_is_active(session->snapshot))
		return false; /* existing rows are delivered behind what was asked for, and were asked for, too */
	return session->flush_lsn > endpos ? wal_end > endpos : wal_end >= endpos;
}

static CdcStatus
receive_keepalive(Pump *pump, const WalMessage *message, int64_t now)
{
	feedback_note_received(&pump->session->feedback, message->wal_end);
	if (message->reply_requested)
		pump->session->feedback.reply_due = true;
	if (!pump->delivery.in_transaction)
	{
		pump->idle_lsn = message->wal_end;
		pump->idle_asked = message->reply_requested;
		if (endpos_reached(pump->session, message->wal_end))
			begin_stop(pump, PUMP_ENDPOS, now);
	}
	return CDC_OK;
}

static CdcStatus
receive_data(Pump *pump, const WalMessage *message, int64_t now, CdcError *err)
{
	Session *session = pump->session;
	uint64_t endpos = session->state->endpos;
	CdcStatus status = frame_open(&session->reader, message->data, message->length, err);

	if (status != CDC_OK)
		return status;
	feedback_note_received(&session->feedback, message->wal_end);
	pump->idle_lsn = 0;
	pump->idle_asked = false;
	if (endpos != 0 && !snapshot_is_active(session->snapshot) && !pump->delivery.in_transaction &&
		session->reader.message.commit_lsn > endpos)
	{
		begin_stop(pump, PUMP_ENDPOS, now);
		delivery_drop(&pump->delivery);
		return CDC_OK;
	}
	if (session->reader.message.timeline > session->identity.timeline)
		return cdc_error(err, CDC_RETRY,
						 "the server has been promoted to timeline %" PRIu32
						 ": beginning anew, to hold positions against its history",
						 session->reader.message.timeline);
	return delivery_continue(&pump->delivery, err);
}

/* The stream has ended by itself: the result says why. */
static CdcStatus
stream_ended(Session *session, CdcError *err)
{
	PGresult *result = PQgetResult(session->conn);
	CdcStatus status;

	if (result == NULL || PQresultStatus(result) == PGRES_FATAL_ERROR)
		status = pgconn_error(session->conn, result, "streaming", err);
	else
		status = cdc_error(err, CDC_RETRY, "the server has ended the stream: it is shutting down");
	PQclear(result);
	return status;
}

/* Takes one message that libpq has whole.	*got is false where it has none. */
static CdcStatus
receive(Pump *pump, int64_t now, bool *got, CdcError *err)
{
	Session *session = pump->session;
	WalMessage message;
	char *data = NULL;
	int length = PQgetCopyData(session->conn, &data, 1);
	CdcStatus status;

	*got = length > 0;
	if (length == 0)
		return CDC_OK;
	if (length == -1)
		return stream_ended(session, err);
	if (length < 0)
		return pgconn_error(session->conn, NULL, "streaming", err);
	pump->last_received = now;
	pump->delivery.message = data;
	status = wal_message_parse(&message, data, (size_t) length, err);
	if (status == CDC_OK && message.kind == WAL_DATA)
		return receive_data(pump, &message, now, err);
	if (status == CDC_OK)
		status = receive_keepalive(pump, &message, now);
	delivery_drop(&pump->delivery);
	return status;
}

/* Stores what an idle server has decoded without finding anything for us. */
static CdcStatus
store_idle_progress(Pump *pump, int64_t now, CdcError *err)
{
	Session *session = pump->session;
	CdcStatus status;
	bool same_timeline;

	if (pump->idle_lsn <= session->taken.confirmed || pump->delivery.in_transaction ||
		(!pump->idle_asked && !pump->stopping && now - pump->idle_stored < IDLE_STORE_INTERVAL))
		return CDC_OK;
	status = session_check_timeline(session, &same_timeline, err);
	if (status != CDC_OK)
		return status;
	pump->idle_stored = now;
	if (!same_timeline)
	{
		pump->idle_lsn = 0; /* the next keepalive names it again */
		return CDC_OK;
	}
	session->taken.confirmed = pump->idle_lsn;
	return session_sink_status(
		session, session->state->sink->base.ops->store(session->state->sink, &session->taken, err));
}

static void
show_progress(Pump *pump, int64_t now)
{
	Session *session = pump->session;
	const Position *durable = &session->progress.durable;
	LogProgress progress = {.records = session->state->records,
							.bytes = session->state->bytes,
							.dead_letters = session->state->dead_letters_written};

	if (!session->state->options->progress || now - pump->last_progress < PROGRESS_INTERVAL)
		return;
	pump->last_progress = now;
	if (session->feedback.server_end > durable->confirmed)
		progress.lag_bytes = session->feedback.server_end - durable->confirmed;
	progress.lag_seconds = -1;
	if (everything_durable(session) && !pump->delivery.in_transaction)
		progress.lag_seconds = 0;
	else if (durable->commit_time != 0)
		progress.lag_seconds =
			(double) (clock_timestamp() - durable->commit_time) / (double) CLOCK_SECOND;
	lsn_format(progress.durable_lsn, durable->confirmed);
	log_progress(&progress, now);
}

/* When to ask the server for a sign of life, or how far it is. */
static int64_t
ask_deadline(const Pump *pump)
{
	const StreamState *state = pump->session->state;
	int64_t interval = pump->session->receive_timeout / 3;
	int64_t since = pump->last_received > pump->last_asked ? pump->last_received : pump->last_asked;

	if (pump->stopping || pump->delivery.message != NULL)
		return INT64_MAX; /* nothing is read that it might answer */
	if (state->endpos != 0 && interval > ENDPOS_ASK_INTERVAL)
		interval = ENDPOS_ASK_INTERVAL;
	return since + interval;
}

static void
ask_server(Pump *pump, int64_t now)
{
	if (now < ask_deadline(pump))
		return;
	pump->last_asked = now;
	pump->session->feedback.ask_for_reply = true;
}

/* An existing row comes again under another identity, so it would not be known again. */
static CdcStatus
refused_row(const Session *session, CdcError *err)
{
	CdcError answer = *err;

	cdc_error(err, CDC_STOP, "an existing row was refused by sink \"%s\": %.1500s",
			  session->state->sink->base.ops->name, answer.message);
	cdc_error_detail(err, "%.1800s", answer.detail);
	cdc_error_hint(err,
				   "%.1500s%sRepair what refuses it; or leave it out by a row filter; or go on "
				   "without the rest of the existing rows: --snapshot=never, or where they were "
				   "requested, cdc_client backfill --cancel.",
				   answer.hint, answer.hint[0] != '\0' ? " " : "");
	return CDC_STOP;
}

/*
 * CDC_REFUSED: a record is to be diverted when it comes again.	 A sink that refuses the same one again,
 * which it was not given, has failed.
 */
static CdcStatus
poll_sink(Session *session, int64_t now, CdcError *err)
{
	Sink *sink = session->state->sink;
	CdcStatus status = sink->base.ops->poll(sink, now, &session->progress, err);
	bool divert;

	if (status == CDC_REFUSED && snapshot_cursor_has_chunk(session->progress.refused.commit_lsn))
		status = refused_row(session, err);
	divert = status == CDC_REFUSED && divert_remember(session, &session->progress.refused, err);

	status = session_sink_status(session, status);
	return divert ? CDC_REFUSED : status;
}

/* Existing rows, and what is remembered of those that are durable. */
static CdcStatus
turn_snapshot(Pump *pump, int64_t now, CdcError *err)
{
	Session *session = pump->session;
	CdcStatus status = CDC_OK;

	snapshot_cursor_release(session->progress.durable.snapshot);
	if (!pump->stopping)
		status = snapshot_turn(session->snapshot, now, !pump->delivery.in_transaction, err);
	if (status == CDC_OK && session->state->options->snapshot_only &&
		!snapshot_is_active(session->snapshot))
		begin_stop(pump, PUMP_SNAPSHOT, now);
	return status;
}

/* The sink's and the server's turn. */
static CdcStatus
take_turn(Pump *pump, int64_t now, CdcError *err)
{
	Session *session = pump->session;
	StreamState *state = session->state;
	const SinkOps *ops = state->sink->base.ops;
	CdcStatus status;

	pump->last_turn = now;
	if (*state->interrupted != 0)
		begin_stop(pump, PUMP_INTERRUPTED, now);
	status = store_idle_progress(pump, now, err);
	/* before the sink's turn: what ends the run here is not to wait until the next turn for its flush */
	if (status == CDC_OK)
		status = turn_snapshot(pump, now, err);
	if (status == CDC_OK && pump->stopping)
		status = session_sink_status(session, ops->flush(state->sink, err));
	if (status == CDC_OK)
		status = poll_sink(session, now, err);
	if (status != CDC_OK)
		return status;
	/* What was accepted was accepted once: a gap that opens later is another one. */
	if (position_covers(&session->progress.durable, &session->start))
	{
		state->accepts = (ResumeAccepts){0};
		state->position_of = session->source;
	}
	if (session->progress.closed)
		begin_stop(pump, PUMP_CLOSED, now);
	/* Until the position that we began with is stored, the sink may speak of another stream. */
	if (position_same_stream(&session->progress.durable, &session->start))
		feedback_note_durable(&session->feedback, session->progress.durable.confirmed);
	pump->delivery.sink_full = false;
	show_progress(pump, now);
	ask_server(pump, now);
	return session_send_feedback(session, now, err);
}

/* Sleeps until the socket, the sink or a timer wants something. */
static CdcStatus
wait_for_events(Pump *pump, bool read_socket, CdcError *err)
{
	Session *session = pump->session;
	Sink *sink = session->state->sink;
	int64_t now = clock_now();
	int64_t deadline = feedback_deadline(&session->feedback);
	SinkWait wait = {0};
	struct pollfd fds[SINK_MAX_FDS + 1 + SNAPSHOT_MAX_FDS];
	int num_fds;

	sink->base.ops->wait(sink, now, &wait);
	memcpy(fds, wait.fds, (size_t) wait.num_fds * sizeof(fds[0]));
	fds[wait.num_fds] = (struct pollfd){.fd = PQsocket(session->conn)};
	if (read_socket)
		fds[wait.num_fds].events |= POLLIN;
	if (PQflush(session->conn) > 0)
		fds[wait.num_fds].events |= POLLOUT;
	if (fds[wait.num_fds].events == 0)
		fds[wait.num_fds].fd = -1; /* a hang-up could not be dealt with now, and would spin */
	if (wait.deadline != 0 && wait.deadline < deadline)
		deadline = wait.deadline;
	if (ask_deadline(pump) < deadline)
		deadline = ask_deadline(pump);
	num_fds = wait.num_fds + 1;
	if (!pump->stopping)
		num_fds += snapshot_wait(session->snapshot, fds + num_fds, &deadline);
	if (poll(fds, (nfds_t) num_fds, clock_timeout_ms(now, deadline, LONGEST_SLEEP_MS)) < 0 &&
		errno != EINTR)
		return cdc_error(err, CDC_RETRY, "poll() failed: %s", strerror(errno));
	if ((fds[wait.num_fds].revents & (POLLIN | POLLERR | POLLHUP)) == 0 || !read_socket)
		return CDC_OK;
	if (!PQconsumeInput(session->conn))
		return pgconn_error(session->conn, NULL, "streaming", err);
	/* A part of a message is a sign of life too: a large one may take longer than the timeout. */
	pump->last_received = clock_now();
	return CDC_OK;
}

static CdcStatus
check_receive_timeout(Pump *pump, int64_t now, CdcError *err)
{
	int64_t timeout = pump->session->receive_timeout;

	if (now - pump->last_received < timeout)
		return CDC_OK;
	cdc_error(err, CDC_RETRY, "nothing has come from the server for %" PRId64 " s",
			  timeout / CLOCK_SECOND);
	cdc_error_hint(err, "The connection is taken for dead; --receive-timeout says after how long.");
	return CDC_RETRY;
}

/* Everything is handed over that will be; done once it is durable. */
static CdcStatus
check_stopped(Pump *pump, int64_t now, bool *stopped, CdcError *err)
{
	Session *session = pump->session;

	*stopped = everything_durable(session) || pump->end == PUMP_CLOSED;
	if (*stopped)
		return CDC_OK;
	if (now >= pump->stop_deadline || *session->state->interrupted > 1)
	{
		session->sink_failed = true;
		return cdc_error(err, CDC_RETRY,
						 "stopped before the sink had made durable what it was given: the rest is "
						 "delivered again at the next start");
	}
	return CDC_OK;
}

/* Moves records from libpq to the sink; *moved is false where there is none, or the sink is full. */
static CdcStatus
move_records(Pump *pump, int64_t now, bool *moved, CdcError *err)
{
	const StreamState *state = pump->session->state;
	uint64_t before = state->records;
	uint64_t letters_before = state->dead_letters_written;
	CdcStatus status;

	*moved = false;
	if (pump->stopping)
		return CDC_OK;
	if (pump->delivery.message == NULL)
		status = receive(pump, now, moved, err);
	else
	{
		status = delivery_continue(&pump->delivery, err);
		*moved = pump->delivery.message == NULL || state->records != before;
	}
	if (state->dead_letters_written != letters_before)
	{
		/* writing one took its time, in which nothing was read */
		*moved = true;
		pump->last_received = clock_now();
	}
	/* What comes next begins behind the end of what came whole, so no keepalive need say so. */
	if (status == CDC_OK && !pump->delivery.in_transaction &&
		endpos_reached(pump->session, pump->delivery.ended_lsn))
		begin_stop(pump, PUMP_ENDPOS, now);
	return status;
}

/* One round; *stopped: the end. */
static CdcStatus
run_once(Pump *pump, bool *stopped, CdcError *err)
{
	int64_t now = clock_now();
	bool moved;
	CdcStatus status = move_records(pump, now, &moved, err);

	if (status != CDC_OK ||
		(moved && !pump->delivery.sink_full && now - pump->last_turn < TURN_INTERVAL))
		return status;
	status = take_turn(pump, now, err);
	if (status == CDC_OK && pump->stopping)
		status = check_stopped(pump, now, stopped, err);
	if (status != CDC_OK || *stopped || moved)
		return status;
	/* The sink may have made room just now, and then it will not wake us for it. */
	if (pump->delivery.message != NULL)
		status = move_records(pump, now, &moved, err);
	if (status != CDC_OK || moved)
		return status;
	/* While we do not read, the server's silence is of our making. */
	if (pump->delivery.message != NULL || pump->stopping)
		pump->last_received = now;
	status = wait_for_events(pump, pump->delivery.message == NULL && !pump->stopping, err);
	return status == CDC_OK ? check_receive_timeout(pump, clock_now(), err) : status;
}

CdcStatus
pump_run(Session *session, PumpEnd *end, CdcError *err)
{
	Pump pump = {
		.session = session, .delivery = {.session = session}, .last_received = clock_now()};
	bool stopped = false;
	CdcStatus status = CDC_OK;

	/* A slot that is past the end already, or a server that is idle there. */
	if (session->state->endpos != 0)
		session->feedback.ask_for_reply = true;
	while (status == CDC_OK && !stopped)
		status = run_once(&pump, &stopped, err);
	delivery_drop(&pump.delivery);
	if (status != CDC_OK)
		return status;
	*end = pump.end;
	session_leave(session);
	return CDC_OK;
}
