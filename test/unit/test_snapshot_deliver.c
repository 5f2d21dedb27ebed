/*
 * test_snapshot_deliver.c
 *		What becomes of a chunk of existing rows at its second watermark: what cannot be delivered is read again,
 *		less of it at a time, after pauses that grow, and not for ever where nothing can be known.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../plugin/cdc_protocol.h"
#include "byteorder.h"
#include "clock.h"
#include "log.h"
#include "snapshot_private.h"

#define HIGH UINT64_C(0x2000)

/* Three rows with keys "1", "2", "3", known by bytes of 1, 2, 3. */
#define ROW_SIZE (CDC_WATERMARK_KEY_SIZE + 4 + 1)
static uint8_t keys[3 * ROW_SIZE];
static uint8_t bare_keys[3 * CDC_WATERMARK_KEY_SIZE]; /* of a table without a key */

static SnapshotTable tables[] = {
	{.relation = 16400, .name = "public.t", .key = "[\"id\"]", .columns = 1, .rows = 100},
	{.relation = 16500, .name = "public.u", .key = "[\"id\"]", .columns = 1, .rows = 100},
};
static CdcOptions options;
static Snapshot *snapshot;
static Session session;
static SnapshotChunk *chunk;
static SnapshotItem item;
static CdcError err;
static int real_stderr;
static FILE *captured;

static int
set_up(void **state)
{
	SnapshotState none = {.kind = SNAPSHOT_INITIAL};

	(void) state;
	for (int i = 0; i < 3; i++)
	{
		uint8_t *row = keys + (size_t) i * ROW_SIZE;

		memset(row, i + 1, CDC_WATERMARK_KEY_SIZE);
		put_be32(row + CDC_WATERMARK_KEY_SIZE, 1);
		row[CDC_WATERMARK_KEY_SIZE + 4] = (uint8_t) ('1' + i);
		memset(bare_keys + (size_t) i * CDC_WATERMARK_KEY_SIZE, i + 1, CDC_WATERMARK_KEY_SIZE);
	}
	memset(&session, 0, sizeof(session));
	session.reader.message =
		(MessageHeader){.timeline = 1, .commit_lsn = HIGH, .end_lsn = HIGH + 64};
	snapshot = calloc(1, sizeof(*snapshot));
	snapshot->session = &session;
	snapshot->active = true;
	snapshot->max_rows = 1000;
	snapshot->delivered.kind = SNAPSHOT_INITIAL;
	snapshot->job.plan.tables = tables;
	snapshot->job.plan.num_tables = 2;
	snapshot->next_table = 1;
	snapshot_progress_begin(&snapshot->progress, &snapshot->job.plan, 0, &none, &options,
							clock_now());
	snapshot->num_works = 1;
	snapshot->works[0].key = strdup("[\"id\"]");
	snapshot_ranges_add(&snapshot->works[0].ranges, "", "")->chunk = 7;
	chunk = &snapshot->slots[0].chunk;
	fflush(stderr);
	captured = tmpfile();
	real_stderr = dup(STDERR_FILENO);
	dup2(fileno(captured), STDERR_FILENO);
	log_setup(LOG_DEBUG, false);
	return 0;
}

static int
tear_down(void **state)
{
	(void) state;
	for (int i = 0; i < snapshot->num_works; i++)
	{
		snapshot_ranges_clear(&snapshot->works[i].ranges);
		free(snapshot->works[i].key);
	}
	for (int i = 0; i < SNAPSHOT_MAX_CHUNKS; i++)
		snapshot_chunk_reset(&snapshot->slots[i].chunk);
	snapshot_cursor_release(snapshot->cursor);
	snapshot_state_free(&snapshot->delivered);
	snapshot_state_free(&snapshot->end);
	free(snapshot);
	fflush(stderr);
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	fclose(captured);
	return 0;
}

/* How many lines since the last call have both. */
static int
logged(const char *level, const char *part)
{
	char line[4096];
	int found = 0;

	fflush(stderr);
	rewind(captured);
	while (fgets(line, sizeof(line), captured) != NULL)
		if (strstr(line, level) != NULL && strstr(line, part) != NULL)
			found++;
	rewind(captured);
	assert_int_equal(ftruncate(fileno(captured), 0), 0);
	return found;
}

