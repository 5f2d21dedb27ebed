/*
 * test_snapshot_ranges.c
 *		What of a table is left, whatever becomes of the chunks that take ranges of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "snapshot_ranges.h"

/* "after-upto:chunk", with a bar between two. */
static void
check(const SnapshotRanges *ranges, const char *expected)
{
	char text[1000] = "";
	size_t at = 0;

	for (int i = 0; i < ranges->count; i++)
	{
		const SnapshotRange *range = &ranges->items[i];

		at += (size_t) snprintf(text + at, sizeof(text) - at, "%s%s-%s:%d", i > 0 ? "|" : "",
								range->after, range->upto, (int) range->chunk);
	}
	assert_string_equal(text, expected);
}

static void
take(SnapshotRanges *ranges, uint64_t chunk)
{
	SnapshotRange *range = snapshot_ranges_free(ranges, 0);

	assert_non_null(range);
	range->chunk = chunk;
}

static void
chunks_take_beginnings(void **state)
{
	SnapshotRanges ranges = {0};

	(void) state;
	snapshot_ranges_add(&ranges, "", "");
	take(&ranges, 1);
	assert_null(snapshot_ranges_free(&ranges, 0));
	snapshot_ranges_cut(&ranges, 1, "7");
	take(&ranges, 2);
	check(&ranges, "-7:1|7-:2");
	snapshot_ranges_cut(&ranges, 2, "14");
	check(&ranges, "-7:1|7-14:2|14-:0");
	assert_int_equal(snapshot_ranges_count_free(&ranges), 1);
	/* delivered in whatever order */
	snapshot_ranges_remove(&ranges, 2);
	snapshot_ranges_remove(&ranges, 1);
	check(&ranges, "14-:0");
	/* one that ends where its range does leaves no rest */
	take(&ranges, 3);
	snapshot_ranges_cut(&ranges, 3, "20");
	snapshot_ranges_cut(&ranges, 3, "20");
	snapshot_ranges_cut(&ranges, 3, "");
	snapshot_ranges_cut(&ranges, 3, NULL);
	snapshot_ranges_cut(&ranges, 9, "15");
	check(&ranges, "14-20:3|20-:0");
	snapshot_ranges_remove_free(&ranges);
	check(&ranges, "14-20:3");
	snapshot_ranges_clear(&ranges);
	check(&ranges, "");
}

static void
what_is_given_back_is_read_again(void **state)
{
	SnapshotRanges ranges = {0};
	SnapshotRange *range;

	(void) state;
	snapshot_ranges_add(&ranges, "", "");
	for (uint64_t chunk = 1; chunk <= 3; chunk++)
	{
		char last[12];

		take(&ranges, chunk);
		snprintf(last, sizeof(last), "%d", (int) chunk * 10);
		snapshot_ranges_cut(&ranges, chunk, last);
	}
	check(&ranges, "-10:1|10-20:2|20-30:3|30-:0");
	range = snapshot_ranges_give_back(&ranges, 2, NULL);
	range->attempts = 1;
	range->not_before = 100;
	check(&ranges, "-10:1|10-20:0|20-30:3|30-:0");
	/* others are read during its pause */
	assert_string_equal(snapshot_ranges_free(&ranges, 99)->after, "30");
	assert_string_equal(snapshot_ranges_free(&ranges, 100)->after, "10");
	assert_int_equal(snapshot_ranges_deadline(&ranges), 0);
	/* up to a row */
	range = snapshot_ranges_give_back(&ranges, 3, "25");
	assert_int_equal(range->attempts, 0);
	check(&ranges, "-10:1|10-20:0|25-30:0|30-:0");
	assert_null(snapshot_ranges_give_back(&ranges, 3, NULL));
	/* read again by fewer rows at a time: the rests become one again */
	range = snapshot_ranges_free(&ranges, 99);
	assert_string_equal(range->after, "25");
	range->chunk = 4;
	snapshot_ranges_cut(&ranges, 4, "26");
	check(&ranges, "-10:1|10-20:0|25-26:4|26-:0");
	snapshot_ranges_clear(&ranges);
	assert_true(snapshot_ranges_deadline(&ranges) == INT64_MAX);
}

static void
ranges_are_divided(void **state)
{
	char *bounds[] = {"20", "30"};
	SnapshotRanges ranges = {0};

	(void) state;
	snapshot_ranges_add(&ranges, "10", "40");
	snapshot_ranges_add(&ranges, "50", "");
	take(&ranges, 1);
	snapshot_ranges_divide(&ranges, 9, bounds, 2);
	check(&ranges, "10-40:1|50-:0");
	snapshot_ranges_divide(&ranges, 1, bounds, 2);
	check(&ranges, "10-20:0|20-30:0|30-40:0|50-:0");
	assert_true(ranges.items[0].divided && ranges.items[2].divided);
	assert_false(ranges.items[3].divided);
	/* what a chunk leaves of a part is not divided again, nor joined with the next part */
	take(&ranges, 2);
	snapshot_ranges_cut(&ranges, 2, "15");
	assert_true(ranges.items[1].divided);
	check(&ranges, "10-15:2|15-20:0|20-30:0|30-40:0|50-:0");
	snapshot_ranges_remove(&ranges, 2);
	take(&ranges, 3);
	snapshot_ranges_divide(&ranges, 3, NULL, 0);
	check(&ranges, "15-20:0|20-30:0|30-40:0|50-:0");
	snapshot_ranges_clear(&ranges);
}

