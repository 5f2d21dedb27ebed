/*
 * doctor_server.c
 *		Doctor's checks of the server's settings.
 */
#include "doctor_report.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "clock.h"

/* The versions that the plugin is built for and tested with. */
#define OLDEST_MAJOR 15
#define NEWEST_MAJOR 19

static void
check_version(Doctor *doctor)
{
	int major = doctor->version / 10000;
	const char *shown = PQparameterStatus(doctor->sql, "server_version");

	if (major < OLDEST_MAJOR)
	{
		doctor_say(doctor, DOCTOR_FAIL, "server_version", "server is PostgreSQL %s", shown);
		doctor_remedy(doctor, "upgrade it to PostgreSQL %d or later", OLDEST_MAJOR);
		doctor->can_create_slot = false;
	}
	else if (major > NEWEST_MAJOR)
		doctor_say(doctor, DOCTOR_WARN, "server_version",
				   "server is PostgreSQL %s; cdc_decoder is tested with %d to %d", shown,
				   OLDEST_MAJOR, NEWEST_MAJOR);
	else
		doctor_say(doctor, DOCTOR_OK, "server_version", "server is PostgreSQL %s", shown);
}

static void
check_role_of_server(Doctor *doctor)
{
	if (!doctor->in_recovery)
		doctor_say(doctor, DOCTOR_OK, "primary", "server is a primary");
	else if (doctor->version < 160000)
	{
		doctor_say(doctor, DOCTOR_FAIL, "primary",
				   "server is a standby, on which PostgreSQL before 16 cannot decode");
		doctor_remedy(doctor, "connect to the primary: add target_session_attrs=read-write to "
							  "--dbname and name all its servers there");
		doctor->can_create_slot = false;
	}
	else
		doctor_say(doctor, DOCTOR_OK, "primary",
				   "server is a standby; a slot on it needs hot_standby_feedback and wal_level = "
				   "logical on the primary");
}

/* Runs what --fix may run; a failure is part of the line, which stays as it was. */
static bool
apply(Doctor *doctor, const char *command)
{
	DoctorLine *line = &doctor->lines[doctor->num_lines - 1];
	size_t length = strlen(line->text);
	CdcError err;

	if (!doctor->options->fix)
		return false;
	if (pgconn_query(doctor->sql, command, NULL, &err) == CDC_OK &&
		pgconn_query(doctor->sql, "SELECT pg_catalog.pg_reload_conf()", NULL, &err) == CDC_OK)
		return true;
	snprintf(line->text + length, sizeof(line->text) - length, "; --fix could not mend it: %s",
			 err.message);
	return false;
}

/*
 * 19: a primary's replica rises to logical with its first logical slot; a standby follows.  True: said so.
 */
static bool
wal_level_rises(Doctor *doctor, const char *level)
{
	const char *effective = doctor_setting(doctor, "effective_wal_level");

	if (effective == NULL || strcmp(level, "replica") != 0)
		return false;
	if (strcmp(effective, "logical") == 0)
		doctor_say(doctor, DOCTOR_OK, "wal_level",
				   "wal_level is replica, in effect logical as long as there are logical slots");
	else if (!doctor->in_recovery)
		doctor_say(doctor, DOCTOR_OK, "wal_level",
				   "wal_level is replica, which the first logical slot raises to logical");
	else
		return false;
	return true;
}

static void
check_wal_level(Doctor *doctor)
{
	const char *level = doctor_setting(doctor, "wal_level");

	if (strcmp(level, "logical") == 0)
	{
		doctor_say(doctor, DOCTOR_OK, "wal_level", "wal_level is logical");
		return;
	}
	if (wal_level_rises(doctor, level))
		return;
	doctor->can_create_slot = false;
	doctor_say(doctor, DOCTOR_FAIL, "wal_level", "wal_level is %s; decoding needs logical", level);
	if (doctor_pending_restart(doctor, "wal_level"))
		doctor_remedy(doctor, "it has been changed already: restart the server");
	else if (doctor->in_recovery)
		doctor_remedy(doctor, "ALTER SYSTEM SET wal_level = logical; on the primary and here, then "
							  "restart both");
	else if (apply(doctor, "ALTER SYSTEM SET wal_level = logical"))
	{
		DoctorLine *line = &doctor->lines[doctor->num_lines - 1];

		line->fixed = true;
		doctor_remedy(doctor, "ALTER SYSTEM SET wal_level = logical; now restart the server, which "
							  "doctor never does");
	}
	else
		doctor_remedy(doctor, "ALTER SYSTEM SET wal_level = logical; then restart the server");
}

