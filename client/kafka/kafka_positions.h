/*
 * kafka_positions.h
 *		The compacted topic that holds positions: made, checked and read.
 *
 * A message's key is "SYSTEM-IDENTIFIER/DATABASE/SLOT", its value the JSON of position.h with one more
 * member, "client": who wrote it.  All are in partition 0, so that adding partitions hides none.	 A
 * message without value takes the position back.
 *
 * All calls block; they are made by a worker's job, which "patience" ends.
 */
#ifndef CDC_KAFKA_POSITIONS_H
#define CDC_KAFKA_POSITIONS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "kafka/kafka_config.h"
#include "position.h"

#define KAFKA_POSITION_PARTITION 0

/* How long to go on trying. */
typedef struct KafkaPatience
{
	int64_t deadline;      /* clock.h */
	atomic_bool cancelled; /* set by another thread */
} KafkaPatience;

extern bool kafka_patience_over(const KafkaPatience *patience);

#define KAFKA_KEY_SIZE 400 /* of Source's members with slashes */

extern void kafka_position_key(char key[KAFKA_KEY_SIZE], const Source *source);

/* Who writes positions: one for each process. */
typedef struct KafkaClientId
{
	char id[24];
	char host[128];
	int pid;
	char since[TIME_TEXT_SIZE];
} KafkaClientId;

extern void kafka_client_identify(KafkaClientId *client);

/* What is stored for a key. */
typedef struct KafkaStored
{
	bool found;
	Source source;
	Position position;
	KafkaClientId client; /* id is "" where the value does not say */
	int64_t offset;
} KafkaStored;

/* A value; the caller's to json_object_put(). */
extern struct json_object *kafka_position_value(const Source *source, const Position *position,
												const KafkaClientId *client);

/* The reverse, of a message's value.  false: it is no position. */
extern bool kafka_position_parse(KafkaStored *stored, const char *value, size_t length);

typedef struct KafkaPositions
{
	rd_kafka_t *rk; /* a consumer, which also administers */
	rd_kafka_topic_t *topic;
	const KafkaConfig *config;
	rd_kafka_resp_err_t trouble; /* the last that librdkafka said of connections */
	char trouble_text[512];
} KafkaPositions;

/* Of a zeroed one; close after a failure too. */
extern CdcStatus kafka_positions_open(KafkaPositions *positions, const KafkaConfig *config,
									  CdcError *err) CDC_MUST_CHECK;
extern void kafka_positions_close(KafkaPositions *positions);

/*
 * Makes sure that the topic is there and is compacted, and nothing else.  *exists: where "create" is
 * false it may be missing.	 CDC_STOP: it is not what it must be.
 */
extern CdcStatus kafka_positions_check(KafkaPositions *positions, bool create,
									   const KafkaPatience *patience, bool *exists,
									   CdcError *err) CDC_MUST_CHECK;

/* The last value of the key that is committed. */
extern CdcStatus kafka_positions_read(KafkaPositions *positions, const char *key,
									  const KafkaPatience *patience, KafkaStored *stored,
									  CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_KAFKA_POSITIONS_H */
