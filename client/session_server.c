/*
 * session_server.c
 *		The server's part of a session's beginning.
 */
#include "session_server.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "pgwait.h"
#include "selection.h"
#include "source_name.h"

static void
log_notice(const char *line)
{
	log_line(LOG_INFO, "%s", line);
}

static CdcStatus
query_one(PGconn *conn, const char *sql, char *value, size_t size, CdcError *err)
{
	PGresult *result;
	CdcStatus status = pgconn_query(conn, sql, &result, err);

	if (status != CDC_OK)
		return status;
	if (PQntuples(result) == 1 && PQnfields(result) == 1)
		snprintf(value, size, "%s", PQgetvalue(result, 0, 0));
	else
		status = cdc_error(err, CDC_RETRY, "the server answered \"%s\" without a row", sql);
	PQclear(result);
	return status;
}

/* How the server came to its timeline; asked before the slot is acquired, as then no more can be. */
static CdcStatus
read_history(Session *session, CdcError *err)
{
	uint32_t timeline = session->identity.timeline;
	PGresult *result;
	char command[64];
	CdcStatus status;

	session->history.current = timeline;
	if (timeline <= 1) /* which has no history, and asking for it is an error */
		return CDC_OK;
	snprintf(command, sizeof(command), "TIMELINE_HISTORY %" PRIu32, timeline);
	status = pgconn_query(session->conn, command, &result, err);
	if (status != CDC_OK)
		return status;
	if (PQntuples(result) == 1 && PQnfields(result) == 2)
		status = timeline_history_parse(&session->history, timeline, PQgetvalue(result, 0, 1),
										(size_t) PQgetlength(result, 0, 1), err);
	else
		status = cdc_error(err, CDC_RETRY, "the server answered %s without a row", command);
	PQclear(result);
	return status;
}

/*
 * A server that decodes a large transaction of which nothing is selected speaks when half of its
 * wal_sender_timeout has passed, and not before (WalSndUpdateProgress in walsender.c): that has to come
 * before we take it for dead.  One that is set for the role, the database or the connection stays.
 */
static CdcStatus
settle_timeouts(Session *session, CdcError *err)
{
	const CdcOptions *options = session->state->options;
	int64_t wanted = options->receive_timeout * 3 / 2;
	int64_t timeout;
	PGresult *result = NULL;
	char sql[160];
	CdcStatus status;

	snprintf(sql, sizeof(sql),
			 "SELECT pg_catalog.set_config(name, '%" PRId64 "', false) FROM pg_catalog.pg_settings "
			 "WHERE name = 'wal_sender_timeout' AND source = 'session'",
			 wanted / (CLOCK_SECOND / 1000));
	if (wanted < PGCONN_WAL_SENDER_TIMEOUT_US)
		status = pgconn_query(session->conn, sql, NULL, err);
	else
		status = CDC_OK;
	if (status == CDC_OK)
		status = pgconn_query(session->conn,
							  "SELECT setting FROM pg_catalog.pg_settings "
							  "WHERE name = 'wal_sender_timeout'",
							  &result, err);
	if (status != CDC_OK)
		return status;
	timeout = strtoll(PQgetvalue(result, 0, 0), NULL, 10) * (CLOCK_SECOND / 1000);
	PQclear(result);
	session->receive_timeout = options->receive_timeout;
	if (timeout > 0 && session->receive_timeout < timeout / 4 * 3)
	{
		session->receive_timeout = timeout / 4 * 3;
		log_line(LOG_WARNING,
				 "--receive-timeout is %.1f s, but the server may be silent for half of its "
				 "wal_sender_timeout, which is set to %.1f s for this connection: taking %.1f s",
				 (double) options->receive_timeout / CLOCK_SECOND, (double) timeout / CLOCK_SECOND,
				 (double) session->receive_timeout / CLOCK_SECOND);
	}
	feedback_start(&session->feedback, options->status_interval, timeout, 0);
	session->feedback.prompt = session->state->sink->base.ops->keeps_no_position;
	return CDC_OK;
}

