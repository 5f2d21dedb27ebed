/*
 * divert.h
 *		What becomes of a record that the sink refuses (CDC_REFUSED, sink.h): --on-error.
 *
 * A refusal is remembered over the session's end, for the answer to a record may come when others have
 * been handed over behind it.  When that record's turn comes (again), all that came before it is made
 * durable first.  Then the stream stops and says all about it, or the record goes to the dead-letter
 * sink, durably, the first sink stores the position behind it, and the stream goes on.
 */
#ifndef CDC_DIVERT_H
#define CDC_DIVERT_H

#include "delivery.h"

/*
 * Remembers that the sink refused a record of the session, with what answer.	 false: it refused the
 * same one the last time too, without having been given it since, or in spite of having it behind it.
 */
extern bool divert_remember(Session *session, const RecordId *id, const CdcError *answer);

/* Whether this record is the one that was refused. */
extern bool divert_wanted(const Session *session, const RecordId *id);

/*
 * Diverts the frame at hand; after is the position behind it.	*done false: the sink has to make durable
 * first what it has, poll() it and come again.  CDC_STOP: --on-error=stop.
 */
extern CdcStatus divert_record(Delivery *delivery, const SinkRecord *record, const Position *after,
							   bool *done, CdcError *err) CDC_MUST_CHECK;

/* Whether nothing is to be handed over before the sink has stored the position behind a diverted one. */
extern bool divert_settling(Delivery *delivery);

#endif /* CDC_DIVERT_H */
