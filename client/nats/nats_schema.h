/*
 * nats_schema.h
 *		Schema records beside the records: a stream of their own, which keeps one message of each version.
 *
 * They are facts without a place in the sequence, so they are no links of the records' chain
 * (nats_flow.h).	The subject "cdc-schemas.STREAM.SCHEMA.TABLE.VERSION" names one, and is its Nats-Msg-Id:
 * one that comes again is dropped by the server, or takes the place of itself.  One is on its way at a
 * time, and records wait for it, so that whoever has a record can find its schema.
 */
#ifndef CDC_NATS_SCHEMA_H
#define CDC_NATS_SCHEMA_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "frame.h"
#include "nats_link.h"

typedef struct NatsSchemas
{
	NatsLink *link;
	natsInbox *inbox; /* NULL: there was no schema record yet */
	natsSubscription *answers;
	bool stream_known; /* it is there */
	bool busy;         /* one is on its way: */
	bool making;       /* the stream is, before it */
	int64_t busy_since;
	char *subject;
	char *payload;
	uint32_t length;
	uint64_t durable_bytes; /* of payload, since the start */
} NatsSchemas;

/* Begins; nothing is sent.	 The struct is zeroed before. */
extern void nats_schemas_start(NatsSchemas *schemas, NatsLink *link);

/* Behind nats_link_disconnect() and before nats_link_close().  Safe at any time. */
extern void nats_schemas_stop(NatsSchemas *schemas);

/* Sends a schema record; not while one is on its way. */
extern CdcStatus nats_schemas_send(NatsSchemas *schemas, const Frame *frame, int64_t now,
								   CdcError *err) CDC_MUST_CHECK;

/* Takes the answer to the one on its way, if it has come.  Never CDC_REFUSED: they are no records. */
extern CdcStatus nats_schemas_receive(NatsSchemas *schemas, int64_t now,
									  CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_NATS_SCHEMA_H */
