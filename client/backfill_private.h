/*
 * backfill_private.h
 *		What the files of requests for existing rows share, and nobody else sees.
 *
 * backfill.c knows which requests there are, and which is served; backfill_ask.c asks the server, and tells it.
 */
#ifndef CDC_BACKFILL_PRIVATE_H
#define CDC_BACKFILL_PRIVATE_H

#include "backfill.h"

#include "clock.h"

/* Before what could not be asked is asked again, at first. */
#define BACKFILL_MIN_PAUSE (CLOCK_SECOND / 10)

typedef enum BackfillQuestion
{
	ASK_NOTHING,
	ASK_REPORT,
	ASK_NEWS,
	ASK_PLAN,
} BackfillQuestion;

struct Backfill
{
	Session *session;
	BackfillStream stream;
	PGconn *conn;            /* NULL: none */
	BackfillQuestion asking; /* an answer is awaited */
	int64_t last_used;       /* clock.h: the connection was */
	int64_t not_before;
	int64_t pause; /* the next one */
	bool unreachable_said;

	int64_t done; /* requests up to it are through */
	int64_t
		position_done; /* the same as the position said at first: those after it this session tells */
	uint64_t position_rows; /* of that one */
	int64_t also;           /* a request of the position's, which is not; 0: none */
	int64_t heard;          /* the last one that the stream has told of */
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

/* backfill.c */

/* What the server knows of, as it has come; news is taken over. */
extern void backfill_take_news(Backfill *backfill, BackfillNews *news, int64_t now);

/* Notes a report, if there is none to be sent, of a request whose end the server was never told. */
extern void backfill_tell_untold(Backfill *backfill);

/* backfill_ask.c */

/*
 * Connects, and asks what there is to be done, waiting for the answer; the session goes on without it where the
 * server would not say.
 */
extern CdcStatus backfill_ask_first(Backfill *backfill, CdcError *err) CDC_MUST_CHECK;

/* Nothing is asked for a while, each time for longer. */
extern void backfill_pause_asking(Backfill *backfill, int64_t now);

/* Gives up what is asked. */
extern void backfill_disconnect(Backfill *backfill);

#endif /* CDC_BACKFILL_PRIVATE_H */
