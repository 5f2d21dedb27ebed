/*
 * backfill.h
 *		Requests for existing rows that a session is to serve: which there are, which is next, and how far it is.
 *
 * They are rows of the extension's table, which cdc.backfill() writes, for all slots that are streamed through
 * a pipeline; a frame of the stream tells that there are new ones (backfill_bell()), so nobody asks in vain.
 * One is served after the other, in the order of their numbers.	What is asked of the server here is asked on
 * a connection of its own, which is closed when there is nothing to do; nothing waits for an answer but
 * backfill_open().	That something cannot be asked now never ends the session: it is logged, and tried again.
 */
#ifndef CDC_BACKFILL_H
#define CDC_BACKFILL_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "backfill_server.h"
#include "error.h"
#include "session.h"
#include "snapshot_plan.h"

typedef struct Backfill Backfill;

/*
 * Asks what there is to be done.	 *backfill is NULL where there can be nothing: without a pipeline, on a
 * standby.  done: requests up to it are through, as far as the position knows; running: the one that it says
 * is not, 0: none.	 On failure too it is the caller's to backfill_close().
 *
 * Of those that are through and that the server takes for such as are not it is told that they are "done".
 */
extern CdcStatus backfill_open(Backfill **backfill, Session *session, int64_t done, int64_t running,
							   CdcError *err) CDC_MUST_CHECK;
extern void backfill_close(Backfill *backfill); /* takes NULL */

/* The stream tells of that request: it was made, or cancelled. */
extern void backfill_bell(Backfill *backfill, int64_t number);

/* Is there anything to be done, or may there be?  NULL: no. */
extern bool backfill_is_busy(const Backfill *backfill);

/* Asks, and takes answers, without waiting. */
extern void backfill_turn(Backfill *backfill, int64_t now);

/* Adds the socket on which an answer is awaited: returns 0 or 1; *deadline is lowered to when there is a question. */
extern int backfill_wait(const Backfill *backfill, struct pollfd *fd, int64_t *deadline);

/* The request that is being served; NULL: none.	 Its flag "cancelled" may be set at any turn. */
extern const BackfillRequest *backfill_current(const Backfill *backfill);

/* The next one becomes that, if there is none; false: there is none to be served. */
extern bool backfill_begin_next(Backfill *backfill);

/* Its tables. */
typedef enum BackfillPlan
{
	BACKFILL_PLAN_WAIT,
	BACKFILL_PLAN_READY,  /* *plan is the caller's from now on */
	BACKFILL_PLAN_FAILED, /* it cannot be served: err says why */
} BackfillPlan;

extern BackfillPlan backfill_plan(Backfill *backfill, SnapshotPlan *plan, CdcError *err);

/* Tells the server how far it is, in place of a report that has not been sent. */
extern void backfill_report(Backfill *backfill, const BackfillReport *report);

/* Is nothing left to be told, and what was told answered?  A report that is given up may not have come. */
extern bool backfill_has_reported(const Backfill *backfill);

/* The request is through, one way or another. */
extern void backfill_end_current(Backfill *backfill);

#endif /* CDC_BACKFILL_H */
