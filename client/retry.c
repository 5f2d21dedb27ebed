/*
 * retry.c
 *		How long to pause after a failure, and when to give up.
 */
#include "retry.h"

#define FIRST_PAUSE INT64_C(100000)

#define HEALTHY_AFTER INT64_C(10000000)

void
retry_start(Retry *retry, int64_t retry_for, uint64_t seed)
{
	retry->retry_for = retry_for;
	retry->failing_since = 0;
	retry->attempts = 0;
	retry->random = seed != 0 ? seed : 1;
}

bool
retry_was_progress(const RetrySession *session)
{
	bool healthy = session->read_all && session->lasted >= HEALTHY_AFTER;

	return session->caught_up && (session->moved || healthy);
}

void
retry_progress(Retry *retry)
{
	retry->failing_since = 0;
	retry->attempts = 0;
}

/* xorshift64: many clients cut off by one restart shall not come back in step. */
static uint64_t
next_random(Retry *retry)
{
	retry->random ^= retry->random << 13;
	retry->random ^= retry->random >> 7;
	retry->random ^= retry->random << 17;
	return retry->random;
}

bool
retry_failed(Retry *retry, int64_t now, int64_t max_pause, int64_t *pause)
{
	int64_t longest = FIRST_PAUSE;

	*pause = 0;
	if (retry->failing_since == 0)
		retry->failing_since = now;
	for (int i = 0; i < retry->attempts && longest < max_pause; i++)
		longest *= 2;
	if (longest > max_pause)
		longest = max_pause;
	retry->attempts++;
	*pause = longest / 2 + (int64_t) (next_random(retry) % (uint64_t) (longest / 2 + 1));
	if (retry->retry_for < 0)
		return true;
	if (retry->retry_for == 0 || now - retry->failing_since >= retry->retry_for)
		return false;
	/* The last try comes when the time is up, not a long pause later. */
	if (now + *pause > retry->failing_since + retry->retry_for)
		*pause = retry->failing_since + retry->retry_for - now;
	return true;
}
