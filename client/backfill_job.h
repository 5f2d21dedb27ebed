/*
 * backfill_job.h
 *		One request for existing rows after the other, as jobs of a snapshot (snapshot_private.h).
 *
 * A request that is through is told the server only when the position that says so is durable in the sink: what
 * the sink holds decides, wherever it can.
 */
#ifndef CDC_BACKFILL_JOB_H
#define CDC_BACKFILL_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "backfill.h"
#include "error.h"
#include "snapshot_cursor.h"

struct Snapshot;

typedef struct BackfillJob
{
	Backfill *requests; /* NULL: there can be none */
	SnapshotState
		resumed; /* what the position says of the request that is not through; request 0: none */
	int64_t not_before; /* clock.h: a pause before a job is begun */
	bool cancelled;     /* nothing more is asked for */
	bool failed;        /* the same; report.message says why */
	bool ending;        /* through, but not durably yet */
	bool told;          /* the server has been sent the last report */
	BackfillReport report;
	int64_t reported; /* clock.h: last */
} BackfillJob;

/*
 * Looks what there is to be done.	 state: what the position says of requests, with number 0 if nothing; it is
 * taken over.
 */
extern CdcStatus backfill_job_open(struct Snapshot *snapshot, SnapshotState *state,
								   CdcError *err) CDC_MUST_CHECK;
extern void backfill_job_close(BackfillJob *job);

/* Begins, watches and ends jobs.	 between: no transaction is being delivered. */
extern CdcStatus backfill_job_turn(struct Snapshot *snapshot, int64_t now, bool between,
								   CdcError *err) CDC_MUST_CHECK;

/*
 * What the job's rows could not be read for; false: the job is no backfill.	 It ends once what was read
 * is delivered, and is told to have failed.
 */
extern bool backfill_job_fail(struct Snapshot *snapshot, const CdcError *err);

/* The job is through, and the position that says so has been given to the sink. */
extern void backfill_job_ended(struct Snapshot *snapshot);

#endif /* CDC_BACKFILL_JOB_H */
