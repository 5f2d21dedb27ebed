/*
 * test_sink.c
 *		Sinks through their operations: URIs, the file sink's rounds, the standard output's pipes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../plugin/cdc_protocol.h"
#include "clock.h"
#include "sink.h"

static const Source here = {"7301234567890123456", "shop", "cdc", "shop"};
static const Source other = {"7301234567890123456", "shop", "other", "shop"};

static CdcError err;
static char directory[64];
static Sink *sink;
static SinkProgress progress;

static int
setup(void **state)
{
	(void) state;
	strcpy(directory, "/tmp/cdc_sink.XXXXXX");
	memset(&progress, 0, sizeof(progress));
	sink = NULL;
	return mkdtemp(directory) == NULL;
}

static int
teardown(void **state)
{
	char command[128];

	(void) state;
	sink_destroy(sink);
	snprintf(command, sizeof(command), "rm -r %s", directory);
	return system(command);
}

static CdcStatus
create(const char *uri)
{
	SinkConfig config = {
		.uri = uri, .commit_interval = 60 * CLOCK_SECOND, .max_in_flight = 1 << 20};

	memset(&err, 0, sizeof(err));
	return sink_create(&sink, &config, &err);
}

static void
create_file(const char *query)
{
	char uri[160];

	snprintf(uri, sizeof(uri), "file://%s/out%s", directory, query);
	assert_int_equal(create(uri), CDC_OK);
}

static bool
open_sink(const Source *source, Position *position)
{
	Source stored;
	bool found;

	assert_int_equal(sink->base.ops->open(sink, source, &stored, position, &found, &err), CDC_OK);
	return found && source_equal(source, &stored);
}

static Position
position_of(uint64_t n)
{
	return (Position){.id = {n, 1, 0}, .end_lsn = n, .confirmed = n};
}

/* Delivers a record of length bytes and the end of its transaction; false: the sink is full. */
static bool
deliver(uint64_t n, size_t length)
{
	char *payload = malloc(length);
	MessageHeader message = {.transactional = true, .commit_lsn = n, .end_lsn = n};
	Frame frame = {.kind = CDC_FRAME_RECORD,
				   .op = CDC_OP_INSERT,
				   .seq = 1,
				   .payload = payload,
				   .payload_length = (uint32_t) length};
	SinkRecord record = {.message = &message, .frame = &frame, .id = {n, 1, 0}};
	Position after = position_of(n);
	bool taken;

	memset(payload, 'a' + (int) (n % 26), length);
	assert_int_equal(sink->base.ops->deliver(sink, &record, &after, &taken, &err), CDC_OK);
	free(payload);
	if (taken)
		assert_int_equal(sink->base.ops->end_transaction(sink, &after, &err), CDC_OK);
	return taken;
}

static void
drain(uint64_t n)
{
	Position until = position_of(n);
	CdcStatus status =
		sink_drain(sink, &until, clock_now() + 30 * CLOCK_SECOND, NULL, &progress, &err);

	if (status != CDC_OK)
		fail_msg("%s", err.message);
}

static long
size_of(const char *name)
{
	struct stat info;
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return stat(path, &info) == 0 ? (long) info.st_size : -1;
}

