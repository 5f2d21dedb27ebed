/*
 * kafka_positions.c
 *		The topic of positions, through librdkafka's consumer and admin client.
 */
#include "kafka/kafka_positions.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "kafka/kafka_error.h"

/* One question to a broker; asked again until patience ends. */
#define REQUEST_MS 2000

/* A look at whether patience is over. */
#define SLICE_MS 100

/* Read backwards in steps that grow: a stream that is alive wrote its position lately. */
#define FIRST_STEP 256
#define STEP_FACTOR 16

/*
 * Of the topic that we make: compacted in segments that are small, since what the last one holds is not
 * compacted, and is read at each start where a stream has been silent for long.
 */
static const char *const topic_settings[][2] = {
	{"cleanup.policy", "compact"},
	{"segment.bytes", "16777216"},
	{"min.cleanable.dirty.ratio", "0.1"},
};

CdcStatus
kafka_positions_open(KafkaPositions *positions, const KafkaConfig *config, CdcError *err)
{
	rd_kafka_conf_t *conf;
	char text[512];
	CdcStatus status = kafka_config_reader(config, &conf, err);

	if (status != CDC_OK)
		return status;
	positions->config = config;
	positions->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof(text));
	if (positions->rk == NULL)
	{
		rd_kafka_conf_destroy(conf);
		return cdc_error(err, CDC_USAGE,
						 "librdkafka %s does not take the kafka sink's properties: %s",
						 rd_kafka_version_str(), text);
	}
	positions->topic = rd_kafka_topic_new(positions->rk, config->positions, NULL);
	if (positions->topic == NULL)
		return cdc_error(err, CDC_RETRY, "librdkafka could not make topic \"%s\": %s",
						 config->positions, rd_kafka_err2str(rd_kafka_last_error()));
	return CDC_OK;
}

void
kafka_positions_close(KafkaPositions *positions)
{
	if (positions->topic != NULL)
		rd_kafka_topic_destroy(positions->topic);
	if (positions->rk != NULL)
		rd_kafka_destroy(positions->rk);
	memset(positions, 0, sizeof(*positions));
}

/* Keeps what librdkafka says of connections: why there is no answer. */
static void
note_trouble(KafkaPositions *positions)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_get_main(positions->rk);
	rd_kafka_event_t *event;

	while ((event = rd_kafka_queue_poll(queue, 0)) != NULL)
	{
		rd_kafka_resp_err_t code = rd_kafka_event_error(event);

		if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR &&
			code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
			positions->all_down = true; /* why, was said before */
		else if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR)
		{
			positions->trouble = code;
			snprintf(positions->trouble_text, sizeof(positions->trouble_text), "%s",
					 rd_kafka_event_error_string(event));
		}
		rd_kafka_event_destroy(event);
	}
	rd_kafka_queue_destroy(queue);
}

/* Whether to stop waiting for an answer: none will come, or not in time. */
static bool
is_over(KafkaPositions *positions, const KafkaPatience *patience)
{
	note_trouble(positions);
	return kafka_patience_over(patience) || positions->all_down ||
		   kafka_error_status(positions->trouble) != CDC_RETRY;
}

/* What was asked for has failed, or there was no answer while patience lasted. */
static CdcStatus
failed(KafkaPositions *positions, rd_kafka_resp_err_t code, const char *reason, CdcError *err)
{
	note_trouble(positions);
	if (code < RD_KAFKA_RESP_ERR_UNKNOWN && positions->trouble != RD_KAFKA_RESP_ERR_NO_ERROR &&
		kafka_error_status(code) == CDC_RETRY)
		return kafka_error(err, positions->trouble, positions->trouble_text, "brokers %s",
						   positions->config->brokers);
	return kafka_error(err, code, reason, "topic \"%s\" of positions, brokers %s",
					   positions->config->positions, positions->config->brokers);
}

/* Waits for what an admin request brings; NULL when patience is over. */
static rd_kafka_event_t *
wait_for_answer(KafkaPositions *positions, rd_kafka_queue_t *queue, const KafkaPatience *patience)
{
	rd_kafka_event_t *event;

	do
		event = rd_kafka_queue_poll(queue, SLICE_MS);
	while (event == NULL && !is_over(positions, patience));
	return event;
}

static rd_kafka_AdminOptions_t *
admin_options(KafkaPositions *positions, rd_kafka_admin_op_t op)
{
	rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(positions->rk, op);
	char ignored[128];

	rd_kafka_AdminOptions_set_request_timeout(options, REQUEST_MS, ignored, sizeof(ignored));
	return options;
}

