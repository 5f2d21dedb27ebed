/*
 * test_snapshot_pace.c
 *		--max-rate: how many rows at a time, and when the next ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "clock.h"
#include "snapshot_pace.h"

#define NOW (100 * CLOCK_SECOND)

static void
test_no_limit(void **state)
{
	SnapshotPace pace;

	(void) state;
	snapshot_pace_begin(&pace, (RateLimit){0});
	assert_int_equal(snapshot_pace_rows(&pace, 100000), 100000);
	snapshot_pace_answer(&pace, snapshot_pace_ask(&pace, 100000, NOW), 100000, 50000000);
	assert_true(pace.not_before <= NOW);
}

static void
test_rows(void **state)
{
	SnapshotPace pace;
	int64_t estimated;

	(void) state;
	snapshot_pace_begin(&pace, (RateLimit){.rows = 5000});
	assert_int_equal(snapshot_pace_rows(&pace, 100000), 500); /* a tenth of a second's */
	assert_int_equal(snapshot_pace_rows(&pace, 10), 10);
	estimated = snapshot_pace_ask(&pace, 500, NOW);
	assert_int_equal(pace.not_before, NOW + CLOCK_SECOND / 10);
	/* fewer came: the next may be asked for earlier */
	snapshot_pace_answer(&pace, estimated, 100, 70000);
	assert_int_equal(pace.not_before, NOW + CLOCK_SECOND / 50);
	/* nothing came */
	snapshot_pace_answer(&pace, snapshot_pace_ask(&pace, 500, pace.not_before), 0, 0);
	assert_int_equal(pace.not_before, NOW + CLOCK_SECOND / 50);
}

static void
test_slow(void **state)
{
	SnapshotPace pace;

	(void) state;
	snapshot_pace_begin(&pace, (RateLimit){.rows = 1});
	assert_int_equal(snapshot_pace_rows(&pace, 1000), 1);
	snapshot_pace_answer(&pace, snapshot_pace_ask(&pace, 1, NOW), 1, 100);
	assert_int_equal(pace.not_before, NOW + CLOCK_SECOND);
}

/* Two workers ask one after the other, and keep to the rate together. */
static void
test_workers(void **state)
{
	SnapshotPace pace;
	int64_t first;
	int64_t second;

	(void) state;
	snapshot_pace_begin(&pace, (RateLimit){.rows = 1000});
	first = snapshot_pace_ask(&pace, 100, NOW);
	assert_int_equal(pace.not_before, NOW + CLOCK_SECOND / 10);
	second = snapshot_pace_ask(&pace, 100, pace.not_before);
	snapshot_pace_answer(&pace, first, 100, 1000);
	snapshot_pace_answer(&pace, second, 100, 1000);
	assert_int_equal(pace.not_before, NOW + CLOCK_SECOND / 5);
	/* what was not used long ago is not saved up */
	snapshot_pace_ask(&pace, 100, NOW + 10 * CLOCK_SECOND);
	assert_int_equal(pace.not_before, NOW + 10 * CLOCK_SECOND + CLOCK_SECOND / 10);
}

static void
test_bytes(void **state)
{
	SnapshotPace pace;
	int64_t first;
	int64_t second;

	(void) state;
	snapshot_pace_begin(&pace, (RateLimit){.bytes = 1000000});
	assert_int_equal(snapshot_pace_rows(&pace, 100000), 200); /* of 500 bytes, as far as is known */
	first = snapshot_pace_ask(&pace, 200, NOW);
	second = snapshot_pace_ask(&pace, 200, NOW);
	/* they were larger: what counts is what came, whatever was thought of the other one */
	snapshot_pace_answer(&pace, first, 200, 2000000);
	snapshot_pace_answer(&pace, second, 200, 2000000);
	assert_int_equal(pace.not_before, NOW + 4 * CLOCK_SECOND);
	assert_int_equal(snapshot_pace_rows(&pace, 100000), 10);
	/* one that is larger than a second's bytes */
	snapshot_pace_answer(&pace, 0, 1, 5000000);
	assert_int_equal(pace.not_before, NOW + 9 * CLOCK_SECOND);
	assert_int_equal(snapshot_pace_rows(&pace, 100000), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_limit), cmocka_unit_test(test_rows),  cmocka_unit_test(test_slow),
		cmocka_unit_test(test_workers),  cmocka_unit_test(test_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
