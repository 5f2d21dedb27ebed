/*
 * kafka_acks.c
 *		Counting acknowledgements.
 */
#include "kafka/kafka_acks.h"

#include <string.h>

static KafkaAckGroup *
last_group(KafkaAcks *acks)
{
	return &acks->groups[(acks->first + acks->count - 1) % KAFKA_ACK_GROUPS];
}

/* It begins where all before it ends. */
static KafkaAckGroup *
add_group(KafkaAcks *acks, const Position *after, uint64_t bytes, uint64_t serial)
{
	KafkaAckGroup *group;

	acks->count++;
	group = last_group(acks);
	*group = (KafkaAckGroup){.bytes = bytes, .serial = serial, .after = *after};
	return group;
}

void
kafka_acks_start(KafkaAcks *acks, const Position *position)
{
	memset(acks, 0, sizeof(*acks));
	acks->acked = *position;
}

KafkaAckGroup *
kafka_acks_group(KafkaAcks *acks)
{
	if (acks->count > 0)
		return last_group(acks);
	return add_group(acks, &acks->acked, acks->acked_bytes, acks->acked_serial);
}

void
kafka_acks_sent(KafkaAckGroup *group)
{
	group->unacked++;
}

static void
advance(KafkaAcks *acks)
{
	while (acks->count > 0 && acks->groups[acks->first].unacked == 0)
	{
		acks->acked = acks->groups[acks->first].after;
		acks->acked_bytes = acks->groups[acks->first].bytes;
		acks->acked_serial = acks->groups[acks->first].serial;
		acks->first = (acks->first + 1) % KAFKA_ACK_GROUPS;
		acks->count--;
	}
}

void
kafka_acks_take(KafkaAcks *acks, const Position *after, uint64_t bytes)
{
	KafkaAckGroup *group = kafka_acks_group(acks);

	group->after = *after;
	group->bytes = bytes;
	group->serial = ++acks->serial;
	advance(acks);
}

void
kafka_acks_close_group(KafkaAcks *acks)
{
	const KafkaAckGroup *group;

	if (acks->count == 0 || acks->count == KAFKA_ACK_GROUPS)
		return;
	group = last_group(acks);
	if (group->unacked > 0)
		add_group(acks, &group->after, group->bytes, group->serial);
}

void
kafka_acks_received(KafkaAcks *acks, KafkaAckGroup *group)
{
	group->unacked--;
	advance(acks);
}