static CdcStatus
create_topic(KafkaPositions *positions, const KafkaPatience *patience, CdcError *err)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(positions->rk);
	rd_kafka_AdminOptions_t *options = admin_options(positions, RD_KAFKA_ADMIN_OP_CREATETOPICS);
	char text[256];
	/* Replicated as the brokers' default.replication.factor says. */
	rd_kafka_NewTopic_t *topic =
		rd_kafka_NewTopic_new(positions->config->positions, 1, -1, text, sizeof(text));
	rd_kafka_event_t *event = NULL;
	rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;
	const char *reason = NULL;
	CdcStatus status = CDC_OK;
	size_t count = 0;

	if (topic != NULL)
	{
		for (size_t i = 0; i < sizeof(topic_settings) / sizeof(topic_settings[0]); i++)
			rd_kafka_NewTopic_set_config(topic, topic_settings[i][0], topic_settings[i][1]);
		rd_kafka_CreateTopics(positions->rk, &topic, 1, options, queue);
		event = wait_for_answer(positions, queue, patience);
	}
	if (event != NULL && (code = rd_kafka_event_error(event)) == RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		const rd_kafka_topic_result_t **results =
			rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);

		code = count == 1 ? rd_kafka_topic_result_error(results[0]) : RD_KAFKA_RESP_ERR__FAIL;
		reason = count == 1 ? rd_kafka_topic_result_error_string(results[0]) : NULL;
	}
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
		status = failed(positions, code, reason, err);
	if (event != NULL)
		rd_kafka_event_destroy(event);
	if (topic != NULL)
		rd_kafka_NewTopic_destroy(topic);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_queue_destroy(queue);
	return status;
}

static const char *
find_entry(const rd_kafka_ConfigResource_t *resource, const char *name)
{
	size_t count;
	const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &count);

	for (size_t i = 0; i < count; i++)
		if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), name) == 0)
			return rd_kafka_ConfigEntry_value(entries[i]);
	return NULL;
}

/* Asks for the topic's cleanup.policy; *code is what came of it. */
static void
describe_topic(KafkaPositions *positions, const KafkaPatience *patience, char *policy, size_t size,
			   rd_kafka_resp_err_t *code)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(positions->rk);
	rd_kafka_AdminOptions_t *options = admin_options(positions, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
	rd_kafka_ConfigResource_t *asked =
		rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, positions->config->positions);
	rd_kafka_event_t *event;

	*code = RD_KAFKA_RESP_ERR__TIMED_OUT;
	rd_kafka_DescribeConfigs(positions->rk, &asked, 1, options, queue);
	event = wait_for_answer(positions, queue, patience);
	if (event != NULL && (*code = rd_kafka_event_error(event)) == RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		size_t count;
		const rd_kafka_ConfigResource_t **resources = rd_kafka_DescribeConfigs_result_resources(
			rd_kafka_event_DescribeConfigs_result(event), &count);

		*code = count == 1 ? rd_kafka_ConfigResource_error(resources[0]) : RD_KAFKA_RESP_ERR__FAIL;
		if (*code == RD_KAFKA_RESP_ERR_NO_ERROR)
		{
			const char *value = find_entry(resources[0], "cleanup.policy");

			snprintf(policy, size, "%s", value != NULL ? value : "");
		}
	}
	if (event != NULL)
		rd_kafka_event_destroy(event);
	rd_kafka_ConfigResource_destroy(asked);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_queue_destroy(queue);
}

CdcStatus
kafka_positions_check(KafkaPositions *positions, bool create, const KafkaPatience *patience,
					  bool *exists, CdcError *err)
{
	const char *name = positions->config->positions;
	char policy[64] = "";
	rd_kafka_resp_err_t code;
	CdcStatus status;

	do
	{
		describe_topic(positions, patience, policy, sizeof(policy), &code);
		*exists = code != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
		if (!*exists && !create)
			return CDC_OK;
		if (!*exists)
		{
			status = create_topic(positions, patience, err);
			if (status != CDC_OK)
				return status;
		}
	} while (!is_over(positions, patience) && code != RD_KAFKA_RESP_ERR_NO_ERROR &&
			 (!*exists || kafka_error_status(code) == CDC_RETRY));
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		return failed(positions, code, NULL, err);
	if (strcmp(policy, "compact") == 0)
		return CDC_OK;
	cdc_error(err, CDC_STOP, "topic \"%s\" cannot hold positions: its cleanup.policy is \"%s\"",
			  name, policy);
	cdc_error_detail(err, "Only \"compact\" keeps a position however long its stream is silent.");
	cdc_error_hint(err,
				   "kafka-configs.sh --alter --entity-type topics --entity-name %s --add-config "
				   "cleanup.policy=compact, or name another topic by positions=TOPIC, which "
				   "is created if it is missing.",
				   name);
	return CDC_STOP;
}

