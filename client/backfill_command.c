/*
 * backfill_command.c
 *		The subcommand backfill.
 */
#include "backfill_command.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "pipeline_server.h"
#include "selection.h"

/* Who will serve it, as far as that is known: slots that a client has streamed from through the pipeline. */
static CdcStatus
warn_unserved(PipelineServer *server, const char *number, const char *pipeline, CdcError *err)
{
	static const char sql[] =
		"SELECT pg_catalog.count(b.slot) > 0, coalesce(pg_catalog.bool_or(s.active), false) "
		"FROM cdc.backfills b LEFT JOIN pg_catalog.pg_replication_slots s ON s.slot_name = b.slot "
		"WHERE b.id = $1::bigint";
	PGresult *result;
	CdcError warning;
	CdcStatus status =
		pipeline_server_ask(server, "looking for slots", sql, 1, &number, &result, err);

	if (status != CDC_OK)
		return status;
	if (PQgetvalue(result, 0, 0)[0] != 't')
	{
		(void) cdc_error(&warning, CDC_OK,
						 "no slot's client has streamed through pipeline \"%s\" yet", pipeline);
		cdc_error_hint(&warning,
					   "The rows come once one does: cdc_client stream --pipeline=%s ... Through "
					   "a slot that is made only then they come with --snapshot=initial.",
					   pipeline);
		log_error(LOG_WARNING, &warning);
	}
	else if (PQgetvalue(result, 0, 1)[0] != 't')
		log_line(LOG_WARNING,
				 "no client streams through pipeline \"%s\" now: the rows come once it is started",
				 pipeline);
	PQclear(result);
	return CDC_OK;
}

static CdcStatus
request(PipelineServer *server, const CdcOptions *options, CdcError *err)
{
	const char *pipeline = selection_option(options, "pipeline");
	const char *params[] = {pipeline, options->relation, options->where};
	PGresult *result;
	CdcStatus status =
		pipeline_server_ask(server, "requesting existing rows",
							"SELECT cdc.backfill($1::name, $2::pg_catalog.regclass, $3::text)", 3,
							params, &result, err);

	if (status != CDC_OK)
		return status;
	puts(PQgetvalue(result, 0, 0));
	/* not lost with a connection that breaks now */
	fflush(stdout);
	status = warn_unserved(server, PQgetvalue(result, 0, 0), pipeline, err);
	PQclear(result);
	return status;
}

static CdcStatus
cancel(PipelineServer *server, const CdcOptions *options, CdcError *err)
{
	char number[24];
	const char *params[] = {number};
	CdcStatus status;

	snprintf(number, sizeof(number), "%" PRIu64, options->cancel);
	status = pipeline_server_ask(server, "cancelling the request",
								 "SELECT cdc.cancel_backfill($1::bigint)", 1, params, NULL, err);
	if (status == CDC_OK)
		log_line(LOG_INFO, "request %s is cancelled: clients stop at their next chunk of rows",
				 number);
	return status;
}

/* One line of JSON: a list of requests, each with the slots that serve it. */
static CdcStatus
put_json(PipelineServer *server, const char *pipeline, CdcError *err)
{
	static const char sql[] =
		"SELECT coalesce(pg_catalog.json_agg(r.request ORDER BY r.id), '[]') FROM ("
		"SELECT b.id, pg_catalog.json_build_object('id', b.id, 'pipeline', b.pipeline, "
		"'relation', b.relation, 'filter', b.filter, 'requested_at', b.requested_at, "
		"'requested_by', b.requested_by, 'state', CASE WHEN pg_catalog.count(b.slot) = 0 "
		"THEN pg_catalog.min(b.state) END, 'slots', coalesce(pg_catalog.json_agg("
		"pg_catalog.json_build_object('slot', b.slot, 'state', b.state, 'rows', b.rows, "
		"'reading', b.reading, 'message', b.message, 'began_at', b.began_at, "
		"'updated_at', b.updated_at) ORDER BY b.slot) FILTER (WHERE b.slot IS NOT NULL), '[]')) "
		"AS request FROM cdc.backfills b WHERE $1::name IS NULL OR b.pipeline = $1::name "
		"GROUP BY b.id, b.pipeline, b.relation, b.filter, b.requested_at, b.requested_by) r";
	PGresult *result;
	CdcStatus status =
		pipeline_server_ask(server, "reading requests", sql, 1, &pipeline, &result, err);

	if (status != CDC_OK)
		return status;
	/* json_agg() breaks lines between elements only */
	for (const char *c = PQgetvalue(result, 0, 0); *c != '\0'; c++)
		if (*c != '\n')
			putchar(*c);
	putchar('\n');
	PQclear(result);
	return CDC_OK;
}

