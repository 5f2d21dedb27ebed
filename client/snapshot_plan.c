/*
 * snapshot_plan.c
 *		What the server is asked for a snapshot.
 */
#include "snapshot_plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "log.h"
#include "pgconn.h"
#include "pgwait.h"
#include "position.h"
#include "snapshot_chunk.h"
#include "text.h"

static CdcStatus
impossible(bool required, CdcError *err)
{
	if (required)
		return CDC_STOP;
	log_line(LOG_INFO, "existing rows are not read: %s", err->message);
	return CDC_OK;
}

CdcStatus
snapshot_plan_prepare(PGconn *conn, CdcError *err)
{
	CdcStatus status = pgconn_query(conn, "RESET statement_timeout", NULL, err);

	if (status == CDC_OK)
		status = pgconn_query(conn, "RESET lock_timeout", NULL, err);
	return status;
}

CdcStatus
snapshot_plan_check(PGconn *conn, bool required, bool *possible, CdcError *err)
{
	/* functions of that name that are not the extension's would run with what our role may do */
	static const char sql[] =
		"SELECT pg_catalog.pg_is_in_recovery(), (SELECT pg_catalog.count(*) = 4 "
		"FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid "
		"WHERE e.extname = 'cdc_decoder' AND d.deptype = 'e' "
		"AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass "
		"AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid IN ("
		"pg_catalog.to_regprocedure('cdc.snapshot_relations(text[], oid)'), "
		"pg_catalog.to_regprocedure('cdc.key_bounds(oid, text[], text[], text[], integer)'), "
		"pg_catalog.to_regprocedure('cdc.write_watermark(oid, text, boolean)'), "
		"pg_catalog.to_regprocedure('cdc.read_chunk(text[], oid, text[], text[], text[], text, "
		"integer, integer, text, pg_lsn)')))";
	PGresult *result;
	bool in_recovery;
	bool installed;
	CdcStatus status = pgconn_query(conn, sql, &result, err);

	*possible = false;
	if (status != CDC_OK)
		return status;
	in_recovery = PQgetvalue(result, 0, 0)[0] == 't';
	installed = PQgetvalue(result, 0, 1)[0] == 't';
	PQclear(result);
	if (!installed)
	{
		cdc_error(err, CDC_STOP, "this database has no extension cdc_decoder, which reads them");
		cdc_error_hint(err, "CREATE EXTENSION cdc_decoder; as a superuser; or stream without "
							"existing rows: --snapshot=never.");
		return impossible(required, err);
	}
	if (in_recovery)
	{
		cdc_error(err, CDC_STOP, "the server is a standby, where watermarks cannot be written");
		cdc_error_hint(err, "Take the snapshot from the primary, or stream without existing rows: "
							"--snapshot=never.");
		return impossible(required, err);
	}
	status = snapshot_plan_prepare(conn, err);
	*possible = status == CDC_OK;
	return status;
}

/* Name, value, name, value ... */
static char *
options_json(const CdcOptions *options)
{
	struct json_object *array = json_object_new_array();
	char *text;

	for (int i = 0; i < options->num_plugin_options; i++)
	{
		json_object_array_add(array, json_object_new_string(options->plugin_options[i].name));
		json_object_array_add(array, json_object_new_string(options->plugin_options[i].value));
	}
	text = text_copy(json_object_to_json_string_ext(array, JSON_C_TO_STRING_PLAIN));
	json_object_put(array);
	return text;
}

static void
take_table(SnapshotPlan *plan, const PGresult *result, int row)
{
	SnapshotTable *table = &plan->tables[plan->num_tables++];

	table->relation = (uint32_t) strtoul(PQgetvalue(result, row, 0), NULL, 10);
	table->name = text_copy(PQgetvalue(result, row, 1));
	table->rows = PQgetisnull(result, row, 2) ? -1 : strtod(PQgetvalue(result, row, 2), NULL);
	table->bytes = strtod(PQgetvalue(result, row, 3), NULL);
	table->key = text_copy(PQgetvalue(result, row, 4));
	table->columns = atoi(PQgetvalue(result, row, 5));
	if (table->rows > 0)
		plan->estimated_rows += table->rows;
}

