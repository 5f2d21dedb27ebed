/*
 * snapshot_progress.h
 *		How far existing rows have come, how fast, and how long yet: for people.
 *
 * Estimates come from the statistics of the tables (reltuples) and are corrected as it goes: a table that is
 * through has as many rows as were read, and one at hand at least as many.  Rates are those since this
 * session began, or the table.
 */
#ifndef CDC_SNAPSHOT_PROGRESS_H
#define CDC_SNAPSHOT_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "options.h"
#include "snapshot_cursor.h"
#include "snapshot_plan.h"

typedef struct SnapshotProgress
{
	const SnapshotPlan *plan; /* borrowed */
	int64_t interval;         /* of lines in a log; 0: none, and nothing on a terminal either */
	int64_t began;            /* clock.h */
	int64_t shown;            /* in a log */
	int64_t drawn;            /* on a terminal */
	uint64_t rows;            /* delivered by this session */
	uint64_t bytes;           /* of their records */
	double read;              /* of what was estimated: also rows that changes came for instead */
	double rows_before;       /* delivered by earlier sessions */
	double left;              /* of tables behind the one at hand */
	int table;                /* at hand, of the plan; -1: none yet */
	bool done;                /* and it is through */
	int64_t table_began;
	double table_before; /* read of it by earlier sessions, as far as can be told */
	double table_read;
	uint64_t table_rows;
	uint64_t table_bytes;
} SnapshotProgress;

/*
 * Begins with the plan's table of that index; state: how far earlier sessions came.	 The plan must stay
 * until snapshot_progress_end().
 */
extern void snapshot_progress_begin(SnapshotProgress *progress, const SnapshotPlan *plan, int table,
									const SnapshotState *state, const CdcOptions *options,
									int64_t now);

/*
 * A chunk of the table is delivered: so many rows read, so many of them delivered, with records of so many
 * bytes; through: nothing of the table is left, which the log says.
 */
extern void snapshot_progress_chunk(SnapshotProgress *progress, int table, uint32_t read,
									uint32_t rows, uint64_t bytes, bool through, int64_t now);

/* Shows it, if it is time: lines on a terminal, a line in a log. */
extern void snapshot_progress_show(SnapshotProgress *progress, int64_t now);

/* Nothing more of it is shown. */
extern void snapshot_progress_end(SnapshotProgress *progress);

/* How many rows there are in all, those of earlier sessions too. */
extern double snapshot_progress_total(const SnapshotProgress *progress);

/* In how many seconds what is left would be read at the rate so far; < 0: not known yet. */
extern double snapshot_progress_seconds_left(const SnapshotProgress *progress, int64_t now);

#endif /* CDC_SNAPSHOT_PROGRESS_H */
