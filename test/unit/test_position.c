/*
 * test_position.c
 *		Positions: order and text forms; timelines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "position.h"
#include "timeline.h"

static const Source here = {"7301234567890123456", "shop", "cdc", "shop"};

static const Position some_position = {.timeline = 2,
									   .incarnation = 1,
									   .id = {0x116E2A10, UINT64_MAX, 65535},
									   .end_lsn = UINT64_C(0xFFFFFFFFFFFFFFFF),
									   .confirmed = UINT64_C(0x100000000),
									   .commit_time = INT64_C(-1)};

static CdcError err;

static void
lsns_are_read_and_written(void **state)
{
	static const char *const good[] = {"0/0", "0/16E2A10", "FFFFFFFF/FFFFFFFF", "1/0"};
	static const char *const bad[] = {"",     "/",   "0/",    "/0",          "0",           "0/0 ",
									  " 0/0", "0/g", "0x1/0", "123456789/0", "0/123456789", "-1/0",
									  "0/0/0"};
	char text[LSN_TEXT_SIZE];
	uint64_t lsn;

	(void) state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
	{
		assert_true(lsn_parse(good[i], &lsn));
		assert_string_equal(lsn_format(text, lsn), good[i]);
	}
	assert_true(lsn_parse("a/Bc", &lsn));
	assert_int_equal(lsn, UINT64_C(0xA000000BC));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(lsn_parse(bad[i], &lsn));
}

static void
ids_are_ordered(void **state)
{
	static const RecordId rising[] = {{0, 0, 0}, {1, 0, 0}, {1, 0, 1}, {1, 1, 0},
									  {1, 1, 2}, {1, 2, 0}, {2, 0, 0}, {UINT64_MAX, 0, 0}};
	size_t count = sizeof(rising) / sizeof(rising[0]);

	(void) state;
	for (size_t a = 0; a < count; a++)
	{
		for (size_t b = 0; b < count; b++)
		{
			int order = record_id_compare(&rising[a], &rising[b]);

			assert_int_equal((order > 0) - (order < 0), (a > b) - (a < b));
		}
	}
}

static void
times_are_rfc_3339(void **state)
{
	char text[TIME_TEXT_SIZE];

	(void) state;
	assert_string_equal(commit_time_format(text, 0), "2000-01-01T00:00:00.000000Z");
	assert_string_equal(commit_time_format(text, -1), "1999-12-31T23:59:59.999999Z");
	assert_string_equal(commit_time_format(text, INT64_C(823219199123456)),
						"2026-01-31T23:59:59.123456Z");
	/* whatever a server sends is printed */
	assert_string_equal(commit_time_format(text, INT64_MAX), "294277-01-09T04:00:54.775807Z");
	assert_string_equal(commit_time_format(text, INT64_MIN), "-290278-12-22T19:59:05.224192Z");
}

static void
positions_read_back(void **state)
{
	struct json_object *object = position_to_json(&here, &some_position);
	struct json_object *again = json_tokener_parse(json_object_to_json_string(object));
	Source source;
	Position position = {0};

	(void) state;
	assert_true(position_from_json(again, &source, &position));
	assert_true(source_equal(&source, &here));
	assert_memory_equal(&position.id.commit_lsn, &some_position.id.commit_lsn, sizeof(uint64_t));
	assert_int_equal(record_id_compare(&position.id, &some_position.id), 0);
	assert_int_equal(position.end_lsn, some_position.end_lsn);
	assert_int_equal(position.confirmed, some_position.confirmed);
	assert_int_equal(position.commit_time, some_position.commit_time);
	assert_int_equal(position.timeline, 2);
	assert_int_equal(position.incarnation, 1);
	json_object_put(again);

	/* each member is needed, and of its type */
	json_object_object_foreach(object, key, value)
	{
		(void) value;
		again = json_tokener_parse(json_object_to_json_string(object));
		json_object_object_del(again, key);
		assert_false(position_from_json(again, &source, &position));
		json_object_object_add(again, key, json_object_new_boolean(1));
		assert_false(position_from_json(again, &source, &position));
		json_object_object_add(again, key, json_object_new_string("-1x"));
		if (strcmp(key, "database") != 0 && strcmp(key, "slot") != 0 &&
			strcmp(key, "system_identifier") != 0)
			assert_false(position_from_json(again, &source, &position));
		json_object_put(again);
	}
	json_object_put(object);
	assert_false(position_from_json(NULL, &source, &position));

	/* where its timeline began need not be known */
	assert_int_equal(position.timeline_began, 0);
	position = some_position;
	position.timeline_began = 0x16E2A10;
	object = position_to_json(&here, &position);
	position.timeline_began = 0;
	assert_true(position_from_json(object, &source, &position));
	assert_int_equal(position.timeline_began, 0x16E2A10);
	json_object_object_add(object, "timeline_began", json_object_new_string("x"));
	assert_false(position_from_json(object, &source, &position));
	json_object_put(object);
}

