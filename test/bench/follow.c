/*
 * follow.c
 *		Follows a file of records as it grows: how long after its commit can a record be read?
 *
 *	follow FILE SKIP COUNT TIMEOUT [BEGINNING]
 *
 * Reads FILE, which need not exist yet, as the kernel reports that it has grown (inotify on its
 * folder), and takes the time when read() has returned a line's end.  A record's latency is that
 * minus the commit time in its "ts".  Lines that do not begin with BEGINNING are passed over, the
 * first SKIP of the others are not counted.  After COUNT more it prints count, p50, p90, p99, max
 * (milliseconds) and the seconds from the first to the last commit; fails when that has not happened
 * after TIMEOUT seconds.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "bench.h"

#define BUFFER_SIZE (1 << 20)
#define TS_MEMBER "\"ts\":\""

typedef struct Follower
{
	const char *path;
	const char *beginning; /* of the lines that are looked at */
	int watch;             /* inotify's descriptor */
	int file;              /* -1: not there yet */
	char *buffer;
	size_t used; /* bytes of a line whose end has not come yet */
	size_t skip;
	size_t wanted;
	size_t count;
	double *latencies; /* of wanted records, seconds */
	double first_commit;
	double last_commit;
} Follower;

/* Seconds since 1970 of the "ts" of one record. */
static double
parse_commit_time(const char *line, size_t length)
{
	const char *member = memmem(line, length, TS_MEMBER, strlen(TS_MEMBER));
	struct tm tm = {0};
	double second;
	int used = 0;

	if (member == NULL ||
		sscanf(member + strlen(TS_MEMBER), "%4d-%2d-%2dT%2d:%2d:%lfZ%n", &tm.tm_year, &tm.tm_mon,
			   &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &second, &used) != 6 ||
		used == 0)
		bench_fail("a line has no \"ts\" with a commit time: %.*s",
				   (int) (length < 200 ? length : 200), line);
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	return (double) timegm(&tm) + second;
}

static void
take_line(Follower *follower, const char *line, size_t length, double now)
{
	double commit;

	if (strncmp(line, follower->beginning, strlen(follower->beginning)) != 0)
		return;
	if (follower->skip > 0)
	{
		follower->skip--;
		return;
	}
	if (follower->count == follower->wanted)
		bench_fail("%s has more lines than the %zu expected", follower->path, follower->wanted);
	commit = parse_commit_time(line, length);
	if (follower->count == 0)
		follower->first_commit = commit;
	follower->last_commit = commit;
	follower->latencies[follower->count++] = now - commit;
}

/* Reads what there is, to the end of the file. */
static void
take_all(Follower *follower)
{
	for (;;)
	{
		char *line = follower->buffer;
		char *end;
		char *newline;
		double now;
		ssize_t size = read(follower->file, follower->buffer + follower->used,
							BUFFER_SIZE - 1 - follower->used);

		if (size < 0)
			bench_fail("cannot read %s: %s", follower->path, strerror(errno));
		if (size == 0)
			return;
		now = bench_clock(CLOCK_REALTIME);
		end = follower->buffer + follower->used + size;
		*end = '\0'; /* sscanf needs an end */
		while ((newline = memchr(line, '\n', (size_t) (end - line))) != NULL)
		{
			take_line(follower, line, (size_t) (newline - line), now);
			line = newline + 1;
		}
		follower->used = (size_t) (end - line);
		memmove(follower->buffer, line, follower->used);
		if (follower->used == BUFFER_SIZE - 1)
			bench_fail("%s has a line of more than %d bytes", follower->path, BUFFER_SIZE);
	}
}

/* Waits for a change in the folder; what changed does not matter, the file is read again. */
static void
wait_for_change(Follower *follower, double deadline)
{
	char events[4096];
	struct pollfd poll_watch = {.fd = follower->watch, .events = POLLIN};
	double left = deadline - bench_clock(CLOCK_MONOTONIC);

	if (left <= 0 || poll(&poll_watch, 1, (int) (left * 1000) + 1) == 0)
		bench_fail("%s: only %zu of %zu records within the time", follower->path, follower->count,
				   follower->wanted);
	if (read(follower->watch, events, sizeof(events)) < 0)
		bench_fail("cannot read inotify's events: %s", strerror(errno));
}

static void
follow(Follower *follower, double deadline)
{
	char *path = strdup(follower->path);

	follower->watch = inotify_init1(IN_CLOEXEC);
	if (path == NULL || follower->watch < 0 ||
		inotify_add_watch(follower->watch, dirname(path), IN_CREATE | IN_MODIFY | IN_MOVED_TO) < 0)
		bench_fail("cannot watch the folder of %s: %s", follower->path, strerror(errno));
	free(path);
	for (;;)
	{
		if (follower->file < 0)
			follower->file = open(follower->path, O_RDONLY | O_CLOEXEC);
		if (follower->file < 0 && errno != ENOENT)
			bench_fail("cannot open %s: %s", follower->path, strerror(errno));
		if (follower->file >= 0)
			take_all(follower);
		if (follower->count == follower->wanted)
			return;
		wait_for_change(follower, deadline);
	}
}

static int
compare_doubles(const void *left, const void *right)
{
	double a = *(const double *) left;
	double b = *(const double *) right;

	return (a > b) - (a < b);
}

/* The smallest latency that at least a share of all does not exceed, in milliseconds. */
static double
percentile(const Follower *follower, double share)
{
	size_t rank = (size_t) (share * (double) follower->count + 0.999999);

	return follower->latencies[rank > 0 ? rank - 1 : 0] * 1000;
}

int
main(int argc, char **argv)
{
	Follower follower = {.file = -1};
	double deadline;

	bench_program = "follow";
	if (argc != 5 && argc != 6)
		bench_fail("usage: follow FILE SKIP COUNT TIMEOUT [BEGINNING]");
	follower.path = argv[1];
	follower.beginning = argc == 6 ? argv[5] : "";
	follower.skip = (size_t) bench_parse_number(argv[2], "number of lines to skip");
	follower.wanted = (size_t) bench_parse_number(argv[3], "number of lines to count");
	deadline = bench_clock(CLOCK_MONOTONIC) + bench_parse_number(argv[4], "number of seconds");
	follower.buffer = malloc(BUFFER_SIZE);
	follower.latencies = malloc(follower.wanted * sizeof(double));
	if (follower.buffer == NULL || follower.latencies == NULL)
		bench_fail("out of memory");

	follow(&follower, deadline);
	qsort(follower.latencies, follower.count, sizeof(double), compare_doubles);
	printf("count=%zu p50=%.3f p90=%.3f p99=%.3f max=%.3f seconds=%.3f\n", follower.count,
		   percentile(&follower, 0.50), percentile(&follower, 0.90), percentile(&follower, 0.99),
		   percentile(&follower, 1), follower.last_commit - follower.first_commit);
	free(follower.latencies);
	free(follower.buffer);
	return 0;
}
