/*
 * snapshot_standby.c
 *		Existing rows that are read on a standby.
 */
#include "snapshot_standby.h"

#include <stdio.h>
#include <string.h>

#include "log.h"
#include "pgconn.h"
#include "snapshot_plan.h"

/* What the server that --snapshot-from leads to says of itself. */
typedef struct Standby
{
	bool in_recovery;
	bool same_cluster;
	bool same_database;
	bool same_server; /* as the stream's */
} Standby;

static CdcStatus
look(const Session *session, PGconn *conn, Standby *standby, CdcError *err)
{
	static const char sql[] =
		"SELECT pg_catalog.pg_is_in_recovery(), "
		"(SELECT system_identifier FROM pg_catalog.pg_control_system())::pg_catalog.text = $1, "
		"pg_catalog.current_database() = $2, EXISTS (SELECT FROM pg_catalog.pg_replication_slots "
		"WHERE slot_name = $3 AND active_pid = $4)";
	char pid[16];
	const char *params[] = {session->identity.system_identifier, session->identity.database,
							session->state->options->slot, pid};
	PGresult *result;
	CdcStatus status;

	snprintf(pid, sizeof(pid), "%d", session->slot.active_pid);
	status =
		pgconn_query_params(conn, sql, sizeof(params) / sizeof(params[0]), params, &result, err);
	if (status != CDC_OK)
		return status;
	standby->in_recovery = PQgetvalue(result, 0, 0)[0] == 't';
	standby->same_cluster = PQgetvalue(result, 0, 1)[0] == 't';
	standby->same_database = PQgetvalue(result, 0, 2)[0] == 't';
	standby->same_server = PQgetvalue(result, 0, 3)[0] == 't';
	PQclear(result);
	return CDC_OK;
}

static CdcStatus
refuse(const PGconn *conn, const char *what, CdcError *err)
{
	cdc_error(err, CDC_STOP,
			  "existing rows cannot be read from \"%s\", port %s (--snapshot-from): %s",
			  PQhost(conn), PQport(conn), what);
	cdc_error_hint(err, "It takes a physical standby of the server that the stream comes from, and "
						"the same database; without --snapshot-from rows are read from that "
						"server itself.");
	return CDC_STOP;
}

CdcStatus
snapshot_standby_open(const Session *session, SnapshotWorker *worker, CdcError *err)
{
	const StreamState *stream = session->state;
	Standby standby = {0};
	PGconn *conn = NULL;
	CdcStatus status =
		pgconn_open(&conn, stream->options->snapshot_from, PGCONN_SQL, stream->interrupted, err);

	if (status == CDC_OK)
		status = look(session, conn, &standby, err);
	if (status == CDC_OK && !standby.same_cluster)
		status = refuse(conn, "it is another database cluster", err);
	else if (status == CDC_OK && !standby.same_database)
		status = refuse(conn, "that is another database", err);
	else if (status == CDC_OK && !standby.in_recovery && !standby.same_server)
		status = refuse(conn, "it is no standby, and not where the stream comes from", err);
	if (status == CDC_OK && standby.in_recovery)
		status = snapshot_plan_prepare(conn, err);
	if (status != CDC_OK || !standby.in_recovery)
	{
		if (status == CDC_OK)
			log_line(LOG_WARNING,
					 "\"%s\", port %s (--snapshot-from) is no standby, but the server that the "
					 "stream comes from: existing rows are read there",
					 PQhost(conn), PQport(conn));
		PQfinish(conn);
		return status;
	}
	worker->marker = worker->conn;
	worker->conn = conn;
	return CDC_OK;
}