/* What doctor and status see, and that they leave no trace. */
static void
looking_changes_nothing(void **state)
{
	Source stored;
	Position position;
	bool found = true;
	char command[256];

	(void) state;
	create_file("");
	assert_int_equal(sink->base.ops->look(sink, &here, &stored, &position, &found, &err), CDC_OK);
	assert_false(found);
	assert_int_equal(size_of("out"), -1);
	assert_int_equal(size_of("out.cdc-position"), -1);

	/* while a client has the file, whose tail does not count yet */
	assert_false(open_sink(&here, &position));
	assert_true(deliver(1, 100));
	drain(1);
	assert_true(deliver(2, 100));
	assert_int_equal(sink->base.ops->poll(sink, clock_now(), &progress, &err), CDC_OK);
	assert_int_equal(size_of("out"), 202);
	assert_int_equal(sink->base.ops->look(sink, &other, &stored, &position, &found, &err), CDC_OK);
	assert_true(found);
	assert_true(source_equal(&stored, &here));
	assert_int_equal(position.id.commit_lsn, 1);
	drain(2);
	assert_int_equal(sink->base.ops->look(sink, &here, &stored, &position, &found, &err), CDC_OK);
	assert_int_equal(position.id.commit_lsn, 2);
	sink->base.ops->close(sink);
	assert_int_equal(size_of("out"), 202);

	/* what open() would refuse */
	snprintf(command, sizeof(command), "truncate -s 100 %s/out", directory);
	assert_int_equal(system(command), 0);
	assert_int_equal(sink->base.ops->look(sink, &here, &stored, &position, &found, &err), CDC_STOP);
	assert_non_null(strstr(err.message, "has 100 bytes, but 202 were made durable"));
	snprintf(command, sizeof(command), "rm %s/out.cdc-position", directory);
	assert_int_equal(system(command), 0);
	assert_int_equal(sink->base.ops->look(sink, &here, &stored, &position, &found, &err), CDC_STOP);
	assert_non_null(strstr(err.message, "nothing says how many of them count"));
	snprintf(command, sizeof(command), "rm %s/out && mkdir %s/out", directory, directory);
	assert_int_equal(system(command), 0);
	assert_int_equal(sink->base.ops->look(sink, &here, &stored, &position, &found, &err),
					 CDC_USAGE);
	assert_non_null(strstr(err.message, "not a regular file"));
}

static void
uris_are_taken_apart(void **state)
{
	SinkUri uri;

	(void) state;
	assert_int_equal(sink_uri_parse(&uri, "x://a:1,b:2/p%20q/r?n=1%26&m=a=b", &err), CDC_OK);
	assert_string_equal(uri.authority, "a:1,b:2");
	assert_string_equal(uri.path, "/p q/r");
	assert_int_equal(uri.num_params, 2);
	assert_string_equal(uri.params[0].name, "n");
	assert_string_equal(uri.params[0].value, "1&");
	assert_string_equal(uri.params[1].value, "a=b");
	sink_uri_free(&uri);
	assert_int_equal(sink_uri_parse(&uri, "x:rel/path", &err), CDC_OK);
	assert_null(uri.authority);
	assert_string_equal(uri.path, "rel/path");
	sink_uri_free(&uri);
	assert_int_equal(sink_uri_parse(&uri, "x://host?a=b", &err), CDC_OK);
	assert_string_equal(uri.authority, "host");
	assert_string_equal(uri.path, "");
	assert_int_equal(uri.num_params, 1);
	sink_uri_free(&uri);
}

/* Whatever is wrong with a URI: no part of its password is in what is said. */
static void
passwords_are_not_shown(void **state)
{
	static const char *const rests[] = {
		"://u:secret?x@h/s", "://u:pa?secret@h/s",    "://u:pa?a=secret@h/s",
		"://u:1?secret@h/s", "://u:pa/secret@h/s",    "://u:secret%zz@h/s",
		"://u:secret",       "://u:secret/s?x=1",     "://u:pa?x=1&secret@h",
		"://u:secret@h:x/s", "://u:secret@h/s?none=", "://u:1?%zsecret@h=1",
		":u:secret@h/s",     "://u:pa#secret@h/s"};

	(void) state;
	for (int sink = -1; sink < 0 || sink_ops(sink) != NULL; sink++)
		for (size_t i = 0; i < sizeof(rests) / sizeof(rests[0]); i++)
		{
			SinkConfig config = {.max_in_flight = 1 << 20};
			Sink *made = NULL;
			char uri[100];

			snprintf(uri, sizeof(uri), "%s%s", sink < 0 ? "none" : sink_ops(sink)->name, rests[i]);
			config.uri = uri;
			memset(&err, 0, sizeof(err));
			if (sink_create(&made, &config, &err) == CDC_OK)
				sink_destroy(made);
			if (strstr(err.message, "secret") != NULL || strstr(err.detail, "secret") != NULL ||
				strstr(err.hint, "secret") != NULL)
				fail_msg("%s: %s %s %s", uri, err.message, err.detail, err.hint);
		}
}

