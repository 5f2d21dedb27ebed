/*
 * snapshot_ranges.c
 *		What of a table has not been delivered yet.
 */
#include "snapshot_ranges.h"

#include <stdlib.h>
#include <string.h>

#include "text.h"

static void
free_texts(SnapshotRange *range)
{
	free(range->after);
	free(range->upto);
}

void
snapshot_ranges_clear(SnapshotRanges *ranges)
{
	for (int i = 0; i < ranges->count; i++)
		free_texts(&ranges->items[i]);
	free(ranges->items);
	memset(ranges, 0, sizeof(*ranges));
}

/* Room for one more at this index; what is there is for the caller to fill. */
static SnapshotRange *
insert_at(SnapshotRanges *ranges, int index)
{
	SnapshotRange *range;

	if (ranges->items == NULL || ranges->count == ranges->room)
	{
		int room = ranges->room > 0 ? ranges->room * 2 : 8;
		SnapshotRange *items = realloc(ranges->items, (size_t) room * sizeof(*items));

		if (items == NULL)
			abort();
		ranges->items = items;
		ranges->room = room;
	}
	range = &ranges->items[index];
	memmove(range + 1, range, (size_t) (ranges->count - index) * sizeof(*range));
	ranges->count++;
	memset(range, 0, sizeof(*range));
	return range;
}

static void
remove_at(SnapshotRanges *ranges, int index)
{
	SnapshotRange *range = &ranges->items[index];

	free_texts(range);
	ranges->count--;
	memmove(range, range + 1, (size_t) (ranges->count - index) * sizeof(*range));
}

static void
set_text(char **to, const char *text)
{
	char *copy = text_copy(text);

	free(*to);
	*to = copy;
}

SnapshotRange *
snapshot_ranges_add(SnapshotRanges *ranges, const char *after, const char *upto)
{
	SnapshotRange *range = insert_at(ranges, ranges->count);

	range->after = text_copy(after);
	range->upto = text_copy(upto);
	return range;
}

SnapshotRange *
snapshot_ranges_free(const SnapshotRanges *ranges, int64_t now)
{
	for (int i = 0; i < ranges->count; i++)
		if (ranges->items[i].chunk == 0 && ranges->items[i].not_before <= now)
			return &ranges->items[i];
	return NULL;
}

int
snapshot_ranges_count_free(const SnapshotRanges *ranges)
{
	int count = 0;

	for (int i = 0; i < ranges->count; i++)
		count += ranges->items[i].chunk == 0;
	return count;
}

int64_t
snapshot_ranges_deadline(const SnapshotRanges *ranges)
{
	int64_t deadline = INT64_MAX;

	for (int i = 0; i < ranges->count; i++)
		if (ranges->items[i].chunk == 0 && ranges->items[i].not_before < deadline)
			deadline = ranges->items[i].not_before;
	return deadline;
}

static int
index_of(const SnapshotRanges *ranges, uint64_t chunk)
{
	for (int i = 0; i < ranges->count && chunk != 0; i++)
		if (ranges->items[i].chunk == chunk)
			return i;
	return -1;
}

SnapshotRange *
snapshot_ranges_find(const SnapshotRanges *ranges, uint64_t chunk)
{
	int index = index_of(ranges, chunk);

	return index >= 0 ? &ranges->items[index] : NULL;
}

static bool
adjoin(const SnapshotRange *range, const SnapshotRange *next)
{
	return range->upto[0] != '\0' && strcmp(range->upto, next->after) == 0;
}

/* Free ranges that only chunks have cut apart become one again, or every retry would leave a splinter. */
static void
join_next(SnapshotRanges *ranges, int index)
{
	SnapshotRange *range = &ranges->items[index];
	const SnapshotRange *next = range + 1;

	if (index + 1 >= ranges->count || range->chunk != 0 || next->chunk != 0 || !next->cut ||
		range->attempts > 0 || next->attempts > 0 || !adjoin(range, next))
		return;
	set_text(&range->upto, next->upto);
	remove_at(ranges, index + 1);
}

void
snapshot_ranges_cut(SnapshotRanges *ranges, uint64_t chunk, const char *last)
{
	int index = index_of(ranges, chunk);
	SnapshotRange *range;
	SnapshotRange *rest;

	if (index < 0 || last == NULL || last[0] == '\0' ||
		strcmp(last, ranges->items[index].upto) == 0)
		return;
	rest = insert_at(ranges, index + 1);
	range = rest - 1;
	rest->after = text_copy(last);
	rest->upto = range->upto;
	rest->cut = true;
	rest->divided = range->divided;
	range->upto = text_copy(last);
	join_next(ranges, index + 1);
}