/* The chunk of all rows that are left has been read. */
static void
read_chunk(int columns)
{
	snapshot->works[0].ranges.items[0].chunk = 7;
	snapshot_chunk_begin(chunk, 7, columns);
	chunk->rows = chunk->scanned = 3;
	chunk->keys = columns > 0 ? keys : bare_keys;
	chunk->keys_length = columns > 0 ? sizeof(keys) : sizeof(bare_keys);
	chunk->timeline = 1;
	snapshot_chunk_complete(chunk, HIGH);
}

static void
note(uint8_t op, uint8_t key)
{
	char bytes[CDC_WATERMARK_KEY_SIZE];
	Frame frame = {.kind = CDC_FRAME_WATERMARK, .op = op, .payload = bytes};

	memset(bytes, key, sizeof(bytes));
	frame.payload_length = key != 0 ? sizeof(bytes) : 0;
	snapshot_chunk_note(chunk, &frame);
}

static CdcStatus
next(uint8_t op, uint64_t number)
{
	Frame watermark = {.kind = CDC_FRAME_WATERMARK, .op = op, .seq = number};
	SnapshotStep step;
	CdcStatus status = snapshot_next(snapshot, &watermark, &step, &item, &err);

	if (status == CDC_OK)
		assert_int_equal(step, SNAPSHOT_END);
	return status;
}

/* The range that is left to be read, of which nothing is under way. */
static const SnapshotRange *
left(void)
{
	const SnapshotRange *range = &snapshot->works[0].ranges.items[0];

	assert_int_equal(snapshot->works[0].ranges.count, 1);
	assert_int_equal(range->chunk, 0);
	assert_int_equal(chunk->number, 0);
	assert_null(snapshot->delivering);
	return range;
}

/* Rules changed: the first time that is usual, later there is a pause, and in the end a warning. */
static void
configured_chunks_are_read_again(void **state)
{
	(void) state;
	for (int i = 1; i <= SNAPSHOT_MAX_ATTEMPTS + 2; i++)
	{
		read_chunk(1);
		assert_int_equal(next(CDC_WATERMARK_HIGH_VOID, 7), CDC_OK);
		assert_null(item.cursor);
		assert_int_equal(left()->attempts, i);
		assert_int_equal(left()->unknown, 0);
		assert_int_equal(left()->max_rows, 0);
		assert_int_equal(left()->not_before > 0, i > 1);
		/* one line each time, and a warning besides (as in conflicts_are_said) */
		assert_int_equal(logged("", "rules, publications or the table have changed"),
						 i == SNAPSHOT_MAX_ATTEMPTS + 1 ? 2 : 1);
	}
}

/* Not known which rows changed: half as many at a time, and an end to it. */
static void
unknown_chunks_end_the_stream(void **state)
{
	int64_t pause = 0;

	(void) state;
	for (int i = 1; i <= SNAPSHOT_MAX_ATTEMPTS; i++)
	{
		int64_t now = clock_now();

		read_chunk(1);
		note(CDC_WATERMARK_UNKNOWN, 0);
		assert_int_equal(next(CDC_WATERMARK_HIGH, 7), CDC_OK);
		assert_int_equal(left()->max_rows, 1);
		assert_int_equal(left()->unknown, i);
		if (i <= 3)
			assert_true(left()->not_before - now > pause);
		pause = left()->not_before - now;
		assert_int_equal(logged("DEBUG", "public.t again: not known which have changed"), 1);
	}
	read_chunk(1);
	note(CDC_WATERMARK_UNKNOWN, 0);
	assert_int_equal(next(CDC_WATERMARK_HIGH, 7), CDC_STOP);
	assert_non_null(strstr(err.message,
						   "table public.t changes all the time, and which of its rows "
						   "change is not known: its existing rows were read 20 times "
						   "in vain"));
	assert_non_null(strstr(err.hint, "REPLICA IDENTITY"));
	assert_non_null(strstr(err.hint, "--snapshot=never"));
}

/* A row that changed without all of its values: what is before it counts, the rest is read in shorter windows. */
static void
parts_are_delivered(void **state)
{
	(void) state;
	read_chunk(1);
	note(CDC_WATERMARK_PARTIAL_ROW, 3);
	assert_int_equal(next(CDC_WATERMARK_HIGH, 7), CDC_OK);
	assert_non_null(item.cursor);
	assert_int_equal(item.end_seq, 3);
	assert_string_equal(left()->after, "[\"2\"]");
	assert_int_equal(left()->max_rows, 1);
	assert_int_equal(left()->attempts, 0);
	assert_int_equal(snapshot->max_rows, 500);
	assert_int_equal(snapshot->delivered.rows, 2);
	assert_false(snapshot->delivered.table_done);
	assert_int_equal(snapshot->delivered.ranges.count, 1);
	assert_string_equal(snapshot->delivered.ranges.items[0].after, "[\"2\"]");
}