/* How many of a kind are in use, of how many; needed: one more will be wanted.  False: none is free. */
static bool
check_room(Doctor *doctor, const char *setting, const char *count_sql, const char *what,
		   bool needed)
{
	int max = atoi(doctor_setting(doctor, setting));
	PGresult *result = doctor_query(doctor, setting, count_sql);
	int used;

	if (result == NULL)
		return true;
	used = atoi(PQgetvalue(result, 0, 0));
	PQclear(result);
	if (used < max || !needed)
	{
		doctor_say(doctor, DOCTOR_OK, setting, "%d of %d %s in use (%s)", used, max, what, setting);
		return used < max;
	}
	if (max == 0)
		doctor_say(doctor, DOCTOR_FAIL, setting, "%s is 0: there can be no %s", setting, what);
	else
		doctor_say(doctor, DOCTOR_FAIL, setting, "all %d %s are in use (%s)", max, what, setting);
	if (doctor_pending_restart(doctor, setting))
		doctor_remedy(doctor, "it has been changed already: restart the server");
	else
		doctor_remedy(doctor,
					  "ALTER SYSTEM SET %s = %d; then restart the server (its standbys, "
					  "which need at least as many, first)",
					  setting, max + 10);
	doctor->can_create_slot = false;
	return false;
}

/* The reload reaches our own session too, a moment later. */
static bool
wait_until_listed(Doctor *doctor, PluginLibraries *libraries)
{
	int64_t deadline = clock_now() + 5 * CLOCK_SECOND;
	CdcError err;

	do
	{
		if (pgconn_query(doctor->sql, "SELECT pg_catalog.pg_sleep(0.05)", NULL, &err) != CDC_OK ||
			pgconn_plugin_libraries(doctor->sql, libraries, &err) != CDC_OK)
			return false;
	} while (!libraries->listed && clock_now() < deadline);
	return libraries->listed;
}

static void
check_plugin_libraries(Doctor *doctor)
{
	static const char check[] = "output_plugin_libraries";
	PluginLibraries libraries;
	CdcError err;
	char command[sizeof(libraries.command)];

	if (pgconn_plugin_libraries(doctor->sql, &libraries, &err) != CDC_OK)
	{
		doctor_say_error(doctor, check, &err);
		return;
	}
	if (!libraries.known)
	{
		doctor_say(doctor, DOCTOR_OK, check,
				   "this minor release does not limit output plugins (no %s)", check);
		return;
	}
	if (!libraries.readable)
	{
		doctor_say(doctor, DOCTOR_WARN, check,
				   "%s cannot be read by this role; whether it lists " PGCONN_PLUGIN
				   " shows when the library is tried",
				   check);
		doctor_remedy(doctor,
					  "run doctor as a superuser, or a member of pg_read_all_settings, to know");
		return;
	}
	if (libraries.listed)
	{
		doctor_say(doctor, DOCTOR_OK, check, "%s lists " PGCONN_PLUGIN, check);
		return;
	}
	doctor_say(doctor, DOCTOR_FAIL, check, "%s does not list " PGCONN_PLUGIN " (%s)", check,
			   libraries.value);
	snprintf(command, sizeof(command), "%s", libraries.command);
	if (apply(doctor, command))
	{
		DoctorLine *line = &doctor->lines[doctor->num_lines - 1];

		if (wait_until_listed(doctor, &libraries))
		{
			line->fixed = true;
			line->level = DOCTOR_OK;
			snprintf(line->text, sizeof(line->text), "%s lists " PGCONN_PLUGIN " now", check);
		}
		else
		{
			doctor->can_create_slot = false;
			doctor_remedy(doctor,
						  "ALTER SYSTEM did not suffice: the value comes from the server's "
						  "command line, or is set for this role or database (SELECT "
						  "source FROM pg_settings WHERE name = '%s')",
						  check);
			return;
		}
	}
	else
		doctor->can_create_slot = false;
	doctor_remedy(doctor, "%s; SELECT pg_reload_conf();", command);
}

