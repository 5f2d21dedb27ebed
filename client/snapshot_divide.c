/*
 * snapshot_divide.c
 *		A large table's range of keys divided.
 */
#include "snapshot_divide.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"
#include "pgconn.h"

/* Smaller tables are read sooner than divided. */
#define MIN_BYTES (4.0 * 1024 * 1024)

/*
 * Into so many parts for each worker: at the end all but one wait for the last part, which is therefore to be a
 * small one.
 */
#define PARTS_PER_WORKER 8

bool
snapshot_divide_wanted(const Snapshot *snapshot, const SnapshotWork *work,
					   const SnapshotRange *range)
{
	const SnapshotTable *table = &snapshot->job.plan.tables[work->table];
	int idle = 0;

	if (snapshot->num_workers == 1 || table->columns == 0 || table->bytes < MIN_BYTES ||
		range->divided || range->attempts > 0)
		return false;
	for (int i = 0; i < snapshot->num_workers; i++)
		idle += snapshot->workers[i].stage == WORKER_IDLE;
	return snapshot_ranges_count_free(&work->ranges) < idle;
}

CdcStatus
snapshot_divide_ask(const Snapshot *snapshot, SnapshotWorker *worker, const SnapshotWork *work,
					const SnapshotRange *range, CdcError *err)
{
	static const char sql[] = "SELECT pg_catalog.to_json(bound) FROM cdc.key_bounds("
							  "$1::pg_catalog.oid, " SNAPSHOT_ARRAY_OF("2") ", " SNAPSHOT_ARRAY_OF(
								  "3") ", " SNAPSHOT_ARRAY_OF("4") ", $5::pg_catalog.int4) "
																   "ORDER BY n";
	char relation[16];
	char parts[16];
	const char *params[] = {relation, work->key, range->after[0] != '\0' ? range->after : NULL,
							range->upto[0] != '\0' ? range->upto : NULL, parts};

	worker->stage = WORKER_DIVIDES;
	snprintf(relation, sizeof(relation), "%" PRIu32,
			 snapshot->job.plan.tables[work->table].relation);
	snprintf(parts, sizeof(parts), "%d", snapshot->num_workers * PARTS_PER_WORKER);
	if (!PQsendQueryParams(worker->conn, sql, sizeof(params) / sizeof(params[0]), NULL, params,
						   NULL, NULL, 0))
		return pgconn_error(worker->conn, NULL, "dividing a table's existing rows", err);
	return CDC_OK;
}

void
snapshot_divide_answer(Snapshot *snapshot, const SnapshotWorker *worker, PGresult *result)
{
	int num_bounds = PQresultStatus(result) == PGRES_TUPLES_OK ? PQntuples(result) : 0;
	char **bounds = calloc((size_t) num_bounds + 1, sizeof(*bounds));

	if (bounds == NULL)
		abort();
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		/* reading it will say what stands in the way, if it still does */
		log_line(LOG_DEBUG, "snapshot: a table cannot be divided: %s",
				 PQresultErrorMessage(result));
	for (int i = 0; i < num_bounds; i++)
		bounds[i] = PQgetvalue(result, i, 0);
	for (int i = 0; i < snapshot->num_works; i++)
		snapshot_ranges_divide(&snapshot->works[i].ranges, worker->chunk, bounds, num_bounds);
	log_line(LOG_DEBUG, "snapshot: a range of keys divided into %d", num_bounds + 1);
	free(bounds);
	PQclear(result);
}
