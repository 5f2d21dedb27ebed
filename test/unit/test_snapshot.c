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
#include "snapshot_place.h"

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
								  .rows = 103};

/* A cursor of the three rows, which all count. */
static const SnapshotCursor *
create_cursor(const SnapshotState *state, int own, SnapshotRanges *ranges)
{
	SnapshotCursorChunk chunk = {.commit_lsn = 0x1000,
								 .rows = 3,
								 .columns = 1,
								 .keys = keys,
								 .keys_length = sizeof(keys),
								 .ranges = *ranges,
								 .own = own};
	const SnapshotCursor *cursor = snapshot_cursor_create(state, &chunk);

	snapshot_ranges_clear(ranges);
	return cursor;
}

/* The same, where nothing else is left. */
static const SnapshotCursor *
create_last(const SnapshotState *state)
{
	SnapshotRanges ranges = {0};

	snapshot_ranges_add(&ranges, "", "");
	return create_cursor(state, 0, &ranges);
}

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
	position.snapshot = create_last(&end);
	check_json(&position, "{\"kind\":\"initial\",\"relation\":16400,\"table\":\"public.t\","
						  "\"key\":[\"id\"],\"after\":[\"2\"],\"rows\":\"102\"}");
	position.id.seq = 4;
	check_json(&position, "{\"kind\":\"initial\",\"relation\":16400,\"table\":\"public.t\","
						  "\"table_done\":true,\"rows\":\"103\"}");
	position.id = (RecordId){0x2000, 1, 0};
	snapshot_cursor_state(position.snapshot, &position.id, &read);
	assert_true(read.table_done);
	assert_int_equal(read.ranges.count, 0);
	snapshot_state_free(&read);
	assert_true(snapshot_cursor_has_chunk(0x1000));
	assert_false(snapshot_cursor_has_chunk(0x2000));
}

/* Several workers leave gaps: what is left is told as a list, and its own range begins behind the row. */
static void
ranges_are_told_by_positions(void **state)
{
	SnapshotRanges ranges = {0};
	SnapshotState left = end;
	Position position = {.id = {0x1000, 2, 0}};
	Position again;
	Source source = {.system_identifier = "1", .database = "d", .slot = "s"};
	struct json_object *object;

	(void) state;
	left.table_done = false;
	snapshot_ranges_add(&left.ranges, "[\"3\"]", "[\"5\"]");
	snapshot_ranges_add(&left.ranges, "[\"7\"]", "");
	snapshot_ranges_add(&ranges, "", "[\"5\"]");
	snapshot_ranges_add(&ranges, "[\"7\"]", "");
	position.snapshot = create_cursor(&left, 0, &ranges);
	snapshot_ranges_clear(&left.ranges);
	check_json(&position, "{\"kind\":\"initial\",\"relation\":16400,\"table\":\"public.t\","
						  "\"key\":[\"id\"],\"ranges\":[[[\"2\"],[\"5\"]],[[\"7\"],null]],"
						  "\"rows\":\"102\"}");
	object = position_to_json(&source, &position);
	assert_true(position_from_json(object, &source, &again));
	json_object_put(object);
	check_json(&again, "{\"kind\":\"initial\",\"relation\":16400,\"table\":\"public.t\","
					   "\"key\":[\"id\"],\"ranges\":[[[\"2\"],[\"5\"]],[[\"7\"],null]],"
					   "\"rows\":\"102\"}");
	position.id.seq = 4;
	check_json(&position, "{\"kind\":\"initial\",\"relation\":16400,\"table\":\"public.t\","
						  "\"key\":[\"id\"],\"ranges\":[[[\"3\"],[\"5\"]],[[\"7\"],null]],"
						  "\"rows\":\"103\"}");
}

static void
positions_of_one_worker_are_read(void **state)
{
	static const struct
	{
		const char *json;
		const char *ranges; /* NULL: not a position */
	} cases[] = {
		{"{\"kind\":\"initial\",\"relation\":5,\"table\":\"t\",\"key\":[\"a\"],\"after\":[\"9\"],"
		 "\"rows\":\"9\"}",
		 "[[[\"9\"],null]]"},
		{"{\"kind\":\"initial\",\"relation\":5,\"table\":\"t\",\"rows\":\"0\"}", "[[null,null]]"},
		{"{\"kind\":\"initial\",\"relation\":5,\"table\":\"t\",\"table_done\":true,\"rows\":\"9\"}",
		 "[]"},
		{"{\"kind\":\"initial\",\"rows\":\"0\"}", "[]"},
		{"{\"kind\":\"initial\",\"relation\":5,\"ranges\":[[null,[\"1\"]],[[\"4\",\"b\"],null]]}",
		 "[[null,[\"1\"]],[[\"4\",\"b\"],null]]"},
		{"{\"kind\":\"initial\",\"relation\":5,\"ranges\":[]}", NULL},
		{"{\"kind\":\"initial\",\"relation\":5,\"ranges\":7}", NULL},
		{"{\"kind\":\"initial\",\"relation\":5,\"ranges\":[[null]]}", NULL},
		{"{\"kind\":\"initial\",\"relation\":5,\"ranges\":[[null,null],7]}", NULL},
		{"{\"kind\":\"initial\",\"relation\":5,\"ranges\":[[\"a\",null]]}", NULL},
		{"{\"kind\":\"initial\",\"relation\":5,\"ranges\":[[null,[]]]}", NULL},
		{"{\"kind\":null}", NULL},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		struct json_object *object = json_tokener_parse(cases[i].json);
		const SnapshotCursor *cursor = NULL;
		RecordId none = {0};
		SnapshotState read;

		assert_int_equal(snapshot_cursor_from_json(object, &cursor), cases[i].ranges != NULL);
		json_object_put(object);
		if (cases[i].ranges == NULL)
			continue;
		snapshot_cursor_state(cursor, &none, &read);
		object = snapshot_ranges_to_json(&read.ranges);
		assert_string_equal(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN),
							cases[i].ranges);
		json_object_put(object);
		snapshot_state_free(&read);
	}
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
	position.snapshot = create_last(&end);
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
	cursor = create_last(&finished);
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

