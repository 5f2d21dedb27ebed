/*
 * feedback.c
 *		When the server is told what.
 */
#include "feedback.h"

#include <string.h>

#include "clock.h"
#include "wal_message.h"

/* What has become durable is told so soon; sooner would only make the server work. */
#define PROGRESS_DELAY (CLOCK_SECOND / 2)

/* And so soon where it is to be told at once: an update costs the server some ten microseconds. */
#define PROMPT_DELAY (CLOCK_SECOND / 50)

/*
 * A server that shuts down asks again as soon as it is answered, until all is confirmed: answers
 * keep this distance, so that the two do not spin.
 */
#define REPLY_DISTANCE (CLOCK_SECOND / 50)

void
feedback_start(Feedback *feedback, int64_t status_interval, int64_t wal_sender_timeout,
			   uint64_t floor)
{
	memset(feedback, 0, sizeof(*feedback));
	feedback->interval = status_interval;
	if (wal_sender_timeout > 0 && feedback->interval > wal_sender_timeout / 3)
		feedback->interval = wal_sender_timeout / 3;
	feedback->floor = floor;
}

void
feedback_note_server_end(Feedback *feedback, uint64_t wal_end)
{
	if (wal_end > feedback->server_end)
		feedback->server_end = wal_end;
}

void
feedback_note_received(Feedback *feedback, uint64_t wal_end)
{
	feedback_note_server_end(feedback, wal_end);
	if (wal_end > feedback->received)
		feedback->received = wal_end;
}

void
feedback_note_durable(Feedback *feedback, uint64_t confirmed)
{
	if (confirmed > feedback->durable)
		feedback->durable = confirmed;
}

uint64_t
feedback_flushed(const Feedback *feedback)
{
	uint64_t flushed = feedback->durable;

	if (flushed > feedback->server_end)
		flushed = feedback->server_end;
	return flushed < feedback->floor ? 0 : flushed;
}

/* What an earlier session made durable was received, if not in this one. */
static uint64_t
written(const Feedback *feedback)
{
	uint64_t flushed = feedback_flushed(feedback);

	return feedback->received > flushed ? feedback->received : flushed;
}

int64_t
feedback_deadline(const Feedback *feedback)
{
	int64_t delay = feedback->interval;
	bool flushed = feedback_flushed(feedback) > feedback->told;

	if (feedback->last_sent == 0)
		return 0;
	if ((flushed || written(feedback) > feedback->told_written) && delay > PROGRESS_DELAY)
		delay = PROGRESS_DELAY;
	if (flushed && feedback->prompt && delay > PROMPT_DELAY)
		delay = PROMPT_DELAY;
	if (feedback->reply_due || feedback->ask_for_reply)
		delay = REPLY_DISTANCE;
	return feedback->last_sent + delay;
}

void
feedback_build(Feedback *feedback, uint8_t *bytes, int64_t now, int64_t timestamp)
{
	uint64_t flushed = feedback_flushed(feedback);

	feedback->told_written = written(feedback);
	wal_status_build(bytes, feedback->told_written, flushed, timestamp, feedback->ask_for_reply);
	if (flushed > 0)
		feedback->told = flushed;
	feedback->last_sent = now;
	feedback->reply_due = false;
	feedback->ask_for_reply = false;
}
