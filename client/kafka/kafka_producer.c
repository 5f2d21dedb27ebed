/*
 * kafka_producer.c
 *		librdkafka's producer.
 */
#include "kafka/kafka_producer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

CdcStatus
kafka_producer_open(KafkaProducer *producer, rd_kafka_conf_t *conf, CdcError *err)
{
	static const uint64_t one = 1;
	char text[512];

	memset(producer, 0, sizeof(*producer));
	producer->event_fd = -1;
	producer->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
	if (producer->rk == NULL)
	{
		rd_kafka_conf_destroy(conf);
		return cdc_error(err, CDC_USAGE,
						 "librdkafka %s does not take the kafka sink's properties: %s",
						 rd_kafka_version_str(), text);
	}
	producer->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (producer->event_fd < 0)
		return cdc_error(err, CDC_RETRY, "could not create an eventfd: %s", strerror(errno));
	producer->queue = rd_kafka_queue_get_main(producer->rk);
	rd_kafka_queue_io_event_enable(producer->queue, producer->event_fd, &one, sizeof(one));
	return CDC_OK;
}

void
kafka_producer_close(KafkaProducer *producer)
{
	if (producer->rk == NULL)
		return;
	rd_kafka_purge(producer->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
									 RD_KAFKA_PURGE_F_NON_BLOCKING);
	if (producer->queue != NULL)
	{
		rd_kafka_queue_io_event_enable(producer->queue, -1, NULL, 0);
		rd_kafka_queue_destroy(producer->queue);
	}
	rd_kafka_destroy(producer->rk);
	if (producer->event_fd >= 0)
		close(producer->event_fd);
	memset(producer, 0, sizeof(*producer));
}

static void
note_reports(KafkaProducer *producer, rd_kafka_event_t *event, KafkaReport report, void *arg)
{
	const rd_kafka_message_t *message;

	while ((message = rd_kafka_event_message_next(event)) != NULL)
	{
		producer->cost -= message->len + message->key_len + KAFKA_MESSAGE_COST;
		report(arg, message);
	}
}

static void
note_error(KafkaProducer *producer, rd_kafka_event_t *event)
{
	if (rd_kafka_event_error_is_fatal(event))
	{
		producer->fatal =
			rd_kafka_fatal_error(producer->rk, producer->fatal_text, sizeof(producer->fatal_text));
		return;
	}
	/* "all brokers are down" follows upon what says why */
	if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN &&
		producer->trouble != RD_KAFKA_RESP_ERR_NO_ERROR)
		return;
	producer->trouble = rd_kafka_event_error(event);
	snprintf(producer->trouble_text, sizeof(producer->trouble_text), "%s",
			 rd_kafka_event_error_string(event));
}

void
kafka_producer_serve(KafkaProducer *producer, KafkaReport report, void *arg)
{
	rd_kafka_event_t *event;
	uint64_t count;
	ssize_t got;

	/* First, so that what comes while the queue is emptied makes it readable again. */
	got = read(producer->event_fd, &count, sizeof(count));
	(void) got;
	while ((event = rd_kafka_queue_poll(producer->queue, 0)) != NULL)
	{
		if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR)
			note_reports(producer, event, report, arg);
		else if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR)
			note_error(producer, event);
		rd_kafka_event_destroy(event);
	}
}

rd_kafka_resp_err_t
kafka_producer_send(KafkaProducer *producer, const rd_kafka_vu_t *vus, size_t count, size_t bytes)
{
	rd_kafka_error_t *error = rd_kafka_produceva(producer->rk, vus, count);
	rd_kafka_resp_err_t code;

	if (error == NULL)
	{
		producer->cost += bytes + KAFKA_MESSAGE_COST;
		return RD_KAFKA_RESP_ERR_NO_ERROR;
	}
	code = rd_kafka_error_code(error);
	rd_kafka_error_destroy(error);
	return code;
}
