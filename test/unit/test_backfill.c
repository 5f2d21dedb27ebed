/*
 * test_backfill.c
 *		Requests for existing rows: what is asked of the server in which order, and what becomes of answers
 *		that are late, lost, refused or wrong.
 */
#include "script_libpq.h"

#include <fcntl.h>
#include <unistd.h>

#include "backfill.h"
#include "clock.h"
#include "log.h"
#include "session.h"

static CdcError err;
static PluginOption pipeline = {.name = "pipeline", .value = "orders"};
static CdcOptions options;
static volatile int interrupted;
static StreamState stream;
static Session session;
static Backfill *backfill;
static int connections; /* open ones */
static int cancels;
static int gone;  /* what is read from the connection: its end */
static int ready; /* a file that is always */
static int real_stderr;
static FILE *captured;

/* ---- what script_libpq.h has not ---- */

PGconn *
PQconnectStartParams(const char *const *keywords, const char *const *values, int expand)
{
	(void) keywords;
	(void) values;
	(void) expand;
	connections++;
	return SCRIPT_CONN;
}

PostgresPollingStatusType
PQconnectPoll(PGconn *conn)
{
	(void) conn;
	return PGRES_POLLING_OK;
}

void
PQfinish(PGconn *conn)
{
	if (conn != NULL)
		connections--;
}

PQconninfoOption *
PQconninfo(PGconn *conn)
{
	(void) conn;
	return NULL;
}

char *
PQhost(const PGconn *conn)
{
	(void) conn;
	return "db1";
}

PGVerbosity
PQsetErrorVerbosity(PGconn *conn, PGVerbosity verbosity)
{
	(void) conn;
	return verbosity;
}

PQnoticeReceiver
PQsetNoticeReceiver(PGconn *conn, PQnoticeReceiver receiver, void *arg)
{
	(void) conn;
	(void) arg;
	return receiver;
}

int
PQconsumeInput(PGconn *conn)
{
	(void) conn;
	return !gone;
}

PGcancel *
PQgetCancel(PGconn *conn)
{
	return (PGcancel *) conn;
}

void
PQfreeCancel(PGcancel *cancel)
{
	(void) cancel;
}

int
PQcancel(PGcancel *cancel, char *message, int size)
{
	(void) cancel;
	(void) message;
	(void) size;
	cancels++;
	return 1;
}

/* ---- what all tests share ---- */

static int
setup(void **state)
{
	(void) state;
	memset(&script, 0, sizeof(script));
	memset(&stream, 0, sizeof(stream));
	memset(&session, 0, sizeof(session));
	memset(&options, 0, sizeof(options));
	memset(&err, 0, sizeof(err));
	ready = open("/dev/null", O_RDWR | O_CLOEXEC);
	script.version = 150020;
	script.socket = ready;
	options.plugin_options = &pipeline;
	options.num_plugin_options = 1;
	options.slot = "s";
	stream.options = &options;
	stream.interrupted = &interrupted;
	session.state = &stream;
	session.start.confirmed = 0x16E2B48;
	backfill = NULL;
	connections = cancels = gone = 0;
	fflush(stderr);
	captured = tmpfile();
	real_stderr = dup(STDERR_FILENO);
	dup2(fileno(captured), STDERR_FILENO);
	log_setup(LOG_DEBUG, false);
	return 0;
}

static int
teardown(void **state)
{
	(void) state;
	backfill_close(backfill);
	fflush(stderr);
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	fclose(captured);
	close(ready);
	return connections; /* none is left open */
}

/* How many log lines since the last call have the level and the text; nothing else at WARNING or above. */
static int
logged(const char *level, const char *part)
{
	char line[4096];
	int found = 0;

	fflush(stderr);
	rewind(captured);
	while (fgets(line, sizeof(line), captured) != NULL)
	{
		if (strstr(line, level) != NULL && strstr(line, part) != NULL)
			found++;
		else if (strstr(line, "WARNING") != NULL || strstr(line, "ERROR") != NULL)
			fail_msg("logged: %s", line);
	}
	rewind(captured);
	assert_int_equal(ftruncate(fileno(captured), 0), 0);
	return found;
}

#define ROW(part, ...)                                                                             \
	{                                                                                              \
		.command = part, .status = PGRES_TUPLES_OK, .num_rows = 1, .row = { __VA_ARGS__ }          \
	}
