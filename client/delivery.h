/*
 * delivery.h
 *		From a message's frames to the sink: skips what it has, keeps the order, minds the window.
 */
#ifndef CDC_DELIVERY_H
#define CDC_DELIVERY_H

#include "session.h"

/* A zeroed one, with its session, is one that has received nothing yet. */
typedef struct Delivery
{
	Session *session;
	char *message; /* being handed over, libpq's memory; NULL: none */
	Frame frame;   /* of it, not yet handed over */
	bool have_frame;
	bool record_taken;   /* of that frame: what is left is the end of its transaction */
	bool in_transaction; /* frames came, the commit frame did not yet */
	uint64_t transaction_lsn;
	uint64_t ended_lsn;           /* the end of the last transaction that came whole; 0: none yet */
	RecordId seen;                /* the last record that came in this session */
	const SnapshotCursor *cursor; /* of the chunk whose second watermark is at hand; NULL: none */
	uint64_t chunk_end;           /* seq of the position behind it */
	bool settling; /* a record was diverted, and the position behind it is not durable yet */
	bool
		sink_full; /* the window or the sink is: nothing more is handed over until this is cleared */
} Delivery;

/*
 * Hands over what is left of the message at hand, which the session's frame reader has opened, as far
 * as the sink takes it; drops the message when it is through.	CDC_STOP: records out of order.
 */
extern CdcStatus delivery_continue(Delivery *delivery, CdcError *err) CDC_MUST_CHECK;

/* Frees the message at hand, if there is one. */
extern void delivery_drop(Delivery *delivery);

#endif /* CDC_DELIVERY_H */
