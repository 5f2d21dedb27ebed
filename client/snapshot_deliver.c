/*
 * snapshot_deliver.c
 *		The delivering side of a snapshot: what becomes of a chunk at its second watermark.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../plugin/cdc_protocol.h"
#include "clock.h"
#include "log.h"
#include "snapshot_private.h"

static void
forget_oldest(Snapshot *snapshot)
{
	SnapshotChunk *chunk = &snapshot->queue[0].chunk;

	snapshot_chunk_reset(chunk);
	if (snapshot->num_chunks > 1)
	{
		snapshot->queue[0] = snapshot->queue[1];
		memset(&snapshot->queue[1], 0, sizeof(snapshot->queue[1]));
	}
	snapshot->num_chunks--;
}

static SnapshotChunk *
find_chunk(Snapshot *snapshot, uint64_t number)
{
	for (int i = 0; snapshot != NULL && i < snapshot->num_chunks; i++)
		if (snapshot->queue[i].chunk.number == number)
			return &snapshot->queue[i].chunk;
	return NULL;
}

void
snapshot_note(Snapshot *snapshot, const Frame *frame)
{
	SnapshotChunk *chunk = find_chunk(snapshot, frame->seq);

	if (chunk != NULL)
		snapshot_chunk_note(chunk, frame);
}

/* What is asked for from now on begins behind what was delivered. */
static void
give_up_rest(Snapshot *snapshot)
{
	for (int i = 1; i < snapshot->num_chunks; i++)
		snapshot->queue[i].chunk.given_up = true;
	snapshot_ask_again(snapshot);
}

/* It has to be read again as a whole. */
static CdcStatus
read_again(Snapshot *snapshot, ChunkVerdict verdict, CdcError *err)
{
	const SnapshotTable *table = &snapshot->job.plan.tables[snapshot->queue[0].table];
	int64_t now = clock_now();

	if (verdict == CHUNK_UNKNOWN && ++snapshot->attempts > SNAPSHOT_MAX_ATTEMPTS)
	{
		cdc_error(err, CDC_STOP,
				  "table %s changes all the time, and which of its rows change is not known: its "
				  "existing rows were read %d times in vain",
				  table->name, SNAPSHOT_MAX_ATTEMPTS);
		cdc_error_hint(err,
					   "Give it a primary key or another replica identity (ALTER TABLE ... REPLICA "
					   "IDENTITY); or keep it quiet for a moment while its rows are read; or go on "
					   "without existing rows: --snapshot=never.");
		return CDC_STOP;
	}
	if (verdict == CHUNK_UNKNOWN)
	{
		snapshot_pause_asking(snapshot, now);
		snapshot->max_rows = snapshot->max_rows > 1 ? snapshot->max_rows / 2 : 1;
	}
	log_line(LOG_DEBUG, "snapshot: reading rows of %s again: %s", table->name,
			 verdict == CHUNK_UNKNOWN ? "not known which have changed"
									  : "rules or publications have changed");
	give_up_rest(snapshot);
	forget_oldest(snapshot);
	return CDC_OK;
}

/* A row that changed without all of its values: it is read again, in a window as short as can be. */
static void
note_conflict(Snapshot *snapshot, int64_t now)
{
	const SnapshotTable *table = &snapshot->job.plan.tables[snapshot->queue[0].table];

	snapshot->max_rows = snapshot->queue[0].chunk.deliver > 0 ? snapshot->max_rows / 2 : 1;
	if (snapshot->max_rows < 1)
		snapshot->max_rows = 1;
	if (snapshot->queue[0].chunk.deliver > 0)
	{
		snapshot->attempts = 0;
		return;
	}
	if (++snapshot->attempts > SNAPSHOT_MAX_ATTEMPTS &&
		now - snapshot->conflict_logged >= SNAPSHOT_CONFLICT_LOG_INTERVAL)
	{
		snapshot->conflict_logged = now;
		log_line(LOG_WARNING,
				 "snapshot: a row of table %s changes so often that it has been read %d times in "
				 "vain; trying on",
				 table->name, snapshot->attempts);
	}
}

/* The second watermark of the oldest chunk: what of it counts, and what positions then say. */
static CdcStatus
settle(Snapshot *snapshot, bool configured, bool *counts, CdcError *err)
{
	SnapshotChunk *chunk = &snapshot->queue[0].chunk;
	const SnapshotTable *table = &snapshot->job.plan.tables[snapshot->queue[0].table];
	ChunkVerdict verdict = snapshot_chunk_settle(chunk, configured);
	SnapshotState end = snapshot->delivered;
	static char none[] = "";

	*counts = verdict == CHUNK_WHOLE || verdict == CHUNK_PART;
	if (!*counts)
		return read_again(snapshot, verdict, err);
	if (verdict == CHUNK_WHOLE)
		snapshot->attempts = 0;
	else
		note_conflict(snapshot, clock_now());
	snapshot->read_again = verdict == CHUNK_PART;
	if (end.relation != table->relation)
		end.after = none;
	end.relation = table->relation;
	end.name = table->name;
	end.key = table->key;
	end.table_done = verdict == CHUNK_WHOLE && chunk->done;
	if (verdict == CHUNK_PART && chunk->part_last != NULL)
		end.after = chunk->part_last;
	else if (verdict == CHUNK_WHOLE && chunk->last[0] != '\0')
		end.after = chunk->last;
	end.rows += chunk->deliver;
	end.finished = end.table_done && snapshot->queue[0].table + 1 >= snapshot->job.plan.num_tables;
	snapshot_state_free(&snapshot->end);
	snapshot_state_copy(&snapshot->end, &end);
	snapshot->cursor = snapshot_cursor_create(&snapshot->end, chunk->high, chunk->deliver,
											  chunk->columns, chunk->keys, chunk->keys_length);
	snapshot->delivering = true;
	return CDC_OK;
}