static void
sources_differ_in_each_part(void **state)
{
	Source other = here;

	(void) state;
	assert_true(source_equal(&here, &other));
	other.slot[0] = 'x';
	assert_false(source_equal(&here, &other));
	other = here;
	other.database[0] = 'x';
	assert_false(source_equal(&here, &other));
	other = here;
	other.system_identifier[0] = 'x';
	assert_false(source_equal(&here, &other));
}

/* LSNs of another timeline or incarnation say nothing about this one's. */
static void
positions_cover_within_a_stream(void **state)
{
	const Position small = {
		.timeline = 2, .incarnation = 1, .id = {10, 1, 0}, .end_lsn = 9, .confirmed = 9};
	Position large = small;
	Position other;

	(void) state;
	assert_true(position_covers(&small, &small));
	large.timeline = 3;
	large.id.commit_lsn = large.end_lsn = large.confirmed = 100;
	assert_true(position_covers(&large, &small));
	assert_false(position_covers(&small, &large));
	large.incarnation = 2;
	assert_false(position_covers(&large, &small));
	large.incarnation = 0;
	assert_false(position_covers(&large, &small));
	large.incarnation = 1;
	large.timeline = 1;
	assert_false(position_covers(&large, &small));
	large.timeline = 2;
	large.timeline_began = 5;
	assert_true(position_covers(&large, &small)); /* which does not tell */
	other = small;
	other.timeline_began = 6;
	assert_false(position_covers(&large, &other));
	large.timeline = 3;
	assert_true(position_covers(&large, &other));
	large = small;
	large.id.seq = 0;
	assert_false(position_covers(&large, &small));
	large = small;
	large.end_lsn--;
	assert_false(position_covers(&large, &small));
	large = small;
	large.confirmed--;
	assert_false(position_covers(&large, &small));
}

static const char history_text[] = " 1\t0/3000000\tno recovery target specified\n"
								   "\n# comment\n"
								   "2\t1/A0\tbefore 2026-01-01 00:00:00+00\n";

static void
histories_are_read(void **state)
{
	static const char *const bad[] = {"x\t0/0\n", "0\t0/0\n",    "1\n",
									  "1 0/\n",   "1\t00\tno\n", "4294967296\t0/0\n"};
	TimelineHistory history;
	uint64_t lsn;

	(void) state;
	assert_int_equal(timeline_history_parse(&history, 3, history_text, strlen(history_text), &err),
					 CDC_OK);
	assert_int_equal(history.num_entries, 2);
	assert_true(timeline_history_find(&history, 1, &lsn));
	assert_int_equal(lsn, 0x3000000);
	assert_true(timeline_history_find(&history, 2, &lsn));
	assert_int_equal(lsn, UINT64_C(0x1000000A0));
	assert_false(timeline_history_find(&history, 3, &lsn));
	assert_int_equal(timeline_history_began(&history, 1), 0);
	assert_true(timeline_history_find(&history, 1, &lsn));
	assert_int_equal(timeline_history_began(&history, 2), lsn);
	assert_true(timeline_history_find(&history, 2, &lsn));
	assert_int_equal(timeline_history_began(&history, 3), lsn);
	assert_int_equal(timeline_history_began(&history, 4), 0);
	timeline_history_free(&history);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(timeline_history_parse(&history, 3, bad[i], strlen(bad[i]), &err),
						 CDC_STOP);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lsns_are_read_and_written),
		cmocka_unit_test(ids_are_ordered),
		cmocka_unit_test(times_are_rfc_3339),
		cmocka_unit_test(positions_read_back),
		cmocka_unit_test(sources_differ_in_each_part),
		cmocka_unit_test(positions_cover_within_a_stream),
		cmocka_unit_test(histories_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
