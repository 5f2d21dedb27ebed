/*
 * follow_kafka.c
 *		Follows a Kafka topic: when could each record be read?
 *
 *	follow_kafka BROKERS TOPIC FILE
 *
 * Reads all of partition 0 from offset 0 (read_committed), whatever JSON it is, and appends a line of
 * fixed width for each message: when it was received, its "bench_id", its "bench_us" (both times in
 * microseconds since 1970).  Messages without a value (tombstones) are left out; one without the two
 * columns ends it.  When it is first at the topic's end, and so gets at once what comes, it makes the file
 * FILE.ready.  Ends by SIGTERM.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <librdkafka/rdkafka.h>

#include "bench.h"

static volatile sig_atomic_t stopped = 0;

static void
stop(int signal_number)
{
	(void) signal_number;
	stopped = 1;
}

static void
set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char error[256];

	if (rd_kafka_conf_set(conf, name, value, error, sizeof(error)) != RD_KAFKA_CONF_OK)
		bench_fail("%s=%s: %s", name, value, error);
}

static rd_kafka_t *
new_consumer(const char *brokers)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *consumer;
	char error[256];

	set(conf, "bootstrap.servers", brokers);
	set(conf, "group.id", "follow_kafka");
	set(conf, "enable.auto.commit", "false");
	set(conf, "isolation.level", "read_committed");
	set(conf, "enable.partition.eof", "true");
	/* a fetch is answered as soon as there is anything */
	set(conf, "fetch.min.bytes", "1");
	consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof(error));
	if (consumer == NULL)
		bench_fail("consumer: %s", error);
	rd_kafka_poll_set_consumer(consumer);
	return consumer;
}

static void
assign(rd_kafka_t *consumer, const char *topic)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_resp_err_t error;

	/* not RD_KAFKA_OFFSET_BEGINNING: librdkafka asks where that is by a timer of 500 ms */
	rd_kafka_topic_partition_list_add(list, topic, 0)->offset = 0;
	error = rd_kafka_assign(consumer, list);
	if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
		bench_fail("topic %s: %s", topic, rd_kafka_err2str(error));
	rd_kafka_topic_partition_list_destroy(list);
}

/* What stands behind text, first after at; NULL: it does not. */
static const char *
behind(const char *at, const char *end, const char *text)
{
	at = at != NULL ? memmem(at, (size_t) (end - at), text, strlen(text)) : NULL;
	return at != NULL ? at + strlen(text) : NULL;
}

/*
 * The number of the column: "NAME":N, wherever it stands first, or {...,"name":"NAME",...,"value":N}.  A message is
 * no string, it has an end.
 */
static int64_t
column(const rd_kafka_message_t *message, const char *name)
{
	const char *value = message->payload;
	const char *end = value + message->len;
	const char *at;
	char text[64];
	int64_t number = 0;

	snprintf(text, sizeof(text), "\"%s\":", name);
	at = behind(value, end, text);
	if (at == NULL)
	{
		snprintf(text, sizeof(text), "\"name\":\"%s\"", name);
		at = behind(behind(value, end, text), end, "\"value\":");
	}
	if (at == NULL)
		bench_fail("a message has no %s: %.*s", name,
				   (int) (message->len < 300 ? message->len : 300), value);
	for (; at < end && *at >= '0' && *at <= '9'; at++)
		number = number * 10 + (*at - '0');
	return number;
}

static void
say_ready(const char *file)
{
	char name[PATH_MAX];
	FILE *ready;

	snprintf(name, sizeof(name), "%s.ready", file);
	ready = fopen(name, "w");
	if (ready == NULL || fclose(ready) != 0)
		bench_fail("cannot write %s: %s", name, strerror(errno));
}

static void
take(const rd_kafka_message_t *message, FILE *out)
{
	double now = bench_clock(CLOCK_REALTIME);

	if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
		bench_fail("consuming: %s", rd_kafka_message_errstr(message));
	if (message->payload != NULL)
		fprintf(out, "%016" PRId64 " %012" PRId64 " %016" PRId64 "\n", (int64_t) (now * 1e6),
				column(message, "bench_id"), column(message, "bench_us"));
}

int
main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = stop};
	bool ready = false;
	rd_kafka_t *consumer;
	FILE *out;

	bench_program = "follow_kafka";
	if (argc != 4)
		bench_fail("usage: follow_kafka BROKERS TOPIC FILE");
	out = fopen(argv[3], "a");
	if (out == NULL)
		bench_fail("cannot write %s: %s", argv[3], strerror(errno));
	sigaction(SIGTERM, &action, NULL);
	consumer = new_consumer(argv[1]);
	assign(consumer, argv[2]);
	while (!stopped)
	{
		rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 0);

		/* written as soon as nothing more is there: whoever looks at the file waits for it */
		if (message == NULL)
		{
			if (fflush(out) != 0)
				bench_fail("cannot write %s: %s", argv[3], strerror(errno));
			message = rd_kafka_consumer_poll(consumer, 100);
		}
		if (message == NULL)
			continue;
		if (message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
			take(message, out);
		else if (!ready)
		{
			say_ready(argv[3]);
			ready = true;
		}
		rd_kafka_message_destroy(message);
	}
	if (fclose(out) != 0)
		bench_fail("cannot write %s: %s", argv[3], strerror(errno));
	rd_kafka_consumer_close(consumer);
	rd_kafka_destroy(consumer);
	return 0;
}
