/*
 * slot_commands.c
 *		The subcommands slot create, copy, drop and list.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "json_out.h"
#include "log.h"
#include "position.h"
#include "slot.h"
#include "slot_report.h"

static void
log_notice(const char *line)
{
	log_line(LOG_WARNING, "%s", line);
}

/* An existing slot is as good only if it could be streamed. */
static CdcStatus
accept_existing(PGconn *repl, const CdcOptions *options, bool *exists, CdcError *err)
{
	SlotInfo info;
	CdcStatus status = slot_read(repl, options->slot, &info, err);

	*exists = false;
	if (status != CDC_OK || !info.exists)
		return status;
	*exists = true;
	status = slot_check_usable(&info, options->slot, PQdb(repl), err);
	if (status == CDC_OK)
		log_line(LOG_INFO, "replication slot \"%s\" exists already", options->slot);
	return status;
}

int
slot_create_main(const CdcOptions *options, const volatile int *interrupted)
{
	PGconn *repl = NULL;
	CdcError err;
	bool exists = false;
	uint64_t consistent_point = 0;
	char lsn[LSN_TEXT_SIZE];
	CdcStatus status = pgconn_open(&repl, options->dbname, PGCONN_REPLICATION, interrupted, &err);

	if (status == CDC_OK && options->if_not_exists)
		status = accept_existing(repl, options, &exists, &err);
	if (status == CDC_OK && !exists)
	{
		status = slot_create(repl, options->dbname, options->slot, options->failover, interrupted,
							 log_notice, &consistent_point, &err);
		/* Whoever asked for a slot has none, and nobody tries again. */
		if (status == CDC_RETRY && *interrupted != 0)
			status = CDC_STOP;
		if (status == CDC_OK)
			log_line(LOG_INFO, "replication slot \"%s\" was created; its records begin at %s",
					 options->slot, lsn_format(lsn, consistent_point));
	}
	PQfinish(repl);
	if (status != CDC_OK)
		log_error(LOG_ERROR, &err);
	return (int) status;
}

/* The copy begins where the slot is confirmed, and keeps the WAL from there until it is dropped. */
int
slot_copy_main(const CdcOptions *options, const volatile int *interrupted)
{
	const char *params[] = {options->slot, options->to_slot};
	PGconn *conn = NULL;
	PGresult *result = NULL;
	SlotInfo info;
	CdcError err;
	CdcStatus status = pgconn_open(&conn, options->dbname, PGCONN_SQL, interrupted, &err);

	if (status == CDC_OK)
		status = slot_read(conn, options->slot, &info, &err);
	if (status == CDC_OK)
		status = slot_check_usable(&info, options->slot, PQdb(conn), &err);
	if (status == CDC_OK)
		status = pgconn_query_params(
			conn, "SELECT lsn FROM pg_catalog.pg_copy_logical_replication_slot($1, $2)", 2, params,
			&result, &err);
	if (status == CDC_OK)
		log_line(LOG_INFO,
				 "replication slot \"%s\" was copied from \"%s\"; its records begin at %s",
				 options->to_slot, options->slot, PQgetvalue(result, 0, 0));
	PQclear(result);
	PQfinish(conn);
	if (status != CDC_OK)
		log_error(LOG_ERROR, &err);
	return (int) status;
}

/* Dropping what is somebody else's, or in use, is never what was meant. */
static CdcStatus
check_droppable(const SlotInfo *info, const char *slot, CdcError *err)
{
	if (!info->exists)
	{
		cdc_error(err, CDC_USAGE, "replication slot \"%s\" does not exist", slot);
		cdc_error_hint(err, "cdc_client slot list shows those there are.");
		return CDC_USAGE;
	}
	if (strcmp(info->plugin, PGCONN_PLUGIN) != 0)
	{
		cdc_error(err, CDC_USAGE,
				  "replication slot \"%s\" is not of plugin " PGCONN_PLUGIN
				  " but of \"%s\"; it is left alone",
				  slot, info->plugin[0] != '\0' ? info->plugin : "physical replication");
		cdc_error_hint(err, "If it really is to go: SELECT pg_drop_replication_slot('%s');", slot);
		return CDC_USAGE;
	}
	if (info->active)
	{
		cdc_error(err, CDC_STOP, "replication slot \"%s\" is active: pid %d streams from it", slot,
				  info->active_pid);
		cdc_error_hint(err, "Stop that client first, or: SELECT pg_terminate_backend(%d);",
					   info->active_pid);
		return CDC_STOP;
	}
	return CDC_OK;
}

int
slot_drop_main(const CdcOptions *options, const volatile int *interrupted)
{
	const char *params[] = {options->slot};
	PGconn *conn = NULL;
	SlotInfo info;
	CdcError err;
	CdcStatus status = pgconn_open(&conn, options->dbname, PGCONN_SQL, interrupted, &err);

	if (status == CDC_OK)
		status = slot_read(conn, options->slot, &info, &err);
	if (status == CDC_OK)
		status = check_droppable(&info, options->slot, &err);
	if (status == CDC_OK)
	{
		status = pgconn_query_params(conn, "SELECT pg_catalog.pg_drop_replication_slot($1)", 1,
									 params, NULL, &err);
		/* Taken by a client between the two: no different from being active at once. */
		if (status == CDC_RETRY && strcmp(err.sqlstate, "55006") == 0)
			status = CDC_STOP;
	}
	if (status == CDC_OK)
		log_line(LOG_INFO, "replication slot \"%s\" was dropped", options->slot);
	PQfinish(conn);
	if (status != CDC_OK)
		log_error(LOG_ERROR, &err);
	return (int) status;
}

int
slot_list_main(const CdcOptions *options, const volatile int *interrupted)
{
	PGconn *conn = NULL;
	PGresult *result = NULL;
	CdcError err;
	CdcStatus status = pgconn_open(&conn, options->dbname, PGCONN_SQL, interrupted, &err);

	if (status == CDC_OK)
		status = slot_report_read(conn, options->slot, false, &result, &err);
	if (status == CDC_OK && options->slot != NULL && PQntuples(result) == 0)
		status = cdc_error(&err, CDC_USAGE, "logical replication slot \"%s\" does not exist",
						   options->slot);
	if (status == CDC_OK && options->json)
	{
		struct json_object *list = json_object_new_array();

		for (int row = 0; row < PQntuples(result); row++)
			json_object_array_add(list, slot_report_json(result, row));
		json_write_line(stdout, list);
	}
	else if (status == CDC_OK)
		slot_report_table(stdout, result);
	PQclear(result);
	PQfinish(conn);
	if (status != CDC_OK)
		log_error(LOG_ERROR, &err);
	return (int) status;
}
