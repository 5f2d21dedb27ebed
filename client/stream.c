/*
 * stream.c
 *		cdc_client stream: one session after the other, and what follows from each one's end.
 */
#include "stream.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "pump.h"
#include "retry.h"
#include "session.h"

#define FAILURE_LOG_INTERVAL (10 * CLOCK_SECOND)

/* SQLSTATE object_in_use: another walsender has the slot. */
#define SLOT_HELD "55006"

typedef struct Stream
{
	StreamState state;
	Session session;
	Retry retry;
	Position durable;      /* when the last failure was looked at */
	RecordId given_before; /* the furthest record that the sink was given by sessions before this */
	PumpEnd end;
	char last_error[sizeof(((CdcError *) NULL)->message)];
	int64_t last_logged;
	int64_t waiting_since; /* for the slot, --wait-for-slot; 0: not */
} Stream;

/* Waiting is no failure, and may last for months. */
#define WAITING_LOG_INTERVAL (600 * CLOCK_SECOND)

/* Who waits for another client's death takes over after this at the latest. */
#define WAITING_PAUSE (CLOCK_SECOND / 2)

static CdcStatus
open_and_pump(Stream *stream, CdcError *err)
{
	CdcStatus status;

	stream->given_before = stream->state.handed_over;
	status = session_open(&stream->session, &stream->state, err);
	if (status == CDC_OK)
		status = pump_run(&stream->session, &stream->end, err);
	session_close(&stream->session);
	return status;
}

/* Judges the session that has failed. */
static void
note_progress(Stream *stream, int64_t now)
{
	const Session *session = &stream->session;
	const Position *durable = &session->progress.durable;
	RetrySession facts;

	if (session->opened == 0)
		return;
	facts.caught_up = record_id_compare(&durable->id, &stream->given_before) >= 0;
	facts.moved = record_id_compare(&durable->id, &stream->durable.id) > 0 ||
				  durable->confirmed > stream->durable.confirmed;
	facts.read_all = session->feedback.received >= session->flush_lsn;
	facts.lasted = now - session->opened;
	if (retry_was_progress(&facts))
		retry_progress(&stream->retry);
	if (facts.moved)
		stream->durable = *durable;
}

/* The same failure again and again is said once a while; the first time, at once. */
static void
log_retry(Stream *stream, const CdcError *err, int64_t now, int64_t pause)
{
	bool again = strcmp(err->message, stream->last_error) == 0;

	if (again && now - stream->last_logged < FAILURE_LOG_INTERVAL)
	{
		log_error(LOG_DEBUG, err);
		return;
	}
	stream->last_logged = now;
	memcpy(stream->last_error, err->message, sizeof(stream->last_error));
	log_error(LOG_WARNING, err);
	log_line(LOG_INFO, "trying again in %.1f s (failure %d)", (double) pause / CLOCK_SECOND,
			 stream->retry.attempts);
}

/* Sleeps, unless asked to stop. */
static void
pause_for(const Stream *stream, int64_t pause)
{
	int64_t deadline = clock_now() + pause;

	while (*stream->state.interrupted == 0 && clock_now() < deadline)
		poll(NULL, 0, clock_timeout_ms(clock_now(), deadline, 200));
}

/*
 * Another client has the slot, and we are to take over from it.  false: not for so long.  A server that
 * says so is well, so no failure is counted.
 */
static bool
wait_for_slot(Stream *stream, const CdcError *err, int64_t now, int64_t *pause)
{
	int64_t wait_for = stream->state.options->wait_for_slot;

	if (stream->waiting_since == 0)
		stream->waiting_since = now;
	if (wait_for > 0 && now - stream->waiting_since >= wait_for)
	{
		log_error(LOG_ERROR, err);
		log_line(LOG_ERROR, "the slot was not free for %" PRId64 " s (--wait-for-slot)",
				 wait_for / CLOCK_SECOND);
		return false;
	}
	if (strcmp(err->message, stream->last_error) != 0 ||
		now - stream->last_logged >= WAITING_LOG_INTERVAL)
	{
		log_line(LOG_INFO, "waiting for the slot: %s. %s", err->message, err->detail);
		memcpy(stream->last_error, err->message, sizeof(stream->last_error));
		stream->last_logged = now;
	}
	retry_progress(&stream->retry);
	*pause = WAITING_PAUSE;
	if (wait_for > 0 && now + *pause > stream->waiting_since + wait_for)
		*pause = stream->waiting_since + wait_for - now;
	return true;
}

/* The same for a failure. */
static bool
retry_after(Stream *stream, const CdcError *err, int64_t now, bool held, int64_t *pause)
{
	stream->waiting_since = 0;
	if (!retry_failed(&stream->retry, now, held ? RETRY_MAX_PAUSE_SLOT_HELD : RETRY_MAX_PAUSE,
					  pause))
	{
		log_error(LOG_ERROR, err);
		log_line(LOG_ERROR, "giving up after %d failures without progress (--retry-for)",
				 stream->retry.attempts);
		return false;
	}
	log_retry(stream, err, now, *pause);
	return true;
}