CdcStatus
snapshot_plan_send(SnapshotPlan *plan, PGconn *conn, const CdcOptions *options, uint32_t relation,
				   CdcError *err)
{
	static const char sql[] =
		"SELECT relation, pg_catalog.format('%I.%I', schema, name), rows, bytes, "
		"pg_catalog.to_json(key), coalesce(pg_catalog.cardinality(key), 0) "
		"FROM cdc.snapshot_relations(" SNAPSHOT_ARRAY_OF(
			"1") ", $2::pg_catalog.oid) ORDER BY relation";
	char number[16];
	const char *params[2] = {NULL, relation != 0 ? number : NULL};

	free(plan->options);
	plan->options = options_json(options);
	params[0] = plan->options;
	snprintf(number, sizeof(number), "%" PRIu32, relation);
	if (!PQsendQueryParams(conn, sql, 2, NULL, params, NULL, NULL, 0))
		return pgconn_error(conn, NULL, "looking for existing rows", err);
	return CDC_OK;
}

void
snapshot_plan_take(SnapshotPlan *plan, const PGresult *result)
{
	plan->tables = calloc((size_t) PQntuples(result) + 1, sizeof(*plan->tables));
	if (plan->tables == NULL)
		abort();
	for (int row = 0; row < PQntuples(result); row++)
		take_table(plan, result, row);
}

