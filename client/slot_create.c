/*
 * slot_create.c
 *		Creating a slot, and saying what its creation waits for.
 *
 * CREATE_REPLICATION_SLOT waits until every transaction that was running at its start has ended.
 * That can take hours and the server says nothing of it, so a second connection looks which
 * transaction our walsender is waiting for just now.
 */
#include "slot.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "position.h"

#define POLL_SLICE_MS 100
#define LOOK_EVERY_MS 1000
#define NOTICE_MAX_MS 60000

/* So long a probe waits before it takes silence for the wait for a record of running transactions. */
#define PROBE_MS 5000

typedef struct Waiting
{
	PGconn *repl;
	const char *conninfo;
	const volatile int *interrupted;
	PGconn *looking;   /* the second connection, opened when it is needed first */
	bool cannot_look;  /* it could not be opened, or leads to another server */
	char line[1024];   /* what is waited for, "" while unknown */
	int64_t waited_ms; /* so far */
} Waiting;

static const char waiting_sql[] =
	"SELECT 'transaction ' || waiting.transactionid ||"
	" CASE WHEN prepared.gid IS NOT NULL THEN"
	"  pg_catalog.format(' (prepared %s ago as %L by %s in database %s); to end it, there: "
	"ROLLBACK PREPARED %L; or COMMIT PREPARED',"
	"   pg_catalog.date_trunc('second', pg_catalog.clock_timestamp() - prepared.prepared),"
	"   prepared.gid, prepared.owner, prepared.database, prepared.gid)"
	" ELSE"
	"  pg_catalog.format(' of pid %s (user %s, database %s, open for %s, %s, query started %s: "
	"%s); "
	"to end it: SELECT pg_terminate_backend(%s)', holder.pid,"
	"   coalesce(activity.usename, '?'), coalesce(activity.datname, '?'),"
	"   coalesce(pg_catalog.date_trunc('second', pg_catalog.clock_timestamp() -"
	"    activity.xact_start)::text, 'unknown time'),"
	"   coalesce(activity.state, 'state unknown'),"
	"   coalesce(pg_catalog.to_char(activity.query_start AT TIME ZONE 'UTC',"
	"    'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), 'at an unknown time'),"
	"   pg_catalog.left(activity.query, 100), holder.pid)"
	" END"
	" FROM pg_catalog.pg_locks waiting"
	" LEFT JOIN pg_catalog.pg_locks holder ON holder.locktype = 'transactionid'"
	"  AND holder.transactionid = waiting.transactionid AND holder.granted"
	" LEFT JOIN pg_catalog.pg_stat_activity activity ON activity.pid = holder.pid"
	" LEFT JOIN pg_catalog.pg_prepared_xacts prepared"
	"  ON prepared.transaction = waiting.transactionid"
	" WHERE waiting.pid = $1 AND waiting.locktype = 'transactionid' AND NOT waiting.granted"
	" LIMIT 1";

static const char standby_sql[] = "SELECT pg_catalog.pg_is_in_recovery()";

/* Opens the second connection; of several hosts it must have reached the same one. */
static bool
open_looking(Waiting *waiting)
{
	CdcError ignored;

	if (waiting->looking != NULL)
		return true;
	if (waiting->cannot_look)
		return false;
	if (pgconn_open(&waiting->looking, waiting->conninfo, PGCONN_SQL, waiting->interrupted,
					&ignored) == CDC_OK &&
		strcmp(PQhost(waiting->looking), PQhost(waiting->repl)) == 0 &&
		strcmp(PQport(waiting->looking), PQport(waiting->repl)) == 0)
		return true;
	PQfinish(waiting->looking);
	waiting->looking = NULL;
	waiting->cannot_look = true;
	return false;
}

