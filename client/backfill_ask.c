/*
 * backfill_ask.c
 *		What is asked of the server, and told to it, about requests for existing rows.
 *
 * At most one question is under way.  What is to be asked is noted in flags, so what fails is asked again on
 * another connection, after a pause.
 */
#include "backfill_private.h"

#include <string.h>

#include "log.h"
#include "pgconn.h"
#include "pgwait.h"

#define MAX_PAUSE (10 * CLOCK_SECOND)

/* A connection that nobody has needed for so long is closed. */
#define IDLE_TIME (5 * CLOCK_SECOND)

void
backfill_disconnect(Backfill *backfill)
{
	PGcancel *cancel = backfill->asking != ASK_NOTHING ? PQgetCancel(backfill->conn) : NULL;
	char ignored[256];

	if (cancel != NULL)
		PQcancel(cancel, ignored, sizeof(ignored));
	PQfreeCancel(cancel);
	PQfinish(backfill->conn);
	backfill->conn = NULL;
	backfill->asking = ASK_NOTHING;
}

void
backfill_pause_asking(Backfill *backfill, int64_t now)
{
	backfill->not_before = now + backfill->pause;
	if (backfill->pause < MAX_PAUSE)
		backfill->pause *= 2;
}

/* The server could not be asked: later then. */
static void
ask_later(Backfill *backfill, int64_t now, const CdcError *err)
{
	backfill_disconnect(backfill);
	log_error(backfill->unreachable_said ? LOG_DEBUG : LOG_WARNING, err);
	backfill->unreachable_said = true;
	backfill_pause_asking(backfill, now);
}

/* *possible: requests can be served here. */
static CdcStatus
connect_to_server(Backfill *backfill, bool *possible, CdcError *err)
{
	const StreamState *state = backfill->session->state;
	CdcStatus status =
		pgconn_open(&backfill->conn, state->options->dbname, PGCONN_SQL, state->interrupted, err);

	*possible = false;
	if (status == CDC_OK)
		status = backfill_server_check(backfill->conn, possible, err);
	return status;
}

/* lock_timeout; statement_timeout, or somebody's pg_cancel_backend() */
static bool
may_pass(const CdcError *err, CdcStatus status)
{
	return status == CDC_RETRY || strcmp(err->sqlstate, "55P03") == 0 ||
		   strcmp(err->sqlstate, "57014") == 0;
}

static CdcStatus
read_news(Backfill *backfill, const PGresult *result, int64_t now, CdcError *err)
{
	BackfillNews news;
	CdcStatus status;

	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		return pgconn_error(backfill->conn, result, "asking for requested rows", err);
	status = backfill_server_read_news(result, &news, err);
	if (status == CDC_OK)
		backfill_take_news(backfill, &news, now);
	return status;
}

/* The server would not tell what there is to be done; changes are streamed without. */
static void
news_failed(Backfill *backfill, CdcStatus status, int64_t now, const CdcError *err)
{
	log_error(LOG_WARNING, err);
	if (!may_pass(err, status))
		return;
	backfill->news_due = true;
	backfill_pause_asking(backfill, now);
}

CdcStatus
backfill_ask_first(Backfill *backfill, CdcError *err)
{
	PGresult *answer = NULL;
	bool possible;
	CdcStatus status = connect_to_server(backfill, &possible, err);

	if (status != CDC_OK || !possible)
		return status;
	status = backfill_server_ask_news(backfill->conn, &backfill->stream, backfill->also, err);
	if (status == CDC_OK)
		status = pgwait_result(backfill->conn, 1, backfill->session->state->interrupted,
							   PGWAIT_TIMEOUT, &answer, err);
	if (status == CDC_OK)
		status = read_news(backfill, answer, clock_now(), err);
	PQclear(answer);
	if (status != CDC_OK && PQstatus(backfill->conn) == CONNECTION_OK)
	{
		news_failed(backfill, status, clock_now(), err);
		status = CDC_OK;
	}
	backfill->last_used = clock_now();
	return status;
}

static BackfillQuestion
next_question(const Backfill *backfill)
{
	if (backfill->report_due)
		return ASK_REPORT;
	if (backfill->news_due)
		return ASK_NEWS;
	return backfill->plan_due ? ASK_PLAN : ASK_NOTHING;
}

static void
ask(Backfill *backfill, BackfillQuestion question, int64_t now)
{
	int64_t also = backfill->current.number != 0 ? backfill->current.number : backfill->also;
	bool possible = true;
	CdcStatus status = CDC_OK;
	CdcError err;

	if (backfill->conn == NULL)
		status = connect_to_server(backfill, &possible, &err);
	if (status == CDC_OK && !possible)
		status = cdc_error(&err, CDC_RETRY,
						   "existing rows were requested, but the database has no extension "
						   "cdc_decoder, or is a standby's, now");
	if (status == CDC_OK && question == ASK_REPORT)
		status = backfill_server_report(backfill->conn, &backfill->stream, &backfill->report, &err);
	else if (status == CDC_OK && question == ASK_NEWS)
		status = backfill_server_ask_news(backfill->conn, &backfill->stream, also, &err);
	else if (status == CDC_OK)
		status =
			snapshot_plan_send(&backfill->plan, backfill->conn, backfill->session->state->options,
							   backfill->current.relation, &err);
	if (status != CDC_OK)
	{
		ask_later(backfill, now, &err);
		return;
	}
	backfill->asking = question;
	/* what is noted while it is under way is another one */
	if (question == ASK_REPORT)
		backfill->report_due = false;
	else if (question == ASK_NEWS)
		backfill->news_due = false;
}