/* Who the server is, and what it can tell only before CopyBoth. */
CdcStatus
session_learn_server(Session *session, CdcError *err)
{
	const CdcOptions *options = session->state->options;
	char text[32] = "";
	CdcStatus status = pgconn_identify(session->conn, &session->identity, err);

	if (status == CDC_OK)
		status = read_history(session, err);
	if (status == CDC_OK)
		status = query_one(session->conn, "SELECT pg_catalog.pg_is_in_recovery()", text,
						   sizeof(text), err);
	session->in_recovery = text[0] == 't';
	if (status == CDC_OK)
		status = settle_timeouts(session, err);
	if (status != CDC_OK)
		return status;
	snprintf(session->source.system_identifier, sizeof(session->source.system_identifier), "%s",
			 session->identity.system_identifier);
	snprintf(session->source.database, sizeof(session->source.database), "%s",
			 session->identity.database);
	snprintf(session->source.slot, sizeof(session->source.slot), "%s", options->slot);
	return CDC_OK;
}

/* The slot as it stands, made if it is missing and --create-slot allows. */
static CdcStatus
find_slot(Session *session, CdcError *err)
{
	const CdcOptions *options = session->state->options;
	uint64_t consistent_point;
	char lsn[LSN_TEXT_SIZE];
	CdcStatus status = slot_read(session->conn, options->slot, &session->slot, err);

	if (status == CDC_OK && !session->slot.exists && options->create_slot)
	{
		status = slot_create(session->conn, options->dbname, options->slot, options->failover,
							 session->state->interrupted, log_notice, &consistent_point, err);
		if (status == CDC_OK)
		{
			session->state->slot_created = true;
			log_line(LOG_INFO, "created slot \"%s\" at %s", options->slot,
					 lsn_format(lsn, consistent_point));
			status = slot_read(session->conn, options->slot, &session->slot, err);
		}
	}
	if (status != CDC_OK)
		return status;
	if (!session->slot.exists)
	{
		cdc_error(err, CDC_STOP, "slot \"%s\" does not exist", options->slot);
		cdc_error_hint(
			err,
			"cdc_client slot list shows those there are.  To make it: cdc_client slot create "
			"--slot=%s, or stream --create-slot; it begins with what is committed from then on.%s",
			options->slot,
			session->identity.timeline > 1
				? " This server was promoted, and its primary's slots stayed behind unless they "
				  "were kept in step (PostgreSQL 17: slot create --failover). Make it before the "
				  "application writes here; a sink that was level with the primary then misses "
				  "nothing, and --accept=gap lets it go on."
				: "");
		return CDC_STOP;
	}
	return slot_check_usable(&session->slot, options->slot, session->identity.database, err);
}

/* Appends to a command that is being built; false: out of memory. */
static bool append(char **command, const char *fmt, ...) CDC_PRINTF(2, 3);

static bool
append(char **command, const char *fmt, ...)
{
	char *more = NULL;
	char *longer = NULL;
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&more, fmt, args) < 0)
		more = NULL;
	va_end(args);
	if (more != NULL && asprintf(&longer, "%s%s", *command != NULL ? *command : "", more) < 0)
		longer = NULL;
	free(more);
	if (longer == NULL)
		return false;
	free(*command);
	*command = longer;
	return true;
}

/* START_REPLICATION with all plugin options; malloc'd, NULL: out of memory. */
static char *
build_start_command(const CdcOptions *options, const char *token)
{
	char *command = NULL;
	char *slot = pgconn_quote_identifier(options->slot);
	bool good =
		slot != NULL && append(&command,
							   "START_REPLICATION SLOT %s LOGICAL 0/0 (\"framing\" 'frames', "
							   "\"protocol_version\" '1', \"watermarks\" '%s'",
							   slot, token);

	free(slot);
	for (int i = 0; i < options->num_plugin_options && good; i++)
	{
		char *name = pgconn_quote_identifier(options->plugin_options[i].name);
		char *value = pgconn_quote_literal(options->plugin_options[i].value);

		good = name != NULL && value != NULL && append(&command, ", %s %s", name, value);
		free(name);
		free(value);
	}
	if (good)
		good = append(&command, ")");
	if (!good)
	{
		free(command);
		return NULL;
	}
	return command;
}

