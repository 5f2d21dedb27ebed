/*
 * test_sink_uris.c
 *		What each sink refuses in its URI, before it connects to anything, and with which words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sink.h"

static CdcError err;

static const struct
{
	const char *sink; /* of the table of sinks: one whose library was not there is passed over */
	const char *uri;
	const char *said;
} refused[] = {
	{"file", "/var/lib/events", "is none of those that this cdc_client has"},
	{"file", "file:///a?rotate=x", "rotate"},
	{"file", "file:///a?rotate=1GiB&rotate=2GiB", "rotate"},
	{"file", "file:///a?none=1", "none"},
	{"redis", "redis:cdc", "has no // behind its scheme"},
	{"redis", "redis://a,b/cdc", "names 2 servers; one is allowed"},
	{"redis", "redis://h/cdc?timeout=10ms", "timeout=10ms in the sink's URI is too short"},
	{"redis", "redis://h/cdc?timeout=soon", "timeout in the sink's URI"},
	{"redis", "redis://h/cdc?tls-ca=/ca.pem", "are for rediss:// only"},
	{"redis", "rediss://h/cdc?tls-cert=/c.pem", "given together or not at all"},
	{"redis", "redis://h/cdc?none=1", "none"},
	{"nats", "nats://h/cdc?timeout=10ms", "timeout=10ms in the sink's URI is too short"},
	{"nats", "nats://h/cdc?timeout=soon", "timeout in the sink's URI"},
	{"nats", "nats://h/cdc?tls-ca=/ca.pem", "need tls=on"},
	{"nats", "nats://h/cdc?tls=on&tls-key=/k.pem", "given together or not at all"},
	{"nats", "nats://h/cdc?stream=A&positions=A", "stream=A in the sink's URI is the stream that"},
	{"nats", "nats://h/cdc?stream=A&schemas=A", "is the stream that holds the records"},
	{"nats", "nats://h/cdc?positions=B&schemas=B", "is the stream that holds the positions"},
	{"nats", "nats://h/cdc?replicas=0", "replicas=0 in the sink's URI"},
	{"nats", "nats://h/cdc?none=1", "the nats sink has no parameter \"none\"; it has: "},
	{"http", "http://h/?cdc.batch=single&cdc.batch-records=2", "cdc.batch=single"},
	{"http", "http://h/?cdc.batch=array&cdc.batch=array", "is in the sink's URI twice"},
	{"http", "http://h/?cdc.batch", "cdc.batch in the sink's URI has no value"},
	{"kafka", "kafka://b/t?tombstones=perhaps", "perhaps"},
	{"kafka", "kafka://b/t?no.such.property=1", "no.such.property"},
	{"kafka", "kafka://b/to%20pic", "topic"},
	{"grpc", "grpc://h", "\"h\" in the sink's URI is not a host and a port"},
	{"grpc", "grpc://h:1?batch-records=0", "batch-records"},
	{"postgresql", "postgresql://h/d?no_such=1", "no_such"},
};

static bool
is_built_in(const char *name)
{
	for (int i = 0; sink_ops(i) != NULL; i++)
		if (strcmp(sink_ops(i)->name, name) == 0)
			return true;
	return false;
}

static void
wrong_uris_are_explained(void **state)
{
	int tried = 0;

	(void) state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
	{
		SinkConfig config = {.uri = refused[i].uri, .max_in_flight = 1 << 20};
		Sink *sink = NULL;

		if (!is_built_in(refused[i].sink))
			continue;
		memset(&err, 0, sizeof(err));
		if (sink_create(&sink, &config, &err) != CDC_USAGE)
			fail_msg("%s was not refused: %s", refused[i].uri, err.message);
		if (strstr(err.message, refused[i].said) == NULL)
			fail_msg("%s: \"%s\" is not in \"%s\"", refused[i].uri, refused[i].said, err.message);
		tried++;
	}
	assert_true(tried >= 4);
}

/* A path is the commonest mistake, and what is meant is said. */
static void
paths_are_turned_into_uris(void **state)
{
	SinkConfig config = {.uri = "/var/lib/events", .max_in_flight = 1 << 20};
	Sink *sink = NULL;

	(void) state;
	assert_int_equal(sink_create(&sink, &config, &err), CDC_USAGE);
	assert_non_null(strstr(err.hint, "For a file: file:///var/lib/events."));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_uris_are_explained),
		cmocka_unit_test(paths_are_turned_into_uris),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