/* A line every progress interval: how far, how fast, how long yet. */
static void
log_snapshot_progress(Snapshot *snapshot)
{
	const CdcOptions *options = snapshot->session->state->options;
	int64_t now = clock_now();
	double rate = (double) (snapshot->delivered.rows - snapshot->rows_before) * CLOCK_SECOND /
				  (double) (now - snapshot->began + 1);
	double left = snapshot->job.plan.estimated_rows - (double) snapshot->delivered.rows;

	if (!options->progress || now - snapshot->progress_logged < options->progress_interval)
		return;
	snapshot->progress_logged = now;
	log_line(LOG_INFO,
			 "snapshot: %" PRIu64
			 " of about %.0f rows, %.0f rows/s, about %.0f s left; in table %s",
			 snapshot->delivered.rows, snapshot->job.plan.estimated_rows, rate,
			 left > 0 && rate > 0 ? left / rate : 0.0, snapshot->delivered.name);
}

static void
end_chunk(Snapshot *snapshot)
{
	bool table_done = snapshot->end.table_done;

	snapshot_state_free(&snapshot->delivered);
	snapshot->delivered = snapshot->end;
	memset(&snapshot->end, 0, sizeof(snapshot->end));
	if (table_done)
		log_line(LOG_INFO, "snapshot: table %s is through, %" PRIu64 " rows of all tables so far",
				 snapshot->delivered.name, snapshot->delivered.rows);
	log_snapshot_progress(snapshot);
	if (snapshot->read_again)
		give_up_rest(snapshot);
	snapshot->delivering = snapshot->read_again = false;
	forget_oldest(snapshot);
}

/*
 * Second watermarks come in the order in which chunks are asked for, and where the server said that it wrote
 * them.  Anything else would deliver one chunk's rows as another's, and leave some out.
 */
static CdcStatus
check_watermark(const Snapshot *snapshot, const SnapshotChunk *chunk, CdcError *err)
{
	uint64_t at = snapshot->session->reader.message.commit_lsn;
	char here[LSN_TEXT_SIZE];
	char there[LSN_TEXT_SIZE];

	if (chunk != &snapshot->queue[0].chunk)
	{
		cdc_error(err, CDC_STOP,
				  "the second watermark of chunk %" PRIu64 " of existing rows came before that of "
				  "chunk %" PRIu64,
				  chunk->number, snapshot->queue[0].chunk.number);
		cdc_error_hint(err, "This is a defect of cdc_client or cdc_decoder: please report it. What "
							"was delivered is whole; the next start goes on behind it.");
		return CDC_STOP;
	}
	if (chunk->high == at)
		return CDC_OK;
	cdc_error(err, CDC_STOP,
			  "a second watermark of chunk %" PRIu64 " of existing rows lies at %s, but "
			  "cdc.read_chunk() wrote it at %s",
			  chunk->number, lsn_format(here, at), lsn_format(there, chunk->high));
	cdc_error_hint(err,
				   "Somebody else writes watermarks with this session's token, by "
				   "pg_logical_emit_message() with prefix cdc_decoder.watermark: find out who. "
				   "What was delivered is whole; the next start goes on behind it.");
	return CDC_STOP;
}

CdcStatus
snapshot_next(Snapshot *snapshot, const Frame *watermark, SnapshotStep *step, SnapshotItem *item,
			  CdcError *err)
{
	SnapshotChunk *chunk = find_chunk(snapshot, watermark->seq);
	bool counts = true;
	bool found;
	CdcStatus status = CDC_OK;

	*step = SNAPSHOT_END;
	item->cursor = NULL;
	item->end_seq = 0;
	if (chunk == NULL)
		return CDC_OK; /* its question has failed */
	if (chunk->result == NULL)
	{
		*step = SNAPSHOT_WAIT;
		return CDC_OK;
	}
	status = check_watermark(snapshot, chunk, err);
	if (status != CDC_OK)
		return status;
	if (chunk->given_up)
	{
		forget_oldest(snapshot);
		return CDC_OK;
	}
	if (!snapshot->delivering)
		status = settle(snapshot, watermark->op == CDC_WATERMARK_HIGH_VOID, &counts, err);
	if (status != CDC_OK || !counts)
		return status;
	status = snapshot_chunk_next(chunk, &snapshot->reader, &found, err);
	if (status != CDC_OK)
		return status;
	item->cursor = snapshot->cursor;
	item->message = &snapshot->reader.message;
	item->frame = &chunk->frame;
	item->end_seq = (uint64_t) chunk->deliver + 1;
	if (found)
		*step = SNAPSHOT_RECORD;
	else
		end_chunk(snapshot);
	return CDC_OK;
}

void
snapshot_taken(Snapshot *snapshot)
{
	snapshot_chunk_taken(&snapshot->queue[0].chunk);
}