/* Fills waiting->line; a failure to look is no failure to create, but is said. */
static void
look(Waiting *waiting)
{
	char pid[16];
	const char *params[] = {pid};
	PGresult *result = NULL;
	CdcError err;

	waiting->line[0] = '\0';
	if (!open_looking(waiting))
		return;
	snprintf(pid, sizeof(pid), "%d", PQbackendPID(waiting->repl));
	if (pgconn_query_params(waiting->looking, waiting_sql, 1, params, &result, &err) != CDC_OK)
		snprintf(waiting->line, sizeof(waiting->line), "what could not be looked up (%.800s)",
				 err.message);
	else if (PQntuples(result) == 1)
		snprintf(waiting->line, sizeof(waiting->line), "%s", PQgetvalue(result, 0, 0));
	PQclear(result);
	result = NULL;
	if (waiting->line[0] == '\0' &&
		pgconn_query(waiting->looking, standby_sql, &result, &err) == CDC_OK &&
		PQgetvalue(result, 0, 0)[0] == 't')
		snprintf(waiting->line, sizeof(waiting->line),
				 "the primary's next record of running transactions; to have it now, on the "
				 "primary: SELECT pg_log_standby_snapshot()");
	PQclear(result);
}

static void
cancel(PGconn *conn)
{
	PGcancel *cancel_request = PQgetCancel(conn);
	char ignored[256];

	if (cancel_request != NULL)
		PQcancel(cancel_request, ignored, sizeof(ignored));
	PQfreeCancel(cancel_request);
}

/*
 * Waits for the command's result, calling go_on() about once a second; where that or a signal says
 * to stop, the command is cancelled, and *stopped set.  NULL: the connection broke.
 */
static PGresult *
wait_for_result(Waiting *waiting, bool (*go_on)(Waiting *waiting, void *arg), void *arg,
				bool *stopped)
{
	int64_t started = clock_now() / 1000;
	int64_t next_look = started + LOOK_EVERY_MS;

	*stopped = false;
	while (PQisBusy(waiting->repl))
	{
		struct pollfd fd = {.fd = PQsocket(waiting->repl), .events = POLLIN};
		bool stop = !*stopped && waiting->interrupted != NULL && *waiting->interrupted;

		if (poll(&fd, 1, POLL_SLICE_MS) > 0 && PQconsumeInput(waiting->repl) == 0)
			return NULL;
		waiting->waited_ms = clock_now() / 1000 - started;
		if (!*stopped && !stop && clock_now() / 1000 >= next_look && PQisBusy(waiting->repl))
		{
			look(waiting);
			stop = !go_on(waiting, arg);
			next_look = clock_now() / 1000 + LOOK_EVERY_MS;
		}
		if (stop)
		{
			cancel(waiting->repl);
			*stopped = true;
		}
	}
	return PQgetResult(waiting->repl);
}

static void
drain(PGconn *conn)
{
	PGresult *result;

	while ((result = PQgetResult(conn)) != NULL)
		PQclear(result);
}

typedef struct Notices
{
	void (*notice)(const char *line);
	int64_t next_ms; /* of waiting: when the same is said again */
	char holder[64]; /* beginning of the line said last: the transaction */
} Notices;

/* At once when there is another transaction in the way; else ever more rarely, up to a minute. */
static bool
give_notice(Waiting *waiting, void *arg)
{
	Notices *notices = arg;
	int prefix = (int) sizeof(notices->holder) - 1;
	char line[1280];
	char *open_parenthesis;

	/* up to "of pid 1234 (": what follows changes from second to second */
	snprintf(line, sizeof(line), "%.*s", prefix, waiting->line);
	open_parenthesis = strchr(line, '(');
	if (open_parenthesis != NULL)
		*open_parenthesis = '\0';
	if (notices->notice == NULL ||
		(strcmp(line, notices->holder) == 0 && waiting->waited_ms < notices->next_ms))
		return true;
	snprintf(notices->holder, sizeof(notices->holder), "%.*s", prefix, line);
	notices->next_ms = waiting->waited_ms * 2;
	if (notices->next_ms > waiting->waited_ms + NOTICE_MAX_MS)
		notices->next_ms = waiting->waited_ms + NOTICE_MAX_MS;
	snprintf(line, sizeof(line), "creation of the slot has been waiting for %d s%s%s",
			 (int) (waiting->waited_ms / 1000), waiting->line[0] != '\0' ? " for " : "",
			 waiting->line);
	notices->notice(line);
	return true;
}

