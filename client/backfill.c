/*
 * backfill.c
 *		Requests for existing rows that a session is to serve.
 *
 * At most one question is under way.  What is to be asked is noted in flags, so what fails is asked again on
 * another connection, after a pause.
 */
#include "backfill.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "pgconn.h"
#include "pgwait.h"
#include "selection.h"

/* Before what could not be asked is asked again. */
#define MIN_PAUSE (CLOCK_SECOND / 10)
#define MAX_PAUSE (10 * CLOCK_SECOND)

/* A connection that nobody has needed for so long is closed. */
#define IDLE_TIME (5 * CLOCK_SECOND)

typedef enum Question
{
	ASK_NOTHING,
	ASK_REPORT,
	ASK_NEWS,
	ASK_PLAN,
} Question;

struct Backfill
{
	Session *session;
	BackfillStream stream;
	PGconn *conn;      /* NULL: none */
	Question asking;   /* an answer is awaited */
	int64_t last_used; /* clock.h: the connection was */
	int64_t not_before;
	int64_t pause; /* the next one */
	bool unreachable_said;

	int64_t done;  /* requests up to it are through */
	int64_t also;  /* a request of the position's, which is not; 0: none */
	int64_t heard; /* the last one that the stream has told of */
	bool news_due;
	BackfillNews news;       /* as it came last; requests are taken from it */
	BackfillRequest current; /* number 0: none */

	BackfillPlan plan_state;
	bool plan_due;
	SnapshotPlan plan;
	CdcError plan_error;

	BackfillReport report;
	bool report_due;
	bool report_failed_said;
};

static void
disconnect(Backfill *backfill)
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

static void
pause_asking(Backfill *backfill, int64_t now)
{
	backfill->not_before = now + backfill->pause;
	if (backfill->pause < MAX_PAUSE)
		backfill->pause *= 2;
}

/* The server could not be asked: later then. */
static void
ask_later(Backfill *backfill, int64_t now, const CdcError *err)
{
	disconnect(backfill);
	log_error(backfill->unreachable_said ? LOG_DEBUG : LOG_WARNING, err);
	backfill->unreachable_said = true;
	pause_asking(backfill, now);
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

static int
find_request(const BackfillNews *news, int64_t number)
{
	for (int i = 0; i < news->num_requests; i++)
		if (news->requests[i].number == number)
			return i;
	return -1;
}

static void
take_news(Backfill *backfill, BackfillNews *news, int64_t now)
{
	int current = find_request(news, backfill->current.number);

	backfill_news_free(&backfill->news);
	backfill->news = *news;
	backfill->news_due = false;
	if (backfill->current.number != 0 && current >= 0)
		backfill->current.cancelled = news->requests[current].cancelled;
	if (backfill->also != 0 && find_request(news, backfill->also) < 0)
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
	pause_asking(backfill, now);
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
		take_news(backfill, &news, now);
	return status;
}

/* lock_timeout; statement_timeout, or somebody's pg_cancel_backend() */
static bool
may_pass(const CdcError *err, CdcStatus status)
{
	return status == CDC_RETRY || strcmp(err->sqlstate, "55P03") == 0 ||
		   strcmp(err->sqlstate, "57014") == 0;
}

/* The server would not tell what there is to be done; changes are streamed without. */
static void
news_failed(Backfill *backfill, CdcStatus status, int64_t now, const CdcError *err)
{
	log_error(LOG_WARNING, err);
	if (!may_pass(err, status))
		return;
	backfill->news_due = true;
	pause_asking(backfill, now);
}

CdcStatus
backfill_open(Backfill **result, Session *session, int64_t done, int64_t running, CdcError *err)
{
	const CdcOptions *options = session->state->options;
	const char *pipeline = selection_option(options, "pipeline");
	Backfill *backfill;
	PGresult *answer = NULL;
	bool possible;
	CdcStatus status;

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
	backfill->done = done;
	backfill->also = running;
	backfill->pause = MIN_PAUSE;
	status = connect_to_server(backfill, &possible, err);
	if (status != CDC_OK || !possible)
		return status;
	status = backfill_server_ask_news(backfill->conn, &backfill->stream, running, err);
	if (status == CDC_OK)
		status = pgwait_result(backfill->conn, 1, session->state->interrupted, PGWAIT_TIMEOUT,
							   &answer, err);
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

void
backfill_close(Backfill *backfill)
{
	if (backfill == NULL)
		return;
	disconnect(backfill);
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
	backfill->pause = MIN_PAUSE;
}

/* The next in the order of their numbers; -1: none. */
static int
find_next(const Backfill *backfill)
{
	int next = -1;

	for (int i = 0; i < backfill->news.num_requests; i++)
	{
		int64_t number = backfill->news.requests[i].number;

		if (number > backfill->done && (next < 0 || number < backfill->news.requests[next].number))
			next = i;
	}
	return next;
}

bool
backfill_is_busy(const Backfill *backfill)
{
	return backfill != NULL && (backfill->current.number != 0 || backfill->news_due ||
								backfill->report_due || find_next(backfill) >= 0);
}

const BackfillRequest *
backfill_current(const Backfill *backfill)
{
	return backfill != NULL && backfill->current.number != 0 ? &backfill->current : NULL;
}

bool
backfill_begin_next(Backfill *backfill)
{
	int next = find_next(backfill);

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
	return !backfill->report_due;
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

static Question
next_question(const Backfill *backfill)
{
	if (backfill->report_due)
		return ASK_REPORT;
	if (backfill->news_due)
		return ASK_NEWS;
	return backfill->plan_due ? ASK_PLAN : ASK_NOTHING;
}

static void
ask(Backfill *backfill, Question question, int64_t now)
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
		pause_asking(backfill, now);
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
	Question question = backfill->asking;
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
	Question question;

	if (backfill->asking != ASK_NOTHING)
		receive(backfill, now);
	if (backfill->asking != ASK_NOTHING)
		return;
	question = next_question(backfill);
	if (question != ASK_NOTHING && now >= backfill->not_before)
		ask(backfill, question, now);
	else if (question == ASK_NOTHING)
	{
		backfill->pause = MIN_PAUSE;
		if (backfill->conn != NULL && backfill->current.number == 0 &&
			now - backfill->last_used > IDLE_TIME)
			disconnect(backfill);
	}
}

int
backfill_wait(const Backfill *backfill, struct pollfd *fd, int64_t *deadline)
{
	if (backfill == NULL)
		return 0;
	if (backfill->asking == ASK_NOTHING)
	{
		if (next_question(backfill) != ASK_NOTHING && backfill->not_before < *deadline)
			*deadline = backfill->not_before;
		return 0;
	}
	*fd = (struct pollfd){.fd = PQsocket(backfill->conn), .events = POLLIN};
	return 1;
}