/* The same of the first row: one row at a time, for ever, which is said every ten seconds. */
static void
conflicts_are_said(void **state)
{
	(void) state;
	for (int i = 1; i <= SNAPSHOT_MAX_ATTEMPTS + 2; i++)
	{
		read_chunk(1);
		note(CDC_WATERMARK_PARTIAL_ROW, 1);
		assert_int_equal(next(CDC_WATERMARK_HIGH, 7), CDC_OK);
		assert_string_equal(left()->after, "");
		assert_int_equal(left()->max_rows, 1);
		assert_int_equal(left()->attempts, i);
		assert_true(left()->not_before == 0);
		assert_int_equal(logged("WARNING",
								"rows of table public.t have been read 21 times in vain: "
								"one of them changes all the time; trying on"),
						 i == SNAPSHOT_MAX_ATTEMPTS + 1);
	}
	assert_int_equal(snapshot->delivered.rows, 0);
}

/* All of a table without a key is read again, so there is a pause. */
static void
tables_without_a_key_wait(void **state)
{
	int64_t now = clock_now();

	(void) state;
	read_chunk(0);
	note(CDC_WATERMARK_PARTIAL_ROW, 2);
	assert_int_equal(next(CDC_WATERMARK_HIGH, 7), CDC_OK);
	assert_int_equal(left()->attempts, 1);
	assert_true(left()->not_before > now);
}

/* Somebody else wrote a second watermark, or one came of a chunk that is not known. */
static void
watermarks_lie_where_they_were_written(void **state)
{
	Frame watermark = {.kind = CDC_FRAME_WATERMARK, .op = CDC_WATERMARK_HIGH, .seq = 7};
	SnapshotStep step;

	(void) state;
	assert_int_equal(next(CDC_WATERMARK_HIGH, 8), CDC_OK);
	read_chunk(1);
	session.reader.message.commit_lsn = HIGH + 8;
	assert_int_equal(next(CDC_WATERMARK_HIGH, 7), CDC_STOP);
	assert_non_null(strstr(err.message, "a second watermark of chunk 7 of existing rows lies at "
										"0/2008, but cdc.write_watermark() wrote it at 0/2000"));
	assert_non_null(strstr(err.hint, "find out who"));

	session.reader.message = (MessageHeader){.timeline = 2, .commit_lsn = HIGH};
	assert_int_equal(next(CDC_WATERMARK_HIGH, 7), CDC_RETRY);
	assert_non_null(
		strstr(err.message, "were read on timeline 1, but the stream is on timeline 2"));

	chunk->complete = false;
	assert_int_equal(snapshot_next(snapshot, &watermark, &step, &item, &err), CDC_OK);
	assert_int_equal(step, SNAPSHOT_WAIT);
}

/* Rows of the next table, while some of this one are left: positions could not say so. */
static void
tables_are_delivered_in_order(void **state)
{
	SnapshotSlot *slot = &snapshot->slots[1];
	SnapshotWork *work = &snapshot->works[1];

	(void) state;
	snapshot->num_works = 2;
	work->table = slot->table = 1;
	work->key = strdup("[\"id\"]");
	snapshot_ranges_add(&work->ranges, "", "")->chunk = 8;
	snapshot_chunk_begin(&slot->chunk, 8, 1);
	snapshot_chunk_complete(&slot->chunk, HIGH);
	assert_int_equal(next(CDC_WATERMARK_HIGH, 8), CDC_OK);
	assert_null(item.cursor);
	assert_int_equal(slot->chunk.number, 0);
	assert_int_equal(work->ranges.count, 1);
	assert_int_equal(work->ranges.items[0].chunk, 0);
	assert_int_equal(work->ranges.items[0].attempts, 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(configured_chunks_are_read_again),
		TEST(unknown_chunks_end_the_stream),
		TEST(parts_are_delivered),
		TEST(conflicts_are_said),
		TEST(tables_without_a_key_wait),
		TEST(watermarks_lie_where_they_were_written),
		TEST(tables_are_delivered_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
