/*
 * snapshot.h
 *		Existing rows into a running stream: which tables, in which chunks, how far.
 *
 * Chunks are asked for on connections of their own (cdc.read_chunk(), in plugin/cdc_snapshot_read.c) while
 * the stream goes on.  A chunk is delivered where its second watermark lies in the stream; while it
 * is, each worker reads another one.	All is done by the loop's one thread: pump.c gives it its turn,
 * delivery.c takes what it has.
 */
#ifndef CDC_SNAPSHOT_H
#define CDC_SNAPSHOT_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "frame.h"
#include "session.h"
#include "snapshot_cursor.h"

typedef struct Snapshot Snapshot;

/* A token for the watermarks of one session. */
#define SNAPSHOT_TOKEN_SIZE 33
extern void snapshot_make_token(char *token);

/*
 * Begins what the sink's position and the options say: called once the session's start is known, which it
 * may change (session->start and taken; *changed: to be stored).  found: the sink has a position.
 * The session owns *snapshot, and snapshot_close()s it, also after a failure.
 */
extern CdcStatus snapshot_open(Snapshot **snapshot, Session *session, bool found, bool *changed,
							   CdcError *err) CDC_MUST_CHECK;
extern void snapshot_close(Snapshot *snapshot); /* takes NULL */

/* Is there anything left to be read or delivered?  NULL: no. */
extern bool snapshot_is_active(const Snapshot *snapshot);

/* Asks, and takes answers, without waiting.	 between: no transaction is being delivered. */
extern CdcStatus snapshot_turn(Snapshot *snapshot, int64_t now, bool between,
							   CdcError *err) CDC_MUST_CHECK;

/*
 * The sockets that snapshot_turn() waits for, SNAPSHOT_MAX_FDS at most; returns how many.  *deadline is lowered
 * to when it has a turn at the latest.
 */
#define SNAPSHOT_MAX_WORKERS OPTIONS_MAX_SNAPSHOT_WORKERS
#define SNAPSHOT_MAX_FDS (SNAPSHOT_MAX_WORKERS + 1)
extern int snapshot_wait(const Snapshot *snapshot, struct pollfd *fds, int64_t *deadline);

/* The stream tells of a request for existing rows (backfill.h).	 Takes NULL. */
extern void snapshot_bell(Snapshot *snapshot, uint64_t number);

/* A frame of kind WATERMARK that is no high watermark. */
extern void snapshot_note(Snapshot *snapshot, const Frame *frame);

/* What is to be done at a high watermark. */
typedef enum SnapshotStep
{
	SNAPSHOT_WAIT,   /* its chunk has not come yet */
	SNAPSHOT_RECORD, /* deliver this, then snapshot_taken() */
	SNAPSHOT_END,    /* that was all */
} SnapshotStep;

typedef struct SnapshotItem
{
	const MessageHeader *message;
	const Frame *frame;
	const SnapshotCursor *cursor; /* of positions from here on; NULL: as they were */
	uint64_t end_seq;             /* SNAPSHOT_END: the position's seq behind the chunk */
} SnapshotItem;

extern CdcStatus snapshot_next(Snapshot *snapshot, const Frame *watermark, SnapshotStep *step,
							   SnapshotItem *item, CdcError *err) CDC_MUST_CHECK;
extern void snapshot_taken(Snapshot *snapshot);

#endif /* CDC_SNAPSHOT_H */
