/*
 * snapshot_progress.c
 *		How far existing rows have come.
 */
#include "snapshot_progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "log.h"

/* As stored, where no table's number of rows is known. */
#define ASSUMED_ROW_BYTES 100.0

/* As often as the line below is drawn (pump.c). */
#define DRAW_INTERVAL (CLOCK_SECOND / 5)

/* Of a table that was never analyzed its size tells, with rows as large as those of the others. */
static double
estimated_rows(const SnapshotPlan *plan, int table)
{
	double rows = 0;
	double bytes = 0;

	if (plan->tables[table].rows >= 0)
		return plan->tables[table].rows;
	for (int i = 0; i < plan->num_tables; i++)
	{
		if (plan->tables[i].rows <= 0)
			continue;
		rows += plan->tables[i].rows;
		bytes += plan->tables[i].bytes;
	}
	return plan->tables[table].bytes / (bytes > 0 ? bytes / rows : ASSUMED_ROW_BYTES);
}

static double
estimated_sum(const SnapshotPlan *plan, int from, int to)
{
	double sum = 0;

	for (int i = from; i < to; i++)
		sum += estimated_rows(plan, i);
	return sum;
}

static double
at_least_zero(double number)
{
	return number > 0 ? number : 0;
}

/* Goes over to another table; those left out in between were dropped, or are empty. */
static void
begin_table(SnapshotProgress *progress, int table, double before, int64_t now)
{
	progress->table = table;
	progress->done = false;
	progress->table_began = now;
	progress->table_before = before;
	progress->table_read = 0;
	progress->table_rows = progress->table_bytes = 0;
	progress->left = estimated_sum(progress->plan, table + 1, progress->plan->num_tables);
}

void
snapshot_progress_begin(SnapshotProgress *progress, const SnapshotPlan *plan, int table,
						const SnapshotState *state, const CdcOptions *options, int64_t now)
{
	bool amid = table < plan->num_tables && plan->tables[table].relation == state->relation &&
				!state->table_done;

	memset(progress, 0, sizeof(*progress));
	progress->plan = plan;
	progress->interval = options->progress ? options->progress_interval : 0;
	progress->began = progress->shown = now;
	progress->rows_before = (double) state->rows;
	progress->table = -1;
	progress->left = estimated_sum(plan, table, plan->num_tables);
	if (amid)
		begin_table(progress, table,
					at_least_zero(progress->rows_before - estimated_sum(plan, 0, table)), now);
}

/* What is left of the table at hand, as far as can be told. */
static double
table_left(const SnapshotProgress *progress)
{
	if (progress->table < 0 || progress->done)
		return 0;
	return at_least_zero(estimated_rows(progress->plan, progress->table) - progress->table_before -
						 progress->table_read);
}

double
snapshot_progress_total(const SnapshotProgress *progress)
{
	return progress->rows_before + (double) progress->rows + table_left(progress) + progress->left;
}

static double
seconds_since(int64_t then, int64_t now)
{
	return now > then ? (double) (now - then) / CLOCK_SECOND : 1.0 / CLOCK_SECOND;
}

double
snapshot_progress_seconds_left(const SnapshotProgress *progress, int64_t now)
{
	if (progress->read <= 0)
		return -1;
	return (table_left(progress) + progress->left) * seconds_since(progress->began, now) /
		   progress->read;
}

static void
log_table(const SnapshotProgress *progress, int64_t now)
{
	double seconds = seconds_since(progress->table_began, now);

	log_line(LOG_INFO,
			 "snapshot: table %s is through, %" PRIu64
			 " rows of %.1f MB in %.1f s; %.0f rows of all tables so far",
			 progress->plan->tables[progress->table].name, progress->table_rows,
			 (double) progress->table_bytes / 1e6, seconds,
			 progress->rows_before + (double) progress->rows);
}

void
snapshot_progress_chunk(SnapshotProgress *progress, int table, uint32_t read, uint32_t rows,
						uint64_t bytes, bool through, int64_t now)
{
	if (table != progress->table)
		begin_table(progress, table, 0, now);
	progress->read += read;
	progress->rows += rows;
	progress->bytes += bytes;
	progress->table_read += read;
	progress->table_rows += rows;
	progress->table_bytes += bytes;
	progress->done = through;
	if (through)
		log_table(progress, now);
}

/* "120000 of about 500000 rows, 24.1 MB, 81234 rows/s, about 5 s left" */
static void
format_part(char *text, size_t size, double rows, double total, double bytes, double rate,
			double seconds_left)
{
	size_t used = (size_t) snprintf(text, size, "%.0f of about %.0f rows, %.1f MB, %.0f rows/s",
									rows, total > rows ? total : rows, bytes / 1e6, rate);

	if (seconds_left >= 0 && used < size)
		snprintf(text + used, size - used, ", about %.0f s left", seconds_left);
}

static void
format_table(const SnapshotProgress *progress, char *text, size_t size, int64_t now)
{
	double seconds = seconds_since(progress->table_began, now);
	double rate = (double) progress->table_rows / seconds;
	double rows = progress->table_before + (double) progress->table_rows;
	char part[160];

	format_part(
		part, sizeof(part), rows, rows + table_left(progress), (double) progress->table_bytes, rate,
		progress->table_read > 0 ? table_left(progress) * seconds / progress->table_read : -1);
	snprintf(text, size, "snapshot of %s: %s", progress->plan->tables[progress->table].name, part);
}

static void
format_total(const SnapshotProgress *progress, char *text, size_t size, int64_t now)
{
	char part[160];

	format_part(part, sizeof(part), progress->rows_before + (double) progress->rows,
				snapshot_progress_total(progress), (double) progress->bytes,
				(double) progress->rows / seconds_since(progress->began, now),
				snapshot_progress_seconds_left(progress, now));
	snprintf(text, size, "snapshot: %s", part);
}

void
snapshot_progress_show(SnapshotProgress *progress, int64_t now)
{
	char lines[2][LOG_LINE_SIZE];
	const char *shown[2] = {lines[0], lines[1]};

	if (progress->interval == 0 || progress->table < 0 || now - progress->drawn < DRAW_INTERVAL)
		return;
	progress->drawn = now;
	format_total(progress, lines[1], sizeof(lines[1]), now);
	format_table(progress, lines[0], sizeof(lines[0]), now);
	if (log_progress_above(shown, 2) || now - progress->shown < progress->interval)
		return;
	progress->shown = now;
	log_line(LOG_INFO, "%s; in table %s", lines[1], progress->plan->tables[progress->table].name);
}

void
snapshot_progress_end(SnapshotProgress *progress)
{
	if (progress->interval != 0)
		log_progress_above(NULL, 0);
	progress->interval = 0;
}
