/*
 * doctor_stream.c
 *		Doctor's checks of what a stream needs besides: privileges, plugin, tables, slot, sink.
 */
#include "doctor_report.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "selection.h"
#include "sink_look.h"

static void
check_privilege(Doctor *doctor)
{
	PGresult *result =
		doctor_query(doctor, "replication_privilege",
					 "SELECT rolsuper OR rolreplication, pg_catalog.quote_ident(rolname) FROM "
					 "pg_catalog.pg_roles WHERE rolname = current_user");

	if (result == NULL)
		return;
	if (PQgetvalue(result, 0, 0)[0] == 't')
		doctor_say(doctor, DOCTOR_OK, "replication_privilege", "role %s may replicate",
				   PQgetvalue(result, 0, 1));
	else
	{
		doctor_say(doctor, DOCTOR_FAIL, "replication_privilege",
				   "role %s lacks the REPLICATION privilege", PQgetvalue(result, 0, 1));
		doctor_remedy(doctor, "as a superuser: ALTER ROLE %s REPLICATION;",
					  PQgetvalue(result, 0, 1));
		doctor->can_create_slot = false;
	}
	PQclear(result);
}

static void
check_replication_connection(Doctor *doctor)
{
	static const char check[] = "replication_connection";
	PGresult *result;
	CdcError err;

	if (pgconn_open(&doctor->replication, doctor->options->dbname, PGCONN_REPLICATION,
					doctor->interrupted, &err) != CDC_OK ||
		pgconn_query(doctor->replication,
					 "SELECT setting::int / 1000, pg_catalog.current_setting(name) "
					 "FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'",
					 &result, &err) != CDC_OK)
	{
		doctor_say_error(doctor, check, &err);
		return;
	}
	doctor_say(doctor, DOCTOR_OK, check, "a replication connection can be opened");
	if (atoi(PQgetvalue(result, 0, 0)) >= 10)
		doctor_say(doctor, DOCTOR_OK, "wal_sender_timeout",
				   "wal_sender_timeout is %s for the client", PQgetvalue(result, 0, 1));
	else
	{
		doctor_say(doctor, DOCTOR_WARN, "wal_sender_timeout",
				   "wal_sender_timeout is %s for this role, database or connection: %s",
				   PQgetvalue(result, 0, 1),
				   strcmp(PQgetvalue(result, 0, 1), "0") == 0
					   ? "a client that is gone holds the slot until TCP notices"
					   : "a short stall of the network ends the connection");
		doctor_remedy(doctor,
					  "ALTER ROLE \"%s\" RESET wal_sender_timeout; (or RESET it for the "
					  "database, or take it out of --dbname); the client then sets %s",
					  PQuser(doctor->sql), PGCONN_WAL_SENDER_TIMEOUT);
	}
	PQclear(result);
}

static void
check_plugin(Doctor *doctor)
{
	char waiting[1024];
	CdcError err;

	if (doctor->replication == NULL || !doctor->can_create_slot)
		doctor_say(doctor, DOCTOR_WARN, "plugin",
				   "library " PGCONN_PLUGIN " was not tried: first mend what is said above");
	else if (slot_probe_plugin(doctor->replication, doctor->options->dbname, doctor->interrupted,
							   waiting, sizeof(waiting), &err) != CDC_OK)
	{
		/* The stream's own slot exists, else this would have been said before. */
		if (strcmp(err.sqlstate, "53400") == 0)
			doctor_say(doctor, DOCTOR_WARN, "plugin",
					   "library " PGCONN_PLUGIN " was not tried: no slot is free to try it with");
		else
			doctor_say_error(doctor, "plugin", &err);
	}
	else
	{
		doctor_say(doctor, DOCTOR_OK, "plugin", "library " PGCONN_PLUGIN " loads");
		if (waiting[0] != '\0' && !doctor->slot.exists)
			doctor_say(doctor, DOCTOR_WARN, "old_transaction",
					   "creating a slot would have to wait for %s", waiting);
	}
	/* The temporary slot goes with its connection; the sink's check gets a connection of its own. */
	PQfinish(doctor->replication);
	doctor->replication = NULL;
}

