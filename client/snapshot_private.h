/*
 * snapshot_private.h
 *		What the files of a snapshot of existing rows share, and nobody else sees.
 *
 * snapshot_begin.c decides whether there is one and where it goes on, snapshot_ask.c asks the server for
 * chunks, snapshot_deliver.c delivers them, snapshot.c holds these together.
 *
 * Two places in the work: where the next chunk that is asked for begins (ask_*), and how far what was
 * delivered reaches (delivered), which is what positions say.	When a chunk has to be read again, the
 * first is set back to the second, and chunks that were asked for meanwhile are given up.
 */
#ifndef CDC_SNAPSHOT_PRIVATE_H
#define CDC_SNAPSHOT_PRIVATE_H

#include "snapshot.h"

#include "snapshot_chunk.h"
#include "snapshot_plan.h"

/* One is delivered while the next one is read. */
#define SNAPSHOT_MAX_CHUNKS 2

/* Of a table that cannot be read in parts, as it is stored. */
#define SNAPSHOT_WHOLE_BYTES (64 * 1024 * 1024)

/* A table of which changes cannot be told apart is read again so often, with pauses that grow. */
#define SNAPSHOT_MAX_ATTEMPTS 20

#define SNAPSHOT_CONFLICT_LOG_INTERVAL (10 * CLOCK_SECOND)

/* What is being read and delivered: all that the stream selects, or what one request asks for. */
typedef struct SnapshotJob
{
	SnapshotPlan plan;
	char *filter; /* a condition on the rows, SQL; NULL: all of them */
} SnapshotJob;

struct Snapshot
{
	Session *session;
	PGconn *conn;
	bool active; /* there is a job */
	SnapshotJob job;
	SnapshotState delivered;
	FrameReader reader; /* of chunks: relations are announced in each anew */

	/* where the next chunk begins */
	int ask_table; /* of the plan; past the last: all has been asked for */
	char *ask_after;
	bool asking;        /* an answer is awaited, for the newest chunk */
	int64_t asked;      /* when */
	int64_t not_before; /* a pause */
	int max_rows;

	struct
	{
		SnapshotChunk chunk;
		int table;
	} queue[SNAPSHOT_MAX_CHUNKS]; /* oldest first */
	int num_chunks;
	uint64_t last_number;

	/* of the oldest, once its second watermark has come */
	bool delivering;
	bool read_again; /* from where it ends */
	const SnapshotCursor *cursor;
	SnapshotState end;
	int attempts; /* at the same place */
	int64_t conflict_logged;
	bool lagging; /* waits for the sink, and has said so */

	int64_t began;
	uint64_t rows_before; /* delivered by earlier sessions */
	int64_t progress_logged;
};

/* snapshot_begin.c */

/*
 * What the sink's position says, or else the options: *wanted, and *state of what was begun already
 * (without a name: nothing was), which is the caller's to free; *changed where a snapshot is given up.
 */
extern CdcStatus snapshot_wanted(Session *session, bool found, SnapshotState *state, bool *wanted,
								 bool *changed, CdcError *err) CDC_MUST_CHECK;

/* Was it asked for by an option, rather than by default? */
extern bool snapshot_is_asked_for(const CdcOptions *options);

/* Connects, and reads what there is to be read.	Not required, and not possible: *possible is false. */
extern CdcStatus snapshot_open_plan(Snapshot *snapshot, bool required, bool *possible,
									CdcError *err) CDC_MUST_CHECK;

/* From now on the session's positions say that it has begun. */
extern void snapshot_begin_initial(Session *session, SnapshotState *state);

/* snapshot_ask.c */

/* Begins to ask behind what was delivered. */
extern void snapshot_ask_again(Snapshot *snapshot);

/* Is there anything left to be asked for? */
extern bool snapshot_has_more(const Snapshot *snapshot);

/* Is there a question to be asked, which waits for its time only? */
extern bool snapshot_can_ask(const Snapshot *snapshot);

/* Takes an answer that has come, and asks what can be asked, without waiting. */
extern CdcStatus snapshot_ask_turn(Snapshot *snapshot, int64_t now, CdcError *err) CDC_MUST_CHECK;

/* Pauses before what was asked is asked again. */
extern void snapshot_pause_asking(Snapshot *snapshot, int64_t now);

#endif /* CDC_SNAPSHOT_PRIVATE_H */
