/*
 * doctor_stream.c
 *		Doctor's checks of what a stream needs besides: privileges, plugin, tables, slot, sink.
 */
#include "doctor_report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sink_look.h"

/* False where a replication connection could not be opened, which is said then. */
static bool
check_privilege(Doctor *doctor)
{
	bool granted;
	PGresult *result =
		doctor_query(doctor, "replication_privilege",
					 "SELECT rolsuper OR rolreplication, pg_catalog.quote_ident(rolname) FROM "
					 "pg_catalog.pg_roles WHERE rolname = current_user");

	if (result == NULL)
		return true;
	granted = PQgetvalue(result, 0, 0)[0] == 't';
	if (granted)
		doctor_say(doctor, DOCTOR_OK, "replication_privilege", "role %s may replicate",
				   PQgetvalue(result, 0, 1));
	else
	{
		doctor_say(doctor, DOCTOR_FAIL, "replication_privilege",
				   "role %s lacks the REPLICATION privilege", PQgetvalue(result, 0, 1));
		doctor_remedy(doctor, "as a superuser: ALTER ROLE %s REPLICATION;",
					  PQgetvalue(result, 0, 1));
		doctor->can_create_slot = false;
		doctor->can_replicate = false;
	}
	PQclear(result);
	return granted;
}

static void
check_replication_connection(Doctor *doctor)
{
	static const char check[] = "replication_connection";
	PGresult *result;
	CdcError err;

	if (!doctor->can_replicate)
	{
		/* who streams from the slot has one, else it has been said before that none is free */
		if (doctor->slot.active)
			doctor_say(doctor, DOCTOR_OK, check,
					   "a replication connection was not tried: no walsender is free");
		return;
	}
	if (pgconn_open(&doctor->replication, doctor->options->dbname, PGCONN_REPLICATION,
					doctor->interrupted, &err) != CDC_OK ||
		pgconn_query(doctor->replication,
					 "SELECT setting::int / 1000, pg_catalog.current_setting(name) "
					 "FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'",
					 &result, &err) != CDC_OK)
	{
		doctor_say_error(doctor, check, &err);
		doctor->can_replicate = false;
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
		doctor_say(doctor, DOCTOR_WARN, "plugin", "library " PGCONN_PLUGIN " was not tried: %s",
				   doctor->slot.active && !doctor->can_replicate
					   ? "no walsender is free to try it with"
					   : "first mend what is said above");
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

/* In single quotes where it needs them; escaped is what stands for one within. */
static void
put_quoted(FILE *out, const char *text, const char *escaped)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
								"_-./:,@%+";

	if (*text != '\0' && text[strspn(text, plain)] == '\0')
	{
		fputs(text, out);
		return;
	}
	fputc('\'', out);
	for (; *text != '\0'; text++)
	{
		if (*text == '\'')
			fputs(escaped, out);
		else if (*text == '\\' && *escaped == '\\') /* of libpq's: a backslash escapes there */
			fputs("\\\\", out);
		else
			fputc(*text, out);
	}
	fputc('\'', out);
}

/* A connection string without the password that may be in it, malloc'd. */
static char *
without_password(const char *dbname)
{
	PQconninfoOption *parsed = PQconninfoParse(dbname, NULL);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		abort();
	if (parsed == NULL)
		fputs(dbname, out); /* a database's name, since it could be connected to */
	for (PQconninfoOption *option = parsed; option != NULL && option->keyword != NULL; option++)
	{
		if (option->val == NULL || *option->dispchar == '*')
			continue;
		fprintf(out, "%s%s=", ftell(out) > 0 ? " " : "", option->keyword);
		put_quoted(out, option->val, "\\'");
	}
	fclose(out);
	PQconninfoFree(parsed);
	return text;
}

/* A command of ours that the user may copy as it stands. */
static void
remedy_command(Doctor *doctor, const char *subcommand)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		abort();
	fprintf(out, "cdc_client %s", subcommand);
	if (doctor->options->dbname != NULL)
	{
		char *dbname = without_password(doctor->options->dbname);

		fputs(" --dbname=", out);
		put_quoted(out, dbname, "'\\''");
		free(dbname);
	}
	fprintf(out, " --slot=%s", doctor->options->slot);
	fclose(out);
	doctor_remedy(doctor, "%s", text);
	free(text);
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
		remedy_command(doctor, "slot create");
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
	/* whose position it holds is judged by what a replication connection says of the server */
	if (doctor->options->slot != NULL && !doctor->can_replicate)
	{
		doctor_say(doctor, DOCTOR_WARN, "sink",
				   "sink was not looked at: that needs a replication connection");
		return;
	}
	if (doctor->options->slot != NULL)
		status = pgconn_open(&doctor->replication, doctor->options->dbname, PGCONN_REPLICATION,
							 doctor->interrupted, &err);
	if (status == CDC_OK)
		status = sink_look(doctor->options, doctor->replication, doctor->interrupted, &look, &err);
	if (status == CDC_OK)
		say_sink(doctor, &look);
	else
		doctor_say_error(doctor, "sink", &err);
}

void
doctor_check_stream(Doctor *doctor)
{
	if (check_privilege(doctor))
		check_replication_connection(doctor);
	check_plugin(doctor);
	doctor_check_selection(doctor);
	check_slot(doctor);
	check_sink(doctor);
}