void
snapshot_ranges_remove(SnapshotRanges *ranges, uint64_t chunk)
{
	int index = index_of(ranges, chunk);

	if (index >= 0)
		remove_at(ranges, index);
}

SnapshotRange *
snapshot_ranges_give_back(SnapshotRanges *ranges, uint64_t chunk, const char *after)
{
	SnapshotRange *range = snapshot_ranges_find(ranges, chunk);

	if (range == NULL)
		return NULL;
	range->chunk = 0;
	if (after != NULL)
	{
		set_text(&range->after, after);
		range->attempts = range->unknown = 0;
	}
	return range;
}

void
snapshot_ranges_remove_free(SnapshotRanges *ranges)
{
	for (int i = ranges->count - 1; i >= 0; i--)
		if (ranges->items[i].chunk == 0)
			remove_at(ranges, i);
}

void
snapshot_ranges_divide(SnapshotRanges *ranges, uint64_t chunk, char *const *bounds, int num_bounds)
{
	int index = index_of(ranges, chunk);

	if (index < 0)
		return;
	for (int i = 0; i < num_bounds; i++, index++)
	{
		SnapshotRange *rest = insert_at(ranges, index + 1);
		SnapshotRange *part = rest - 1;

		rest->after = text_copy(bounds[i]);
		rest->upto = part->upto;
		part->upto = text_copy(bounds[i]);
		part->chunk = 0;
		part->divided = true;
	}
	ranges->items[index].chunk = 0;
	ranges->items[index].divided = true;
}

int
snapshot_ranges_copy(SnapshotRanges *to, const SnapshotRanges *from, uint64_t chunk, bool keep)
{
	int own = -1;

	memset(to, 0, sizeof(*to));
	for (int i = 0; i < from->count; i++)
	{
		const SnapshotRange *range = &from->items[i];
		SnapshotRange *last = to->count > 0 ? &to->items[to->count - 1] : NULL;
		bool is_own = chunk != 0 && range->chunk == chunk;

		if (is_own && !keep)
			continue;
		if (is_own)
			own = to->count;
		else if (last != NULL && adjoin(last, range))
		{
			set_text(&last->upto, range->upto);
			continue;
		}
		snapshot_ranges_add(to, range->after, range->upto);
	}
	return own;
}

static struct json_object *
key_to_json(const char *key)
{
	return key[0] != '\0' ? json_tokener_parse(key) : NULL;
}

struct json_object *
snapshot_ranges_to_json(const SnapshotRanges *ranges)
{
	struct json_object *array = json_object_new_array();

	for (int i = 0; i < ranges->count; i++)
	{
		struct json_object *pair = json_object_new_array();

		json_object_array_add(pair, key_to_json(ranges->items[i].after));
		json_object_array_add(pair, key_to_json(ranges->items[i].upto));
		json_object_array_add(array, pair);
	}
	return array;
}

/* "" for null; NULL: not a key. */
static const char *
key_from_json(struct json_object *key)
{
	if (key == NULL)
		return "";
	if (!json_object_is_type(key, json_type_array) || json_object_array_length(key) == 0)
		return NULL;
	return json_object_to_json_string_ext(key, JSON_C_TO_STRING_PLAIN);
}

bool
snapshot_ranges_from_json(struct json_object *array, SnapshotRanges *ranges)
{
	bool good = json_object_is_type(array, json_type_array) && json_object_array_length(array) > 0;

	memset(ranges, 0, sizeof(*ranges));
	for (size_t i = 0; good && i < json_object_array_length(array); i++)
	{
		struct json_object *pair = json_object_array_get_idx(array, i);
		const char *after;
		const char *upto;

		good = json_object_is_type(pair, json_type_array) && json_object_array_length(pair) == 2;
		after = good ? key_from_json(json_object_array_get_idx(pair, 0)) : NULL;
		upto = good ? key_from_json(json_object_array_get_idx(pair, 1)) : NULL;
		good = after != NULL && upto != NULL;
		if (good)
			snapshot_ranges_add(ranges, after, upto);
	}
	if (!good)
		snapshot_ranges_clear(ranges);
	return good;
}
