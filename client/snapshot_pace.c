/*
 * snapshot_pace.c
 *		How fast existing rows are read.
 */
#include "snapshot_pace.h"

#include "clock.h"

/* A chunk has no more than this time's share of the rate, so that rows come evenly. */
#define PACE_INTERVAL (CLOCK_SECOND / 10)

/* Until the first record tells better. */
#define ASSUMED_ROW_BYTES 500.0

void
snapshot_pace_begin(SnapshotPace *pace, RateLimit limit)
{
	*pace = (SnapshotPace){.limit = limit};
}

static double
rows_per_second(const SnapshotPace *pace)
{
	if (pace->limit.bytes > 0)
		return (double) pace->limit.bytes /
			   (pace->row_bytes > 0 ? pace->row_bytes : ASSUMED_ROW_BYTES);
	return (double) pace->limit.rows;
}

/* What that takes at the rate, in microseconds. */
static int64_t
time_of_rows(const SnapshotPace *pace, int rows)
{
	double rate = rows_per_second(pace);

	return rate > 0 ? (int64_t) ((double) rows / rate * CLOCK_SECOND) : 0;
}

int
snapshot_pace_rows(const SnapshotPace *pace, int max_rows)
{
	double rate = rows_per_second(pace);
	double share = rate * PACE_INTERVAL / CLOCK_SECOND;

	if (rate <= 0 || share >= max_rows)
		return max_rows;
	return share > 1 ? (int) share : 1;
}

int64_t
snapshot_pace_ask(SnapshotPace *pace, int rows, int64_t now)
{
	int64_t estimated = time_of_rows(pace, rows);

	if (pace->not_before < now)
		pace->not_before = now;
	pace->not_before += estimated;
	return estimated;
}

void
snapshot_pace_answer(SnapshotPace *pace, int64_t estimated, int rows, uint64_t bytes)
{
	if (rows > 0 && bytes > 0)
		pace->row_bytes = (double) bytes / rows;
	pace->not_before -= estimated;
	if (pace->limit.bytes > 0)
		pace->not_before += (int64_t) ((double) bytes / (double) pace->limit.bytes * CLOCK_SECOND);
	else
		pace->not_before += time_of_rows(pace, rows);
}
