/*
 * test_kafka.c
 *		The kafka sink's pure parts: its URI, what follows from errors, groups of acknowledgements, keys and
 *		values of positions; and its messages, against librdkafka's mock cluster.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#ifdef HAVE_KAFKA

#include <poll.h>
#include <unistd.h>

#include "../../plugin/cdc_protocol.h"
#include "clock.h"
#include "kafka/kafka_acks.h"
#include "kafka/kafka_config.h"
#include "kafka/kafka_error.h"
#include "kafka/kafka_positions.h"
#include "kafka/kafka_record.h"
#include "kafka/kafka_sink.h"

/* which relies upon rdkafka.h */
#include <librdkafka/rdkafka_mock.h>

static CdcError err;

static CdcStatus
read_uri(KafkaConfig *config, const char *uri, int64_t interval)
{
	SinkConfig sink = {.uri = uri, .commit_interval = interval, .max_in_flight = 1 << 20};

	memset(&err, 0, sizeof(err));
	return kafka_config_read(config, &sink, &err);
}

/* The URI is refused, and the message has each of the texts (up to NULL) in it. */
static void
refuse(const char *uri, ...)
{
	KafkaConfig config;
	char all[sizeof(err.message) + sizeof(err.hint) + 2];
	const char *text;
	va_list texts;

	assert_int_equal(read_uri(&config, uri, CLOCK_SECOND / 10), CDC_USAGE);
	kafka_config_free(&config);
	snprintf(all, sizeof(all), "%s %s", err.message, err.hint);
	va_start(texts, uri);
	while ((text = va_arg(texts, const char *)) != NULL)
		if (strstr(all, text) == NULL)
			fail_msg("\"%s\" is not in: %s", text, all);
	va_end(texts);
}

static char *
property(const rd_kafka_conf_t *conf, const char *name)
{
	static char text[256];
	size_t size = sizeof(text);

	assert_int_equal(rd_kafka_conf_get(conf, name, text, &size), RD_KAFKA_CONF_OK);
	return text;
}

static void
test_uri(void **state)
{
	KafkaConfig config;

	(void) state;
	assert_int_equal(read_uri(&config, "kafka://a:1,b:2/cdc.{schema}.{table}", CLOCK_SECOND / 10),
					 CDC_OK);
	assert_string_equal(config.brokers, "a:1,b:2");
	assert_string_equal(config.topic, "cdc.{schema}.{table}");
	assert_string_equal(config.positions, "cdc-positions");
	assert_true(config.exactly_once);
	assert_false(config.tombstones);
	assert_int_equal(config.transaction_timeout_ms, 60000);
	assert_int_equal(config.batch_bytes, 1000000); /* librdkafka's default */
	assert_string_equal(property(config.conf, "linger.ms"), "20");
	kafka_config_free(&config);

	assert_int_equal(read_uri(&config,
							  "kafka://a:1/t?delivery=at-least-once&tombstones=on&positions=p&"
							  "transactional-prefix=x-&compression.type=zstd&partitioner=random",
							  CLOCK_SECOND / 10),
					 CDC_OK);
	assert_string_equal(config.positions, "p");
	assert_string_equal(config.prefix, "x-");
	assert_false(config.exactly_once);
	assert_true(config.tombstones);
	assert_string_equal(property(config.conf, "compression.type"), "zstd");
	assert_string_equal(property(config.conf, "partitioner"), "random");
	assert_string_equal(property(config.conf, "linger.ms"),
						"5"); /* each record waits for it here */
	kafka_config_free(&config);

	assert_int_equal(
		read_uri(&config, "kafka://a:1/t?linger.ms=3&batch.size=5000", CLOCK_SECOND / 10), CDC_OK);
	assert_string_equal(property(config.conf, "linger.ms"), "3");
	assert_int_equal(config.batch_bytes, 5000);
	kafka_config_free(&config);
}

