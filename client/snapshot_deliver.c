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
#include "text.h"

void
snapshot_note(Snapshot *snapshot, const Frame *frame)
{
	SnapshotSlot *slot = snapshot != NULL ? snapshot_find_slot(snapshot, frame->seq) : NULL;

	if (slot != NULL)
		snapshot_chunk_note(&slot->chunk, frame);
}

static const SnapshotTable *
table_of(const Snapshot *snapshot, const SnapshotSlot *slot)
{
	return &snapshot->job.plan.tables[slot->table];
}

/* Fewer rows at a time, of this range: the window gets shorter. */
static void
read_less(const SnapshotSlot *slot, SnapshotRange *range)
{
	range->max_rows = slot->chunk.scanned > 1 ? (int) (slot->chunk.scanned / 2) : 1;
}

/* Goes on for ever, where nothing says that it will not end well, but not in silence. */
static void
say_vain(Snapshot *snapshot, const SnapshotSlot *slot, const SnapshotRange *range, const char *why)
{
	int64_t now = clock_now();

	if (range->attempts <= SNAPSHOT_MAX_ATTEMPTS ||
		now - snapshot->conflict_logged < SNAPSHOT_CONFLICT_LOG_INTERVAL)
		return;
	snapshot->conflict_logged = now;
	log_line(LOG_WARNING,
			 "snapshot: rows of table %s have been read %d times in vain: %s; trying on",
			 table_of(snapshot, slot)->name, range->attempts, why);
}

/* It has to be read again as a whole. */
static CdcStatus
read_again(Snapshot *snapshot, SnapshotSlot *slot, CdcError *err)
{
	static const char *const reasons[] = {
		[CHUNK_CONFIGURED] = "rules, publications or the table have changed",
		[CHUNK_MISPLACED] = "its LSN has grown by a digit",
		[CHUNK_UNKNOWN] = "not known which have changed",
	};
	const SnapshotTable *table = table_of(snapshot, slot);
	SnapshotWork *work = snapshot_find_work(snapshot, slot->table);
	SnapshotRange *range = snapshot_ranges_give_back(&work->ranges, slot->chunk.number, NULL);
	bool unknown = snapshot->verdict == CHUNK_UNKNOWN;

	range->attempts++;
	if (unknown && ++range->unknown > SNAPSHOT_MAX_ATTEMPTS)
	{
		cdc_error(err, CDC_STOP,
				  "table %s changes all the time, and which of its rows change is not known: its "
				  "existing rows were read %d times in vain",
				  table->name, SNAPSHOT_MAX_ATTEMPTS);
		cdc_error_hint(err,
					   "Give it a primary key or another replica identity (ALTER TABLE ... REPLICA "
					   "IDENTITY); or keep it quiet for a moment while its rows are read; or go on "
					   "without existing rows: --snapshot=never.");
		if (!backfill_job_fail(snapshot, err))
			return CDC_STOP;
	}
	if (unknown)
		read_less(slot, range);
	/* a session's first chunk often meets what it is told of rules anew: that is not worth a pause */
	if (unknown || range->attempts > 1)
		snapshot_pause_range(range, clock_now());
	log_line(LOG_DEBUG, "snapshot: reading rows of %s again: %s", table->name,
			 reasons[snapshot->verdict]);
	say_vain(snapshot, slot, range, reasons[snapshot->verdict]);
	snapshot_chunk_reset(&slot->chunk);
	return CDC_OK;
}

/* A row that changed without all of its values: it is read again, in a window as short as can be. */
static void
note_conflict(Snapshot *snapshot, SnapshotSlot *slot)
{
	SnapshotWork *work = snapshot_find_work(snapshot, slot->table);
	SnapshotRange *range =
		snapshot_ranges_give_back(&work->ranges, slot->chunk.number, slot->chunk.part_last);

	if (slot->chunk.deliver > 0)
	{
		read_less(slot, range);
		snapshot->max_rows = snapshot->max_rows > 1 ? snapshot->max_rows / 2 : 1;
		return;
	}
	range->max_rows = 1;
	range->attempts++;
	/* without a key all of the table is read again, however large */
	if (slot->chunk.columns == 0)
		snapshot_pause_range(range, clock_now());
	say_vain(snapshot, slot, range, "one of them changes all the time");
}

