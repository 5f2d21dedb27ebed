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

#include "../plugin/cdc_protocol.h"
#include "clock.h"
#include "log.h"
#include "wal_message.h"

/* A signal that arrives just before poll() is noticed after this at the latest. */
#define LONGEST_SLEEP_MS 500

/* An idle server's progress is stored in the sink no more often than this. */
#define IDLE_STORE_INTERVAL (5 * CLOCK_SECOND)

/* With an end to reach, a silent server is asked so often how far it is. */
#define ENDPOS_ASK_INTERVAL (CLOCK_SECOND / 4)

/* However busy the socket, the sink and the server's timer get their turn after this. */
#define TURN_INTERVAL (CLOCK_SECOND / 100)

#define PROGRESS_INTERVAL (CLOCK_SECOND / 5)

/* After a stop signal the sink has so long to make durable what it was given. */
#define STOP_TIMEOUT (60 * CLOCK_SECOND)

typedef struct Pump
{
	Session *session;
	char *copy_data; /* the message being handed over, libpq's; NULL: none */
	Frame frame;     /* of it, not yet handed over */
	bool have_frame;
	bool record_taken;   /* of that frame: what is left is the end of its transaction */
	bool in_transaction; /* frames came, the commit frame did not yet */
	uint64_t transaction_lsn;
	RecordId seen; /* the last record that came in this session */
	bool sink_full;
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
	const Position *durable = &session->progress.durable;

	return record_id_compare(&durable->id, &session->taken.id) >= 0 &&
		   durable->end_lsn >= session->taken.end_lsn &&
		   durable->confirmed >= session->taken.confirmed;
}

static void
begin_stop(Pump *pump, PumpEnd end, int64_t now)
{
	if (pump->stopping)
		return;
	pump->stopping = true;
	pump->end = end;
	pump->stop_deadline = end == PUMP_INTERRUPTED ? now + STOP_TIMEOUT : INT64_MAX;
}

/* A status of the sink's: remembered as its own, so that it is closed without further ado. */
static CdcStatus
sink_status(Session *session, CdcStatus status)
{
	if (status != CDC_OK)
		session->sink_failed = true;
	return status;
}

/* Records rise strictly; otherwise one would be taken for a double and lost in silence. */
static CdcStatus
check_order(Pump *pump, const RecordId *id, CdcError *err)
{
	char lsn[LSN_TEXT_SIZE];
	char seen_lsn[LSN_TEXT_SIZE];
	const MessageHeader *message = &pump->session->reader.message;

	if (pump->in_transaction && pump->transaction_lsn != id->commit_lsn)
		return cdc_error(
			err, CDC_STOP, "the server began transaction %s before it ended transaction %s",
			lsn_format(lsn, id->commit_lsn), lsn_format(seen_lsn, pump->transaction_lsn));
	if (pump->frame.kind == CDC_FRAME_COMMIT && !message->transactional)
		return CDC_OK; /* has the id of the message that it ends */
	if (record_id_compare(id, &pump->seen) <= 0)
		return cdc_error(err, CDC_STOP,
						 "the server sent record %s seq %" PRIu64 " after record %s seq %" PRIu64,
						 lsn_format(lsn, id->commit_lsn), id->seq,
						 lsn_format(seen_lsn, pump->seen.commit_lsn), pump->seen.seq);
	pump->seen = *id;
	return CDC_OK;
}

/* The position that holds once this record, or end of a transaction, is durable. */
static Position
position_after(const Session *session, const RecordId *id)
{
	const MessageHeader *message = &session->reader.message;
	Position after = session->taken;

	after.id = *id;
	if (message->timeline > after.timeline)
		after.timeline = message->timeline;
	if (message->commit_time != 0)
		after.commit_time = message->commit_time;
	return after;
}

/* Hands one record to the sink, unless the window is full or the sink is. */
static CdcStatus
deliver_record(Pump *pump, const RecordId *id, CdcError *err)
{
	Session *session = pump->session;
	StreamState *state = session->state;
	const SinkOps *ops = state->sink->base.ops;
	uint64_t in_flight = session->taken_bytes - session->progress.durable_bytes;
	uint32_t length = pump->frame.payload_length;
	Position after = position_after(session, id);
	SinkRecord record = {.message = &session->reader.message,
						 .frame = &pump->frame,
						 .id = *id,
						 .incarnation = after.incarnation};
	bool taken;
	CdcStatus status;

	if (in_flight > 0 && in_flight + length > state->options->max_in_flight)
	{
		pump->sink_full = true;
		return sink_status(session, ops->flush(state->sink, err));
	}
	status = sink_status(session, ops->deliver(state->sink, &record, &after, &taken, err));
	if (status != CDC_OK || !taken)
	{
		pump->sink_full = true;
		return status;
	}
	session->taken = after;
	session->taken_bytes += length;
	pump->record_taken = true;
	state->records++;
	state->bytes += length;
	if (record_id_compare(id, &state->handed_over) > 0)
		state->handed_over = *id;
	return CDC_OK;
}

