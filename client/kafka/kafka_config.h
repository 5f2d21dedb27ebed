/*
 * kafka_config.h
 *		What the URI of a kafka:// sink says, and the librdkafka configurations made of it.
 */
#ifndef CDC_KAFKA_CONFIG_H
#define CDC_KAFKA_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include <librdkafka/rdkafka.h>

#include "error.h"
#include "sink.h"

/* Whether deletes are followed by tombstones. */
typedef enum KafkaTombstones
{
	KAFKA_TOMBSTONES_AS_TOLD, /* by the server, which only format=debezium does; else not */
	KAFKA_TOMBSTONES_ON,
	KAFKA_TOMBSTONES_OFF,
} KafkaTombstones;

typedef struct KafkaConfig
{
	SinkUri uri;
	const char *brokers;   /* "b1:9092,b2:9092" */
	const char *topic;     /* template, see target.h */
	const char *positions; /* name of the topic that holds positions */
	const char *prefix;    /* of the transactional.id */
	bool exactly_once;
	KafkaTombstones tombstones;
	bool queue_given;      /* the user has set limits of librdkafka's queue */
	rd_kafka_conf_t *conf; /* with all properties that the user gave */
	int transaction_timeout_ms;
	int batch_bytes; /* of a request to a broker, at most */
} KafkaConfig;

/*
 * Reads the URI, and the file that its parameter "config" names.  Free with kafka_config_free(), after
 * a failure too.  CDC_USAGE says which parameter is wrong and what is allowed.
 */
extern CdcStatus kafka_config_read(KafkaConfig *config, const SinkConfig *sink,
								   CdcError *err) CDC_MUST_CHECK;
extern void kafka_config_free(KafkaConfig *config);

/* How the producer is to gather records into requests; 0: as librdkafka, or the user, has it. */
typedef struct KafkaBatching
{
	int messages; /* at most so many */
	int bytes;    /* at most so many */
} KafkaBatching;

/*
 * A configuration for rd_kafka_new(), whose it then is.  transactional_id is NULL for a producer without
 * transactions.
 */
extern CdcStatus kafka_config_producer(const KafkaConfig *config, const char *transactional_id,
									   const KafkaBatching *batching, rd_kafka_conf_t **conf,
									   CdcError *err) CDC_MUST_CHECK;

/* One for a consumer that sees what is committed, and for what administration there is. */
extern CdcStatus kafka_config_reader(const KafkaConfig *config, rd_kafka_conf_t **conf,
									 CdcError *err) CDC_MUST_CHECK;

/* Whether name can be that of a topic (org.apache.kafka.common.internals.Topic). */
extern bool kafka_topic_is_valid(const char *name);
extern bool kafka_topic_byte_is_valid(unsigned char byte);

#endif /* CDC_KAFKA_CONFIG_H */