#define FAILED(part, state, text)                                                                  \
	{                                                                                              \
		.command = part, .status = PGRES_FATAL_ERROR, .sqlstate = state, .message = text           \
	}
#define CONNECT ROW("search_path", ""), ROW("pg_is_in_recovery", "t"), ROW("synchronous_commit", "")
#define NEWS(known, given, requests) ROW("pending_backfills", known, given, requests)
#define NOTHING NEWS("0", "0", "[]")
#define FIVE                                                                                       \
	NEWS("5", "5", "[{\"id\":5,\"relation\":16400,\"name\":\"public.t\",\"filter\":\"a > 1\"}]")
#define PLAN "snapshot_relations"

/* Takes backfill's turn, which asks for all of answers and for nothing else. */
static void
turn(const ScriptResult *answers, int64_t now)
{
	script.next = answers;
	backfill_turn(backfill, now);
	if (script.next->command != NULL)
		fail_msg("not asked for: %s", script.next->command);
}

static void
open_with(const ScriptResult *answers, int64_t running, CdcStatus expected)
{
	script.next = answers;
	assert_int_equal(backfill_open(&backfill, &session, 0, running, &err), expected);
	assert_null(script.next->command);
}

/* ---- the tests ---- */

static void
nobody_can_have_requested(void **state)
{
	const ScriptResult without[] = {
		ROW("search_path", ""), ROW("pg_is_in_recovery", "f"), ROW("synchronous_commit", ""), {0}};

	(void) state;
	options.num_plugin_options = 0;
	assert_int_equal(backfill_open(&backfill, &session, 0, 0, &err), CDC_OK);
	assert_null(backfill);
	options.num_plugin_options = 1;
	session.in_recovery = true;
	assert_int_equal(backfill_open(&backfill, &session, 0, 0, &err), CDC_OK);
	assert_null(backfill);
	assert_false(backfill_is_busy(backfill));
	assert_null(backfill_current(backfill));
	backfill_bell(backfill, 1);

	/* no extension */
	session.in_recovery = false;
	open_with(without, 0, CDC_OK);
	assert_false(backfill_is_busy(backfill));
}

/* The lowest number first, those that are through never; a cancelled one needs no plan. */
static void
requests_are_served_in_order(void **state)
{
	const ScriptResult opened[] = {
		CONNECT,
		NEWS("9", "9",
			 "[{\"id\":9,\"relation\":3,\"name\":\"c\",\"cancelled\":true},"
			 "{\"id\":2,\"relation\":1,\"name\":\"a\"},"
			 "{\"id\":7,\"relation\":16400,\"name\":\"public.t\",\"filter\":\"a > 1\"}]"),
		{0}};
	const ScriptResult planned[] = {ROW(PLAN, "16400", "public.t", "10", "8192", "[\"id\"]", "1"),
									{0}};
	const ScriptResult told[] = {ROW("report_backfill", "f"), {0}};
	const ScriptResult nothing[] = {{0}};
	BackfillReport report = {.number = 7, .state = "running", .rows = 3, .reading = "public.t"};
	const BackfillRequest *request;
	SnapshotPlan plan;
	int64_t now = clock_now();

	(void) state;
	script.next = opened;
	assert_int_equal(backfill_open(&backfill, &session, 6, 0, &err), CDC_OK);
	assert_string_equal(script.params[0], "orders");
	assert_string_equal(script.params[1], "s");
	assert_string_equal(script.params[2], "0/16E2B48");
	assert_true(backfill_is_busy(backfill));
	assert_null(backfill_current(backfill));
	assert_true(backfill_begin_next(backfill));
	request = backfill_current(backfill);
	assert_int_equal(request->number, 7);
	assert_int_equal(request->relation, 16400);
	assert_string_equal(request->name, "public.t");
	assert_string_equal(request->filter, "a > 1");
	assert_int_equal(backfill_plan(backfill, &plan, &err), BACKFILL_PLAN_WAIT);
	turn(planned, now);
	assert_string_equal(script.params[1], "16400");
	turn(nothing, now);
	assert_int_equal(backfill_plan(backfill, &plan, &err), BACKFILL_PLAN_READY);
	assert_int_equal(plan.num_tables, 1);
	assert_string_equal(plan.tables[0].name, "public.t");
	snapshot_plan_free(&plan);

	backfill_report(backfill, &report);
	assert_false(backfill_has_reported(backfill));
	turn(told, now);
	assert_false(backfill_has_reported(backfill)); /* it is under way */
	turn(nothing, now);
	assert_true(backfill_has_reported(backfill));
	assert_string_equal(script.params[0], "7");
	assert_string_equal(script.params[2], "running");
	assert_string_equal(script.params[3], "3");
	assert_string_equal(script.params[4], "public.t");
	assert_string_equal(script.params[5], "(null)");
	assert_false(backfill_current(backfill)->cancelled);

	backfill_end_current(backfill);
	assert_true(backfill_begin_next(backfill));
	assert_true(backfill_begin_next(backfill)); /* the same */
	assert_int_equal(backfill_current(backfill)->number, 9);
	assert_true(backfill_current(backfill)->cancelled);
	turn(nothing, now);
	backfill_end_current(backfill);
	assert_false(backfill_begin_next(backfill));
	assert_true(backfill_is_busy(backfill)); /* with 2, below */
}

