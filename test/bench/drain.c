/*
 * drain.c
 *		Replays a logical slot to nowhere and says what that cost the walsender.
 *
 *	drain [--hold] CONNINFO SLOT ENDPOS [NAME=VALUE ...]
 *
 * Streams the slot with the given plugin options, discards what comes, and never confirms anything.
 * The end is a keepalive at or past ENDPOS: the walsender sends one when it has decoded and sent
 * all WAL there is, so its CPU clock, read from outside while it waits for more, holds the whole
 * replay and nothing else: no sampling, and no race with its exit.  The clock is read before
 * START_REPLICATION too, so that connecting does not count.
 *
 * Prints one line of key=value pairs: cpu, user, system, wall (seconds), bytes and messages of the
 * plugin (without the protocol's headers), client_cpu.	 cpu has the clock's resolution
 * (nanoseconds); user and system are /proc's ticks.
 *
 * --hold: prints pid=N first, and starts only when a line can be read on standard input.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "bench.h"

/* Sizes of the fixed parts: protocol.sgml, "Streaming Replication Protocol". */
#define XLOGDATA_HEADER_SIZE 25
#define KEEPALIVE_WAL_END 1
#define KEEPALIVE_SIZE 18

typedef struct CpuTimes
{
	double total;
	double user;
	double system;
} CpuTimes;

typedef struct Drained
{
	uint64_t bytes;
	uint64_t messages;
} Drained;

/* User and system time in ticks: only the kernel's split, the sum comes from the CPU clock. */
static void
read_ticks(int pid, CpuTimes *times)
{
	char path[64];
	char line[1024];
	const char *after_name;
	unsigned long long user;
	unsigned long long system;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "r");
	if (file == NULL)
		bench_fail("cannot read %s: %s", path, strerror(errno));
	if (fgets(line, sizeof(line), file) == NULL)
		bench_fail("%s is empty", path);
	fclose(file);

	/* The process's name may hold blanks and parentheses: fields count from the last one. */
	after_name = strrchr(line, ')');
	if (after_name == NULL ||
		sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
			   &system) != 2)
		bench_fail("%s has an unknown form: %s", path, line);
	times->user = (double) user / (double) sysconf(_SC_CLK_TCK);
	times->system = (double) system / (double) sysconf(_SC_CLK_TCK);
}

static CpuTimes
read_cpu(int pid)
{
	CpuTimes times = {0};
	clockid_t clock;
	int rc = clock_getcpuclockid(pid, &clock);

	if (rc != 0)
		bench_fail("no CPU clock of process %d: %s (the server must run on this machine)", pid,
				   strerror(rc));
	times.total = bench_clock(clock);
	read_ticks(pid, &times);
	return times;
}

/* Appends one plugin option, quoted, to the list inside START_REPLICATION's parentheses. */
static void
append_option(PGconn *conn, FILE *command, const char *option, bool first)
{
	const char *equals = strchr(option, '=');
	char *name;
	char *value;
	char *bare;

	if (equals == NULL || equals == option)
		bench_fail("plugin option \"%s\" is not of the form NAME=VALUE", option);
	bare = strndup(option, (size_t) (equals - option));
	if (bare == NULL)
		bench_fail("out of memory");
	name = PQescapeIdentifier(conn, bare, strlen(bare));
	value = PQescapeLiteral(conn, equals + 1, strlen(equals + 1));
	if (name == NULL || value == NULL)
		bench_fail("cannot quote \"%s\": %s", option, PQerrorMessage(conn));
	fprintf(command, "%s%s %s", first ? "" : ", ", name, value);
	PQfreemem(name);
	PQfreemem(value);
	free(bare);
}