static void
test_uri_refused(void **state)
{
	(void) state;
	refuse("kafka:///t", "names no broker", "kafka://b1:9092,b2:9092/", NULL);
	refuse("kafka:t", "names no broker", NULL);
	refuse("kafka://cdc:hush@a:1/t", "\"@\"", "sasl.password", NULL);
	assert_null(strstr(err.message, "hush"));
	refuse("kafka://a:1", "names no topic", NULL);
	refuse("kafka://a:1/", "names no topic", NULL);
	refuse("kafka://a:1/x/y", "cannot have \"/y\"", NULL);
	refuse("kafka://a:1/t?delivery=twice", "delivery=twice", "exactly-once and at-least-once",
		   NULL);
	refuse("kafka://a:1/t?tombstones=yes", "tombstones=yes", "on and off", NULL);
	refuse("kafka://a:1/t?positions=a%20b", "positions=a b cannot be a topic", NULL);
	refuse("kafka://a:1/t?linger=5", "no parameter \"linger\"",
		   "delivery=exactly-once|at-least-once", NULL);
	refuse("kafka://a:1/t?linger.ms=soon", "linger.ms", NULL);
	refuse("kafka://a:1/t?compression.type=rar", "compression.type", NULL);
	refuse("kafka://a:1/t?enable.idempotence=false", "\"enable.idempotence\" cannot be set", NULL);
	refuse("kafka://a:1/t?acks=1", "\"acks\" cannot be set", "always all", NULL);
	refuse("kafka://a:1/t?retries=1", "\"retries\" cannot be set", NULL);
	refuse("kafka://a:1/t?transactional.id=x", "transactional-prefix", NULL);
	refuse("kafka://a:1/t?bootstrap.servers=x", "behind kafka://", NULL);
	refuse("kafka://a:1/t?message.timeout.ms=1", "transaction.timeout.ms", NULL);
	refuse("kafka://a:1/t?isolation.level=read_uncommitted", "isolation.level", NULL);
	refuse("kafka://a:1/t?config=/nowhere/at/all", "/nowhere/at/all", NULL);
}

static void
test_transaction_timeout(void **state)
{
	KafkaConfig config;

	(void) state;
	assert_int_equal(
		read_uri(&config, "kafka://a:1/t?transaction.timeout.ms=3000", CLOCK_SECOND * 2),
		CDC_USAGE);
	assert_non_null(strstr(err.message, "too short for a commit interval of 2000 ms"));
	assert_non_null(strstr(err.hint, "transaction.timeout.ms=4800"));
	kafka_config_free(&config);
	assert_int_equal(
		read_uri(&config, "kafka://a:1/t?transaction.timeout.ms=4800", CLOCK_SECOND * 2), CDC_OK);
	assert_int_equal(config.transaction_timeout_ms, 4800);
	kafka_config_free(&config);
	/* without transactions it does not matter */
	assert_int_equal(read_uri(&config, "kafka://a:1/t?delivery=at-least-once", CLOCK_SECOND * 600),
					 CDC_OK);
	kafka_config_free(&config);
}

static void
test_config_file(void **state)
{
	char path[] = "/tmp/cdc_kafka.XXXXXX";
	char uri[128];
	KafkaConfig config;
	FILE *file = fdopen(mkstemp(path), "w");

	(void) state;
	assert_non_null(file);
	fprintf(file, "# secrets\nsasl.password = 'a#b'\nlinger.ms=7\nclient.id = file\n");
	fclose(file);
	snprintf(uri, sizeof(uri), "kafka://a:1/t?client.id=uri&config=%s", path);
	assert_int_equal(read_uri(&config, uri, CLOCK_SECOND / 10), CDC_OK);
	assert_string_equal(property(config.conf, "sasl.password"), "a#b");
	assert_string_equal(property(config.conf, "linger.ms"), "7");
	assert_string_equal(property(config.conf, "client.id"), "uri"); /* which goes before the file */
	kafka_config_free(&config);

	file = fopen(path, "w");
	assert_non_null(file);
	fprintf(file, "linger.ms = 5\nacks = 0\n");
	fclose(file);
	snprintf(uri, sizeof(uri), "kafka://a:1/t?config=%s", path);
	refuse(uri, path, ":2", "\"acks\" cannot be set", NULL);
	unlink(path);
}