static void
check_keep_size(Doctor *doctor)
{
	static const char check[] = "max_slot_wal_keep_size";

	if (atol(doctor_setting(doctor, check)) >= 0)
	{
		doctor_say(doctor, DOCTOR_OK, check,
				   "%s is %s: a client that is away for so much WAL loses its slot", check,
				   doctor_shown(doctor, check));
		return;
	}
	doctor_say(doctor, DOCTOR_WARN, check,
			   "%s is -1: while the client is away, WAL is kept until the disk is full", check);
	doctor_remedy(doctor,
				  "ALTER SYSTEM SET %s = '50GB'; SELECT pg_reload_conf();  (as much as the "
				  "disk can spare; a slot further behind is lost)",
				  check);
}

static void
check_idle_timeout(Doctor *doctor)
{
	static const char check[] = "idle_replication_slot_timeout";
	const char *setting = doctor_setting(doctor, check);

	if (setting == NULL)
		return;
	if (atol(setting) == 0)
		doctor_say(doctor, DOCTOR_OK, check, "%s is 0: no slot is lost by idling", check);
	else
	{
		doctor_say(doctor, DOCTOR_WARN, check,
				   "%s is %s: a client that is away for so long loses its slot", check,
				   doctor_shown(doctor, check));
		doctor_remedy(doctor,
					  "ALTER SYSTEM SET %s = 0; SELECT pg_reload_conf();  "
					  "(max_slot_wal_keep_size bounds what is kept)",
					  check);
	}
}

/* Whether a list of standbys ('FIRST 1 (a, "b")', '*') has the name, or takes any. */
static const char *
find_standby(const char *names, const char *application_name)
{
	static const char separators[] = " ,()\"";

	for (names += strspn(names, separators); *names != '\0'; names += strspn(names, separators))
	{
		size_t length = strcspn(names, separators);

		if (length == 1 && *names == '*')
			return "*";
		if (application_name != NULL && strlen(application_name) == length &&
			strncasecmp(names, application_name, length) == 0)
			return application_name;
		names += length;
	}
	return NULL;
}

static void
check_synchronous(Doctor *doctor)
{
	static const char check[] = "synchronous_standby_names";
	const char *names = doctor_setting(doctor, check);
	const char *found = find_standby(names, PQparameterStatus(doctor->sql, "application_name"));
	PGresult *result;

	if (found == NULL)
	{
		doctor_say(doctor, DOCTOR_OK, check, "%s does not take the client for a standby", check);
		return;
	}
	doctor_say(doctor, DOCTOR_WARN, check,
			   "%s is '%s': with %s in it the client counts as a synchronous standby, and commits "
			   "wait for its sink",
			   check, names, found);
	result = doctor_query(doctor, check,
						  "SELECT pg_catalog.quote_literal(coalesce(pg_catalog.string_agg(DISTINCT "
						  "pg_catalog.quote_ident(application_name), ', '), '')) "
						  "FROM pg_catalog.pg_stat_replication w WHERE NOT EXISTS (SELECT FROM "
						  "pg_catalog.pg_replication_slots s WHERE s.active_pid = w.pid AND "
						  "s.slot_type = 'logical')");
	if (result != NULL)
		doctor_remedy(doctor,
					  "ALTER SYSTEM SET %s = %s; SELECT pg_reload_conf();  (the "
					  "physical standbys that are connected now)",
					  check, PQgetvalue(result, 0, 0));
	PQclear(result);
}

void
doctor_check_server(Doctor *doctor)
{
	check_version(doctor);
	check_role_of_server(doctor);
	check_wal_level(doctor);
	(void) check_room(doctor, "max_replication_slots",
					  "SELECT count(*) FROM pg_catalog.pg_replication_slots", "replication slots",
					  !doctor->slot.exists);
	doctor->can_replicate = check_room(
		doctor, "max_wal_senders",
		"SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'walsender'",
		"walsenders", !doctor->slot.active);
	check_plugin_libraries(doctor);
	check_keep_size(doctor);
	check_idle_timeout(doctor);
	check_synchronous(doctor);
}