/*
 * A client was gone when it had stored that a request is through, and before it told the server, where that would
 * stay "running" for ever.
 */
static void
what_was_not_told_is(void **state)
{
	const ScriptResult opened[] = {
		CONNECT,
		NEWS("9", "9",
			 "[{\"id\":6,\"relation\":3,\"name\":\"c\"},"
			 "{\"id\":2,\"relation\":1,\"name\":\"a\",\"cancelled\":true}]"),
		{0}};
	const ScriptResult told[] = {ROW("report_backfill", "f"), {0}};
	const ScriptResult nothing[] = {{0}};
	SnapshotState through = {.kind = SNAPSHOT_BACKFILL,
							 .request = 6,
							 .finished = true,
							 .name = "c",
							 .key = "",
							 .rows = 70};
	int64_t now = clock_now();

	(void) state;
	session.start.snapshot = snapshot_cursor_create(&through, NULL);
	script.next = opened;
	assert_int_equal(backfill_open(&backfill, &session, 6, 0, &err), CDC_OK);
	assert_true(backfill_is_busy(backfill));
	assert_false(backfill_begin_next(backfill));
	turn(told, now);
	assert_string_equal(script.params[0], "6");
	assert_string_equal(script.params[2], "done");
	assert_string_equal(script.params[3], "70");
	turn(told, now);
	assert_string_equal(script.params[0], "2");
	assert_string_equal(script.params[2], "cancelled");
	assert_string_equal(script.params[3], "0");
	assert_true(backfill_is_busy(backfill)); /* whoever ends now would cancel it */
	turn(nothing, now);
	assert_false(backfill_is_busy(backfill));
}

/* The extension was made anew: the numbers that the position speaks of are given a second time. */
static void
numbers_begin_anew(void **state)
{
	const ScriptResult opened[] = {
		CONNECT, NEWS("1", "1", "[{\"id\":1,\"relation\":3,\"name\":\"c\"}]"), {0}};

	(void) state;
	script.next = opened;
	assert_int_equal(backfill_open(&backfill, &session, 6, 0, &err), CDC_OK);
	assert_int_equal(logged("WARNING", "only given numbers up to 1"), 1);
	assert_true(backfill_begin_next(backfill));
	assert_int_equal(backfill_current(backfill)->number, 1);
}

/* Told by the answer to a report, or by news. */
static void
requests_get_cancelled(void **state)
{
	const ScriptResult opened[] = {CONNECT, FIVE, {0}};
	const ScriptResult told[] = {ROW("report_backfill", "t"), {0}};
	const ScriptResult news[] = {
		NEWS("6", "6", "[{\"id\":5,\"relation\":1,\"name\":\"t\",\"cancelled\":true}]"), {0}};
	const ScriptResult planned[] = {ROW(PLAN, "1", "t", "1", "1", "[]", "0"), {0}};
	const ScriptResult nothing[] = {{0}};
	BackfillReport report = {.number = 5, .state = "running"};
	int64_t now = clock_now();

	open_with(opened, 0, CDC_OK);
	assert_true(backfill_begin_next(backfill));
	backfill_report(backfill, &report);
	turn(told, now);
	turn(planned, now);
	assert_true(backfill_current(backfill)->cancelled);
	assert_int_equal(teardown(state), 0);

	setup(state);
	open_with(opened, 0, CDC_OK);
	assert_true(backfill_begin_next(backfill));
	backfill_bell(backfill, 6);
	turn(news, now);
	assert_string_equal(script.params[3], "5"); /* that it is told of although it is known */
	turn(planned, now);
	assert_true(backfill_current(backfill)->cancelled);
	turn(nothing, now);
}