static void
test_topics(void **state)
{
	char name[260];

	(void) state;
	assert_true(kafka_topic_is_valid("a.B_9-"));
	assert_false(kafka_topic_is_valid(""));
	assert_false(kafka_topic_is_valid("."));
	assert_false(kafka_topic_is_valid(".."));
	assert_false(kafka_topic_is_valid("a b"));
	assert_false(kafka_topic_is_valid("\xc3\xa4"));
	memset(name, 'x', sizeof(name));
	name[249] = '\0';
	assert_true(kafka_topic_is_valid(name));
	name[249] = 'x';
	name[250] = '\0';
	assert_false(kafka_topic_is_valid(name));
}

static void
test_errors(void **state)
{
	(void) state;
	assert_int_equal(kafka_error_status(RD_KAFKA_RESP_ERR__TRANSPORT), CDC_RETRY);
	assert_int_equal(kafka_error_status(RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION), CDC_RETRY);
	assert_int_equal(kafka_error_status(RD_KAFKA_RESP_ERR__MSG_TIMED_OUT), CDC_RETRY);
	assert_int_equal(kafka_error_status(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE), CDC_REFUSED);
	assert_int_equal(kafka_error_status(RD_KAFKA_RESP_ERR_INVALID_RECORD), CDC_REFUSED);
	assert_int_equal(kafka_error_status(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED), CDC_STOP);
	assert_int_equal(kafka_error_status(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART), CDC_STOP);
	assert_int_equal(kafka_error_status(RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT), CDC_USAGE);
	assert_true(kafka_error_is_fenced(RD_KAFKA_RESP_ERR__FENCED));
	assert_false(kafka_error_is_fenced(RD_KAFKA_RESP_ERR__TIMED_OUT));
	assert_int_equal(
		kafka_error(&err, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, NULL, "topic \"%s\"", "x"),
		CDC_STOP);
	assert_non_null(strstr(err.message, "topic \"x\": "));
	assert_non_null(strstr(err.message, "(UNKNOWN_TOPIC_OR_PART)"));
	assert_non_null(strstr(err.hint, "Create the topic"));
}

static Position
at(uint64_t seq)
{
	return (Position){.timeline = 1, .id = {.commit_lsn = 100, .seq = seq}};
}

static void
test_acks(void **state)
{
	KafkaAcks acks;
	Position position = at(0);
	KafkaAckGroup *first;
	KafkaAckGroup *second;

	(void) state;
	kafka_acks_start(&acks, &position);
	assert_int_equal(acks.acked.id.seq, 0);

	/* two records, of which the first has two messages, in one group; one in the next */
	first = kafka_acks_group(&acks);
	kafka_acks_sent(first);
	kafka_acks_sent(first);
	position = at(1);
	kafka_acks_take(&acks, &position, 10);
	assert_ptr_equal(kafka_acks_group(&acks), first);
	kafka_acks_sent(first);
	position = at(2);
	kafka_acks_take(&acks, &position, 20);
	kafka_acks_close_group(&acks);
	second = kafka_acks_group(&acks);
	assert_ptr_not_equal(first, second);
	kafka_acks_sent(second);
	position = at(3);
	kafka_acks_take(&acks, &position, 30);

	/* the later one is acknowledged first: nothing is reached yet */
	kafka_acks_received(&acks, second);
	assert_int_equal(acks.acked.id.seq, 0);
	kafka_acks_received(&acks, first);
	kafka_acks_received(&acks, first);
	assert_int_equal(acks.acked.id.seq, 0);
	assert_int_equal(acks.acked_bytes, 0);
	kafka_acks_received(&acks, first);
	assert_int_equal(acks.acked.id.seq, 3);
	assert_int_equal(acks.acked_bytes, 30);
	assert_int_equal(acks.acked_serial, acks.serial);
}

/* A record whose second message did not fit: the first is acknowledged before the second is sent. */
static void
test_acks_half_sent(void **state)
{
	KafkaAcks acks;
	Position position = at(5);
	KafkaAckGroup *group;

	(void) state;
	kafka_acks_start(&acks, &position);
	group = kafka_acks_group(&acks);
	kafka_acks_sent(group);
	kafka_acks_received(&acks, group);
	assert_int_equal(acks.acked.id.seq, 5);
	group = kafka_acks_group(&acks);
	kafka_acks_sent(group);
	position = at(6);
	kafka_acks_take(&acks, &position, 10);
	assert_int_equal(acks.acked.id.seq, 5);
	kafka_acks_received(&acks, group);
	assert_int_equal(acks.acked.id.seq, 6);

	/* a position without messages is reached when all before it is; also one that was set back */
	position = at(4);
	kafka_acks_take(&acks, &position, 10);
	assert_int_equal(acks.acked.id.seq, 4);
}

