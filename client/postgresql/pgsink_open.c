/*
 * pgsink_open.c
 *		Opening a store: the session, the fence, the position.
 */
#include "pgsink_open.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pgconn.h"
#include "pgsink_error.h"
#include "pgwait.h"

/* pg_lsn and jsonb are older; this is the oldest that the sink was written for. */
#define MIN_SERVER_VERSION 120000

/* The older client's session is ended, which takes a moment; anything else that holds locks here is
 * somebody at work by hand. */
#define OPEN_LOCK_TIMEOUT "5s"

static const char *const open_what = "opening the sink";
static const char *const fence_what = "taking over the sink";

/*
 * What the promises need of a session, whatever server, role and database say.	 A stronger
 * synchronous_commit stays.  Notices of triggers would come with each row.
 */
static const char prepare_sql[] =
	"SELECT pg_catalog.pg_is_in_recovery(),"
	" pg_catalog.set_config('synchronous_commit', CASE pg_catalog.current_setting("
	"  'synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false),"
	" pg_catalog.set_config('default_transaction_isolation', 'read committed', false),"
	" pg_catalog.set_config('client_min_messages', 'warning', false),"
	" pg_catalog.set_config('lock_timeout', '" OPEN_LOCK_TIMEOUT "', false),"
	" (SELECT pg_catalog.count(pg_catalog.set_config(name, '0', false)) FROM "
	"  pg_catalog.pg_settings WHERE name IN ('idle_session_timeout', "
	"  'idle_in_transaction_session_timeout', 'transaction_timeout'))";

static const char system_sql[] =
	"SELECT system_identifier, pg_catalog.current_database() FROM pg_catalog.pg_control_system()";

/* $1: the lock's key.  Whoever has it, and whether we may end them. */
static const char holder_sql[] =
	"SELECT l.pid, coalesce(a.usename::text, '') FROM pg_catalog.pg_locks l LEFT JOIN "
	"pg_catalog.pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' AND l.granted "
	"AND "
	"l.objsubid = 1 AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE "
	"datname = pg_catalog.current_database()) AND l.classid = (($1::bigint >> 32) & "
	"4294967295)::oid "
	"AND l.objid = ($1::bigint & 4294967295)::oid";

static CdcStatus
out_of_memory(CdcError *err)
{
	return cdc_error(err, CDC_RETRY, "out of memory");
}