/* The answer to CREATE_REPLICATION_SLOT: slot_name, consistent_point, ... */
static CdcStatus
read_created(const PGresult *result, uint64_t *consistent_point, CdcError *err)
{
	if (PQntuples(result) == 1 && PQnfields(result) >= 2 &&
		lsn_parse(PQgetvalue(result, 0, 1), consistent_point))
		return CDC_OK;
	return cdc_error(err, CDC_STOP,
					 "CREATE_REPLICATION_SLOT did not answer as a PostgreSQL walsender does");
}

CdcStatus
slot_create(PGconn *repl, const char *conninfo, const char *slot, bool failover,
			const volatile int *interrupted, void (*notice)(const char *line),
			uint64_t *consistent_point, CdcError *err)
{
	Waiting waiting = {.repl = repl, .conninfo = conninfo, .interrupted = interrupted};
	Notices notices = {.notice = notice};
	PGresult *result = NULL;
	CdcStatus status;
	bool stopped = false;
	char command[512];
	char what[128];
	char *name;

	if (failover && PQserverVersion(repl) < 170000)
	{
		cdc_error(err, CDC_USAGE,
				  "--failover: this server is PostgreSQL %d, which has no failover "
				  "slots",
				  PQserverVersion(repl) / 10000);
		cdc_error_hint(err, "PostgreSQL 17 and later have them; leave --failover away.");
		return CDC_USAGE;
	}
	name = pgconn_quote_identifier(slot);
	snprintf(command, sizeof(command),
			 "CREATE_REPLICATION_SLOT %s LOGICAL " PGCONN_PLUGIN " (SNAPSHOT 'nothing'%s)", name,
			 failover ? ", FAILOVER true" : "");
	snprintf(what, sizeof(what), "creating replication slot %s", name);
	free(name);

	if (PQsendQuery(repl, command) == 1)
		result = wait_for_result(&waiting, give_notice, &notices, &stopped);
	drain(repl); /* so that the connection can be asked for what the hint needs */
	if (PQresultStatus(result) == PGRES_TUPLES_OK)
		status = read_created(result, consistent_point, err);
	else if (stopped)
		status = cdc_error(err, CDC_RETRY, "%s: interrupted; no slot was created", what);
	else
		status = pgconn_error(repl, result, what, err);
	PQclear(result);
	PQfinish(waiting.looking);
	return status;
}

/* A probe that is seen waiting has loaded the library. */
static bool
probe_goes_on(Waiting *waiting, void *arg)
{
	(void) arg;
	return waiting->line[0] == '\0' && waiting->waited_ms < PROBE_MS;
}

CdcStatus
slot_probe_plugin(PGconn *repl, const char *conninfo, const volatile int *interrupted,
				  char *waiting_line, size_t size, CdcError *err)
{
	Waiting waiting = {.repl = repl, .conninfo = conninfo, .interrupted = interrupted};
	PGresult *result = NULL;
	CdcStatus status = CDC_OK;
	bool stopped = false;
	char command[256];

	waiting_line[0] = '\0';
	snprintf(command, sizeof(command),
			 "CREATE_REPLICATION_SLOT cdc_doctor_%d TEMPORARY LOGICAL " PGCONN_PLUGIN
			 " (SNAPSHOT 'nothing')",
			 PQbackendPID(repl));
	if (PQsendQuery(repl, command) == 1)
		result = wait_for_result(&waiting, probe_goes_on, NULL, &stopped);
	drain(repl);
	if (stopped)
		snprintf(waiting_line, size, "%s",
				 waiting.line[0] != '\0' ? waiting.line : "a moment without old transactions");
	else if (PQresultStatus(result) != PGRES_TUPLES_OK)
		status = pgconn_error(repl, result, "trying the plugin by a temporary slot", err);
	PQclear(result);
	PQfinish(waiting.looking);
	return status;
}