/* The position says that it is not through, but it was deleted. */
static void
a_request_has_gone(void **state)
{
	const ScriptResult opened[] = {CONNECT, NOTHING, {0}};

	(void) state;
	open_with(opened, 4, CDC_OK);
	assert_string_equal(script.params[3], "4");
	assert_int_equal(logged("WARNING", "request 4 for existing rows, which was not through, is not "
									   "in the database any more"),
					 1);
	assert_false(backfill_is_busy(backfill));
}

/* The position says that it is not through: it is told of in each answer until it is. */
static void
a_request_is_resumed(void **state)
{
	const ScriptResult opened[] = {CONNECT, FIVE, {0}};
	const ScriptResult planned[] = {ROW(PLAN, "1", "t", "1", "1", "[]", "0"), {0}};
	const ScriptResult news[] = {NEWS("6", "6", "[]"), {0}};
	int64_t now = clock_now();

	(void) state;
	open_with(opened, 5, CDC_OK);
	assert_string_equal(script.params[3], "5");
	assert_true(backfill_begin_next(backfill));
	turn(planned, now);
	backfill_end_current(backfill);
	backfill_bell(backfill, 6);
	turn(news, now);
	assert_string_equal(script.params[3], "0");
}

/* The stream told of a commit that is not visible yet: asked again until it is, ever less often. */
static void
news_can_come_late(void **state)
{
	const ScriptResult opened[] = {CONNECT, NOTHING, {0}};
	const ScriptResult not_yet[] = {NEWS("0", "5", "[]"), {0}};
	const ScriptResult five[] = {FIVE, {0}};
	const ScriptResult nothing[] = {{0}};
	struct pollfd fd;
	int64_t now = clock_now();
	int64_t deadline = INT64_MAX;

	(void) state;
	open_with(opened, 0, CDC_OK);
	assert_int_equal(backfill_wait(backfill, &fd, &deadline), 0);
	assert_true(deadline == INT64_MAX);
	backfill_bell(backfill, 5);
	assert_true(backfill_is_busy(backfill));
	turn(not_yet, now);
	assert_int_equal(backfill_wait(backfill, &fd, &deadline), 1);
	assert_int_equal(fd.fd, ready);
	script.silent = 1;
	turn(nothing, now);
	assert_int_equal(backfill_wait(backfill, &fd, &deadline), 1);
	script.silent = 0;
	turn(nothing, now); /* the answer is taken, and it is too early for the next question */
	assert_int_equal(backfill_wait(backfill, &fd, &deadline), 0);
	assert_true(deadline == now + CLOCK_SECOND / 10);
	turn(nothing, deadline - 1);
	turn(not_yet, deadline);
	now = deadline;
	turn(nothing, now);
	deadline = INT64_MAX;
	(void) backfill_wait(backfill, &fd, &deadline);
	assert_true(deadline == now + 2 * CLOCK_SECOND / 10);
	turn(five, deadline);
	turn(nothing, deadline);
	assert_true(backfill_begin_next(backfill));
	assert_int_equal(logged("DEBUG", "request 5 for existing rows is not visible yet"), 2);
}

/* A number that nobody was ever given is not waited for. */
static void
wrong_numbers_are_forgotten(void **state)
{
	const ScriptResult opened[] = {CONNECT, NOTHING, {0}};
	const ScriptResult news[] = {NEWS("3", "3", "[]"), {0}};
	const ScriptResult nothing[] = {{0}};
	int64_t now = clock_now();

	(void) state;
	open_with(opened, 0, CDC_OK);
	backfill_bell(backfill, INT64_MAX);
	turn(news, now);
	turn(nothing, now);
	assert_false(backfill_is_busy(backfill));
}