static void
check_publications(Doctor *doctor, const char *publications)
{
	static const char check[] = "publications";
	char *sql = NULL;
	PGresult *result;

	if (asprintf(
			&sql,
			"SELECT count(*), pg_catalog.string_agg(pg_catalog.format("
			"'CREATE PUBLICATION %%I FOR ALL TABLES;', n), ' ') FROM pg_catalog.unnest("
			"ARRAY[%s]::name[]) n WHERE n NOT IN (SELECT pubname FROM pg_catalog.pg_publication)",
			publications) < 0)
		return;
	result = doctor_query(doctor, check, sql);
	free(sql);
	if (result == NULL)
		return;
	if (strcmp(PQgetvalue(result, 0, 0), "0") == 0)
		doctor_say(doctor, DOCTOR_OK, check, "publications %s exist", publications);
	else
	{
		doctor_say(doctor, DOCTOR_FAIL, check, "%s of the publications %s missing",
				   PQgetvalue(result, 0, 0),
				   strcmp(PQgetvalue(result, 0, 0), "1") == 0 ? "is" : "are");
		doctor_remedy(doctor, "%s (or FOR TABLE ...)", PQgetvalue(result, 0, 1));
	}
	PQclear(result);
}

/*
 * Tables (leaves of partitioned ones: theirs is the identity that counts) that an update or delete
 * of is streamed from, without an index that can be their identity.
 */
static const char identity_sql[] =
	"WITH published AS (%s),"
	" leaf AS (SELECT DISTINCT coalesce(tree.relid::oid, published.oid) AS oid FROM published"
	"  LEFT JOIN LATERAL pg_catalog.pg_partition_tree(published.oid) tree ON tree.isleaf),"
	" poor AS (SELECT c.oid::regclass::text AS name FROM leaf JOIN pg_catalog.pg_class c USING "
	"(oid)"
	"  WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND c.relreplident <> 'f' AND NOT EXISTS ("
	"   SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisvalid"
	"   AND i.indimmediate AND (c.relreplident = 'd' AND i.indisprimary"
	"    OR c.relreplident = 'i' AND i.indisreplident))),"
	" first AS (SELECT name FROM poor ORDER BY name LIMIT 3)"
	" SELECT (SELECT count(*) FROM poor), (SELECT pg_catalog.string_agg(name, ', ') FROM first),"
	" (SELECT pg_catalog.string_agg('ALTER TABLE ' || name || ' REPLICA IDENTITY FULL;', ' ')"
	"  FROM first)";

static const char all_tables_sql[] =
	"SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n"
	" ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname <> 'information_schema'"
	" AND n.nspname NOT LIKE 'pg\\_%'";

static void
check_replica_identity(Doctor *doctor, const char *publications)
{
	static const char check[] = "replica_identity";
	char *published = NULL;
	char *sql = NULL;
	PGresult *result = NULL;

	if ((publications[0] == '\0'
			 ? asprintf(&published, "%s", all_tables_sql)
			 : asprintf(
				   &published,
				   "SELECT pg_catalog.format('%%I.%%I', t.schemaname, t.tablename)::regclass::oid "
				   "AS oid FROM pg_catalog.pg_publication_tables t JOIN "
				   "pg_catalog.pg_publication p USING (pubname) WHERE (p.pubupdate OR "
				   "p.pubdelete) AND pubname IN (%s)",
				   publications)) >= 0)
	{
		if (asprintf(&sql, identity_sql, published) >= 0)
			result = doctor_query(doctor, check, sql);
		free(sql);
		free(published);
	}
	if (result == NULL)
		return;
	if (strcmp(PQgetvalue(result, 0, 0), "0") == 0)
		doctor_say(doctor, DOCTOR_OK, check, "every %s table has a replica identity",
				   publications[0] != '\0' ? "published" : "permanent");
	else
	{
		doctor_say(
			doctor, DOCTOR_WARN, check,
			"tables without a replica identity: %s (%s%s); their updates and deletes say not "
			"of which row",
			PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1),
			atoi(PQgetvalue(result, 0, 0)) > 3 ? ", ..." : "");
		doctor_remedy(doctor, "%s  (or give them primary keys)", PQgetvalue(result, 0, 2));
	}
	PQclear(result);
}