static void
test_acks_ring(void **state)
{
	KafkaAcks acks;
	Position position = at(0);
	KafkaAckGroup *groups[3 * KAFKA_ACK_GROUPS];
	uint64_t seq = 0;

	(void) state;
	kafka_acks_start(&acks, &position);
	for (int round = 0; round < 5; round++)
	{
		int count = 3 * KAFKA_ACK_GROUPS;

		for (int i = 0; i < count; i++)
		{
			groups[i] = kafka_acks_group(&acks);
			kafka_acks_sent(groups[i]);
			position = at(++seq);
			kafka_acks_take(&acks, &position, seq);
			kafka_acks_close_group(&acks);
		}
		assert_int_equal(acks.count, KAFKA_ACK_GROUPS);
		for (int i = count; i-- > 0;)
		{
			assert_int_equal(acks.acked.id.seq, seq - (uint64_t) count);
			kafka_acks_received(&acks, groups[i]);
		}
		assert_int_equal(acks.acked.id.seq, seq);
		assert_int_equal(acks.count, 0);
	}
}

static void
test_values(void **state)
{
	Source source = {"7301234567890123456", "my/db", "slot", "shop"};
	Source read_source;
	Position position = {.timeline = 2,
						 .incarnation = 3,
						 .id = {0x1000000010, 7, 1},
						 .end_lsn = 5,
						 .confirmed = 6,
						 .commit_time = -1};
	Position read_position;
	KafkaClientId client;
	KafkaClientId other;
	char key[KAFKA_KEY_SIZE];
	struct json_object *object;
	const char *text;

	(void) state;
	kafka_position_key(key, &source);
	assert_string_equal(key, "7301234567890123456/my/db/slot");
	kafka_claim_key(key, &source);
	assert_string_equal(key, "7301234567890123456/my/db/slot#client");

	object = position_to_json(&source, &position);
	text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);
	assert_true(kafka_position_parse(&read_source, &read_position, text, strlen(text)));
	assert_true(source_equal(&source, &read_source));
	assert_int_equal(record_id_compare(&position.id, &read_position.id), 0);
	assert_false(kafka_position_parse(&read_source, &read_position, text, strlen(text) - 1));
	json_object_put(object);
	assert_false(kafka_position_parse(&read_source, &read_position, "", 0));
	assert_false(kafka_position_parse(&read_source, &read_position, "{}", 2));
	assert_false(kafka_position_parse(&read_source, &read_position, "{} x", 4));

	kafka_client_identify(&client);
	kafka_client_identify(&other);
	assert_string_not_equal(client.id, other.id);
	object = kafka_claim_value(&client);
	text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);
	assert_true(kafka_claim_parse(&other, text, strlen(text)));
	assert_string_equal(client.id, other.id);
	assert_string_equal(client.host, other.host);
	assert_int_equal(other.pid, getpid());
	json_object_put(object);
	assert_false(kafka_claim_parse(&other, "{\"client\":5}", 12));
}

/* ------------------------------------------------------------------------------------------------
 * Messages, by librdkafka's mock cluster
 * ------------------------------------------------------------------------------------------------ */

/* What a test has to know of one message. */
typedef struct Seen
{
	RecordId id;
	size_t length;
	size_t key_length;
	rd_kafka_resp_err_t error;
} Seen;

static Seen seen[16];
static int num_seen;

static void
see(void *arg, const rd_kafka_message_t *message)
{
	Seen *one = &seen[num_seen++];

	(void) arg;
	assert_true(kafka_record_identify(message, &one->id));
	one->length = message->len;
	one->key_length = message->key_len;
	one->error = message->err;
}

