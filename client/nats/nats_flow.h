/*
 * nats_flow.h
 *		Records on their way to JetStream: a chain of messages, each naming the one before it.
 *
 * A message says which sequence and which Nats-Msg-Id the stream's last message has to have
 * (Nats-Expected-Last-Sequence, Nats-Expected-Last-Msg-Id).  So the server takes it only directly
 * behind the one before it: what is lost, refused or sent by another client breaks the chain, and
 * nothing behind the break is taken.  And so not every message need be acknowledged: that one was
 * taken says the same of all before it.
 *
 * The sequence alone would not do: where somebody else's message takes the place of one in flight,
 * that one is refused, but the next one's sequence is right again.
 */
#ifndef CDC_NATS_FLOW_H
#define CDC_NATS_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "nats_link.h"
#include "nats_name.h"
#include "position.h"
#include "sink.h"

/* A message that is not known to be durable. */
typedef struct NatsInFlight
{
	uint64_t sequence;
	RecordId id;
	Position after; /* that holds once it is durable */
	uint64_t bytes; /* of payload, with all before it since the start */
} NatsInFlight;

#define NATS_MAX_IN_FLIGHT 8192

typedef struct NatsFlow
{
	NatsLink *link;
	natsInbox *inbox;
	natsSubscription *answers;
	char prefix[NATS_SOURCE_SIZE]; /* of ids */
	size_t prefix_length;
	char last_id[NATS_ID_SIZE]; /* of the message sent last; "": none since the start */

	/* the last message is held back, until it is known whether it has to be acknowledged */
	bool holding;
	char *held; /* subject, NUL, payload */
	size_t held_size;
	size_t held_subject_length;
	size_t held_length; /* of payload */
	char held_id[NATS_ID_SIZE];

	NatsInFlight *ring;
	int first;
	int count;
	uint64_t next_sequence;
	uint64_t bytes;
	int unacknowledged; /* messages and bytes since the last that was to be acknowledged */
	size_t unacknowledged_bytes;
	bool careful; /* every message is acknowledged: a refusal is then about that one */
	int careful_left;
	int64_t last_sign; /* of life, while something is in flight */

	Position durable;          /* of the last message acknowledged, or set by nats_flow_set() */
	uint64_t durable_sequence; /* of that message */
	uint64_t durable_bytes;
} NatsFlow;

/*
 * Begins a chain behind last_sequence.  The flow was zeroed once; careful is kept from one start
 * to the next.
 */
extern CdcStatus nats_flow_start(NatsFlow *flow, NatsLink *link, const Source *source,
								 uint64_t last_sequence, CdcError *err) CDC_MUST_CHECK;
/* Behind nats_link_disconnect() and before nats_link_close().  Safe at any time. */
extern void nats_flow_stop(NatsFlow *flow);

/* Whether it can take no more. */
extern bool nats_flow_is_full(const NatsFlow *flow);

extern CdcStatus nats_flow_add(NatsFlow *flow, const char *subject, const SinkRecord *record,
							   const Position *after, CdcError *err) CDC_MUST_CHECK;

/* after holds as soon as all that was added is durable. */
extern void nats_flow_set(NatsFlow *flow, const Position *after);

/* Sends what is held back, to be acknowledged. */
extern CdcStatus nats_flow_push(NatsFlow *flow, CdcError *err) CDC_MUST_CHECK;

/* Takes the answers that have come.  CDC_REFUSED: *refused says which record. */
extern CdcStatus nats_flow_receive(NatsFlow *flow, RecordId *refused, CdcError *err) CDC_MUST_CHECK;

/*
 * Reads the answer to a message: its sequence (NULL: it has none); or what JetStream's error means, or that nobody
 * answers.  what: "sending to stream ...".  *code (may be NULL) is the error's, 0: none.
 */
extern CdcStatus nats_read_answer(NatsLink *link, natsMsg *answer, const char *what,
								  uint64_t *sequence, int *code, CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_NATS_FLOW_H */