static const char *
value(const PGresult *result, int row, const char *name)
{
	int column = PQfnumber(result, name);

	return PQgetisnull(result, row, column) ? NULL : PQgetvalue(result, row, column);
}

static void
put_request(const PGresult *result, int row)
{
	const char *filter = value(result, row, "filter");

	printf("request %s of pipeline %s: %s%s%s\n", value(result, row, "id"),
		   value(result, row, "pipeline"), value(result, row, "relation"),
		   filter != NULL ? " where " : "", filter != NULL ? filter : "");
	printf("  %-24s%s by %s\n", "requested", value(result, row, "requested_at"),
		   value(result, row, "requested_by"));
}

static void
put_slot(const PGresult *result, int row)
{
	const char *slot = value(result, row, "slot");
	const char *began = value(result, row, "began_at");
	const char *state = value(result, row, "state");
	const char *reading = value(result, row, "reading");
	const char *message = value(result, row, "message");
	bool running = strcmp(state, "running") == 0;

	if (slot == NULL)
		printf("  %-24s%s\n", "no slot yet", state);
	else if (began == NULL)
		printf("  slot %-19s%s\n", slot, state);
	else
		printf("  slot %-19s%s, %s rows%s%s, %s %s%s%s\n", slot, state, value(result, row, "rows"),
			   running && reading != NULL ? ", reading " : "",
			   running && reading != NULL ? reading : "", running ? "since" : "at",
			   running ? began : value(result, row, "updated_at"), message != NULL ? ": " : "",
			   message != NULL ? message : "");
}

static CdcStatus
put_text(PipelineServer *server, const char *pipeline, CdcError *err)
{
	static const char sql[] = "SELECT * FROM cdc.backfills WHERE $1::name IS NULL OR pipeline = "
							  "$1::name ORDER BY id, slot";
	PGresult *result;
	CdcStatus status =
		pipeline_server_ask(server, "reading requests", sql, 1, &pipeline, &result, err);

	if (status != CDC_OK)
		return status;
	if (PQntuples(result) == 0)
		puts("no existing rows were requested");
	for (int row = 0; row < PQntuples(result); row++)
	{
		if (row == 0 || strcmp(value(result, row, "id"), value(result, row - 1, "id")) != 0)
			put_request(result, row);
		put_slot(result, row);
	}
	PQclear(result);
	return CDC_OK;
}

int
backfill_main(const CdcOptions *options, const volatile int *interrupted)
{
	PipelineServer server;
	CdcError err;
	CdcStatus status = pipeline_server_open(&server, options->dbname, interrupted, &err);

	if (status == CDC_OK && options->cancel > 0)
		status = cancel(&server, options, &err);
	else if (status == CDC_OK && options->status && options->json)
		status = put_json(&server, selection_option(options, "pipeline"), &err);
	else if (status == CDC_OK && options->status)
		status = put_text(&server, selection_option(options, "pipeline"), &err);
	else if (status == CDC_OK)
		status = request(&server, options, &err);
	pipeline_server_close(&server);
	if (status != CDC_OK)
		log_error(LOG_ERROR, &err);
	return (int) status;
}
