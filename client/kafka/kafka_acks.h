/*
 * kafka_acks.h
 *		Up to which position everything is acknowledged, where acknowledgements come out of order.
 *
 * Records go to many partitions, each of which acknowledges in its own time.  They are counted in groups
 * of successive records, so that a record costs no memory here: a position is reached when its group
 * and all before it are acknowledged.	Pure: no I/O.
 */
#ifndef CDC_KAFKA_ACKS_H
#define CDC_KAFKA_ACKS_H

#include <stdint.h>

#include "position.h"

#define KAFKA_ACK_GROUPS 64

typedef struct KafkaAckGroup
{
	uint32_t unacked; /* messages */
	uint64_t bytes;   /* taken up to its end */
	uint64_t serial;  /* of the last kafka_acks_take() */
	Position after;   /* given to that */
} KafkaAckGroup;

typedef struct KafkaAcks
{
	Position acked;
	uint64_t acked_bytes;
	uint64_t acked_serial;
	uint64_t serial;                        /* how often kafka_acks_take() was called */
	KafkaAckGroup groups[KAFKA_ACK_GROUPS]; /* a ring */
	uint32_t first;
	uint32_t count;
} KafkaAcks;

extern void kafka_acks_start(KafkaAcks *acks, const Position *position);

/* The group that the next message belongs to; it is counted by kafka_acks_sent(). */
extern KafkaAckGroup *kafka_acks_group(KafkaAcks *acks);
extern void kafka_acks_sent(KafkaAckGroup *group);

/* All messages up to this position were sent; bytes: of payload, since the start. */
extern void kafka_acks_take(KafkaAcks *acks, const Position *after, uint64_t bytes);

/* What comes next is a group of its own, while there is room for one. */
extern void kafka_acks_close_group(KafkaAcks *acks);

/* One message of the group is acknowledged. */
extern void kafka_acks_received(KafkaAcks *acks, KafkaAckGroup *group);

#endif /* CDC_KAFKA_ACKS_H */