static void
start_replication(PGconn *conn, const char *slot, char **options, int noptions)
{
	char *text = NULL;
	size_t size = 0;
	FILE *command = open_memstream(&text, &size);
	PGresult *result;

	if (command == NULL)
		bench_fail("out of memory");
	fprintf(command, "START_REPLICATION SLOT \"%s\" LOGICAL 0/0", slot);
	if (noptions > 0)
	{
		fputs(" (", command);
		for (int i = 0; i < noptions; i++)
			append_option(conn, command, options[i], i == 0);
		fputc(')', command);
	}
	fclose(command);

	result = PQexec(conn, text);
	if (PQresultStatus(result) != PGRES_COPY_BOTH)
		bench_fail("%s: %s", text, PQerrorMessage(conn));
	PQclear(result);
	free(text);
}

/* Reads until a keepalive at or past endpos. */
static Drained
drain(PGconn *conn, uint64_t endpos)
{
	Drained drained = {0};

	for (;;)
	{
		char *message;
		int size = PQgetCopyData(conn, &message, 0);
		bool done = false;

		if (size < 0)
		{
			PGresult *result = PQgetResult(conn);

			bench_fail("the stream ended before %X/%X: %s", (unsigned int) (endpos >> 32),
					   (unsigned int) endpos,
					   result != NULL ? PQresultErrorMessage(result) : PQerrorMessage(conn));
		}
		if (message[0] == 'w' && size >= XLOGDATA_HEADER_SIZE)
		{
			drained.bytes += (uint64_t) (size - XLOGDATA_HEADER_SIZE);
			drained.messages++;
		}
		else if (message[0] == 'k' && size >= KEEPALIVE_SIZE)
			done = bench_read_uint64(message + KEEPALIVE_WAL_END) >= endpos;
		else
			bench_fail("unknown message '%c' of %d bytes in the stream", message[0], size);
		PQfreemem(message);
		if (done)
			return drained;
	}
}

/* decoderbufs greets every session with an INFO; what is worth stopping for comes as an error. */
static void
ignore_notice(void *arg, const PGresult *notice)
{
	(void) arg;
	(void) notice;
}

static PGconn *
connect_walsender(const char *conninfo)
{
	/* expand_dbname: the first dbname is the conninfo, which the later keywords add to. */
	const char *keywords[] = {"dbname", "replication", "fallback_application_name", NULL};
	const char *values[] = {conninfo, "database", bench_program, NULL};
	PGconn *conn = PQconnectdbParams(keywords, values, 1);

	if (PQstatus(conn) != CONNECTION_OK)
		bench_fail("%s", PQerrorMessage(conn));
	PQsetNoticeReceiver(conn, ignore_notice, NULL);
	return conn;
}

static void
hold(int pid)
{
	char line[16];

	printf("pid=%d\n", pid);
	fflush(stdout);
	if (fgets(line, sizeof(line), stdin) == NULL)
		bench_fail("standard input ended before the line that starts the replay");
}

int
main(int argc, char **argv)
{
	bool held = argc > 1 && strcmp(argv[1], "--hold") == 0;
	char **args = argv + (held ? 2 : 1);
	int nargs = argc - (held ? 2 : 1);
	CpuTimes before;
	CpuTimes after;
	Drained drained;
	uint64_t endpos;
	double started;
	double wall;
	PGconn *conn;
	int pid;

	bench_program = "drain";
	if (nargs < 3)
		bench_fail("usage: drain [--hold] CONNINFO SLOT ENDPOS [NAME=VALUE ...]");
	endpos = bench_parse_lsn(args[2]);
	conn = connect_walsender(args[0]);
	pid = PQbackendPID(conn);
	if (held)
		hold(pid);

	before = read_cpu(pid);
	started = bench_clock(CLOCK_MONOTONIC);
	start_replication(conn, args[1], args + 3, nargs - 3);
	drained = drain(conn, endpos);
	wall = bench_clock(CLOCK_MONOTONIC) - started;
	after = read_cpu(pid);

	printf("cpu=%.6f user=%.2f system=%.2f wall=%.6f bytes=%" PRIu64 " messages=%" PRIu64
		   " client_cpu=%.6f\n",
		   after.total - before.total, after.user - before.user, after.system - before.system, wall,
		   drained.bytes, drained.messages, bench_clock(CLOCK_PROCESS_CPUTIME_ID));
	PQfinish(conn);
	return 0;
}