static void
check_slot(Doctor *doctor)
{
	static const char check[] = "slot";
	const char *name = doctor->options->slot;
	const SlotInfo *slot = &doctor->slot;
	PGresult *result;
	uint64_t wal_end;
	CdcError err;

	if (name == NULL)
		return;
	if (!slot->exists)
	{
		doctor_say(doctor, DOCTOR_WARN, check, "slot %s does not exist yet", name);
		doctor_remedy(doctor, "cdc_client slot create --slot=%s", name);
		return;
	}
	if (slot_check_usable(slot, name, PQdb(doctor->sql), &err) != CDC_OK)
	{
		doctor_say_error(doctor, check, &err);
		return;
	}
	result =
		doctor_query(doctor, check,
					 "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN "
					 "pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() "
					 "END - '0/0'::pg_lsn");
	if (result == NULL)
		return;
	wal_end = strtoull(PQgetvalue(result, 0, 0), NULL, 10);
	doctor_say(doctor, strcmp(slot->wal_status, "unreserved") == 0 ? DOCTOR_WARN : DOCTOR_OK, check,
			   "slot %s is %" PRIu64 " bytes behind and keeps %" PRIu64 " bytes of WAL (%s); %s %d",
			   name, wal_end - slot->confirmed_flush_lsn, wal_end - slot->restart_lsn,
			   slot->wal_status,
			   slot->active ? "walsender pid" : "streaming clients:", slot->active_pid);
	if (strcmp(slot->wal_status, "unreserved") == 0)
		doctor_remedy(doctor, "start the client at once: WAL that the slot needs is removed at the "
							  "next checkpoint (max_slot_wal_keep_size)");
	PQclear(result);
}

static void
say_sink(Doctor *doctor, const SinkLook *look)
{
	static const char check[] = "sink";
	char text[POSITION_TEXT_SIZE];

	if (!look->opened)
		doctor_say(doctor, DOCTOR_OK, check, "sink's address is well-formed; it was %s", look->why);
	else if (!look->found)
		doctor_say(doctor, DOCTOR_OK, check, "sink can be opened; it holds no position yet");
	else if (!look->same_source)
	{
		doctor_say(doctor, DOCTOR_FAIL, check,
				   "sink holds the position of another stream: slot %s of database %s, system %s",
				   look->source.slot, look->source.database, look->source.system_identifier);
		doctor_remedy(doctor,
					  "use another sink, or, if this slot really takes its place: cdc_client "
					  "stream --accept=other-source");
	}
	else if (doctor->slot.exists && doctor->slot.confirmed_flush_lsn > look->position.confirmed)
	{
		doctor_say(doctor, DOCTOR_FAIL, check,
				   "sink is at %s, which the slot has left behind: records are missing in it",
				   position_describe(text, &look->position));
		doctor_remedy(doctor, "bring back the sink that the slot was streamed to, or go on without "
							  "these records: cdc_client stream --accept=gap");
	}
	else
		doctor_say(doctor, DOCTOR_OK, check, "sink can be opened; it is at %s",
				   position_describe(text, &look->position));
}

static void
check_sink(Doctor *doctor)
{
	SinkLook look;
	CdcError err;
	CdcStatus status = CDC_OK;

	if (doctor->options->sink == NULL)
		return;
	if (doctor->options->slot != NULL)
		status = pgconn_open(&doctor->replication, doctor->options->dbname, PGCONN_REPLICATION,
							 doctor->interrupted, &err);
	if (status == CDC_OK)
		status = sink_look(doctor->options, doctor->replication, doctor->slot.active_pid,
						   doctor->interrupted, &look, &err);
	if (status == CDC_OK)
		say_sink(doctor, &look);
	else
		doctor_say_error(doctor, "sink", &err);
}

void
doctor_check_stream(Doctor *doctor)
{
	char *publications = selection_publications(doctor->options);

	check_privilege(doctor);
	check_replication_connection(doctor);
	check_plugin(doctor);
	if (publications != NULL && publications[0] != '\0')
		check_publications(doctor, publications);
	check_replica_identity(doctor, publications != NULL ? publications : "");
	free(publications);
	check_slot(doctor);
	check_sink(doctor);
}
