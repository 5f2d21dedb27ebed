/*
 * throttle.c
 *		A slow reader: takes standard input at a given rate and drops it.
 *
 *	throttle BYTES_PER_SECOND BYTES
 *
 * Ends when it has taken so many bytes, or at the end of its input.  Prints bytes and wall.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define CHUNK 16384

/* Waits until the clock says so. */
static void
wait_until(double when)
{
	struct timespec until = {.tv_sec = (time_t) when};

	until.tv_nsec = (long) ((when - (double) until.tv_sec) * 1e9);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

int
main(int argc, char **argv)
{
	char chunk[CHUNK];
	double rate;
	double limit;
	double taken = 0;
	double started;

	bench_program = "throttle";
	if (argc != 3)
		bench_fail("usage: throttle BYTES_PER_SECOND BYTES");
	rate = bench_parse_number(argv[1], "number of bytes per second");
	limit = bench_parse_number(argv[2], "number of bytes");

	started = bench_clock(CLOCK_MONOTONIC);
	while (taken < limit)
	{
		ssize_t size = read(STDIN_FILENO, chunk, sizeof(chunk));

		if (size < 0 && errno != EINTR)
			bench_fail("cannot read: %s", strerror(errno));
		if (size == 0)
			break;
		if (size > 0)
			taken += (double) size;
		wait_until(started + taken / rate);
	}
	printf("bytes=%.0f wall=%.6f\n", taken, bench_clock(CLOCK_MONOTONIC) - started);
	return 0;
}