static CdcStatus
start_replication(Session *session, CdcError *err)
{
	const CdcOptions *options = session->state->options;
	char *command = build_start_command(options, session->token);
	PGresult *result;
	char what[120];
	CdcStatus status;

	if (command == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	status = pgwait_result(session->conn, PQsendQuery(session->conn, command),
						   session->state->interrupted, PGWAIT_TIMEOUT, &result, err);
	free(command);
	if (status != CDC_OK)
		return status;
	snprintf(what, sizeof(what), "START_REPLICATION of slot \"%s\"", options->slot);
	if (PQresultStatus(result) != PGRES_COPY_BOTH)
		status = pgconn_error(session->conn, result, what, err);
	PQclear(result);
	if (status == CDC_OK && PQsetnonblocking(session->conn, 1) != 0)
		status = pgconn_error(session->conn, NULL, what, err);
	return status;
}

/*
 * The slot is not in use although it was acquired.	 If the walsender has ended, what it ended with says
 * more; else the second connection has led elsewhere.	 (Messages that have come meanwhile are dropped: the
 * session ends.)
 */
static CdcStatus
explain_inactive(Session *session, PGconn *sql, CdcError *err)
{
	const char *slot = session->state->options->slot;
	int length = PQconsumeInput(session->conn) ? 1 : -2;

	while (length > 0)
	{
		char *message = NULL;

		length = PQgetCopyData(session->conn, &message, 1);
		PQfreemem(message);
	}
	if (length < 0)
	{
		PGresult *result = PQgetResult(session->conn);
		CdcStatus status = pgconn_error(session->conn, result, "streaming", err);

		PQclear(result);
		return status;
	}
	cdc_error(
		err, CDC_RETRY,
		"slot \"%s\" is streamed from one server, but is not in use on the one that the second "
		"connection led to (\"%s\", port %s)",
		slot, PQhost(sql), PQport(sql));
	cdc_error_hint(err,
				   "Where --dbname names several servers, all connections must lead to the same "
				   "one: target_session_attrs=read-write finds the primary.");
	return CDC_RETRY;
}

/* Up to where the server has what it could have sent to anybody. */
static CdcStatus
read_wal_end(PGconn *sql, uint64_t *lsn, CdcError *err)
{
	char text[32] = "";
	CdcStatus status = query_one(sql,
								 "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() "
								 "THEN pg_catalog.pg_last_wal_replay_lsn() "
								 "ELSE pg_catalog.pg_current_wal_flush_lsn() END",
								 text, sizeof(text), err);

	if (status == CDC_OK && !lsn_parse(text, lsn))
		status = cdc_error(err, CDC_RETRY, "the server says that its WAL ends at \"%s\"", text);
	return status;
}

CdcStatus
session_read_wal_end(Session *session, uint64_t *lsn, CdcError *err)
{
	PGconn *sql = NULL;
	CdcStatus status = pgconn_open(&sql, session->state->options->dbname, PGCONN_SQL,
								   session->state->interrupted, err);

	if (status == CDC_OK)
		status = read_wal_end(sql, lsn, err);
	PQfinish(sql);
	return status;
}

/* Where the slot and the server are now that nobody else can move the slot. */
static CdcStatus
read_acquired_slot(Session *session, CdcError *err)
{
	const CdcOptions *options = session->state->options;
	PGconn *sql = NULL;
	CdcStatus status =
		pgconn_open(&sql, options->dbname, PGCONN_SQL, session->state->interrupted, err);

	if (status == CDC_OK)
		status = slot_read(sql, options->slot, &session->slot, err);
	if (status == CDC_OK && (!session->slot.exists || !session->slot.active))
		status = explain_inactive(session, sql, err);
	if (status == CDC_OK)
		status = read_wal_end(sql, &session->flush_lsn, err);
	if (status == CDC_OK)
		status = source_name_read(sql, options, session->identity.database, session->source.name,
								  sizeof(session->source.name), err);
	/* later it may be dropped, which the plugin tells: what was selected is still in the WAL */
	if (status == CDC_OK && !session->state->selection_known)
		status = selection_check(sql, options, err);
	if (status == CDC_OK)
		session->state->selection_known = true;
	PQfinish(sql);
	return status;
}

/* Says who has the slot, where the server tells: a pid alone leads nowhere from another machine. */
static void
add_holder(Session *session, CdcError *err)
{
	static const char query[] =
		"SELECT pg_catalog.format('pid %%s: application \"%%s\", user %%s, from %%s, connected "
		"since "
		"%%s', s.active_pid, a.application_name, a.usename, "
		"coalesce(pg_catalog.host(a.client_addr), 'a local socket'), "
		"pg_catalog.to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')) "
		"FROM pg_catalog.pg_replication_slots s JOIN pg_catalog.pg_stat_activity a "
		"ON a.pid = s.active_pid WHERE s.slot_name = '%s'";
	PGresult *result = NULL;
	char sql[sizeof(query) + 64];
	CdcError ignored;

	snprintf(sql, sizeof(sql), query, session->state->options->slot);
	if (pgconn_query(session->conn, sql, &result, &ignored) == CDC_OK && PQntuples(result) == 1)
		cdc_error_detail(err, "It is held by %s.", PQgetvalue(result, 0, 0));
	PQclear(result);
}

/* As START_REPLICATION would say it, but without an error a second in the server's log. */
static CdcStatus
check_free(Session *session, CdcError *err)
{
	if (!session->slot.active)
		return CDC_OK;
	cdc_error(err, CDC_RETRY, "replication slot \"%s\" is active for PID %d",
			  session->state->options->slot, session->slot.active_pid);
	snprintf(err->sqlstate, sizeof(err->sqlstate), "55006");
	cdc_error_hint(err, PGCONN_SLOT_HELD_HINT);
	add_holder(session, err);
	return CDC_RETRY;
}

CdcStatus
session_acquire_slot(Session *session, CdcError *err)
{
	CdcStatus status = find_slot(session, err);

	if (status == CDC_OK)
		status = check_free(session, err);
	if (status == CDC_OK)
		status = start_replication(session, err);
	if (status == CDC_OK)
		status = read_acquired_slot(session, err);
	return status;
}

CdcStatus
session_check_timeline(Session *session, bool *same, CdcError *err)
{
	ServerIdentity identity;
	PGconn *conn = NULL;
	char text[32] = "";
	CdcError ignored;
	CdcStatus status;

	*same = !session->in_recovery;
	if (*same || *session->state->interrupted != 0) /* which ends each wait for the server */
		return CDC_OK;
	status = pgconn_open(&conn, session->state->options->dbname, PGCONN_REPLICATION,
						 session->state->interrupted, &ignored);
	if (status == CDC_OK)
		status = pgconn_identify(conn, &identity, &ignored);
	if (status == CDC_OK)
		status =
			query_one(conn, "SELECT pg_catalog.pg_is_in_recovery()", text, sizeof(text), &ignored);
	/* Where it cannot be asked, or another server has answered, nothing is known. */
	*same = status == CDC_OK && strcmp(PQhost(conn), PQhost(session->conn)) == 0 &&
			strcmp(PQport(conn), PQport(session->conn)) == 0;
	PQfinish(conn);
	if (!*same && !session->timeline_unknown)
		log_line(
			LOG_WARNING,
			"cannot tell whether this standby still follows its timeline, so its idle progress is "
			"not stored: %s",
			status != CDC_OK ? ignored.message : "another server of --dbname has answered");
	session->timeline_unknown = !*same;
	if (!*same)
		return CDC_OK;
	if (text[0] != 't')
		return cdc_error(err, CDC_RETRY, "the standby has been promoted: beginning anew");
	if (identity.timeline != session->identity.timeline)
		return cdc_error(err, CDC_RETRY,
						 "the standby follows its primary to timeline %" PRIu32 ": beginning anew",
						 identity.timeline);
	return CDC_OK;
}