/* What the server refuses at the start ends no session; it is asked again where that can help. */
static void
refused_at_the_start(void **state)
{
	const ScriptResult locked[] = {
		CONNECT, FAILED("pending_backfills", "55P03", "lock timeout"), {0}};
	const ScriptResult denied[] = {
		CONNECT, FAILED("pending_backfills", "42883", "no function"), {0}};
	const ScriptResult denied_again[] = {FAILED("pending_backfills", "42883", "no function"), {0}};
	const ScriptResult foreign[] = {CONNECT, NEWS("0", "0", "{}"), {0}};
	const ScriptResult five[] = {FIVE, {0}};
	const ScriptResult nothing[] = {{0}};

	open_with(locked, 0, CDC_OK);
	assert_int_equal(logged("WARNING", "asking for requested rows: lock timeout"), 1);
	assert_true(backfill_is_busy(backfill));
	turn(five, clock_now() + CLOCK_SECOND);
	turn(nothing, clock_now() + CLOCK_SECOND);
	assert_true(backfill_begin_next(backfill));
	assert_int_equal(teardown(state), 0);

	setup(state);
	open_with(denied, 0, CDC_OK);
	assert_int_equal(logged("WARNING", "no function"), 1);
	assert_false(backfill_is_busy(backfill));
	backfill_bell(backfill, 5); /* asked all the same: the function may be there now */
	turn(denied_again, clock_now());
	turn(nothing, clock_now());
	assert_int_equal(logged("WARNING", "no function"), 1);
	assert_false(backfill_is_busy(backfill));
	assert_int_equal(teardown(state), 0);

	setup(state);
	open_with(foreign, 0, CDC_OK);
	assert_int_equal(logged("WARNING", "cdc.pending_backfills() did not answer as expected"), 1);
	assert_false(backfill_is_busy(backfill));
}

/* Whoever opens the session tries it again. */
static void
unreachable_at_the_start(void **state)
{
	const ScriptResult refused[] = {
		ROW("search_path", ""), FAILED("pg_is_in_recovery", "57P01", "terminating"), {0}};
	const ScriptResult nothing[] = {{0}};

	script.broken = 1;
	script.connection_error = "connection to server at \"db1\" failed: Connection refused\n";
	open_with(nothing, 0, CDC_RETRY);
	assert_non_null(strstr(err.message, "Connection refused"));
	assert_int_equal(teardown(state), 0);

	setup(state);
	open_with(refused, 0, CDC_RETRY);
	assert_non_null(strstr(err.message, "terminating"));
}

/* Said once; then asked on another connection, and what was lost once more. */
static void
connections_get_lost(void **state)
{
	const ScriptResult opened[] = {CONNECT, FIVE, {0}};
	const ScriptResult unsent[] = {{.command = "pending_backfills", .unsent = 1}, {0}};
	const ScriptResult again[] = {CONNECT, NEWS("6", "6", "[]"), {0}};
	const ScriptResult unsent_report[] = {{.command = "report_backfill", .unsent = 1}, {0}};
	const ScriptResult reported[] = {CONNECT, ROW("report_backfill", "f"), {0}};
	const ScriptResult nothing[] = {{0}};
	BackfillReport report = {.number = 5, .state = "failed", .message = "why"};
	int64_t now = clock_now();

	(void) state;
	script.connection_error = "server closed the connection unexpectedly\n";
	open_with(opened, 0, CDC_OK);
	backfill_bell(backfill, 6);
	turn(unsent, now);
	assert_int_equal(connections, 0);
	assert_int_equal(logged("WARNING", "asking for requested rows: server closed"), 1);
	turn(nothing, now); /* after a pause */
	turn(again, now + CLOCK_SECOND);
	gone = 1;
	turn(nothing, now + CLOCK_SECOND);
	assert_int_equal(connections, 0);
	assert_int_equal(cancels, 1); /* it may be the way back that is broken */
	assert_int_equal(logged("DEBUG", "asking for requested rows: server closed"), 1);
	gone = 0;
	turn(again, now + 2 * CLOCK_SECOND);
	turn(nothing, now + 2 * CLOCK_SECOND);
	assert_int_equal(logged("WARNING", ""), 0);

	/* a report too, and its result is lost with the connection */
	backfill_report(backfill, &report);
	turn(unsent_report, now + 2 * CLOCK_SECOND);
	assert_false(backfill_has_reported(backfill));
	assert_int_equal(logged("WARNING", "reporting on requested rows: server closed"), 1);
	turn(reported, now + 4 * CLOCK_SECOND);
	assert_false(backfill_has_reported(backfill));
	script.broken = 1;
	turn(nothing, now + 4 * CLOCK_SECOND);
	assert_false(backfill_has_reported(backfill));
	assert_int_equal(logged("DEBUG", "server closed"), 1);
	script.broken = 0;
	turn(reported, now + 8 * CLOCK_SECOND);
	turn(nothing, now + 8 * CLOCK_SECOND);
	assert_true(backfill_has_reported(backfill));
	assert_string_equal(script.params[4], "(null)");
	assert_string_equal(script.params[5], "why");
}

