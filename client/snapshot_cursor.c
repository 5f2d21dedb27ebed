/*
 * snapshot_cursor.c
 *		How far a snapshot of existing rows has come.
 */
#include "snapshot_cursor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../plugin/cdc_protocol.h"
#include "byteorder.h"
#include "position.h"
#include "text.h"

struct SnapshotCursor
{
	SnapshotCursor *next;
	SnapshotState end;
	SnapshotCursorChunk chunk; /* commit_lsn 0: of none */
	uint8_t *keys;             /* the chunk's, ours */
};

/* All there are, oldest first. */
static SnapshotCursor *oldest;
static SnapshotCursor **newest = &oldest;

void
snapshot_state_copy(SnapshotState *to, const SnapshotState *from)
{
	*to = *from;
	to->name = text_copy(from->name);
	to->key = text_copy(from->key);
	snapshot_ranges_copy(&to->ranges, &from->ranges, 0, true);
}

void
snapshot_state_free(SnapshotState *state)
{
	free(state->name);
	free(state->key);
	snapshot_ranges_clear(&state->ranges);
	memset(state, 0, sizeof(*state));
}

/* The chunk, with all that it points to. */
static void
copy_chunk(SnapshotCursor *cursor, const SnapshotCursorChunk *chunk)
{
	cursor->chunk = *chunk;
	/* its own range stays apart from the one before, which it may adjoin */
	memset(&cursor->chunk.ranges, 0, sizeof(cursor->chunk.ranges));
	for (int i = 0; i < chunk->ranges.count; i++)
		snapshot_ranges_add(&cursor->chunk.ranges, chunk->ranges.items[i].after,
							chunk->ranges.items[i].upto);
	cursor->chunk.keys = NULL;
	if (chunk->columns == 0 || chunk->keys_length == 0)
	{
		cursor->chunk.keys_length = 0;
		return;
	}
	cursor->keys = malloc(chunk->keys_length);
	if (cursor->keys == NULL)
		abort();
	memcpy(cursor->keys, chunk->keys, chunk->keys_length);
	cursor->chunk.keys = cursor->keys;
}

const SnapshotCursor *
snapshot_cursor_create(const SnapshotState *end, const SnapshotCursorChunk *chunk)
{
	SnapshotCursor *cursor = calloc(1, sizeof(*cursor));

	if (cursor == NULL)
		abort();
	snapshot_state_copy(&cursor->end, end);
	if (chunk != NULL)
		copy_chunk(cursor, chunk);
	*newest = cursor;
	newest = &cursor->next;
	return cursor;
}

void
snapshot_cursor_release(const SnapshotCursor *durable)
{
	if (durable == NULL)
		return;
	while (oldest != durable)
	{
		SnapshotCursor *cursor = oldest;

		oldest = cursor->next;
		snapshot_state_free(&cursor->end);
		snapshot_ranges_clear(&cursor->chunk.ranges);
		free(cursor->keys);
		free(cursor);
	}
}

bool
snapshot_cursor_has_chunk(uint64_t commit_lsn)
{
	for (const SnapshotCursor *cursor = oldest; cursor != NULL; cursor = cursor->next)
		if (cursor->chunk.commit_lsn != 0 && cursor->chunk.commit_lsn == commit_lsn)
			return true;
	return false;
}

struct json_object *
snapshot_key_to_json(const uint8_t *keys, size_t length, size_t *at, int columns)
{
	struct json_object *array = json_object_new_array();

	for (int i = 0; i < columns; i++)
	{
		uint32_t text_length;

		if (length - *at < 4)
			break;
		text_length = get_be32(keys + *at);
		*at += 4;
		if (length - *at < text_length)
			break;
		json_object_array_add(
			array, json_object_new_string_len((const char *) keys + *at, (int) text_length));
		*at += text_length;
	}
	if ((int) json_object_array_length(array) == columns)
		return array;
	json_object_put(array);
	return NULL;
}

