/*
 * retry.h
 *		How long to pause after a failure, and when to give up: exponential backoff with jitter.
 *
 * Pure: it is told the time.  Times are those of clock.h.
 */
#ifndef CDC_RETRY_H
#define CDC_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#define RETRY_MAX_PAUSE (30 * INT64_C(1000000))

/* Who waits for another client's death wants to follow within seconds. */
#define RETRY_MAX_PAUSE_SLOT_HELD INT64_C(1000000)

typedef struct Retry
{
	int64_t retry_for;     /* give up after so long without progress; 0: at once, -1: never */
	int64_t failing_since; /* the first failure since there was progress; 0: none */
	int attempts;          /* failures since then */
	uint64_t random;       /* state of the jitter's generator */
} Retry;

extern void retry_start(Retry *retry, int64_t retry_for, uint64_t seed);

/* What a session that failed had come to. */
typedef struct RetrySession
{
	bool caught_up; /* the sink made durable all that earlier sessions had given it */
	bool moved;     /* something became durable that was not before */
	bool read_all;  /* all that the server had at the session's beginning was read */
	int64_t lasted; /* from the session's opening to its failure */
} RetrySession;

/*
 * Whether its failure is a first one.  A session that delivered nothing counts too if it lasted, for an
 * idle server's connections break now and then; but only if it had come to the end of the WAL: a failure
 * of decoding may take its time to come, each time.
 */
extern bool retry_was_progress(const RetrySession *session);

/* There was progress: the next failure is a first one. */
extern void retry_progress(Retry *retry);

/* After a failure.	 *pause is how long to wait, at most max_pause; false: give up. */
extern bool retry_failed(Retry *retry, int64_t now, int64_t max_pause, int64_t *pause);

#endif /* CDC_RETRY_H */