static void
test_messages(void **state)
{
	char text[256];
	rd_kafka_t *host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof(text));
	rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(host, 1);
	Relation relation = {.serial = 1, .schema = "public", .table = "t", .target = ""};
	MessageHeader header = {.transactional = true, .commit_lsn = 0x1000000010};
	Frame frame = {.kind = CDC_FRAME_RECORD,
				   .op = CDC_OP_DELETE,
				   .seq = 1,
				   .relation = &relation,
				   .payload = "{\"op\":\"delete\"}",
				   .payload_length = 15,
				   .key = "{\"id\":1}",
				   .key_length = 8};
	SinkRecord record = {.message = &header, .frame = &frame, .id = {0x1000000010, 1, 0}};
	KafkaBatching batching = {0};
	KafkaProducer producer;
	KafkaRecords records;
	KafkaConfig config;
	rd_kafka_conf_t *conf;
	rd_kafka_resp_err_t code;
	int64_t deadline = clock_now() + 20 * CLOCK_SECOND;
	char uri[256];
	bool full;
	int messages;

	(void) state;
	assert_non_null(cluster);
	snprintf(uri, sizeof(uri),
			 "kafka://%s/{table}?tombstones=on&delivery=at-least-once&"
			 "message.max.bytes=2000",
			 rd_kafka_mock_cluster_bootstraps(cluster));
	assert_int_equal(read_uri(&config, uri, CLOCK_SECOND / 10), CDC_OK);
	assert_int_equal(kafka_config_producer(&config, NULL, &batching, &conf, &err), CDC_OK);
	assert_int_equal(kafka_producer_open(&producer, conf, &err), CDC_OK);
	assert_int_equal(kafka_records_open(&records, &producer, &config, "shop", &err), CDC_OK);

	/* a delete and its tombstone */
	assert_int_equal(kafka_record_send(&records, &record, NULL, &messages, &full, &code, &err),
					 CDC_OK);
	assert_int_equal(messages, 2);
	/* an update of the key, the second part of a change */
	frame = (Frame){.kind = CDC_FRAME_RECORD,
					.op = CDC_OP_UPDATE,
					.relation = &relation,
					.payload = "{}",
					.payload_length = 2,
					.key = "{\"id\":2}",
					.key_length = 8,
					.old_key = "{\"id\":10}",
					.old_key_length = 9};
	record.id = (RecordId){0x1000000010, UINT64_MAX, 7};
	assert_int_equal(kafka_record_send(&records, &record, NULL, &messages, &full, &code, &err),
					 CDC_OK);
	assert_int_equal(messages, 2);
	assert_true(producer.cost >= 4 * KAFKA_MESSAGE_COST);
	num_seen = 0;
	while (num_seen < 4 && clock_now() < deadline)
	{
		struct pollfd fd = {.fd = producer.event_fd, .events = POLLIN};

		poll(&fd, 1, 100);
		kafka_producer_serve(&producer, see, NULL);
	}
	assert_int_equal(num_seen, 4);
	assert_int_equal(producer.cost, 0);
	for (int i = 0, deletes = 0, updates = 0; i < 4; i++)
	{
		RecordId expected[] = {{0x1000000010, 1, 0}, {0x1000000010, UINT64_MAX, 7}};
		int *count = seen[i].id.seq == 1 ? &deletes : &updates;

		assert_int_equal(seen[i].error, RD_KAFKA_RESP_ERR_NO_ERROR);
		assert_int_equal(record_id_compare(&seen[i].id, &expected[seen[i].id.seq == 1 ? 0 : 1]), 0);
		(*count)++;
		assert_true(*count <= 2);
	}

	/* one that is too large is known at once, and nothing of it was taken */
	frame.payload = memset(malloc(3000), 'x', 3000);
	frame.payload_length = 3000;
	assert_int_equal(kafka_record_send(&records, &record, NULL, &messages, &full, &code, &err),
					 CDC_OK);
	assert_int_equal(code, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
	assert_int_equal(messages, 0);
	assert_int_equal(producer.cost, 0);
	free((void *) frame.payload);

	kafka_records_close(&records);
	kafka_producer_close(&producer);
	kafka_config_free(&config);
	rd_kafka_mock_cluster_destroy(cluster);
	rd_kafka_destroy(host);
}