/* The key of the chunk's row of that number, counted from 1. */
static char *
row_key(const SnapshotCursorChunk *chunk, uint64_t row)
{
	struct json_object *array = NULL;
	size_t at = 0;
	char *text;

	for (uint64_t i = 0; i < row && at + CDC_WATERMARK_KEY_SIZE <= chunk->keys_length; i++)
	{
		json_object_put(array);
		at += CDC_WATERMARK_KEY_SIZE;
		array = snapshot_key_to_json(chunk->keys, chunk->keys_length, &at, chunk->columns);
		if (array == NULL)
			break;
	}
	text = text_copy(array != NULL ? json_object_to_json_string_ext(array, JSON_C_TO_STRING_PLAIN)
								   : "");
	json_object_put(array);
	return text;
}

void
snapshot_cursor_state(const SnapshotCursor *cursor, const RecordId *id, SnapshotState *state)
{
	const SnapshotCursorChunk *chunk = &cursor->chunk;
	uint64_t left;

	snapshot_state_copy(state, &cursor->end);
	if (chunk->commit_lsn == 0 || id->commit_lsn != chunk->commit_lsn || id->seq == 0 ||
		id->seq > chunk->rows)
		return;
	/* in the middle of the chunk; a table without a key is one chunk, and begins anew */
	left = chunk->rows - id->seq;
	state->finished = state->table_done = false;
	state->rows -= left < state->rows ? left : state->rows;
	state->bytes -= chunk->bytes * left / chunk->rows;
	snapshot_ranges_clear(&state->ranges);
	for (int i = 0; i < chunk->ranges.count; i++)
	{
		char *after = i == chunk->own ? row_key(chunk, id->seq) : NULL;

		snapshot_ranges_add(&state->ranges, after != NULL ? after : chunk->ranges.items[i].after,
							chunk->ranges.items[i].upto);
		free(after);
	}
}

bool
snapshot_cursor_is_unfinished(const SnapshotCursor *cursor, const RecordId *id)
{
	SnapshotState state;
	bool unfinished;

	if (cursor == NULL)
		return false;
	snapshot_cursor_state(cursor, id, &state);
	unfinished = !state.finished;
	snapshot_state_free(&state);
	return unfinished;
}

const SnapshotCursor *
snapshot_cursor_carry(const SnapshotCursor *cursor, const RecordId *id)
{
	const SnapshotCursor *carried;
	SnapshotState state;

	if (cursor == NULL)
		return NULL;
	snapshot_cursor_state(cursor, id, &state);
	carried = snapshot_cursor_create(&state, NULL);
	snapshot_state_free(&state);
	return carried;
}

static const char *const kind_names[] = {
	[SNAPSHOT_INITIAL] = "initial",
	[SNAPSHOT_BACKFILL] = "backfill",
};

static void
add_array(struct json_object *object, const char *name, const char *text)
{
	struct json_object *array = text[0] != '\0' ? json_tokener_parse(text) : NULL;

	if (array != NULL)
		json_object_object_add(object, name, array);
}

/* As "after" where all behind a row is left, as it is unless several workers read; else as a list. */
static void
add_ranges(struct json_object *object, const SnapshotRanges *ranges)
{
	if (ranges->count == 1 && ranges->items[0].upto[0] == '\0')
		add_array(object, "after", ranges->items[0].after);
	else if (ranges->count > 0)
		json_object_object_add(object, "ranges", snapshot_ranges_to_json(ranges));
}

