/*
 * clock.h
 *		Time as the client measures it.
 */
#ifndef CDC_CLOCK_H
#define CDC_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLOCK_SECOND INT64_C(1000000)

/* Microseconds since some fixed moment; never jumps. */
static inline int64_t
clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * CLOCK_SECOND + now.tv_nsec / 1000;
}

/* PostgreSQL's TimestampTz: microseconds since 2000-01-01 UTC. */
static inline int64_t
clock_timestamp(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (now.tv_sec - INT64_C(946684800)) * CLOCK_SECOND + now.tv_nsec / 1000;
}

/* What poll() wants: milliseconds until deadline, rounded up, 0 to max_ms. */
static inline int
clock_timeout_ms(int64_t now, int64_t deadline, int max_ms)
{
	if (deadline <= now)
		return 0;
	if (deadline - now >= (int64_t) max_ms * 1000)
		return max_ms;
	return (int) ((deadline - now + 999) / 1000);
}

#endif /* CDC_CLOCK_H */