/* librdkafka's queue is full in the midst of a record: what is left of it follows when there is room. */
static void
test_full(void **state)
{
	char uri[] = "kafka://127.0.0.1:1/{table}?tombstones=on&queue.buffering.max.messages=1";
	Relation relation = {.serial = 1, .schema = "public", .table = "t", .target = ""};
	MessageHeader header = {.transactional = true, .commit_lsn = 16};
	Frame frame = {.kind = CDC_FRAME_RECORD,
				   .op = CDC_OP_DELETE,
				   .relation = &relation,
				   .payload = "{}",
				   .payload_length = 2,
				   .key = "1",
				   .key_length = 1};
	SinkRecord record = {.message = &header, .frame = &frame, .id = {16, 1, 0}};
	KafkaBatching batching = {0};
	KafkaProducer producer;
	KafkaRecords records;
	KafkaConfig config;
	rd_kafka_conf_t *conf;
	rd_kafka_resp_err_t code;
	bool full;
	int messages;
	int64_t deadline = clock_now() + 20 * CLOCK_SECOND;

	(void) state;
	assert_int_equal(read_uri(&config, uri, CLOCK_SECOND / 10), CDC_OK);
	assert_int_equal(kafka_config_producer(&config, NULL, &batching, &conf, &err), CDC_OK);
	assert_int_equal(kafka_producer_open(&producer, conf, &err), CDC_OK);
	assert_int_equal(kafka_records_open(&records, &producer, &config, "shop", &err), CDC_OK);
	assert_int_equal(kafka_record_send(&records, &record, NULL, &messages, &full, &code, &err),
					 CDC_OK);
	assert_true(full);
	assert_int_equal(messages, 1);
	assert_int_equal(kafka_record_send(&records, &record, NULL, &messages, &full, &code, &err),
					 CDC_OK);
	assert_true(full);
	assert_int_equal(messages, 0);
	num_seen = 0;
	rd_kafka_purge(producer.rk, RD_KAFKA_PURGE_F_QUEUE);
	while (num_seen < 1 && clock_now() < deadline)
	{
		struct pollfd fd = {.fd = producer.event_fd, .events = POLLIN};

		poll(&fd, 1, 100);
		kafka_producer_serve(&producer, see, NULL);
	}
	assert_int_equal(num_seen, 1);
	assert_int_equal(seen[0].length, 2); /* the record itself */
	assert_int_equal(kafka_record_send(&records, &record, NULL, &messages, &full, &code, &err),
					 CDC_OK);
	assert_false(full);
	assert_int_equal(messages, 1);
	kafka_records_close(&records);
	kafka_producer_close(&producer);
	kafka_config_free(&config);
}

/* A sink with transactions as open() leaves it, but for the topic of positions, which the mock cannot describe. */
static KafkaSink *
open_transactional(const char *uri)
{
	static const Source source = {"7", "shop", "cdc", "shop"};
	SinkConfig config = {
		.uri = uri, .commit_interval = CLOCK_SECOND / 10, .max_in_flight = 1 << 20};
	Sink *base = NULL;
	KafkaSink *sink;
	rd_kafka_conf_t *conf;

	assert_int_equal(sink_kafka_ops.create(&base, &config, &err), CDC_OK);
	sink = (KafkaSink *) base;
	sink->source = source;
	sink->window = 1 << 20;
	assert_int_equal(
		kafka_config_producer(&sink->config, "cdc_decoder/test", &sink->batching, &conf, &err),
		CDC_OK);
	assert_int_equal(kafka_producer_open(&sink->producer, conf, &err), CDC_OK);
	assert_null(rd_kafka_init_transactions(sink->producer.rk, 20000));
	assert_int_equal(
		kafka_records_open(&sink->records, &sink->producer, &sink->config, "shop", &err), CDC_OK);
	sink->positions = rd_kafka_topic_new(sink->producer.rk, sink->config.positions, NULL);
	kafka_job_init(&sink->job, &sink->config, &sink->client, &sink->source);
	sink->job.producer = sink->producer.rk;
	assert_int_equal(worker_start(&sink->worker, &err), CDC_OK);
	return sink;
}

/* Lets librdkafka work for a moment. */
static void
serve(KafkaSink *sink)
{
	struct pollfd fds[2] = {{.fd = sink->producer.event_fd, .events = POLLIN},
							{.fd = worker_fd(sink->worker), .events = POLLIN}};

	poll(fds, 2, 20);
	kafka_sink_serve(sink);
}