static CdcStatus
end_transaction(Pump *pump, const RecordId *id, CdcError *err)
{
	Session *session = pump->session;
	uint64_t end_lsn = session->reader.message.end_lsn;
	Position after;

	pump->in_transaction = false;
	if (end_lsn <= session->taken.end_lsn)
		return CDC_OK; /* was whole before this session */
	after = position_after(session, id);
	after.end_lsn = end_lsn;
	if (after.confirmed < end_lsn)
		after.confirmed = end_lsn;
	session->taken = after;
	return sink_status(session, session->state->sink->base.ops->end_transaction(
									session->state->sink, &after, err));
}

/* Hands over the frame at hand; have_frame stays set where the sink is full. */
static CdcStatus
hand_over(Pump *pump, CdcError *err)
{
	Session *session = pump->session;
	const Frame *frame = &pump->frame;
	RecordId id = {session->reader.message.commit_lsn, frame->seq, frame->part};
	bool is_record = frame->kind == CDC_FRAME_RECORD || frame->payload_length > 0;
	CdcStatus status = CDC_OK;

	if (is_record && !pump->record_taken && record_id_compare(&id, &session->start.id) > 0)
	{
		status = deliver_record(pump, &id, err);
		if (status != CDC_OK || !pump->record_taken)
			return status;
	}
	pump->have_frame = false;
	pump->record_taken = false;
	if (frame->kind == CDC_FRAME_COMMIT)
		status = end_transaction(pump, &id, err);
	return status;
}

static void
drop_message(Pump *pump)
{
	PQfreemem(pump->copy_data);
	pump->copy_data = NULL;
}

/* Hands over what is left of the message at hand, as far as the sink takes it. */
static CdcStatus
hand_over_message(Pump *pump, CdcError *err)
{
	Session *session = pump->session;

	while (pump->copy_data != NULL && !pump->sink_full)
	{
		CdcStatus status = CDC_OK;

		if (!pump->have_frame)
		{
			RecordId id;

			status = frame_next(&session->reader, &pump->frame, &pump->have_frame, err);
			if (status == CDC_OK && !pump->have_frame)
			{
				drop_message(pump);
				return CDC_OK;
			}
			id = (RecordId){session->reader.message.commit_lsn, pump->frame.seq, pump->frame.part};
			if (status == CDC_OK)
				status = check_order(pump, &id, err);
			pump->in_transaction = true;
			pump->transaction_lsn = id.commit_lsn;
		}
		if (status == CDC_OK)
			status = hand_over(pump, err);
		if (status != CDC_OK)
			return status;
	}
	return CDC_OK;
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

	if (endpos == 0)
		return false;
	return session->flush_lsn > endpos ? wal_end > endpos : wal_end >= endpos;
}

static CdcStatus
receive_keepalive(Pump *pump, const WalMessage *message, int64_t now)
{
	feedback_note_received(&pump->session->feedback, message->wal_end);
	if (message->reply_requested)
		pump->session->feedback.reply_due = true;
	if (!pump->in_transaction)
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
	if (endpos != 0 && !pump->in_transaction && session->reader.message.commit_lsn > endpos)
	{
		begin_stop(pump, PUMP_ENDPOS, now);
		drop_message(pump);
		return CDC_OK;
	}
	if (session->reader.message.timeline > session->identity.timeline)
		return cdc_error(err, CDC_RETRY,
						 "the server has been promoted to timeline %" PRIu32
						 ": beginning anew, to hold positions against its history",
						 session->reader.message.timeline);
	return hand_over_message(pump, err);
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
	pump->copy_data = data;
	status = wal_message_parse(&message, data, (size_t) length, err);
	if (status == CDC_OK && message.kind == WAL_DATA)
		return receive_data(pump, &message, now, err);
	if (status == CDC_OK)
		status = receive_keepalive(pump, &message, now);
	drop_message(pump);
	return status;
}

/* Stores what an idle server has decoded without finding anything for us. */
static CdcStatus
store_idle_progress(Pump *pump, int64_t now, CdcError *err)
{
	Session *session = pump->session;
	CdcStatus status;

	if (pump->idle_lsn <= session->taken.confirmed || pump->in_transaction ||
		(!pump->idle_asked && !pump->stopping && now - pump->idle_stored < IDLE_STORE_INTERVAL))
		return CDC_OK;
	status = session_check_promotion(session, err);
	if (status != CDC_OK)
		return status;
	pump->idle_stored = now;
	session->taken.confirmed = pump->idle_lsn;
	return sink_status(
		session, session->state->sink->base.ops->store(session->state->sink, &session->taken, err));
}

