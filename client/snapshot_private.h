/*
 * snapshot_private.h
 *		What the files of a snapshot of existing rows share, and nobody else sees.
 *
 * snapshot_begin.c decides whether there is one and where it goes on, snapshot_ask.c asks the server for
 * chunks, as large as snapshot_size.c says, snapshot_deliver.c delivers them, snapshot.c holds these together.
 *
 * What is left of a table are ranges of its key (snapshot_ranges.h).	Workers, each with a connection and a window
 * of its own (plugin/cdc_snapshot_window.h), take ranges and have chunks of them read; what is delivered at
 * a chunk's second watermark is taken off the list, and the rest of it is free again.  Positions say what is
 * left.	A table's last chunks may have to be read again, so the next table's are only delivered when nothing
 * is left of it; but they are read meanwhile.
 */
#ifndef CDC_SNAPSHOT_PRIVATE_H
#define CDC_SNAPSHOT_PRIVATE_H

#include "snapshot.h"

#include "backfill_job.h"
#include "position.h"
#include "snapshot_chunk.h"
#include "snapshot_pace.h"
#include "snapshot_plan.h"
#include "snapshot_progress.h"

/* Each worker reads one while another is delivered. */
#define SNAPSHOT_MAX_CHUNKS (SNAPSHOT_MAX_WORKERS + 1)

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

/* A table of which something is left. */
typedef struct SnapshotWork
{
	int table; /* of the plan */
	char *key; /* that the ranges are of, JSON array: as it was when they were first read */
	SnapshotRanges ranges;
} SnapshotWork;

/* The one that is being delivered, and the one after it. */
#define SNAPSHOT_MAX_WORKS 2

/* Of what an answer is awaited. */
typedef enum WorkerStage
{
	WORKER_IDLE,
	WORKER_DIVIDES, /* where to divide a range */
	WORKER_LOW,     /* a chunk's first watermark, where a standby will read the rows */
	WORKER_REPLAY,  /* whether the standby has replayed that */
	WORKER_WAITS,   /* nothing, but it has not yet, and is to be asked again */
	WORKER_READS,   /* its rows; on the primary, and the first watermark */
	WORKER_HIGH,    /* its second watermark */
} WorkerStage;

typedef struct SnapshotWorker
{
	PGconn *conn;   /* where rows are read */
	PGconn *marker; /* where watermarks are written; NULL: there, too (snapshot_standby.h) */
	WorkerStage stage;
	bool limited;               /* the chunk is one of fewer rows than the time allows */
	uint64_t chunk;             /* its number, by which the range is taken */
	int64_t asked;              /* when, and again when a standby was */
	char behind[LSN_TEXT_SIZE]; /* what a standby has to have replayed */
	int64_t replay_pause;       /* before it is asked again */
	int64_t not_before;         /* WORKER_WAITS */
	int64_t estimated;          /* of the chunk, snapshot_pace.h */
} SnapshotWorker;

typedef struct SnapshotSlot
{
	SnapshotChunk chunk; /* number 0: the slot is free */
	int table;           /* of the plan */
} SnapshotSlot;

struct Snapshot
{
	Session *session;
	bool active;  /* there is a job */
	bool stopped; /* nothing more of it is asked for */
	SnapshotJob job;
	SnapshotState delivered; /* of the job, so far */
	FrameReader reader;      /* of chunks: relations are announced in each anew */

	SnapshotWork works[SNAPSHOT_MAX_WORKS];
	int num_works;
	int next_table; /* of the plan, which has not been begun */

	SnapshotWorker workers[SNAPSHOT_MAX_WORKERS];
	int num_workers;
	SnapshotSlot slots[SNAPSHOT_MAX_CHUNKS];
	uint64_t last_number;
	int64_t not_before;   /* a pause of all workers */
	int max_rows;         /* of a chunk */
	uint64_t rows_taken;  /* by the sink, of all jobs of the session */
	uint64_t changes;     /* other records of the run, when the last chunk came */
	int64_t live_until;   /* changes came lately, clock.h */
	double delivery_time; /* of a row of the last chunk, in microseconds; 0: not known yet */

	/* once a chunk's second watermark has come */
	SnapshotSlot *delivering; /* NULL: none */
	int64_t delivery_began;
	ChunkVerdict verdict;
	const SnapshotCursor *cursor;
	SnapshotState end;

	int64_t conflict_logged;
	bool lagging; /* waits for the sink, and has said so */