/* A topic that was made just now may be unknown still. */
static bool
may_pass(rd_kafka_resp_err_t code)
{
	return kafka_error_status(code) == CDC_RETRY || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
		   code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
		   code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
}

/* Where the partition begins and ends now. */
static CdcStatus
find_bounds(KafkaPositions *positions, const KafkaPatience *patience, int64_t *low, int64_t *high,
			CdcError *err)
{
	rd_kafka_resp_err_t code;

	for (;;)
	{
		code = rd_kafka_query_watermark_offsets(positions->rk, positions->config->positions,
												KAFKA_POSITION_PARTITION, low, high, REQUEST_MS);
		if (code == RD_KAFKA_RESP_ERR_NO_ERROR || !may_pass(code) || is_over(positions, patience))
			break;
		poll(NULL, 0, SLICE_MS); /* some errors are said at once */
	}
	return code == RD_KAFKA_RESP_ERR_NO_ERROR ? CDC_OK : failed(positions, code, NULL, err);
}

/* Takes a message in if it has the key. */
static CdcStatus
take_message(const rd_kafka_message_t *message, const char *key, KafkaStored *stored, bool *seen,
			 CdcError *err)
{
	if (message->key_len != strlen(key) || memcmp(message->key, key, message->key_len) != 0)
		return CDC_OK;
	*seen = true;
	free(stored->value);
	*stored = (KafkaStored){.offset = message->offset};
	if (message->payload == NULL)
		return CDC_OK; /* taken back */
	stored->value = malloc(message->len + 1);
	if (stored->value == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	memcpy(stored->value, message->payload, message->len);
	stored->value[message->len] = '\0';
	stored->length = message->len;
	stored->found = true;
	return CDC_OK;
}

/*
 * Reads [from, to) and keeps the key's last message.  Where a transaction of another stream is open, what
 * lies behind it is not to be seen yet: the end is waited for.
 */
static CdcStatus
read_range(KafkaPositions *positions, int64_t from, int64_t to, const char *key,
		   const KafkaPatience *patience, KafkaStored *stored, bool *seen, CdcError *err)
{
	int64_t at = from;
	CdcStatus status = CDC_OK;

	if (rd_kafka_consume_start(positions->topic, KAFKA_POSITION_PARTITION, from) != 0)
		return failed(positions, rd_kafka_last_error(), NULL, err);
	while (at < to && status == CDC_OK)
	{
		rd_kafka_message_t *message =
			rd_kafka_consume(positions->topic, KAFKA_POSITION_PARTITION, SLICE_MS);

		if (message != NULL && message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
		{
			if (message->offset < to)
				status = take_message(message, key, stored, seen, err);
			at = message->offset + 1;
		}
		else if (message != NULL && message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
			at = message->offset;
		else if (message != NULL && kafka_error_status(message->err) != CDC_RETRY)
			status = failed(positions, message->err, rd_kafka_message_errstr(message), err);
		if (message != NULL)
			rd_kafka_message_destroy(message);
		if (status == CDC_OK && at < to && is_over(positions, patience))
		{
			status = failed(positions, RD_KAFKA_RESP_ERR__TIMED_OUT, NULL, err);
			cdc_error_detail(err,
							 "It was read up to offset %" PRId64 " of %" PRId64
							 "; a transaction that is open there hides what follows, until it "
							 "ends or times out.",
							 at, to);
		}
	}
	rd_kafka_consume_stop(positions->topic, KAFKA_POSITION_PARTITION);
	return status;
}

CdcStatus
kafka_positions_read(KafkaPositions *positions, const char *key, int64_t until,
					 const KafkaPatience *patience, KafkaStored *stored, CdcError *err)
{
	int64_t low;
	int64_t high;
	int64_t step = FIRST_STEP;
	bool seen = false;
	CdcStatus status = find_bounds(positions, patience, &low, &high, err);

	memset(stored, 0, sizeof(*stored));
	if (until != KAFKA_TO_THE_END)
		high = until;
	while (status == CDC_OK && !seen && high > low)
	{
		int64_t from = high - step > low ? high - step : low;

		status = read_range(positions, from, high, key, patience, stored, &seen, err);
		high = from;
		step *= STEP_FACTOR;
	}
	if (status != CDC_OK)
	{
		free(stored->value);
		stored->value = NULL;
	}
	return status;
}