static void
bad_uris_are_refused(void **state)
{
	static const char *const bad[] = {"noscheme", "x:/a%2",  "x:/a%zz",  "x:/a%00b",
									  "x:/a?b",   "x:/a?=b", "x:/a?b=%", "x:/a?b=1&b=2"};
	char many[512] = "x:/a?";
	SinkUri uri;

	(void) state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		assert_int_equal(sink_uri_parse(&uri, bad[i], &err), CDC_USAGE);
		sink_uri_free(&uri);
	}
	for (int i = 0; i <= SINK_URI_MAX_PARAMS; i++)
		snprintf(many + strlen(many), sizeof(many) - strlen(many), "%sp%d=1", i > 0 ? "&" : "", i);
	assert_int_equal(sink_uri_parse(&uri, many, &err), CDC_USAGE);
	sink_uri_free(&uri);
}

static void
sinks_are_chosen_by_scheme(void **state)
{
	(void) state;
	assert_int_equal(create("file:///x"), CDC_OK);
	assert_ptr_equal(sink->base.ops, &sink_file_ops);
	sink_destroy(sink);
	assert_int_equal(create("file:relative"), CDC_OK);
	sink_destroy(sink);
	assert_int_equal(create("-"), CDC_OK);
	assert_ptr_equal(sink->base.ops, &sink_stdout_ops);
	sink_destroy(sink);
	assert_int_equal(create("filet:///x"), CDC_USAGE);
	assert_int_equal(create("-x"), CDC_USAGE);
	assert_int_equal(create(""), CDC_USAGE);
	/* what may hold a password is not repeated */
	assert_int_equal(create("pulsar://user:secret@host/x"), CDC_USAGE);
	assert_null(strstr(err.message, "secret"));
	assert_null(strstr(err.hint, "secret"));
	assert_non_null(strstr(err.hint, "file:"));
}

static void
file_is_durable_when_asked(void **state)
{
	Position position;

	(void) state;
	create_file("");
	assert_false(open_sink(&here, &position));
	assert_true(deliver(1, 10));
	assert_int_equal(sink->base.ops->poll(sink, clock_now(), &progress, &err), CDC_OK);
	assert_int_equal(size_of("out"), 11); /* seen at once */
	assert_int_equal(progress.durable.id.commit_lsn, 0);
	drain(1);
	assert_int_equal(progress.durable.id.commit_lsn, 1);
	assert_int_equal(progress.durable_bytes, 10);
	/* longer than the buffer */
	assert_true(deliver(2, 300000));
	assert_true(deliver(3, 300000));
	drain(3);
	assert_int_equal(size_of("out"), 11 + 2 * 300001);
	assert_int_equal(progress.durable_bytes, 600010);
	/* a position without a record */
	position = position_of(9);
	assert_int_equal(sink->base.ops->store(sink, &position, &err), CDC_OK);
	drain(9);
	/* what is not durable is gone after close() */
	assert_true(deliver(10, 10));
	assert_int_equal(sink->base.ops->poll(sink, clock_now(), &progress, &err), CDC_OK);
	sink->base.ops->close(sink);
	assert_true(open_sink(&here, &position));
	assert_int_equal(position.id.commit_lsn, 9);
	assert_int_equal(size_of("out"), 11 + 2 * 300001);
	sink->base.ops->close(sink);
	assert_false(open_sink(&other, &position));
	assert_int_equal(position.id.commit_lsn, 9);
}

