/*
 * kafka_positions.h
 *		The compacted topic that holds positions: made, checked and read.
 *
 * A message's key is "SYSTEM-IDENTIFIER/DATABASE/SLOT", its value the JSON of position.h.	A message
 * without value takes the position back.  Whoever begins to stream says so first, in a message with the
 * key "SYSTEM-IDENTIFIER/DATABASE/SLOT#client".  All are in partition 0, so that adding partitions hides
 * none.
 *
 * Where a partition ends cannot simply be asked: a broker that was restarted, or became leader, may for
 * a while name an end that lies before what it has acknowledged.	So whoever must not miss anything reads
 * up to a message of its own that was acknowledged.
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

#define KAFKA_KEY_SIZE 400 /* of Source's members with slashes, and a suffix */

extern void kafka_position_key(char key[KAFKA_KEY_SIZE], const Source *source);
extern void kafka_claim_key(char key[KAFKA_KEY_SIZE], const Source *source);

/* Who streams: one for each process. */
typedef struct KafkaClientId
{
	char id[24];
	char host[128];
	int pid;
	char since[TIME_TEXT_SIZE];
} KafkaClientId;

extern void kafka_client_identify(KafkaClientId *client);

/* The value of a claim, the caller's to json_object_put(); and the reverse, false where it is none. */
extern struct json_object *kafka_claim_value(const KafkaClientId *client);
extern bool kafka_claim_parse(KafkaClientId *client, const char *value, size_t length);

/* The value of a position, as position_to_json() has it, read. */
extern bool kafka_position_parse(Source *source, Position *position, const char *value,
								 size_t length);

/* The last message of a key. */
typedef struct KafkaStored
{
	bool found;  /* false: none, or one without value */
	char *value; /* the caller's to free() */
	size_t length;
	int64_t offset;
} KafkaStored;

typedef struct KafkaPositions
{
	rd_kafka_t *rk; /* a consumer, which also administers */
	rd_kafka_topic_t *topic;
	const KafkaConfig *config;
	rd_kafka_resp_err_t trouble; /* the last that librdkafka said of connections */
	char trouble_text[512];
	bool all_down; /* no broker could be reached */
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

/* Where to read to if there is no message of ours to read up to. */
#define KAFKA_TO_THE_END (-1)

/* The last committed message of the key before offset "until".	 stored->value is set on success only. */
extern CdcStatus kafka_positions_read(KafkaPositions *positions, const char *key, int64_t until,
									  const KafkaPatience *patience, KafkaStored *stored,
									  CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_KAFKA_POSITIONS_H */
