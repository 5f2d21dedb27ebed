/*
 * test_snapshot.c
 *		Cursors of snapshots, and what is left of a chunk after what changed in its window.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../plugin/cdc_protocol.h"
#include "byteorder.h"
#include "position.h"
#include "snapshot_chunk.h"
#include "snapshot_cursor.h"

/* Three rows with keys "1", "2", "3", known by bytes of 1, 2, 3. */
#define ROW_SIZE (CDC_WATERMARK_KEY_SIZE + 4 + 1)
static uint8_t keys[3 * ROW_SIZE];

static int
set_up(void **state)
{
	(void) state;
	for (int i = 0; i < 3; i++)
	{
		uint8_t *row = keys + (size_t) i * ROW_SIZE;

		memset(row, i + 1, CDC_WATERMARK_KEY_SIZE);
		put_be32(row + CDC_WATERMARK_KEY_SIZE, 1);
		row[CDC_WATERMARK_KEY_SIZE + 4] = (uint8_t) ('1' + i);
	}
	return 0;
}

static const SnapshotState end = {.kind = SNAPSHOT_INITIAL,
								  .relation = 16400,
								  .table_done = true,
								  .name = "public.t",
								  .key = "[\"id\"]",
								  .after = "[\"3\"]",
								  .rows = 103};

static void
check_json(const Position *position, const char *expected)
{
	struct json_object *object = snapshot_cursor_to_json(position->snapshot, &position->id);

	assert_string_equal(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN), expected);
	json_object_put(object);
}

static void
rows_are_told_by_positions(void **state)
{
	Position position = {.id = {0x1000, 2, 0}};
	SnapshotState read;

	(void) state;
	position.snapshot = snapshot_cursor_create(&end, 0x1000, 3, 1, keys, sizeof(keys));
	check_json(&position, "{\"kind\":\"initial\",\"relation\":16400,\"table\":\"public.t\","
						  "\"key\":[\"id\"],\"after\":[\"2\"],\"rows\":\"102\"}");
	position.id.seq = 4;
	check_json(&position, "{\"kind\":\"initial\",\"relation\":16400,\"table\":\"public.t\","
						  "\"table_done\":true,\"rows\":\"103\"}");
	position.id = (RecordId){0x2000, 1, 0};
	snapshot_cursor_state(position.snapshot, &position.id, &read);
	assert_true(read.table_done);
	assert_string_equal(read.after, "[\"3\"]");
	snapshot_state_free(&read);
	assert_true(snapshot_cursor_has_chunk(0x1000));
	assert_false(snapshot_cursor_has_chunk(0x2000));
}

static void
cursors_read_back(void **state)
{
	Source source = {.system_identifier = "1", .database = "d", .slot = "s"};
	Position position = {.timeline = 1, .id = {0x1000, 1, 0}};
	Position again;
	struct json_object *first;
	struct json_object *second;

	(void) state;
	position.snapshot = snapshot_cursor_create(&end, 0x1000, 3, 1, keys, sizeof(keys));
	first = position_to_json(&source, &position);
	assert_true(position_from_json(first, &source, &again));
	second = position_to_json(&source, &again);
	assert_string_equal(json_object_to_json_string(first), json_object_to_json_string(second));
	json_object_put(first);

	/* what was written before there were snapshots */
	json_object_object_del(second, "snapshot");
	assert_true(position_from_json(second, &source, &again));
	assert_null(again.snapshot);
	json_object_object_add(second, "snapshot", json_object_new_string("x"));
	assert_false(position_from_json(second, &source, &again));
	json_object_put(second);
}

static void
the_last_one_is_not_told(void **state)
{
	SnapshotState finished = end;
	RecordId id = {0x1000, 4, 0};
	const SnapshotCursor *cursor;

	(void) state;
	finished.finished = true;
	cursor = snapshot_cursor_create(&finished, 0x1000, 3, 1, keys, sizeof(keys));
	assert_null(snapshot_cursor_to_json(cursor, &id));
	snapshot_cursor_release(cursor);
	assert_true(snapshot_cursor_has_chunk(0x1000));
}

