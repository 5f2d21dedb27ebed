/*
 * snapshot_pace.h
 *		How fast existing rows are read: --max-rate.
 *
 * Pure: it is told what is asked for and what came, and says how many rows the next chunk may have and when
 * it may be asked for.	Any number of chunks may be under way.	What is asked for counts at once, at its
 * estimate, which the answer corrects: so all workers together keep to the rate.
 */
#ifndef CDC_SNAPSHOT_PACE_H
#define CDC_SNAPSHOT_PACE_H

#include <stdint.h>

#include "options.h"

typedef struct SnapshotPace
{
	RateLimit limit;
	int64_t not_before; /* clock.h: when the next chunk may be asked for */
	double row_bytes;   /* of a record, as they came so far; 0: none has come */
} SnapshotPace;

/* A pace that begins now. */
extern void snapshot_pace_begin(SnapshotPace *pace, RateLimit limit);

/* How many rows a chunk may have of which time and memory allow max_rows: at least one. */
extern int snapshot_pace_rows(const SnapshotPace *pace, int max_rows);

/* A chunk of so many rows is asked for; returns the time that it is taken to cost, for its answer. */
extern int64_t snapshot_pace_ask(SnapshotPace *pace, int rows, int64_t now);

/* Its answer has so many rows, read of the table, and bytes of records; 0 of both: it failed. */
extern void snapshot_pace_answer(SnapshotPace *pace, int64_t estimated, int rows, uint64_t bytes);

#endif /* CDC_SNAPSHOT_PACE_H */