/* Reconnected to where requests cannot be served. */
static void
the_extension_has_gone(void **state)
{
	const ScriptResult opened[] = {CONNECT, NOTHING, {0}};
	const ScriptResult unsent[] = {{.command = "pending_backfills", .unsent = 1}, {0}};
	const ScriptResult without[] = {
		ROW("search_path", ""), ROW("pg_is_in_recovery", "f"), ROW("synchronous_commit", ""), {0}};
	int64_t now = clock_now();

	(void) state;
	open_with(opened, 0, CDC_OK);
	backfill_bell(backfill, 1);
	turn(unsent, now);
	assert_int_equal(logged("WARNING", "asking for requested rows"), 1);
	turn(without, now + CLOCK_SECOND);
	assert_int_equal(logged("DEBUG", "the database has no extension cdc_decoder"), 1);
	assert_true(backfill_is_busy(backfill));
}

/* A table that is locked is looked at again; one that cannot be read fails its request, with the reason. */
static void
plans_fail(void **state)
{
	const ScriptResult opened[] = {CONNECT, FIVE, {0}};
	const ScriptResult cancelled[] = {FAILED(PLAN, "57014", "canceling statement"), {0}};
	const ScriptResult denied[] = {FAILED(PLAN, "42501", "permission denied for table t"), {0}};
	const ScriptResult nothing[] = {{0}};
	int64_t now = clock_now();
	SnapshotPlan plan;

	(void) state;
	open_with(opened, 0, CDC_OK);
	assert_true(backfill_begin_next(backfill));
	turn(cancelled, now);
	turn(nothing, now);
	assert_int_equal(logged("WARNING", "looking for requested rows: canceling statement"), 1);
	assert_int_equal(backfill_plan(backfill, &plan, &err), BACKFILL_PLAN_WAIT);
	turn(denied, now + CLOCK_SECOND);
	turn(nothing, now + CLOCK_SECOND);
	assert_int_equal(backfill_plan(backfill, &plan, &err), BACKFILL_PLAN_FAILED);
	assert_string_equal(err.message, "looking for requested rows: permission denied for table t");
	turn(nothing, now + 2 * CLOCK_SECOND);
}

/* Refused reports hold nothing up; a warning says so once. */
static void
reports_are_refused(void **state)
{
	const ScriptResult opened[] = {CONNECT, NOTHING, {0}};
	const ScriptResult refused[] = {FAILED("report_backfill", "42501", "permission denied"), {0}};
	const ScriptResult nothing[] = {{0}};
	BackfillReport report = {.number = 5, .state = "done"};
	int64_t now = clock_now();

	(void) state;
	open_with(opened, 0, CDC_OK);
	for (int i = 0; i < 2; i++)
	{
		backfill_report(backfill, &report);
		turn(refused, now);
		turn(nothing, now);
		assert_true(backfill_has_reported(backfill));
		assert_int_equal(
			logged(i == 0 ? "WARNING" : "DEBUG", "reporting on requested rows: permission denied"),
			1);
	}
}

static void
idle_connections_are_closed(void **state)
{
	const ScriptResult opened[] = {CONNECT, NOTHING, {0}};
	const ScriptResult again[] = {CONNECT, NOTHING, {0}};
	const ScriptResult nothing[] = {{0}};
	int64_t now = clock_now();

	(void) state;
	open_with(opened, 0, CDC_OK);
	turn(nothing, now + CLOCK_SECOND);
	assert_int_equal(connections, 1);
	turn(nothing, now + 10 * CLOCK_SECOND);
	assert_int_equal(connections, 0);
	assert_int_equal(cancels, 0);
	backfill_bell(backfill, 0);
	turn(again, now + 10 * CLOCK_SECOND);
	assert_int_equal(connections, 1);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nobody_can_have_requested),   TEST(requests_are_served_in_order),
		TEST(what_was_not_told_is),        TEST(numbers_begin_anew),
		TEST(requests_get_cancelled),      TEST(a_request_has_gone),
		TEST(a_request_is_resumed),        TEST(news_can_come_late),
		TEST(wrong_numbers_are_forgotten), TEST(refused_at_the_start),
		TEST(unreachable_at_the_start),    TEST(connections_get_lost),
		TEST(the_extension_has_gone),      TEST(plans_fail),
		TEST(reports_are_refused),         TEST(idle_connections_are_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
