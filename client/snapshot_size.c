/*
 * snapshot_size.c
 *		How large chunks of existing rows are.
 */
#include "clock.h"
#include "snapshot_private.h"

/* How long the reading of a chunk is to take: it is a window in which changes drop rows. */
#define CHUNK_TIME (CLOCK_SECOND / 10)
#define MAX_ROWS 100000

/*
 * Changes that come behind a chunk wait while it is delivered, so when there were any lately it has only as many
 * rows as are read, and delivered, in these times.	But not fewer than are worth a question, of which the WAL is
 * flushed twice.
 */
#define LIVE_CHUNK_TIME (CLOCK_SECOND / 1000)
#define LIVE_DELIVERY_TIME (CLOCK_SECOND / 4000)
#define LIVE_MIN_ROWS 100
#define LIVE_FOR (5 * CLOCK_SECOND)

/*
 * Of rows as they are stored; records are a few times as long.	 Several workers share what is held in
 * memory, but a chunk of less than the least is mostly the way there and back.
 */
#define CHUNK_BYTES (1024 * 1024)
#define ALL_CHUNKS_BYTES (3 * CHUNK_BYTES)
#define MIN_CHUNK_BYTES (256 * 1024)

int
snapshot_size_rows(const Snapshot *snapshot, const SnapshotRange *range)
{
	int rows = snapshot->max_rows;

	if (range->max_rows > 0 && range->max_rows < rows)
		rows = range->max_rows;
	return snapshot_pace_rows(&snapshot->pace, rows);
}

int
snapshot_size_bytes(const Snapshot *snapshot, const SnapshotTable *table)
{
	int bytes = ALL_CHUNKS_BYTES / (snapshot->num_workers + 1);

	if (table->columns == 0)
		return SNAPSHOT_WHOLE_BYTES;
	if (bytes > CHUNK_BYTES)
		return CHUNK_BYTES;
	return bytes > MIN_CHUNK_BYTES ? bytes : MIN_CHUNK_BYTES;
}

static void
note_changes(Snapshot *snapshot, int64_t now)
{
	uint64_t changes = snapshot->session->state->records - snapshot->rows_taken;

	if (changes > snapshot->changes)
		snapshot->live_until = now + LIVE_FOR;
	snapshot->changes = changes;
}

static int
between(int64_t rows, int64_t least, int64_t most)
{
	if (rows < least)
		return (int) least;
	return rows > most ? (int) most : (int) rows;
}

/* So many rows that the next one takes as long as it should. */
void
snapshot_size_adapt(Snapshot *snapshot, const SnapshotChunk *chunk, int64_t now)
{
	int64_t took = chunk->took > 0 ? chunk->took : 1;
	int64_t last = snapshot->max_rows;
	int64_t rows = last;
	int64_t live = MAX_ROWS;

	note_changes(snapshot, now);
	if (chunk->scanned >= last / 2 || took >= CHUNK_TIME)
		rows = chunk->scanned * CHUNK_TIME / took; /* else another limit ended it, or its range */
	rows = between(rows, last / 2, last * 2);
	if (now < snapshot->live_until)
		live = between(chunk->scanned * LIVE_CHUNK_TIME / took, LIVE_MIN_ROWS, MAX_ROWS);
	if (now < snapshot->live_until && snapshot->delivery_time > 0)
		live =
			between((int64_t) (LIVE_DELIVERY_TIME / snapshot->delivery_time), LIVE_MIN_ROWS, live);
	snapshot->max_rows = between(rows, 1, live);
}

int64_t
snapshot_size_rest(const Snapshot *snapshot, int64_t worked, int64_t now)
{
	return now < snapshot->live_until ? worked : 0;
}
