/*
 * kafka_producer.h
 *		librdkafka's producer as the sink uses it: messages sent, reports received, what it holds.
 *
 * All calls from the loop's thread, but those of kafka_transaction.h, which may run beside them.
 */
#ifndef CDC_KAFKA_PRODUCER_H
#define CDC_KAFKA_PRODUCER_H

#include <stdbool.h>
#include <stdint.h>

#include <librdkafka/rdkafka.h>

#include "error.h"

/*
 * What a message costs beside its bytes: librdkafka's rd_kafka_msg_t and a list of three headers,
 * with malloc's share (2.0.2, 64 bit).
 */
#define KAFKA_MESSAGE_COST 512

typedef struct KafkaProducer
{
	rd_kafka_t *rk;
	rd_kafka_queue_t *queue;
	int event_fd;                /* readable when kafka_producer_serve() has something to do */
	uint64_t cost;               /* bytes of memory that messages take */
	rd_kafka_resp_err_t trouble; /* the last error that was no message's: a broker is down, ... */
	char trouble_text[512];      /* of it */
	rd_kafka_resp_err_t fatal;   /* the producer is of no more use */
	char fatal_text[512];
} KafkaProducer;

/* A message that the broker took, or, message->err, did not. */
typedef void (*KafkaReport)(void *arg, const rd_kafka_message_t *message);

/* conf is used up.	 CDC_USAGE: what librdkafka says of the configuration. */
extern CdcStatus kafka_producer_open(KafkaProducer *producer, rd_kafka_conf_t *conf,
									 CdcError *err) CDC_MUST_CHECK;

/* Drops what was not sent.	 Of a zeroed producer: nothing. */
extern void kafka_producer_close(KafkaProducer *producer);

/* Calls report for each message that has come to its end; drains all there is. */
extern void kafka_producer_serve(KafkaProducer *producer, KafkaReport report, void *arg);

/* One message; the library copies what vus point to. */
extern rd_kafka_resp_err_t kafka_producer_send(KafkaProducer *producer, const rd_kafka_vu_t *vus,
											   size_t count, size_t bytes);

#endif /* CDC_KAFKA_PRODUCER_H */
