/*
 * backfill.c
 *		Requests for existing rows that a session is to serve.
 */
#include "backfill_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "selection.h"

/*
 * A client that stored a request's end, and was gone before it told the server, left it "running" there: the next
 * one tells it.  Whether it had failed the position does not say.
 */
void
backfill_tell_untold(Backfill *backfill)
{
	int untold = backfill_news_untold(&backfill->news, backfill->position_done);
	BackfillRequest *request;

	if (untold < 0 || backfill->report_due || backfill->current.number != 0)
		return;
	request = &backfill->news.requests[untold];
	memset(&backfill->report, 0, sizeof(backfill->report));
	backfill->report.number = request->number;
	backfill->report.state = request->cancelled ? "cancelled" : "done";
	if (request->number == backfill->position_done)
		backfill->report.rows = backfill->position_rows;
	backfill->report_due = true;
	backfill_request_free(request); /* zeroed: it is none any more */
}

/*
 * The extension was made anew, or the server restored to an earlier state, and numbers are given a second time: the
 * position speaks of others.
 */
static void
check_numbers(Backfill *backfill, const BackfillNews *news)
{
	if (backfill->done <= news->given || backfill->current.number != 0)
		return;
	log_line(LOG_WARNING,
			 "request %" PRId64
			 " for existing rows is through, as the sink's position says, but the "
			 "database has only given numbers up to %" PRId64 ": they begin anew",
			 backfill->done, news->given);
	backfill->done = backfill->position_done = 0;
}

void
backfill_take_news(Backfill *backfill, BackfillNews *news, int64_t now)
{
	int current = backfill_news_find(news, backfill->current.number);

	check_numbers(backfill, news);
	backfill_news_free(&backfill->news);
	backfill->news = *news;
	backfill->news_due = false;
	if (backfill->current.number != 0 && current >= 0)
		backfill->current.cancelled = news->requests[current].cancelled;
	if (backfill->also != 0 && backfill_news_find(news, backfill->also) < 0)
	{
		log_line(LOG_WARNING,
				 "request %" PRId64 " for existing rows, which was not through, is not in the "
				 "database any more: what was left of it is not delivered",
				 backfill->also);
		backfill->also = 0;
	}
	/* nobody was ever given that number */
	if (backfill->heard > news->given)
		backfill->heard = news->known;
	if (backfill->heard <= news->known)
		return;
	/* its commit is not visible yet: of a transaction that waits for a standby, for long */
	log_line(LOG_DEBUG, "request %" PRId64 " for existing rows is not visible yet",
			 backfill->heard);
	backfill->news_due = true;
	backfill_pause_asking(backfill, now);
}

static void
note_position(Backfill *backfill, int64_t done)
{
	const Position *start = &backfill->session->start;
	SnapshotState state;

	backfill->done = backfill->position_done = done;
	if (start->snapshot == NULL)
		return;
	snapshot_cursor_state(start->snapshot, &start->id, &state);
	if (state.kind == SNAPSHOT_BACKFILL && state.request == done)
		backfill->position_rows = state.rows;
	snapshot_state_free(&state);
}

CdcStatus
backfill_open(Backfill **result, Session *session, int64_t done, int64_t running, CdcError *err)
{
	const CdcOptions *options = session->state->options;
	const char *pipeline = selection_option(options, "pipeline");
	Backfill *backfill;

	if (pipeline == NULL || session->in_recovery)
		return CDC_OK;
	backfill = calloc(1, sizeof(*backfill));
	if (backfill == NULL)
		abort();
	*result = backfill;
	backfill->session = session;
	backfill->stream.pipeline = pipeline;
	backfill->stream.slot = options->slot;
	backfill->stream.start_lsn = session->start.confirmed;
	note_position(backfill, done);
	backfill->also = running;
	backfill->pause = BACKFILL_MIN_PAUSE;
	return backfill_ask_first(backfill, err);
}

void
backfill_close(Backfill *backfill)
{
	if (backfill == NULL)
		return;
	backfill_disconnect(backfill);
	backfill_news_free(&backfill->news);
	backfill_request_free(&backfill->current);
	snapshot_plan_free(&backfill->plan);
	free(backfill);
}

void
backfill_bell(Backfill *backfill, int64_t number)
{
	if (backfill == NULL)
		return;
	if (number > backfill->heard)
		backfill->heard = number;
	backfill->news_due = true;
	backfill->not_before = 0;
	backfill->pause = BACKFILL_MIN_PAUSE;
}

bool
backfill_is_busy(const Backfill *backfill)
{
	return backfill != NULL &&
		   (backfill->current.number != 0 || backfill->asking != ASK_NOTHING ||
			backfill->news_due || backfill->report_due ||
			backfill_news_next(&backfill->news, backfill->done) >= 0 ||
			backfill_news_untold(&backfill->news, backfill->position_done) >= 0);
}

const BackfillRequest *
backfill_current(const Backfill *backfill)
{
	return backfill != NULL && backfill->current.number != 0 ? &backfill->current : NULL;
}

bool
backfill_begin_next(Backfill *backfill)
{
	int next = backfill_news_next(&backfill->news, backfill->done);

	if (backfill->current.number != 0)
		return true;
	if (next < 0)
		return false;
	backfill->current = backfill->news.requests[next];
	memset(&backfill->news.requests[next], 0, sizeof(backfill->news.requests[next]));
	backfill->plan_due = !backfill->current.cancelled;
	backfill->plan_state = BACKFILL_PLAN_WAIT;
	return true;
}

BackfillPlan
backfill_plan(Backfill *backfill, SnapshotPlan *plan, CdcError *err)
{
	if (backfill->plan_state == BACKFILL_PLAN_READY)
	{
		*plan = backfill->plan;
		memset(&backfill->plan, 0, sizeof(backfill->plan));
	}
	else if (backfill->plan_state == BACKFILL_PLAN_FAILED)
		*err = backfill->plan_error;
	return backfill->plan_state;
}

void
backfill_report(Backfill *backfill, const BackfillReport *report)
{
	backfill->report = *report;
	backfill->report_due = true;
}

bool
backfill_has_reported(const Backfill *backfill)
{
	return !backfill->report_due && backfill->asking != ASK_REPORT;
}

void
backfill_end_current(Backfill *backfill)
{
	if (backfill->current.number > backfill->done)
		backfill->done = backfill->current.number;
	if (backfill->also == backfill->current.number)
		backfill->also = 0;
	snapshot_plan_free(&backfill->plan);
	backfill_request_free(&backfill->current);
	backfill->plan_due = false;
}