	SnapshotPace pace;
	SnapshotProgress progress;

	BackfillJob backfill; /* requests, which are further jobs */
};

/* snapshot.c */

/* Begins a job, whose plan is read, where the state says, which is taken over. */
extern void snapshot_begin_job(Snapshot *snapshot, const SnapshotState *state);

/* Forgets what the last job consisted of. */
extern void snapshot_job_reset(SnapshotJob *job);

/* The table's work; NULL: nothing is left of it. */
extern SnapshotWork *snapshot_find_work(Snapshot *snapshot, int table);

/* The chunk of that number; NULL: it is not known, or no longer. */
extern SnapshotSlot *snapshot_find_slot(Snapshot *snapshot, uint64_t number);

/* Forgets works of which nothing is left. */
extern void snapshot_drop_works(Snapshot *snapshot);

/* snapshot_begin.c */

/*
 * What the sink's position says, or else the options: *wanted, and *state of what was begun already, also of
 * requests (backfill_job.h), of which nothing is wanted here,
 * (without a name: nothing was), which is the caller's to free; *changed where a snapshot is given up.
 */
extern CdcStatus snapshot_wanted(Session *session, bool found, SnapshotState *state, bool *wanted,
								 bool *changed, CdcError *err) CDC_MUST_CHECK;

/* Was it asked for by an option, rather than by default? */
extern bool snapshot_is_asked_for(const CdcOptions *options);

/*
 * Connects the workers, and reads what there is to be read.	 Not required, and not possible: *possible is
 * false.
 */
extern CdcStatus snapshot_open_plan(Snapshot *snapshot, bool required, bool *possible,
									CdcError *err) CDC_MUST_CHECK;

/* Connects the workers, if they are not; on failure none is.	 Disconnects them. */
extern CdcStatus snapshot_connect(Snapshot *snapshot, CdcError *err) CDC_MUST_CHECK;
extern void snapshot_disconnect(Snapshot *snapshot);

/* Is an answer on its way? */
static inline bool
snapshot_is_awaited(const SnapshotWorker *worker)
{
	return worker->stage != WORKER_IDLE && worker->stage != WORKER_WAITS;
}

/* The worker's connection to the primary; and the one that its answer comes on. */
static inline PGconn *
snapshot_primary(const SnapshotWorker *worker)
{
	return worker->marker != NULL ? worker->marker : worker->conn;
}

static inline PGconn *
snapshot_awaited(const SnapshotWorker *worker)
{
	bool marks = worker->stage == WORKER_LOW || worker->stage == WORKER_HIGH;

	return marks ? snapshot_primary(worker) : worker->conn;
}

/* From now on the session's positions say that it has begun. */
extern void snapshot_begin_initial(Session *session, SnapshotState *state);

/* snapshot_ask.c */

/* Begins to ask for what the state says is left. */
extern void snapshot_ask_begin(Snapshot *snapshot, const SnapshotState *state);

/* What was not asked for is given up; what was is still delivered. */
extern void snapshot_ask_stop(Snapshot *snapshot);

/* Takes answers that have come, and asks what can be asked, without waiting. */
extern CdcStatus snapshot_ask_turn(Snapshot *snapshot, int64_t now, CdcError *err) CDC_MUST_CHECK;

/* When there is something to be asked at the earliest; INT64_MAX: nothing, until something else happens. */
extern int64_t snapshot_ask_deadline(const Snapshot *snapshot);

/* Is nothing left to be asked for, answered or delivered? */
extern bool snapshot_is_through(const Snapshot *snapshot);

/* The range's beginning was read in vain: pauses before it is read again, ever longer. */
extern void snapshot_pause_range(SnapshotRange *range, int64_t now);

/* snapshot_size.c */

/* How many rows the next chunk of the range may have, and bytes of the table. */
extern int snapshot_size_rows(const Snapshot *snapshot, const SnapshotRange *range);
extern int snapshot_size_bytes(const Snapshot *snapshot, const SnapshotTable *table);

/* A chunk has come: how large the next ones are to be. */
extern void snapshot_size_adapt(Snapshot *snapshot, const SnapshotChunk *chunk, int64_t now);

/* It was whole after this time: for how long to leave the server alone then. */
extern int64_t snapshot_size_rest(const Snapshot *snapshot, int64_t worked, int64_t now);

#endif /* CDC_SNAPSHOT_PRIVATE_H */
