/*
 * test_snapshot_progress.c
 *		How many existing rows there are, and how long they take yet.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "log.h"
#include "snapshot_progress.h"

#define NOW (100 * CLOCK_SECOND)

/* The last was never analyzed: rows of as many bytes as the others'. */
static SnapshotTable tables[] = {
	{.relation = 1, .name = "public.a", .rows = 1000, .bytes = 50000},
	{.relation = 2, .name = "public.b", .rows = 3000, .bytes = 150000},
	{.relation = 3, .name = "public.c", .rows = -1, .bytes = 100000},
};
static const SnapshotPlan plan = {.num_tables = 3, .tables = tables};
static const CdcOptions options; /* --progress=off: nothing is shown */

static void
begin(SnapshotProgress *progress, int table, const SnapshotState *state)
{
	snapshot_progress_begin(progress, &plan, table, state, &options, NOW);
}

static void
test_estimates(void **state)
{
	SnapshotProgress progress;

	(void) state;
	begin(&progress, 0, &(SnapshotState){0});
	assert_int_equal((int) snapshot_progress_total(&progress), 1000 + 3000 + 2000);
	assert_true(snapshot_progress_seconds_left(&progress, NOW) < 0);
	snapshot_progress_chunk(&progress, 0, 500, 500, 1, false, NOW + CLOCK_SECOND);
	assert_int_equal((int) snapshot_progress_total(&progress), 6000);
	assert_int_equal((int) (snapshot_progress_seconds_left(&progress, NOW + CLOCK_SECOND) + 0.5),
					 11);
}

/* What turns out otherwise. */
static void
test_corrections(void **state)
{
	SnapshotProgress progress;

	(void) state;
	begin(&progress, 0, &(SnapshotState){0});
	/* it has fewer rows */
	snapshot_progress_chunk(&progress, 0, 400, 400, 1, true, NOW + CLOCK_SECOND);
	assert_int_equal((int) snapshot_progress_total(&progress), 400 + 3000 + 2000);
	/* it has more; of 100 changes have come instead */
	snapshot_progress_chunk(&progress, 1, 5000, 4900, 1, false, NOW + CLOCK_SECOND);
	assert_int_equal((int) snapshot_progress_total(&progress), 400 + 4900 + 2000);
	/* the last one is left out */
	snapshot_progress_chunk(&progress, 1, 100, 100, 1, true, NOW + CLOCK_SECOND);
	assert_int_equal((int) snapshot_progress_total(&progress), 400 + 5000 + 2000);
	snapshot_progress_chunk(&progress, 2, 2000, 2000, 1, true, NOW + CLOCK_SECOND);
	assert_int_equal((int) snapshot_progress_total(&progress), 7400);
	assert_true(snapshot_progress_seconds_left(&progress, NOW + CLOCK_SECOND) < 0.001);
}

static void
test_going_on(void **state)
{
	SnapshotProgress progress;

	(void) state;
	/* amid the second table */
	begin(&progress, 1, &(SnapshotState){.relation = 2, .rows = 1500});
	assert_int_equal((int) snapshot_progress_total(&progress), 6000);
	snapshot_progress_chunk(&progress, 1, 500, 500, 1, false, NOW + CLOCK_SECOND);
	assert_int_equal((int) snapshot_progress_total(&progress), 6000);
	assert_int_equal((int) (snapshot_progress_seconds_left(&progress, NOW + CLOCK_SECOND) + 0.5),
					 8);
	/* behind it */
	begin(&progress, 2, &(SnapshotState){.relation = 2, .table_done = true, .rows = 4500});
	assert_int_equal((int) snapshot_progress_total(&progress), 6500);
	/* nothing is left */
	begin(&progress, 3, &(SnapshotState){.relation = 3, .table_done = true, .rows = 4500});
	assert_int_equal((int) snapshot_progress_total(&progress), 4500);
}

/* What a log is told; on a terminal the lines are handed over to be drawn (test_log.c). */
static void
test_lines(void **state)
{
	static const CdcOptions shown = {.progress = true, .progress_interval = 10 * CLOCK_SECOND};
	SnapshotProgress progress;
	FILE *captured = tmpfile();
	char text[1000] = "";
	int saved = dup(STDERR_FILENO);

	(void) state;
	assert_non_null(captured);
	dup2(fileno(captured), STDERR_FILENO);
	snapshot_progress_begin(&progress, &plan, 0, &(SnapshotState){0}, &shown, NOW);
	snapshot_progress_show(&progress, NOW + 20 * CLOCK_SECOND); /* nothing has come yet */
	snapshot_progress_chunk(&progress, 0, 600, 600, 300000, false, NOW + 5 * CLOCK_SECOND);
	snapshot_progress_show(&progress, NOW + 5 * CLOCK_SECOND); /* too early */
	snapshot_progress_show(&progress, NOW + 20 * CLOCK_SECOND);
	log_setup_progress(true, CLOCK_SECOND);
	snapshot_progress_show(&progress, NOW + 40 * CLOCK_SECOND); /* drawn instead */
	snapshot_progress_end(&progress);
	snapshot_progress_show(&progress, NOW + 60 * CLOCK_SECOND);
	log_setup_progress(false, 0);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(captured);
	assert_true(fread(text, 1, sizeof(text) - 1, captured) > 0);
	fclose(captured);
	assert_non_null(strstr(text, " INFO    snapshot: 600 of about 6000 rows, 0.3 MB, 30 rows/s, "
								 "about 180 s left; in table public.a\n"));
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1); /* the only one */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_estimates),
		cmocka_unit_test(test_corrections),
		cmocka_unit_test(test_going_on),
		cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