/* Runs a query whose answer is one value, and copies that. */
static CdcStatus
query_value(PgSession *session, const char *what, const char *sql, const char *param, char *value,
			size_t size, CdcError *err)
{
	PGresult *result = NULL;
	CdcStatus status =
		pgsink_query(session, what, sql, param != NULL ? 1 : 0, &param, &result, err);

	if (status == CDC_OK)
		snprintf(value, size, "%s", PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
	PQclear(result);
	return status;
}

static void
drop_notice(void *arg, const PGresult *result)
{
	(void) arg;
	(void) result;
}

static CdcStatus
connect_session(PgStore *store, const char *uri, const volatile int *interrupted, CdcError *err)
{
	PgSession *session = &store->session;
	char in_recovery[8] = "";
	char place[PGSINK_PLACE_SIZE];
	CdcStatus status = pgconn_open(&session->conn, uri, PGCONN_SQL, interrupted, err);

	if (status != CDC_OK)
	{
		pgsink_connect_error(err);
		return status;
	}
	/* What a trigger says of each row is not the client's to log, least of all from this thread. */
	PQsetNoticeReceiver(session->conn, drop_notice, NULL);
	session->interrupted = interrupted;
	session->timeout = PGWAIT_TIMEOUT;
	pgsink_place(place, session->conn);
	if (PQserverVersion(session->conn) < MIN_SERVER_VERSION)
		return cdc_error(err, CDC_USAGE, "%s: PostgreSQL %d is too old: 12 is the oldest", place,
						 PQserverVersion(session->conn) / 10000);
	if (PQsetnonblocking(session->conn, 1) != 0)
		return pgsink_error(session->conn, NULL, open_what, err);
	status =
		query_value(session, open_what, prepare_sql, NULL, in_recovery, sizeof(in_recovery), err);
	if (status != CDC_OK || in_recovery[0] != 't')
		return status;
	cdc_error(err, CDC_RETRY, "%s: the server is a standby, to which nobody can write", place);
	cdc_error_hint(err, "With several hosts in the sink's URI, target_session_attrs=read-write "
						"finds the primary.");
	return CDC_RETRY;
}

/* Where the stream comes from the very database, the sink's tables must not come with it. */
static CdcStatus
compare_database(PgStore *store, CdcError *err)
{
	PGresult *result = NULL;
	CdcStatus status = pgsink_query(&store->session, open_what, system_sql, 0, NULL, &result, err);

	/* Where its owner has taken the function away, a stream that captures its own tables goes unnoticed. */
	if (status != CDC_OK && strcmp(err->sqlstate, "42501") == 0)
		return CDC_OK;
	if (status != CDC_OK)
		return status;
	store->same_database = PQntuples(result) == 1 &&
						   strcmp(PQgetvalue(result, 0, 0), store->source.system_identifier) == 0 &&
						   strcmp(PQgetvalue(result, 0, 1), store->source.database) == 0;
	PQclear(result);
	if (!store->same_database)
		return CDC_OK;
	return pgsink_tables_partitions(&store->tables, &store->session, &store->partitions, err);
}

/* Ends the sessions that have the lock.  Those that we may not end are left to the lock's timeout. */
static CdcStatus
end_holders(PgStore *store, const char *key, char *holder, size_t size, CdcError *err)
{
	PGresult *result = NULL;
	CdcStatus status = pgsink_query(&store->session, fence_what, holder_sql, 1, &key, &result, err);

	if (status != CDC_OK)
		return status;
	for (int row = 0; row < PQntuples(result) && status == CDC_OK; row++)
	{
		const char *pid = PQgetvalue(result, row, 0);

		snprintf(holder, size, "%s of role \"%s\"", pid, PQgetvalue(result, row, 1));
		status = pgsink_query(&store->session, fence_what,
							  "SELECT pg_catalog.pg_terminate_backend($1)", 1, &pid, NULL, err);
		if (status != CDC_OK && strcmp(err->sqlstate, "42501") == 0)
			status = CDC_OK;
	}
	PQclear(result);
	return status;
}

/* The session's lock; it goes with the session. */
static CdcStatus
take_lock(PgStore *store, CdcError *err)
{
	PgSession *session = &store->session;
	char holder[128] = "";
	char name[PGSINK_SOURCE_SIZE + 300];
	char key[24] = "";
	char taken[8] = "";
	CdcStatus status;

	snprintf(name, sizeof(name), "cdc_client %.280s %s", store->tables.positions,
			 store->format.source);
	status = query_value(session, fence_what, "SELECT pg_catalog.hashtextextended($1, 0)", name,
						 key, sizeof(key), err);
	if (status == CDC_OK)
		status = query_value(session, fence_what, "SELECT pg_catalog.pg_try_advisory_lock($1)", key,
							 taken, sizeof(taken), err);
	if (status != CDC_OK || taken[0] == 't')
		return status;
	status = end_holders(store, key, holder, sizeof(holder), err);
	if (status == CDC_OK)
		status = query_value(session, fence_what, "SELECT pg_catalog.pg_advisory_lock($1)", key,
							 taken, sizeof(taken), err);
	if (status == CDC_OK || strcmp(err->sqlstate, "55P03") != 0)
		return status;
	cdc_error(err, CDC_RETRY,
			  "another session still writes for source \"%s\": process %s on the sink's server",
			  store->format.source, holder);
	cdc_error_hint(err, "It is what another client left behind, and could not be ended: SELECT "
						"pg_terminate_backend(PROCESS); as a role that may.");
	return CDC_RETRY;
}

static CdcStatus
read_position(PgStore *store, const char *text, Source *source, Position *position, CdcError *err)
{
	struct json_object *json = json_tokener_parse(text);
	bool good = position_from_json(json, source, position);

	json_object_put(json);
	if (good)
		return CDC_OK;
	cdc_error(err, CDC_STOP, "the position of source \"%s\" in table %s is not one: %s",
			  store->format.source, store->tables.positions, text);
	cdc_error_hint(err, "Somebody changed it by hand.  Put back what it was.");
	return CDC_STOP;
}

/* Of the source's row: epoch, position, and the table that it is about. */
static CdcStatus
take_row(PgStore *store, const PGresult *row, Source *source, Position *position, bool *found,
		 CdcError *err)
{
	CdcStatus status = CDC_OK;

	store->has_row = PQntuples(row) == 1;
	store->ready = store->has_row && store->tables.records_exist;
	*found = store->has_row && !PQgetisnull(row, 0, 1);
	if (!store->has_row)
		return CDC_OK;
	snprintf(store->epoch, sizeof(store->epoch), "%s", PQgetvalue(row, 0, 0));
	if (*found)
		status = read_position(store, PQgetvalue(row, 0, 1), source, position, err);
	if (status == CDC_OK && *found && !store->tables.records_exist &&
		strcmp(PQgetvalue(row, 0, 2), store->tables.records) == 0)
	{
		cdc_error(
			err, CDC_STOP,
			"table %s is gone, but the position beside it says that records were stored in it",
			store->tables.records);
		cdc_error_hint(err,
					   "Bring the table back; or, to begin anew behind the slot's position: DELETE "
					   "FROM %s WHERE source = '%s';",
					   store->tables.positions, store->format.source);
		return CDC_STOP;
	}
	return status;
}

/* Raises the epoch and reads the row; or only reads it. */
static CdcStatus
read_row(PgStore *store, bool fence, Source *source, Position *position, bool *found, CdcError *err)
{
	const char *param = store->format.source;
	PGresult *result = NULL;
	char *sql;
	CdcStatus status;

	if (!store->tables.positions_exist)
		return CDC_OK;
	if (asprintf(&sql,
				 fence ? "UPDATE %s SET epoch = epoch + 1 WHERE source = $1 "
						 "RETURNING epoch, position, records"
					   : "SELECT epoch, position, records FROM %s WHERE source = $1",
				 store->tables.positions) < 0)
		return out_of_memory(err);
	status = pgsink_query(&store->session, fence_what, sql, 1, &param, &result, err);
	free(sql);
	if (status == CDC_OK)
		status = take_row(store, result, source, position, found, err);
	PQclear(result);
	return status;
}

/* The commands of each commit, and waits as long as it takes from here on. */
static CdcStatus
prepare_commits(PgStore *store, CdcError *err)
{
	if (asprintf(&store->begin_copy_sql, "BEGIN; " PGSINK_COPY_SQL("%s"), store->tables.records) <
		0)
		store->begin_copy_sql = NULL;
	if (asprintf(&store->update_sql,
				 "UPDATE %s SET position = $1, records = $2, stored = pg_catalog.now() "
				 "WHERE source = $3 AND epoch = $4",
				 store->tables.positions) < 0)
		store->update_sql = NULL;
	if (store->begin_copy_sql == NULL || store->update_sql == NULL)
		return out_of_memory(err);
	store->session.timeout = PGSINK_FOREVER;
	return pgsink_query(&store->session, open_what,
						"SELECT pg_catalog.set_config('lock_timeout', '0', false)", 0, NULL, NULL,
						err);
}

static PgStore *
store_new(const Source *source)
{
	PgStore *store = calloc(1, sizeof(*store));

	if (store == NULL)
		return NULL;
	store->source = *source;
	pgsink_source_text(store->format.source, source);
	store->format.source_length = (uint32_t) strlen(store->format.source);
	return store;
}

static CdcStatus
open_tables(PgStore *store, const char *uri, const char *table, const volatile int *interrupted,
			CdcError *err)
{
	CdcStatus status = connect_session(store, uri, interrupted, err);

	if (status == CDC_OK)
		status = pgsink_tables_find(&store->tables, &store->session,
									table != NULL ? table : PGSINK_DEFAULT_TABLE, err);
	store->format.key_is_jsonb = store->tables.key_is_jsonb;
	store->format.record_is_jsonb = store->tables.record_is_jsonb;
	return status;
}

CdcStatus
pgsink_store_open(PgStore **result, const char *uri, const char *table, const Source *source,
				  const volatile int *interrupted, Source *stored_source, Position *position,
				  bool *found, CdcError *err)
{
	PgStore *store = *result = store_new(source);
	CdcStatus status;

	*found = false;
	if (store == NULL)
		return out_of_memory(err);
	status = open_tables(store, uri, table, interrupted, err);
	if (status == CDC_OK)
		status = compare_database(store, err);
	if (status == CDC_OK)
		status = take_lock(store, err);
	if (status == CDC_OK)
		status = read_row(store, true, stored_source, position, found, err);
	return status == CDC_OK ? prepare_commits(store, err) : status;
}

CdcStatus
pgsink_store_look(const char *uri, const char *table, const Source *source,
				  const volatile int *interrupted, Source *stored_source, Position *position,
				  bool *found, CdcError *err)
{
	PgStore *store = store_new(source);
	CdcStatus status;

	*found = false;
	if (store == NULL)
		return out_of_memory(err);
	status = open_tables(store, uri, table, interrupted, err);
	if (status == CDC_OK)
		status = read_row(store, false, stored_source, position, found, err);
	pgsink_store_close(store);
	return status;
}
