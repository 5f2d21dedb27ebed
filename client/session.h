/*
 * session.h
 *		One stretch of streaming: from acquiring the slot until the connection or the sink is lost.
 *
 * session_open() connects, acquires the slot, opens the sink and decides where to go on; pump.c then
 * moves records; session_close() ends both.	stream.c makes one session after the other.
 */
#ifndef CDC_SESSION_H
#define CDC_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "dead_letter.h"
#include "error.h"
#include "feedback.h"
#include "frame.h"
#include "options.h"
#include "pgconn.h"
#include "position.h"
#include "resume.h"
#include "sink.h"
#include "slot.h"
#include "timeline.h"

/* A record that the sink can never take; of ids only the last one is kept, since they rise. */
typedef struct Refusal
{
	bool known;
	RecordId id;
	uint32_t incarnation;
	CdcError answer;
} Refusal;

/* What lasts over sessions; stream.c's. */
typedef struct StreamState
{
	const CdcOptions *options;
	const volatile int *interrupted;
	Sink *sink;
	ResumeAccepts accepts; /* until the position that they led to is durable */
	Source position_of;    /* a position of this source was durable in the sink; zeroed: none yet */
	bool selection_known;  /* what is selected by name exists, or need not */
	uint64_t endpos;       /* 0: none */
	bool slot_created;     /* by this run */
	uint64_t records;      /* delivered since the start */
	uint64_t bytes;
	RecordId handed_over; /* the furthest record that any session gave to the sink */

	/* of a sink that keeps no position: how far existing rows were delivered when the last session ended */
	bool snapshot_known;
	const SnapshotCursor *snapshot_cursor;
	RecordId snapshot_id;

	Refusal refusal;
	DeadLetters *dead_letters; /* NULL: --on-error=stop */
	uint64_t dead_letters_written;
	int64_t dead_letter_logged; /* clock.h; 0: never */
} StreamState;

typedef struct Session
{
	StreamState *state;
	PGconn *conn; /* in CopyBoth once open */
	ServerIdentity identity;
	bool in_recovery;
	int64_t receive_timeout; /* of this connection: what the user gave, unless that cannot work */
	uint64_t flush_lsn;      /* of the server, once the slot was acquired */
	Source source;
	TimelineHistory history;
	SlotInfo slot;
	FrameReader reader;
	char token[33];            /* of this session's watermarks */
	struct Snapshot *snapshot; /* existing rows; NULL: none are wanted */
	Feedback feedback;
	bool sink_open;
	bool
		sink_failed; /* it is not to be asked anything more; not all that it was given is durable */
	int64_t opened;  /* clock.h; 0: not yet */
	bool timeline_unknown; /* session_check_timeline() could not tell, and has said so */

	Position start; /* records up to it are skipped */
	Position taken; /* after all that the sink was given */
	uint64_t taken_bytes;
	SinkProgress progress; /* as the sink's poll() last said */
} Session;

/* On failure too the session is the caller's to session_close(). */
extern CdcStatus session_open(Session *session, StreamState *state, CdcError *err) CDC_MUST_CHECK;
extern void session_close(Session *session);

/* SinkConfig's tick(), for a sink that is being opened: session is the Session. */
extern bool session_tick(void *session);

/* Passes on a status of the sink's, CDC_REFUSED as CDC_RETRY; a failure is remembered as the sink's own. */
extern CdcStatus session_sink_status(Session *session, CdcStatus status) CDC_MUST_CHECK;

/* Sends an update if one is due, and whatever libpq could not send before. */
extern CdcStatus session_send_feedback(Session *session, int64_t now, CdcError *err) CDC_MUST_CHECK;

/* Sends one now, due or not. */
extern CdcStatus session_send_status(Session *session, int64_t now, CdcError *err) CDC_MUST_CHECK;

/* Asks for the end of CopyBoth and waits for it, a bounded time; what still comes is dropped. */
extern void session_leave(Session *session);

#endif /* CDC_SESSION_H */