CdcStatus
snapshot_plan_read(SnapshotPlan *plan, PGconn *conn, const CdcOptions *options, CdcError *err)
{
	PGresult *result = NULL;
	CdcStatus status = snapshot_plan_send(plan, conn, options, 0, err);

	if (status == CDC_OK)
		status = pgwait_result(conn, 1, NULL, PGWAIT_TIMEOUT, &result, err);
	if (status == CDC_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
		status = pgconn_error(conn, result, "looking for existing rows", err);
	if (status == CDC_OK)
		snapshot_plan_take(plan, result);
	PQclear(result);
	return status;
}

bool
snapshot_plan_fits(const SnapshotPlan *plan, double max_bytes)
{
	for (int i = 0; i < plan->num_tables; i++)
	{
		const SnapshotTable *table = &plan->tables[i];

		if (table->columns > 0 || table->bytes <= max_bytes)
			continue;
		log_line(LOG_WARNING,
				 "existing rows are not read: table %s has no primary key to read it in parts by, "
				 "and is larger than %.0f MB; --snapshot=initial tries it all the same",
				 table->name, max_bytes / (1024 * 1024));
		return false;
	}
	return true;
}

void
snapshot_plan_free(SnapshotPlan *plan)
{
	for (int i = 0; i < plan->num_tables; i++)
	{
		free(plan->tables[i].name);
		free(plan->tables[i].key);
	}
	free(plan->tables);
	free(plan->options);
	memset(plan, 0, sizeof(*plan));
}

int
snapshot_plan_find(const SnapshotPlan *plan, uint32_t relation, bool past)
{
	int i = 0;

	while (i < plan->num_tables &&
		   (plan->tables[i].relation < relation || (past && plan->tables[i].relation == relation)))
		i++;
	return i;
}

void
snapshot_plan_watermark(char *watermark, const char *token, int worker, uint64_t number)
{
	snprintf(watermark, SNAPSHOT_WATERMARK_SIZE, "%s %d %" PRIu64, token, worker, number);
}

CdcStatus
snapshot_plan_mark(PGconn *conn, uint32_t relation, const char *watermark, bool high, CdcError *err)
{
	static const char sql[] =
		"SELECT begins, ends FROM cdc.write_watermark($1::pg_catalog.oid, $2::pg_catalog.text, "
		"$3::pg_catalog.bool)";
	char number[16];
	const char *params[] = {number, watermark, high ? "t" : "f"};

	snprintf(number, sizeof(number), "%" PRIu32, relation);
	if (!PQsendQueryParams(conn, sql, sizeof(params) / sizeof(params[0]), NULL, params, NULL, NULL,
						   0))
		return pgconn_error(conn, NULL, "writing a watermark", err);
	return CDC_OK;
}

uint64_t
snapshot_plan_mark_begins(const PGresult *result)
{
	uint64_t lsn = 0;

	(void) lsn_parse(PQgetvalue(result, 0, 0), &lsn);
	return lsn;
}

const char *
snapshot_plan_mark_ends(const PGresult *result)
{
	return PQgetvalue(result, 0, 1);
}

CdcStatus
snapshot_plan_ask_replayed(PGconn *conn, const char *behind, CdcError *err)
{
	static const char sql[] =
		"SELECT CASE WHEN pg_catalog.pg_is_in_recovery() "
		"THEN pg_catalog.pg_last_wal_replay_lsn() >= $1::pg_catalog.pg_lsn END";

	if (!PQsendQueryParams(conn, sql, 1, NULL, &behind, NULL, NULL, 0))
		return pgconn_error(conn, NULL, "asking a standby what it has replayed", err);
	return CDC_OK;
}

CdcStatus
snapshot_plan_replayed(const PGresult *result, bool *replayed, CdcError *err)
{
	if (PQgetisnull(result, 0, 0))
		return cdc_error(err, CDC_RETRY,
						 "the server that existing rows are read from is no standby any more");
	*replayed = PQgetvalue(result, 0, 0)[0] == 't';
	return CDC_OK;
}

/*
 * The function stands in a list of columns, not in FROM: there its result would be copied into a
 * tuplestore, and through a file where work_mem is less than that (ExecMakeTableFunctionResult(),
 * execSRF.c).  OFFSET 0 has it called once, not for each column (is_simple_subquery(), prepjointree.c).
 */
CdcStatus
snapshot_plan_ask(const SnapshotPlan *plan, PGconn *conn, const SnapshotAsk *ask, CdcError *err)
{
	/* clang-format off */
	static const char sql[] =
		"SELECT " SNAPSHOT_CHUNK_COLUMNS " FROM (SELECT cdc.read_chunk("
		SNAPSHOT_ARRAY_OF("1") ", $2::pg_catalog.oid, "
		SNAPSHOT_ARRAY_OF("3") ", " SNAPSHOT_ARRAY_OF("4") ", " SNAPSHOT_ARRAY_OF("5") ", "
		"$6::pg_catalog.text, $7::pg_catalog.int4, $8::pg_catalog.int4, $9::pg_catalog.text, "
		"$10::pg_catalog.pg_lsn) AS chunk OFFSET 0) AS answer";
	/* clang-format on */
	char relation[16];
	char max_rows[16];
	char max_bytes[16];
	const char *params[] = {plan->options,
							relation,
							ask->key[0] != '\0' ? ask->key : NULL,
							ask->after[0] != '\0' ? ask->after : NULL,
							ask->upto[0] != '\0' ? ask->upto : NULL,
							ask->filter,
							max_rows,
							max_bytes,
							ask->watermark,
							ask->behind};

	snprintf(relation, sizeof(relation), "%" PRIu32, ask->table->relation);
	snprintf(max_rows, sizeof(max_rows), "%d", ask->max_rows);
	snprintf(max_bytes, sizeof(max_bytes), "%d", ask->max_bytes);
	if (!PQsendQueryParams(conn, sql, sizeof(params) / sizeof(params[0]), NULL, params, NULL, NULL,
						   1))
		return pgconn_error(conn, NULL, "reading existing rows", err);
	return CDC_OK;
}