struct json_object *
snapshot_cursor_to_json(const SnapshotCursor *cursor, const RecordId *id)
{
	struct json_object *object;
	SnapshotState state;
	char number[24];

	if (cursor == NULL)
		return NULL;
	snapshot_cursor_state(cursor, id, &state);
	if (state.finished && state.kind == SNAPSHOT_INITIAL)
	{
		snapshot_state_free(&state);
		return NULL;
	}
	object = json_object_new_object();
	json_object_object_add(object, "kind", json_object_new_string(kind_names[state.kind]));
	if (state.kind == SNAPSHOT_BACKFILL)
		json_object_object_add(object, "request", json_object_new_int64(state.request));
	if (state.finished)
		json_object_object_add(object, "finished", json_object_new_boolean(1));
	if (state.relation != 0)
	{
		json_object_object_add(object, "relation", json_object_new_int64(state.relation));
		json_object_object_add(object, "table", json_object_new_string(state.name));
	}
	if (state.table_done)
		json_object_object_add(object, "table_done", json_object_new_boolean(1));
	else
	{
		add_array(object, "key", state.key);
		add_ranges(object, &state.ranges);
	}
	snprintf(number, sizeof(number), "%" PRIu64, state.rows);
	json_object_object_add(object, "rows", json_object_new_string(number));
	if (state.bytes > 0)
		json_object_object_add(object, "bytes", json_object_new_int64((int64_t) state.bytes));
	if (state.total_rows > 0)
		json_object_object_add(object, "total_rows",
							   json_object_new_int64((int64_t) state.total_rows));
	if (state.began > 0)
		json_object_object_add(object, "began", json_object_new_int64(state.began));
	snapshot_state_free(&state);
	return object;
}

static char *
get_array(struct json_object *object, const char *name)
{
	struct json_object *member;

	if (!json_object_object_get_ex(object, name, &member) ||
		!json_object_is_type(member, json_type_array))
		return text_copy("");
	return text_copy(json_object_to_json_string_ext(member, JSON_C_TO_STRING_PLAIN));
}

static bool
get_flag(struct json_object *object, const char *name)
{
	struct json_object *member;

	return json_object_object_get_ex(object, name, &member) && json_object_get_boolean(member);
}

static int64_t
get_number(struct json_object *object, const char *name)
{
	struct json_object *member;

	return json_object_object_get_ex(object, name, &member) ? json_object_get_int64(member) : 0;
}

/* The reverse of add_ranges(). */
static bool
get_ranges(struct json_object *object, SnapshotRanges *ranges)
{
	struct json_object *member;
	char *after;

	if (json_object_object_get_ex(object, "ranges", &member))
		return snapshot_ranges_from_json(member, ranges);
	after = get_array(object, "after");
	snapshot_ranges_add(ranges, after, "");
	free(after);
	return true;
}

bool
snapshot_cursor_from_json(struct json_object *object, const SnapshotCursor **cursor)
{
	SnapshotState state = {0};
	struct json_object *member;
	const char *kind = "";
	bool good = true;

	if (!json_object_is_type(object, json_type_object))
		return false;
	if (json_object_object_get_ex(object, "kind", &member) && member != NULL)
		kind = json_object_get_string(member);
	if (strcmp(kind, kind_names[SNAPSHOT_INITIAL]) != 0 &&
		strcmp(kind, kind_names[SNAPSHOT_BACKFILL]) != 0)
		return false;
	state.kind =
		strcmp(kind, kind_names[SNAPSHOT_BACKFILL]) == 0 ? SNAPSHOT_BACKFILL : SNAPSHOT_INITIAL;
	state.request = get_number(object, "request");
	state.finished = get_flag(object, "finished");
	state.relation = (uint32_t) get_number(object, "relation");
	state.table_done = get_flag(object, "table_done");
	state.rows = (uint64_t) get_number(object, "rows");
	state.bytes = (uint64_t) get_number(object, "bytes");
	state.total_rows = (uint64_t) get_number(object, "total_rows");
	state.began = get_number(object, "began");
	state.name = text_copy(
		json_object_object_get_ex(object, "table", &member) ? json_object_get_string(member) : "");
	state.key = get_array(object, "key");
	if (state.relation != 0 && !state.table_done)
		good = get_ranges(object, &state.ranges);
	if (good)
		*cursor = snapshot_cursor_create(&state, NULL);
	snapshot_state_free(&state);
	return good;
}