static ChunkVerdict
settle(SnapshotChunk *chunk, bool configured)
{
	static const MessageHeader watermark = {.timeline = 1, .commit_lsn = 0x2000, .end_lsn = 0x2040};
	ChunkVerdict verdict;
	CdcError err;

	chunk->timeline = watermark.timeline;
	assert_int_equal(snapshot_chunk_settle(chunk, &watermark, configured, &verdict, &err), CDC_OK);
	return verdict;
}

/* A chunk whose one record has its LSN where the one place says, and a second watermark somewhere. */
static CdcStatus
settle_record(const char *record, char form, uint64_t lsn, uint32_t timeline, char *message,
			  ChunkVerdict *verdict, CdcError *err)
{
	MessageHeader watermark = {.timeline = 1, .commit_lsn = lsn, .end_lsn = lsn + 0x40};
	uint8_t place[CDC_PLACE_SIZE] = {0};
	SnapshotChunk chunk = {0};
	CdcStatus status;

	begin_chunk(&chunk);
	memset(message, 0, CDC_MESSAGE_HEADER_SIZE);
	put_be64((uint8_t *) message + CDC_MESSAGE_AT_COMMIT_LSN, 0x16E2A10);
	memcpy(message + CDC_MESSAGE_HEADER_SIZE, record, strlen(record) + 1);
	put_be32(place, CDC_MESSAGE_HEADER_SIZE + 1);
	place[4] = (uint8_t) form;
	chunk.timeline = timeline;
	chunk.records = (uint8_t *) message;
	chunk.records_length = CDC_MESSAGE_HEADER_SIZE + strlen(record);
	chunk.places = place;
	chunk.places_length = sizeof(place);
	status = snapshot_chunk_settle(&chunk, &watermark, false, verdict, err);
	snapshot_chunk_reset(&chunk);
	return status;
}

static void
records_get_the_second_watermarks_lsn(void **state)
{
	static const struct
	{
		const char *record;
		char form;
		uint64_t lsn;
		CdcStatus status;
		ChunkVerdict verdict;
		const char *then;
	} cases[] = {
		{"\"0/16E2A10\"0/16E2A10", 'T', 0x16E2B28, CDC_OK, CHUNK_WHOLE, "\"0/16E2B28\"0/16E2A10"},
		{"\"00000000016E2A10", 'H', 0x16E2B28, CDC_OK, CHUNK_WHOLE, "\"00000000016E2B28"},
		{" 23996944 ", 'D', 23996999, CDC_OK, CHUNK_WHOLE, " 23996999 "},
		{"\"0/16E2A10\"", 'T', 0x10000000, CDC_OK, CHUNK_MISPLACED, "\"0/16E2A10\""},
		{" 23996944 ", 'D', 100000000, CDC_OK, CHUNK_MISPLACED, " 23996944 "},
		{"\"0/16E2A11\"", 'T', 0x16E2B28, CDC_STOP, CHUNK_WHOLE, "\"0/16E2A11\""},
		{"\"0/16E2A10\"", 'X', 0x16E2B28, CDC_STOP, CHUNK_WHOLE, "\"0/16E2A10\""},
		{"\"0/16E", 'T', 0x16E2B28, CDC_STOP, CHUNK_WHOLE, "\"0/16E"},
	};
	char message[CDC_MESSAGE_HEADER_SIZE + 40];

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		ChunkVerdict verdict = CHUNK_WHOLE;
		bool placed = cases[i].status == CDC_OK && cases[i].verdict == CHUNK_WHOLE;
		CdcError err;

		assert_int_equal(
			settle_record(cases[i].record, cases[i].form, cases[i].lsn, 1, message, &verdict, &err),
			cases[i].status);
		assert_int_equal(verdict, cases[i].verdict);
		assert_string_equal(message + CDC_MESSAGE_HEADER_SIZE, cases[i].then);
		assert_int_equal(get_be64((uint8_t *) message + CDC_MESSAGE_AT_COMMIT_LSN),
						 placed ? cases[i].lsn : 0x16E2A10);
		assert_int_equal(get_be64((uint8_t *) message + CDC_MESSAGE_AT_END_LSN),
						 placed ? cases[i].lsn + 0x40 : 0);
	}
}