static void
log_refused(const Stream *stream)
{
	const Refusal *refusal = &stream->state.refusal;
	char lsn[LSN_TEXT_SIZE];

	log_line(LOG_DEBUG, "the sink refused record %s seq %" PRIu64 ": beginning anew before it: %s",
			 lsn_format(lsn, refusal->id.commit_lsn), refusal->id.seq, refusal->answer.message);
}

/* Whether to go on after a failure; *exit_code is set where not. */
static bool
try_again(Stream *stream, CdcStatus status, const CdcError *err, int *exit_code)
{
	int64_t now = clock_now();
	int64_t pause;
	bool held = strcmp(err->sqlstate, SLOT_HELD) == 0;
	bool again;

	if (status == CDC_REFUSED && *stream->state.interrupted == 0)
	{
		/* no failure: the record comes again, and then goes another way */
		log_refused(stream);
		note_progress(stream, now);
		return true;
	}
	if (status == CDC_REFUSED)
		status = CDC_RETRY;
	*exit_code = (int) status;
	if (status != CDC_RETRY)
	{
		log_error(LOG_ERROR, err);
		return false;
	}
	if (*stream->state.interrupted != 0)
	{
		/* A clean end, unless the sink was given what it has not made durable. */
		*exit_code = stream->session.opened > 0 && stream->session.sink_failed ? CDC_RETRY : CDC_OK;
		log_error(*exit_code == CDC_OK ? LOG_INFO : LOG_ERROR, err);
		return false;
	}
	note_progress(stream, now);
	if (held && stream->state.options->wait_for_slot != 0)
		again = wait_for_slot(stream, err, now, &pause);
	else
		again = retry_after(stream, err, now, held, &pause);
	if (!again)
		return false;
	pause_for(stream, pause);
	if (*stream->state.interrupted == 0)
		return true;
	log_line(LOG_INFO, "stopped by a signal before the next try: nothing is in flight");
	*exit_code = CDC_OK;
	return false;
}

static void
log_end(const Stream *stream)
{
	static const char *const reasons[] = {
		[PUMP_INTERRUPTED] = "stopped by a signal",
		[PUMP_ENDPOS] = "reached the end asked for",
		[PUMP_SNAPSHOT] = "delivered the existing rows asked for",
		[PUMP_CLOSED] = "whoever read from the standard output has gone",
	};
	char lsn[LSN_TEXT_SIZE];
	char dead[48] = "";

	if (stream->state.dead_letters != NULL)
		snprintf(dead, sizeof(dead), ", %" PRIu64 " dead letters",
				 stream->state.dead_letters_written);
	log_line(LOG_INFO, "%s: %" PRIu64 " records, %" PRIu64 " bytes delivered%s, confirmed up to %s",
			 reasons[stream->end], stream->state.records, stream->state.bytes, dead,
			 lsn_format(lsn, stream->session.progress.durable.confirmed));
}

static int
run_sessions(Stream *stream)
{
	int exit_code = CDC_OK;
	CdcError err;
	CdcStatus status;

	do
	{
		status = open_and_pump(stream, &err);
		if (status == CDC_OK)
		{
			log_end(stream);
			return CDC_OK;
		}
	} while (try_again(stream, status, &err, &exit_code));
	return exit_code;
}

/* A limit of the file's size and a reader that went away are errors to deal with, not signals. */
static void
ignore_signals(void)
{
	struct sigaction action = {.sa_handler = SIG_IGN};

	sigemptyset(&action.sa_mask);
	sigaction(SIGXFSZ, &action, NULL);
	sigaction(SIGPIPE, &action, NULL);
}

int
stream_main(const CdcOptions *options, const volatile int *interrupted)
{
	Stream stream = {
		.state =
			{
				.options = options,
				.interrupted = interrupted,
				.endpos = options->endpos,
				.accepts = {.gap = options->accept_gap,
							.divergence = options->accept_divergence,
							.other_source = options->accept_other_source},
				.selection_known = options->accept_missing,
			},
	};
	SinkConfig config = {.uri = options->sink,
						 .table = options->sink_table,
						 .commit_interval =
							 sink_commit_interval(options->sink, options->commit_interval),
						 .max_in_flight = options->max_in_flight,
						 .tick = session_tick,
						 .tick_arg = &stream.session};
	CdcError err;
	CdcStatus status;
	int exit_code;

	ignore_signals();
	retry_start(&stream.retry, options->retry_for,
				(uint64_t) clock_timestamp() ^ ((uint64_t) getpid() << 32));
	status = sink_create(&stream.state.sink, &config, &err);
	if (status == CDC_OK && options->dead_letter != NULL)
		status = dead_letters_create(&stream.state.dead_letters, options, session_tick,
									 &stream.session, &err);
	if (status == CDC_OK)
		exit_code = run_sessions(&stream);
	else
	{
		exit_code = (int) status;
		log_error(LOG_ERROR, &err);
	}
	dead_letters_destroy(stream.state.dead_letters);
	sink_destroy(stream.state.sink);
	return exit_code;
}