static void
take_plan(Backfill *backfill, const PGresult *result, int64_t now)
{
	CdcError *err = &backfill->plan_error;
	CdcStatus status;

	if (PQresultStatus(result) == PGRES_TUPLES_OK)
	{
		snapshot_plan_take(&backfill->plan, result);
		backfill->plan_state = BACKFILL_PLAN_READY;
		backfill->plan_due = false;
		return;
	}
	status = pgconn_error(backfill->conn, result, "looking for requested rows", err);
	snapshot_plan_free(&backfill->plan);
	if (may_pass(err, status))
	{
		log_error(LOG_WARNING, err);
		backfill_pause_asking(backfill, now);
		return;
	}
	backfill->plan_state = BACKFILL_PLAN_FAILED;
	backfill->plan_due = false;
}

static void
take_reported(Backfill *backfill, const PGresult *result)
{
	CdcError err;

	if (PQresultStatus(result) == PGRES_TUPLES_OK)
	{
		if (PQgetvalue(result, 0, 0)[0] == 't' &&
			backfill->current.number == backfill->report.number)
			backfill->current.cancelled = true;
		return;
	}
	(void) pgconn_error(backfill->conn, result, "reporting on requested rows", &err);
	log_error(backfill->report_failed_said ? LOG_DEBUG : LOG_WARNING, &err);
	backfill->report_failed_said = true;
}

static void
take_answer(Backfill *backfill, const PGresult *result, int64_t now)
{
	BackfillQuestion question = backfill->asking;
	CdcError err;
	CdcStatus status;

	backfill->asking = ASK_NOTHING;
	if (question == ASK_REPORT)
		take_reported(backfill, result);
	else if (question == ASK_PLAN)
		take_plan(backfill, result, now);
	else
	{
		status = read_news(backfill, result, now, &err);
		if (status != CDC_OK)
			news_failed(backfill, status, now, &err);
	}
}

/* The connection was lost while an answer was awaited. */
static void
lose_answer(Backfill *backfill, int64_t now)
{
	CdcError err;

	(void) pgconn_error(backfill->conn, NULL, "asking for requested rows", &err);
	if (backfill->asking == ASK_REPORT)
		backfill->report_due = true;
	else if (backfill->asking == ASK_NEWS)
		backfill->news_due = true;
	snapshot_plan_free(&backfill->plan);
	ask_later(backfill, now, &err);
}

static void
receive(Backfill *backfill, int64_t now)
{
	PGresult *result;
	PGresult *more;

	if (!PQconsumeInput(backfill->conn) || PQflush(backfill->conn) < 0)
	{
		lose_answer(backfill, now);
		return;
	}
	if (PQisBusy(backfill->conn))
		return;
	result = PQgetResult(backfill->conn);
	while ((more = PQgetResult(backfill->conn)) != NULL)
		PQclear(more);
	backfill->last_used = now;
	if (PQstatus(backfill->conn) != CONNECTION_OK)
		lose_answer(backfill, now);
	else
	{
		backfill->unreachable_said = false;
		take_answer(backfill, result, now);
	}
	PQclear(result);
}

void
backfill_turn(Backfill *backfill, int64_t now)
{
	BackfillQuestion question;

	if (backfill->asking != ASK_NOTHING)
		receive(backfill, now);
	if (backfill->asking != ASK_NOTHING)
		return;
	backfill_tell_untold(backfill);
	question = next_question(backfill);
	if (question != ASK_NOTHING && now >= backfill->not_before)
		ask(backfill, question, now);
	else if (question == ASK_NOTHING)
	{
		backfill->pause = BACKFILL_MIN_PAUSE;
		if (backfill->conn != NULL && backfill->current.number == 0 &&
			now - backfill->last_used > IDLE_TIME)
			backfill_disconnect(backfill);
	}
}

int
backfill_wait(const Backfill *backfill, struct pollfd *fd, int64_t *deadline)
{
	if (backfill == NULL)
		return 0;
	if (backfill->asking == ASK_NOTHING)
	{
		bool any = next_question(backfill) != ASK_NOTHING ||
				   backfill_news_untold(&backfill->news, backfill->position_done) >= 0;

		if (any && backfill->not_before < *deadline)
			*deadline = backfill->not_before;
		return 0;
	}
	*fd = (struct pollfd){.fd = PQsocket(backfill->conn), .events = POLLIN};
	return 1;
}