static void
positions_have_few_of_them(void **state)
{
	SnapshotRanges ranges = {0};
	SnapshotRanges copy;
	struct json_object *array;

	(void) state;
	snapshot_ranges_add(&ranges, "", "10");
	snapshot_ranges_add(&ranges, "10", "20")->chunk = 7;
	snapshot_ranges_add(&ranges, "20", "30");
	snapshot_ranges_add(&ranges, "40", "50");
	snapshot_ranges_add(&ranges, "50", "");
	assert_int_equal(snapshot_ranges_copy(&copy, &ranges, 0, true), -1);
	check(&copy, "-30:0|40-:0");
	snapshot_ranges_clear(&copy);
	/* while the chunk is delivered its own range begins later and later */
	assert_int_equal(snapshot_ranges_copy(&copy, &ranges, 7, true), 1);
	check(&copy, "-10:0|10-30:0|40-:0");
	snapshot_ranges_clear(&copy);
	assert_int_equal(snapshot_ranges_copy(&copy, &ranges, 7, false), -1);
	check(&copy, "-10:0|20-30:0|40-:0");
	snapshot_ranges_clear(&copy);
	snapshot_ranges_clear(&ranges);

	snapshot_ranges_add(&ranges, "", "[\"a/b\",\"1\"]");
	snapshot_ranges_add(&ranges, "[\"c\",\"2\"]", "");
	array = snapshot_ranges_to_json(&ranges);
	assert_string_equal(json_object_to_json_string_ext(array, JSON_C_TO_STRING_PLAIN |
																  JSON_C_TO_STRING_NOSLASHESCAPE),
						"[[null,[\"a/b\",\"1\"]],[[\"c\",\"2\"],null]]");
	assert_true(snapshot_ranges_from_json(array, &copy));
	json_object_put(array);
	assert_int_equal(copy.count, 2);
	assert_string_equal(copy.items[1].after, "[\"c\",\"2\"]");
	snapshot_ranges_clear(&copy);
	snapshot_ranges_clear(&ranges);
}

/* Whatever happens to chunks, what is delivered and what is left make up the whole, once. */
static void
nothing_is_lost_or_doubled(void **state)
{
	(void) state;
	srand(20261123);
	for (int round = 0; round < 200; round++)
	{
		bool delivered[1000] = {false};
		SnapshotRanges ranges = {0};
		uint64_t chunk = 0;
		uint64_t under_way[3] = {0};

		/* keys 0 ... 999 */
		snapshot_ranges_add(&ranges, "-1", "999");
		while (ranges.count > 0)
		{
			uint64_t *number = &under_way[rand() % 3];
			SnapshotRange *range = *number != 0 ? snapshot_ranges_find(&ranges, *number)
												: snapshot_ranges_free(&ranges, 0);
			int after;
			int upto;
			char last[12];

			if (range == NULL)
				continue;
			after = atoi(range->after);
			upto = atoi(range->upto);
			assert_true(after < upto);
			if (*number == 0)
			{
				*number = range->chunk = ++chunk;
				snprintf(last, sizeof(last), "%d", after + 1 + rand() % (upto - after));
				if (rand() % 4 == 0 && strcmp(last, range->upto) != 0)
				{
					char *bounds[] = {last};

					snapshot_ranges_divide(&ranges, chunk, bounds, 1);
					*number = 0;
				}
				else
					snapshot_ranges_cut(&ranges, chunk, last);
				continue;
			}
			if (rand() % 4 == 0)
				upto = after + rand() % (upto - after); /* not all of it, or nothing */
			for (int key = after + 1; key <= upto; key++)
			{
				assert_false(delivered[key]);
				delivered[key] = true;
			}
			snprintf(last, sizeof(last), "%d", upto);
			if (strcmp(last, range->upto) == 0)
				snapshot_ranges_remove(&ranges, *number);
			else
				snapshot_ranges_give_back(&ranges, *number, upto > after ? last : NULL);
			*number = 0;
		}
		for (int key = 0; key < 1000; key++)
			assert_true(delivered[key]);
		snapshot_ranges_clear(&ranges);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chunks_take_beginnings),
		cmocka_unit_test(what_is_given_back_is_read_again),
		cmocka_unit_test(ranges_are_divided),
		cmocka_unit_test(positions_have_few_of_them),
		cmocka_unit_test(nothing_is_lost_or_doubled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