static void
show_progress(Pump *pump, int64_t now)
{
	Session *session = pump->session;
	const Position *durable = &session->progress.durable;
	LogProgress progress = {.records = session->state->records, .bytes = session->state->bytes};

	if (!session->state->options->progress || now - pump->last_progress < PROGRESS_INTERVAL)
		return;
	pump->last_progress = now;
	if (session->feedback.received > durable->confirmed)
		progress.lag_bytes = session->feedback.received - durable->confirmed;
	progress.lag_seconds = -1;
	if (everything_durable(session) && !pump->in_transaction)
		progress.lag_seconds = 0;
	else if (durable->commit_time != 0)
		progress.lag_seconds =
			(double) (clock_timestamp() - durable->commit_time) / (double) CLOCK_SECOND;
	lsn_format(progress.durable_lsn, durable->confirmed);
	log_progress(&progress, now);
}

/* Asks the server for a sign of life, or for how far it is. */
static void
ask_server(Pump *pump, int64_t now)
{
	const CdcOptions *options = pump->session->state->options;
	int64_t interval = options->receive_timeout / 3;

	if (pump->session->state->endpos != 0 && !pump->stopping)
		interval = ENDPOS_ASK_INTERVAL;
	if (pump->sink_full || now - pump->last_received < interval ||
		now - pump->last_asked < interval)
		return;
	pump->last_asked = now;
	pump->session->feedback.ask_for_reply = true;
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
	if (status == CDC_OK && pump->stopping)
		status = sink_status(session, ops->flush(state->sink, err));
	if (status == CDC_OK)
		status = sink_status(session, ops->poll(state->sink, now, &session->progress, err));
	if (status != CDC_OK)
		return status;
	if (session->progress.closed)
		begin_stop(pump, PUMP_CLOSED, now);
	feedback_note_durable(&session->feedback, session->progress.durable.confirmed);
	pump->sink_full = false;
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
	struct pollfd fds[SINK_MAX_FDS + 1];

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
	if (poll(fds, (nfds_t) wait.num_fds + 1, clock_timeout_ms(now, deadline, LONGEST_SLEEP_MS)) <
			0 &&
		errno != EINTR)
		return cdc_error(err, CDC_RETRY, "poll() failed: %s", strerror(errno));
	if ((fds[wait.num_fds].revents & (POLLIN | POLLERR | POLLHUP)) != 0 && read_socket &&
		!PQconsumeInput(session->conn))
		return pgconn_error(session->conn, NULL, "streaming", err);
	return CDC_OK;
}

static CdcStatus
check_receive_timeout(Pump *pump, int64_t now, CdcError *err)
{
	int64_t timeout = pump->session->state->options->receive_timeout;

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
	uint64_t before = pump->session->state->records;
	CdcStatus status;

	*moved = false;
	if (pump->stopping)
		return CDC_OK;
	if (pump->copy_data == NULL)
		return receive(pump, now, moved, err);
	status = hand_over_message(pump, err);
	*moved = pump->copy_data == NULL || pump->session->state->records != before;
	return status;
}

/* One round; *stopped: the end. */
static CdcStatus
run_once(Pump *pump, bool *stopped, CdcError *err)
{
	int64_t now = clock_now();
	bool moved;
	CdcStatus status = move_records(pump, now, &moved, err);

	if (status != CDC_OK || (moved && !pump->sink_full && now - pump->last_turn < TURN_INTERVAL))
		return status;
	status = take_turn(pump, now, err);
	if (status == CDC_OK && pump->stopping)
		status = check_stopped(pump, now, stopped, err);
	if (status != CDC_OK || *stopped || moved)
		return status;
	/* The sink may have made room just now, and then it will not wake us for it. */
	if (pump->copy_data != NULL)
		status = move_records(pump, now, &moved, err);
	if (status != CDC_OK || moved)
		return status;
	/* While we do not read, the server's silence is of our making. */
	if (pump->copy_data != NULL || pump->stopping)
		pump->last_received = now;
	status = wait_for_events(pump, pump->copy_data == NULL && !pump->stopping, err);
	return status == CDC_OK ? check_receive_timeout(pump, clock_now(), err) : status;
}

CdcStatus
pump_run(Session *session, PumpEnd *end, CdcError *err)
{
	Pump pump = {.session = session, .last_received = clock_now()};
	bool stopped = false;
	CdcStatus status = CDC_OK;

	/* A slot that is past the end already, or a server that is idle there. */
	if (session->state->endpos != 0)
		session->feedback.ask_for_reply = true;
	while (status == CDC_OK && !stopped)
		status = run_once(&pump, &stopped, err);
	drop_message(&pump);
	if (status != CDC_OK)
		return status;
	*end = pump.end;
	session_leave(session);
	return CDC_OK;
}
