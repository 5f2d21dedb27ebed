/*
 * publish_nats.c
 *		A load tool for NATS JetStream, as "nats bench" is one: publishes lines, many under way at a time.
 *
 *	publish_nats URL SUBJECT <LINES
 *
 * Each line is a message with an id of its own (Nats-Msg-Id), as whoever wants no message twice sends
 * them.  Ends when all are acknowledged; prints messages and wall.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nats/nats.h>

#include "bench.h"

/* As many as the library's documentation has in its examples of asynchronous publishing, times four. */
#define MAX_PENDING 4096

static int failures = 0;

static void
on_error(jsCtx *js, jsPubAckErr *ack, void *arg)
{
	(void) js;
	(void) arg;
	fprintf(stderr, "publish_nats: not published: %s\n", ack->ErrText);
	__atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
}

static void
must(natsStatus status, const char *what)
{
	if (status != NATS_OK)
		bench_fail("%s: %s", what, natsStatus_GetText(status));
}

static void
publish(jsCtx *js, const char *subject, const char *line, size_t length, uint64_t number)
{
	jsPubOptions options;
	natsMsg *msg = NULL;
	char id[32];

	must(jsPubOptions_Init(&options), "options");
	snprintf(id, sizeof(id), "%" PRIu64, number);
	options.MsgId = id;
	must(natsMsg_Create(&msg, subject, NULL, line, (int) length), "message");
	must(js_PublishMsgAsync(js, &msg, &options), "publishing");
}

int
main(int argc, char **argv)
{
	natsConnection *conn = NULL;
	jsCtx *js = NULL;
	jsOptions options;
	jsPubOptions wait;
	char *line = NULL;
	size_t size = 0;
	ssize_t length;
	uint64_t count = 0;
	double started = bench_clock(CLOCK_MONOTONIC);

	bench_program = "publish_nats";
	if (argc != 3)
		bench_fail("usage: publish_nats URL SUBJECT <LINES");
	must(natsConnection_ConnectTo(&conn, argv[1]), argv[1]);
	must(jsOptions_Init(&options), "options");
	options.PublishAsync.MaxPending = MAX_PENDING;
	options.PublishAsync.StallWait = 60000;
	options.PublishAsync.ErrHandler = on_error;
	must(natsConnection_JetStream(&js, conn, &options), "JetStream");

	while ((length = getline(&line, &size, stdin)) > 0)
		publish(js, argv[2], line, (size_t) length - (line[length - 1] == '\n'), ++count);
	if (ferror(stdin))
		bench_fail("cannot read: %s", strerror(errno));
	must(jsPubOptions_Init(&wait), "options");
	wait.MaxWait = 60000;
	must(js_PublishAsyncComplete(js, &wait), "waiting for acknowledgements");
	if (__atomic_load_n(&failures, __ATOMIC_RELAXED) != 0)
		bench_fail("%d messages were not published", failures);
	printf("messages=%" PRIu64 " wall=%.6f\n", count, bench_clock(CLOCK_MONOTONIC) - started);
	free(line);
	jsCtx_Destroy(js);
	natsConnection_Destroy(conn);
	nats_Close();
	return 0;
}
