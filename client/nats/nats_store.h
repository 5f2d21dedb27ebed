/*
 * nats_store.h
 *		The position beside the records: one message at a time, each in the place of the last.
 *
 * Each names the sequence of the one that it replaces (Nats-Expected-Last-Subject-Sequence), so
 * that a client whose position somebody else has replaced finds out.
 */
#ifndef CDC_NATS_STORE_H
#define CDC_NATS_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "nats_link.h"
#include "nats_stream.h"
#include "position.h"

typedef struct NatsStore
{
	NatsLink *link;
	natsInbox *inbox;
	natsSubscription *answers;
	char subject[NATS_POSITION_SUBJECT_SIZE];
	uint64_t sequence; /* of the position that is stored; 0: none */
	bool have_stored;
	Position stored;
	bool busy; /* storing is on its way */
	Position storing;
	int64_t busy_since;
} NatsStore;

/* Begins with what was found.  The store is zeroed before. */
extern CdcStatus nats_store_start(NatsStore *store, NatsLink *link, const NatsStream *stream,
								  bool ours, CdcError *err) CDC_MUST_CHECK;

/* Behind nats_link_disconnect() and before nats_link_close().  Safe at any time. */
extern void nats_store_stop(NatsStore *store);

/* Whether the position stored is another than that. */
extern bool nats_store_differs(const NatsStore *store, const Position *position);

/* Sends a position; not while one is on its way. */
extern CdcStatus nats_store_send(NatsStore *store, const Source *source, const Position *position,
								 uint64_t last_sequence, int64_t now, CdcError *err) CDC_MUST_CHECK;

/* Takes the answer to the one on its way, if it has come. */
extern CdcStatus nats_store_receive(NatsStore *store, CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_NATS_STORE_H */