/* Of the rows of the chunk that count. */
static uint64_t
delivered_bytes(const SnapshotChunk *chunk)
{
	if (chunk->deliver >= chunk->rows)
		return chunk->records_length;
	return (uint64_t) chunk->records_length * chunk->deliver / chunk->rows;
}

/* What positions say while the chunk is delivered, and once it is. */
static void
make_cursor(Snapshot *snapshot, const SnapshotSlot *slot)
{
	const SnapshotChunk *chunk = &slot->chunk;
	const SnapshotTable *table = table_of(snapshot, slot);
	const SnapshotWork *work = &snapshot->works[0];
	bool whole = snapshot->verdict == CHUNK_WHOLE;
	SnapshotCursorChunk during = {.commit_lsn = chunk->high,
								  .rows = chunk->deliver,
								  .bytes = delivered_bytes(chunk),
								  .columns = chunk->columns,
								  .keys = chunk->keys,
								  .keys_length = chunk->keys_length};
	SnapshotState *end = &snapshot->end;
	int own;

	during.own = snapshot_ranges_copy(&during.ranges, &work->ranges, chunk->number, true);
	snapshot_state_free(end);
	end->kind = snapshot->delivered.kind;
	end->request = snapshot->delivered.request;
	end->relation = table->relation;
	end->name = text_copy(table->name);
	end->key = text_copy(work->key);
	end->rows = snapshot->delivered.rows + chunk->deliver;
	end->bytes = snapshot->delivered.bytes + during.bytes;
	end->total_rows = (uint64_t) snapshot_progress_total(&snapshot->progress);
	end->began = snapshot->delivered.began;
	own = snapshot_ranges_copy(&end->ranges, &work->ranges, chunk->number, !whole);
	if (!whole && chunk->part_last != NULL)
	{
		free(end->ranges.items[own].after);
		end->ranges.items[own].after = text_copy(chunk->part_last);
	}
	end->table_done = end->ranges.count == 0;
	end->finished = end->table_done && snapshot->num_works == 1 &&
					snapshot->next_table >= snapshot->job.plan.num_tables;
	snapshot->cursor = snapshot_cursor_create(end, &during);
	snapshot_ranges_clear(&during.ranges);
}

/* The second watermark of a chunk: what of it counts. */
static CdcStatus
settle(Snapshot *snapshot, SnapshotSlot *slot, bool configured, bool *counts, CdcError *err)
{
	const MessageHeader *watermark = &snapshot->session->reader.message;
	CdcStatus status =
		snapshot_chunk_settle(&slot->chunk, watermark, configured, &snapshot->verdict, err);

	if (status != CDC_OK)
		return status;
	*counts = snapshot->verdict == CHUNK_WHOLE || snapshot->verdict == CHUNK_PART;
	if (!*counts)
		return read_again(snapshot, slot, err);
	make_cursor(snapshot, slot);
	snapshot->delivering = slot;
	snapshot->delivery_began = clock_now();
	return CDC_OK;
}