static void
file_commits_by_size(void **state)
{
	Position position;
	uint64_t n = 0;
	int64_t deadline = clock_now() + 30 * CLOCK_SECOND;

	(void) state;
	create_file("");
	open_sink(&here, &position);
	/* half of the window is reason enough, long before the interval */
	while (progress.durable_bytes < (1 << 19))
	{
		assert_true(clock_now() < deadline);
		assert_true(deliver(++n, 10000));
		assert_int_equal(sink->base.ops->poll(sink, clock_now(), &progress, &err), CDC_OK);
	}
	assert_true(progress.durable.id.commit_lsn <= n);
	assert_int_equal(progress.durable.id.commit_lsn * 10000, progress.durable_bytes);
}

static void
file_rotates(void **state)
{
	Position position;

	(void) state;
	create_file("?rotate=64KiB");
	open_sink(&here, &position);
	for (uint64_t n = 1; n <= 30; n++)
	{
		while (!deliver(n, 9999))
		{
			SinkWait wait = {0};

			assert_int_equal(sink->base.ops->poll(sink, clock_now(), &progress, &err), CDC_OK);
			sink->base.ops->wait(sink, clock_now(), &wait);
			assert_true(wait.num_fds > 0);
			assert_true(poll(wait.fds, (nfds_t) wait.num_fds, 30000) >= 0);
		}
	}
	/* larger than a file may be: a file of its own */
	while (!deliver(31, 100000))
		assert_int_equal(sink->base.ops->poll(sink, clock_now(), &progress, &err), CDC_OK);
	drain(31);
	assert_int_equal(size_of("out.000001"), 60000);
	assert_int_equal(size_of("out.000005"), 60000);
	assert_int_equal(size_of("out"), 100001);
	assert_int_equal(progress.durable_bytes, 30 * 9999 + 100000);
}

/* The standard output is made one end of what is given; returns the one there was. */
static int
redirect(int fd)
{
	int saved = dup(STDOUT_FILENO);

	fflush(stdout);
	assert_int_equal(dup2(fd, STDOUT_FILENO), STDOUT_FILENO);
	close(fd);
	return saved;
}