/* No header, or a list of places that ends within one: nothing is changed. */
static void
malformed_places_are_refused(void **state)
{
	static const uint8_t places[CDC_PLACE_SIZE] = {0};
	uint8_t message[CDC_MESSAGE_HEADER_SIZE] = {0};
	uint8_t before[sizeof(message)] = {0};

	(void) state;
	assert_int_equal(snapshot_place(message, sizeof(message) - 1, places, 0, 8, 9),
					 PLACE_MALFORMED);
	assert_int_equal(snapshot_place(message, sizeof(message), places, sizeof(places) - 1, 8, 9),
					 PLACE_MALFORMED);
	assert_memory_equal(message, before, sizeof(message));
}

static void
rows_of_another_timeline_are_refused(void **state)
{
	char message[CDC_MESSAGE_HEADER_SIZE + 40];
	ChunkVerdict verdict;
	CdcError err;

	(void) state;
	assert_int_equal(settle_record("\"0/16E2A10\"", 'T', 0x16E2B28, 2, message, &verdict, &err),
					 CDC_RETRY);
	assert_string_equal(err.message,
						"existing rows were read on timeline 2, but the stream is on timeline 1");
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
	assert_int_equal(settle(&chunk, false), CHUNK_WHOLE);
	assert_int_equal(chunk.deliver, 3);
	assert_memory_equal(chunk.dropped, "\0\1\0", 3);
	snapshot_chunk_reset(&chunk);

	begin_chunk(&chunk);
	assert_int_equal(settle(&chunk, false), CHUNK_WHOLE);
	assert_memory_equal(chunk.dropped, "\0\0\0", 3);
	snapshot_chunk_reset(&chunk);
}

/* Changed twice, once without all of its values: it and what follows is read again. */
static void
partial_rows_end_it(void **state)
{
	SnapshotChunk chunk = {0};
	uint8_t unordered[3 * CDC_WATERMARK_KEY_SIZE];

	(void) state;
	begin_chunk(&chunk);
	note(&chunk, CDC_WATERMARK_ROW, 1);
	note(&chunk, CDC_WATERMARK_PARTIAL_ROW, 3);
	note(&chunk, CDC_WATERMARK_ROW, 3);
	assert_int_equal(settle(&chunk, false), CHUNK_PART);
	assert_int_equal(chunk.deliver, 2);
	assert_memory_equal(chunk.dropped, "\1\0", 2);
	assert_string_equal(chunk.part_last, "[\"2\"]");
	snapshot_chunk_reset(&chunk);

	begin_chunk(&chunk);
	note(&chunk, CDC_WATERMARK_PARTIAL_ROW, 1);
	assert_int_equal(settle(&chunk, false), CHUNK_PART);
	assert_int_equal(chunk.deliver, 0);
	assert_null(chunk.part_last);
	snapshot_chunk_reset(&chunk);

	/* rows that are known, of a table that has no order: all of it is */
	for (int i = 0; i < 3; i++)
		memset(unordered + (size_t) i * CDC_WATERMARK_KEY_SIZE, i + 1, CDC_WATERMARK_KEY_SIZE);
	snapshot_chunk_begin(&chunk, 1, 0);
	chunk.rows = 3;
	chunk.keys = unordered;
	chunk.keys_length = sizeof(unordered);
	note(&chunk, CDC_WATERMARK_PARTIAL_ROW, 3);
	assert_int_equal(settle(&chunk, false), CHUNK_PART);
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
	assert_int_equal(settle(&chunk, false), CHUNK_UNKNOWN);
	snapshot_chunk_reset(&chunk);

	begin_chunk(&chunk);
	assert_int_equal(settle(&chunk, true), CHUNK_CONFIGURED);
	snapshot_chunk_reset(&chunk);

	begin_chunk(&chunk);
	note(&chunk, CDC_WATERMARK_UNKNOWN, 0);
	note(&chunk, CDC_WATERMARK_TRUNCATED, 0);
	assert_int_equal(settle(&chunk, false), CHUNK_WHOLE);
	assert_memory_equal(chunk.dropped, "\1\1\1", 3);
	snapshot_chunk_reset(&chunk);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_told_by_positions),
		cmocka_unit_test(ranges_are_told_by_positions),
		cmocka_unit_test(positions_of_one_worker_are_read),
		cmocka_unit_test(cursors_read_back),
		cmocka_unit_test(the_last_one_is_not_told),
		cmocka_unit_test(changed_rows_are_dropped),
		cmocka_unit_test(records_get_the_second_watermarks_lsn),
		cmocka_unit_test(malformed_places_are_refused),
		cmocka_unit_test(rows_of_another_timeline_are_refused),
		cmocka_unit_test(partial_rows_end_it),
		cmocka_unit_test(others_take_all),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