static void
end_chunk(Snapshot *snapshot)
{
	SnapshotSlot *slot = snapshot->delivering;
	bool table_done = snapshot->end.table_done;

	if (snapshot->verdict == CHUNK_PART)
		note_conflict(snapshot, slot);
	else
		snapshot_ranges_remove(&snapshot_find_work(snapshot, slot->table)->ranges,
							   slot->chunk.number);
	snapshot_drop_works(snapshot);
	snapshot_state_free(&snapshot->delivered);
	snapshot->delivered = snapshot->end;
	memset(&snapshot->end, 0, sizeof(snapshot->end));
	snapshot_progress_chunk(
		&snapshot->progress, slot->table,
		snapshot->verdict == CHUNK_PART ? slot->chunk.deliver : slot->chunk.scanned,
		slot->chunk.deliver, delivered_bytes(&slot->chunk), table_done, clock_now());
	if (slot->chunk.deliver > 0)
		snapshot->delivery_time =
			(double) (clock_now() - snapshot->delivery_began) / slot->chunk.deliver;
	snapshot->delivering = NULL;
	snapshot_chunk_reset(&slot->chunk);
}

/*
 * Second watermarks lie where the server said that it wrote them.  Anything else would deliver one chunk's rows
 * as another's, and leave some out.
 */
static CdcStatus
check_watermark(const Snapshot *snapshot, const SnapshotChunk *chunk, CdcError *err)
{
	uint64_t at = snapshot->session->reader.message.commit_lsn;
	char here[LSN_TEXT_SIZE];
	char there[LSN_TEXT_SIZE];

	if (chunk->high == at)
		return CDC_OK;
	cdc_error(err, CDC_STOP,
			  "a second watermark of chunk %" PRIu64 " of existing rows lies at %s, but "
			  "cdc.write_watermark() wrote it at %s",
			  chunk->number, lsn_format(here, at), lsn_format(there, chunk->high));
	cdc_error_hint(err,
				   "Somebody else writes watermarks with this session's token, by "
				   "pg_logical_emit_message() with prefix cdc_decoder.watermark: find out who. "
				   "What was delivered is whole; the next start goes on behind it.");
	return CDC_STOP;
}

/* Something of the table before has to be read again, so it is too early for this one's rows. */
static bool
comes_too_early(Snapshot *snapshot, SnapshotSlot *slot)
{
	if (snapshot->works[0].table == slot->table)
		return false;
	snapshot_ranges_give_back(&snapshot_find_work(snapshot, slot->table)->ranges,
							  slot->chunk.number, NULL);
	snapshot_chunk_reset(&slot->chunk);
	return true;
}

CdcStatus
snapshot_next(Snapshot *snapshot, const Frame *watermark, SnapshotStep *step, SnapshotItem *item,
			  CdcError *err)
{
	SnapshotSlot *slot = snapshot != NULL ? snapshot_find_slot(snapshot, watermark->seq) : NULL;
	bool counts = true;
	bool found;
	CdcStatus status = CDC_OK;

	*step = SNAPSHOT_END;
	item->cursor = NULL;
	item->end_seq = 0;
	if (slot == NULL)
		return CDC_OK; /* its question has failed */
	if (!slot->chunk.complete)
	{
		*step = SNAPSHOT_WAIT;
		return CDC_OK;
	}
	status = check_watermark(snapshot, &slot->chunk, err);
	if (status != CDC_OK || comes_too_early(snapshot, slot))
		return status;
	if (snapshot->delivering == NULL)
		status = settle(snapshot, slot, watermark->op == CDC_WATERMARK_HIGH_VOID, &counts, err);
	if (status != CDC_OK || !counts)
		return status;
	status = snapshot_chunk_next(&slot->chunk, &snapshot->reader, &found, err);
	if (status != CDC_OK)
		return status;
	item->cursor = snapshot->cursor;
	item->message = &snapshot->reader.message;
	item->frame = &slot->chunk.frame;
	item->end_seq = (uint64_t) slot->chunk.deliver + 1;
	if (found)
		*step = SNAPSHOT_RECORD;
	else
		end_chunk(snapshot);
	return CDC_OK;
}

void
snapshot_taken(Snapshot *snapshot)
{
	SnapshotChunk *chunk = &snapshot->delivering->chunk;

	if (chunk->frame.kind != CDC_FRAME_SCHEMA)
		snapshot->rows_taken++;
	snapshot_chunk_taken(chunk);
}