static void
restore(int saved)
{
	assert_int_equal(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
	close(saved);
}

/* Whatever a reader does, the sink neither blocks nor tells what has not been written. */
static void
stdout_into(int reader, int writer)
{
	static char data[1 << 20];
	Position position;
	size_t taken = 0;
	size_t got = 0;
	uint64_t n = 0;
	int saved = redirect(writer);
	bool durable_early = false;
	ssize_t part;

	assert_int_equal(create("-"), CDC_OK);
	assert_false(open_sink(&here, &position));
	while (deliver(n + 1, 1000)) /* until it is full, with nobody reading */
	{
		n++;
		taken += 1001;
		assert_int_equal(sink->base.ops->poll(sink, clock_now(), &progress, &err), CDC_OK);
		if (progress.durable.id.commit_lsn == n && taken > (1 << 19))
			durable_early = true;
		assert_true(taken < sizeof(data));
	}
	assert_int_equal(sink->base.ops->poll(sink, clock_now(), &progress, &err), CDC_OK);
	assert_true(progress.durable.id.commit_lsn < n);
	while (got < taken)
	{
		part = read(reader, data + got, sizeof(data) - got);
		assert_true(part > 0);
		got += (size_t) part;
		assert_int_equal(sink->base.ops->poll(sink, clock_now(), &progress, &err), CDC_OK);
	}
	restore(saved);
	assert_false(durable_early);
	assert_int_equal(got, taken);
	assert_int_equal(progress.durable.id.commit_lsn, n);
	for (size_t i = 0; i < got; i++)
		assert_int_equal(data[i], i % 1001 == 1000 ? '\n' : 'a' + (int) ((i / 1001 + 1) % 26));
}

static void
stdout_is_a_pipe(void **state)
{
	int fds[2];

	(void) state;
	assert_int_equal(pipe(fds), 0);
	stdout_into(fds[0], fds[1]);
	close(fds[0]);
}

static void
stdout_is_a_socket(void **state)
{
	int fds[2];

	(void) state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	stdout_into(fds[0], fds[1]);
	close(fds[0]);
}

static void
stdout_survives_close(void **state)
{
	int fds[2];
	int saved;
	Position position;
	char data[8192];

	(void) state;
	assert_int_equal(pipe(fds), 0);
	saved = redirect(fds[1]);
	assert_int_equal(create("-"), CDC_OK);
	open_sink(&here, &position);
	assert_true(deliver(1, 100));
	sink->base.ops->close(sink);
	/* taken, not written yet: not to be delivered again, and not durable either */
	assert_true(open_sink(&here, &position));
	assert_int_equal(position.id.commit_lsn, 1);
	assert_int_equal(sink->base.ops->poll(sink, clock_now(), &progress, &err), CDC_OK);
	restore(saved);
	assert_int_equal(progress.durable.id.commit_lsn, 1);
	assert_int_equal(read(fds[0], data, sizeof(data)), 101);
	close(fds[0]);
}

static void
stdout_reader_goes_away(void **state)
{
	int fds[2];
	int saved;
	Position position;

	(void) state;
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe(fds), 0);
	saved = redirect(fds[1]);
	assert_int_equal(create("-"), CDC_OK);
	open_sink(&here, &position);
	assert_int_equal(sink->base.ops->poll(sink, clock_now(), &progress, &err), CDC_OK);
	assert_false(progress.closed);
	close(fds[0]);
	/* seen without a record to write */
	assert_int_equal(sink->base.ops->poll(sink, clock_now(), &progress, &err), CDC_OK);
	assert_true(progress.closed);
	assert_true(deliver(1, 100));
	assert_int_equal(sink->base.ops->poll(sink, clock_now(), &progress, &err), CDC_OK);
	restore(saved);
	assert_int_equal(progress.durable.id.commit_lsn, 0);
}

/* What the user gave counts, else what suits the sink. */
static void
commit_interval_has_a_default(void **state)
{
	(void) state;
	assert_int_equal(sink_commit_interval("file:///x", 0), 0);
	assert_int_equal(sink_commit_interval("file:///x", 5), 5);
	assert_int_equal(sink_commit_interval("file:///x", -1), SINK_COMMIT_INTERVAL);
	assert_int_equal(sink_commit_interval("nothing:", -1), SINK_COMMIT_INTERVAL);
	for (int i = 0; sink_ops(i) != NULL; i++)
	{
		int64_t own = sink_ops(i)->commit_interval;
		char uri[32];

		snprintf(uri, sizeof(uri), "%s%s", sink_ops(i)->name, i == 0 ? "" : ":");
		assert_int_equal(sink_commit_interval(uri, -1), own > 0 ? own : SINK_COMMIT_INTERVAL);
		assert_int_equal(sink_commit_interval(uri, 7), 7);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(looking_changes_nothing, setup, teardown),
		cmocka_unit_test(uris_are_taken_apart),
		cmocka_unit_test(bad_uris_are_refused),
		cmocka_unit_test(passwords_are_not_shown),
		cmocka_unit_test(commit_interval_has_a_default),
		cmocka_unit_test_setup_teardown(sinks_are_chosen_by_scheme, setup, teardown),
		cmocka_unit_test_setup_teardown(file_is_durable_when_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(file_commits_by_size, setup, teardown),
		cmocka_unit_test_setup_teardown(file_rotates, setup, teardown),
		cmocka_unit_test_setup_teardown(stdout_is_a_pipe, setup, teardown),
		cmocka_unit_test_setup_teardown(stdout_is_a_socket, setup, teardown),
		cmocka_unit_test_setup_teardown(stdout_survives_close, setup, teardown),
		cmocka_unit_test_setup_teardown(stdout_reader_goes_away, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