static void
begin_chunk(SnapshotChunk *chunk)
{
	snapshot_chunk_begin(chunk, 1, 1);
	chunk->rows = 3;
	chunk->keys = keys;
	chunk->keys_length = sizeof(keys);
}

static void
note(SnapshotChunk *chunk, uint8_t op, uint8_t key)
{
	char bytes[CDC_WATERMARK_KEY_SIZE];
	Frame frame = {.kind = CDC_FRAME_WATERMARK, .op = op, .payload = bytes};

	memset(bytes, key, sizeof(bytes));
	frame.payload_length = key != 0 ? sizeof(bytes) : 0;
	snapshot_chunk_note(chunk, &frame);
}

static void
changed_rows_are_dropped(void **state)
{
	SnapshotChunk chunk = {0};

	(void) state;
	begin_chunk(&chunk);
	note(&chunk, CDC_WATERMARK_LOW, 0);
	note(&chunk, CDC_WATERMARK_ROW, 9);
	note(&chunk, CDC_WATERMARK_ROW, 2);
	assert_int_equal(snapshot_chunk_settle(&chunk, false), CHUNK_WHOLE);
	assert_int_equal(chunk.deliver, 3);
	assert_memory_equal(chunk.dropped, "\0\1\0", 3);
	snapshot_chunk_reset(&chunk);

	begin_chunk(&chunk);
	assert_int_equal(snapshot_chunk_settle(&chunk, false), CHUNK_WHOLE);
	assert_memory_equal(chunk.dropped, "\0\0\0", 3);
	snapshot_chunk_reset(&chunk);
}

/* Changed twice, once without all of its values: it and what follows is read again. */
static void
partial_rows_end_it(void **state)
{
	SnapshotChunk chunk = {0};

	(void) state;
	begin_chunk(&chunk);
	note(&chunk, CDC_WATERMARK_ROW, 1);
	note(&chunk, CDC_WATERMARK_PARTIAL_ROW, 3);
	note(&chunk, CDC_WATERMARK_ROW, 3);
	assert_int_equal(snapshot_chunk_settle(&chunk, false), CHUNK_PART);
	assert_int_equal(chunk.deliver, 2);
	assert_memory_equal(chunk.dropped, "\1\0", 2);
	assert_string_equal(chunk.part_last, "[\"2\"]");
	snapshot_chunk_reset(&chunk);

	begin_chunk(&chunk);
	note(&chunk, CDC_WATERMARK_PARTIAL_ROW, 1);
	assert_int_equal(snapshot_chunk_settle(&chunk, false), CHUNK_PART);
	assert_int_equal(chunk.deliver, 0);
	assert_null(chunk.part_last);
	snapshot_chunk_reset(&chunk);
}

static void
others_take_all(void **state)
{
	SnapshotChunk chunk = {0};

	(void) state;
	begin_chunk(&chunk);
	note(&chunk, CDC_WATERMARK_UNKNOWN, 0);
	assert_int_equal(snapshot_chunk_settle(&chunk, false), CHUNK_UNKNOWN);
	snapshot_chunk_reset(&chunk);

	begin_chunk(&chunk);
	assert_int_equal(snapshot_chunk_settle(&chunk, true), CHUNK_CONFIGURED);
	snapshot_chunk_reset(&chunk);

	begin_chunk(&chunk);
	note(&chunk, CDC_WATERMARK_UNKNOWN, 0);
	note(&chunk, CDC_WATERMARK_TRUNCATED, 0);
	assert_int_equal(snapshot_chunk_settle(&chunk, false), CHUNK_WHOLE);
	assert_memory_equal(chunk.dropped, "\1\1\1", 3);
	snapshot_chunk_reset(&chunk);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_told_by_positions), cmocka_unit_test(cursors_read_back),
		cmocka_unit_test(the_last_one_is_not_told),   cmocka_unit_test(changed_rows_are_dropped),
		cmocka_unit_test(partial_rows_end_it),        cmocka_unit_test(others_take_all),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