/*
 * A record of which librdkafka has a part is not committed without the position behind it: a client that is
 * killed then would deliver it again.
 */
static void
test_no_part_is_committed(void **state)
{
	char text[256];
	rd_kafka_t *host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof(text));
	rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(host, 1);
	Relation relation = {.serial = 1, .schema = "public", .table = "t", .target = ""};
	MessageHeader header = {.transactional = true, .commit_lsn = 16};
	Frame frame = {.kind = CDC_FRAME_RECORD,
				   .op = CDC_OP_DELETE,
				   .seq = 1,
				   .relation = &relation,
				   .payload = "{}",
				   .payload_length = 2,
				   .key = "1",
				   .key_length = 1};
	SinkRecord record = {.message = &header, .frame = &frame, .id = {16, 1, 0}};
	Position before = {.timeline = 1, .id = {8, 2, 0}, .end_lsn = 12, .confirmed = 12};
	Position after = {.timeline = 1, .id = {16, 1, 0}, .end_lsn = 12, .confirmed = 12};
	int64_t deadline = clock_now() + 30 * CLOCK_SECOND;
	SinkProgress progress = {0};
	KafkaSink *sink;
	char uri[256];
	bool taken;

	(void) state;
	snprintf(uri, sizeof(uri),
			 "kafka://%s/{table}?tombstones=on&queue.buffering.max.messages=1&linger.ms=0",
			 rd_kafka_mock_cluster_bootstraps(cluster));
	sink = open_transactional(uri);
	assert_int_equal(sink_kafka_ops.end_transaction((Sink *) sink, &before, &err), CDC_OK);
	assert_int_equal(sink_kafka_ops.deliver((Sink *) sink, &record, &after, &taken, &err), CDC_OK);
	assert_false(taken);
	assert_int_equal(sink->records.sent, 1);
	/* however much time passes, and however much room there is again */
	while (sink->producer.cost > 0 && clock_now() < deadline)
		serve(sink);
	assert_int_equal(sink->producer.cost, 0);
	for (int64_t hour = 0; hour < 3; hour++)
	{
		kafka_sink_advance(sink, clock_now() + hour * 3600 * CLOCK_SECOND);
		assert_int_equal(sink->under_way, KAFKA_JOB_NONE);
		sink->not_before = 0;
	}
	assert_int_equal(sink_kafka_ops.deliver((Sink *) sink, &record, &after, &taken, &err), CDC_OK);
	assert_true(taken);
	assert_int_equal(sink->records.sent, 0);
	assert_int_equal(sink_kafka_ops.flush((Sink *) sink, &err), CDC_OK);
	while (!position_covers(&progress.durable, &after) && clock_now() < deadline)
	{
		serve(sink);
		assert_int_equal(sink_kafka_ops.poll((Sink *) sink, clock_now(), &progress, &err), CDC_OK);
	}
	assert_true(position_covers(&progress.durable, &after));

	/* nobody brings the rest: nothing is committed, and the session begins anew */
	record.id.seq = frame.seq = 2;
	after.id.seq = 2;
	assert_int_equal(sink_kafka_ops.deliver((Sink *) sink, &record, &after, &taken, &err), CDC_OK);
	assert_false(taken);
	assert_int_equal(sink_kafka_ops.store((Sink *) sink, &sink->taken, &err), CDC_OK);
	assert_int_equal(sink_kafka_ops.poll((Sink *) sink, clock_now(), &progress, &err), CDC_RETRY);
	assert_non_null(strstr(err.message, "in the midst of a record"));
	sink_kafka_ops.close((Sink *) sink);
	sink_kafka_ops.destroy((Sink *) sink);
	rd_kafka_mock_cluster_destroy(cluster);
	rd_kafka_destroy(host);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uri),
		cmocka_unit_test(test_uri_refused),
		cmocka_unit_test(test_transaction_timeout),
		cmocka_unit_test(test_config_file),
		cmocka_unit_test(test_topics),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_acks),
		cmocka_unit_test(test_acks_half_sent),
		cmocka_unit_test(test_acks_ring),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_no_part_is_committed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void
test_left_out(void **state)
{
	(void) state;
	skip();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_left_out)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
