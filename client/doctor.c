/*
 * doctor.c
 *		Subcommand doctor: running the checks and writing what they say.
 */
#include "doctor.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "doctor_report.h"
#include "json_out.h"
#include "log.h"

static const char settings_sql[] =
	"SELECT name, setting, pg_catalog.current_setting(name), pending_restart"
	" FROM pg_catalog.pg_settings WHERE name IN ('wal_level', 'max_replication_slots',"
	" 'max_wal_senders', 'max_slot_wal_keep_size', 'idle_replication_slot_timeout',"
	" 'synchronous_standby_names', 'effective_wal_level')";

void
doctor_say(Doctor *doctor, DoctorLevel level, const char *check, const char *fmt, ...)
{
	size_t count = (size_t) doctor->num_lines + 1;
	DoctorLine *line;
	va_list args;

	doctor->lines = realloc(doctor->lines, count * sizeof(DoctorLine));
	if (doctor->lines == NULL)
		abort();
	line = &doctor->lines[doctor->num_lines++];
	memset(line, 0, sizeof(*line));
	line->check = check;
	line->level = level;
	va_start(args, fmt);
	vsnprintf(line->text, sizeof(line->text), fmt, args);
	va_end(args);
}

void
doctor_remedy(Doctor *doctor, const char *fmt, ...)
{
	DoctorLine *line = &doctor->lines[doctor->num_lines - 1];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line->remedy, sizeof(line->remedy), fmt, args);
	va_end(args);
}

void
doctor_say_error(Doctor *doctor, const char *check, const CdcError *err)
{
	doctor_say(doctor, DOCTOR_FAIL, check, "%.900s%s%.100s", err->message,
			   err->detail[0] != '\0' ? ": " : "", err->detail);
	doctor_remedy(doctor, "%s", err->hint);
}

PGresult *
doctor_query(Doctor *doctor, const char *check, const char *sql)
{
	PGresult *result;
	CdcError err;

	if (pgconn_query(doctor->sql, sql, &result, &err) == CDC_OK)
		return result;
	doctor_say_error(doctor, check, &err);
	return NULL;
}

static int
find_setting(const Doctor *doctor, const char *name)
{
	for (int row = 0; row < PQntuples(doctor->settings); row++)
		if (strcmp(PQgetvalue(doctor->settings, row, 0), name) == 0)
			return row;
	return -1;
}

const char *
doctor_setting(const Doctor *doctor, const char *name)
{
	int row = find_setting(doctor, name);

	return row < 0 ? NULL : PQgetvalue(doctor->settings, row, 1);
}

const char *
doctor_shown(const Doctor *doctor, const char *name)
{
	int row = find_setting(doctor, name);

	return row < 0 ? NULL : PQgetvalue(doctor->settings, row, 2);
}

bool
doctor_pending_restart(const Doctor *doctor, const char *name)
{
	int row = find_setting(doctor, name);

	return row >= 0 && PQgetvalue(doctor->settings, row, 3)[0] == 't';
}

static const char *const level_texts[] = {"ok", "warn", "FAIL"};
static const char *const level_names[] = {"ok", "warn", "fail"};

static void
put_text(const Doctor *doctor)
{
	for (int i = 0; i < doctor->num_lines; i++)
	{
		const DoctorLine *line = &doctor->lines[i];

		printf("%-4s %s\n", level_texts[line->level], line->text);
		if (line->remedy[0] != '\0')
			printf("     %s %s\n", line->fixed ? "done:" : "->", line->remedy);
	}
}

static void
put_json(const Doctor *doctor, bool ok)
{
	struct json_object *object = json_object_new_object();
	struct json_object *checks = json_object_new_array();

	json_add_bool(object, "ok", ok);
	json_add_int(object, "server_version", doctor->version);
	for (int i = 0; i < doctor->num_lines; i++)
	{
		const DoctorLine *line = &doctor->lines[i];
		struct json_object *check = json_object_new_object();

		json_add_text(check, "check", line->check);
		json_add_text(check, "level", level_names[line->level]);
		json_add_text(check, "message", line->text);
		if (line->remedy[0] != '\0')
			json_add_text(check, "remedy", line->remedy);
		if (line->fixed)
			json_add_bool(check, "fixed", true);
		json_object_array_add(checks, check);
	}
	json_object_object_add(object, "checks", checks);
	json_write_line(stdout, object);
}

/* What all checks need to know; without it there is nothing to check. */
static CdcStatus
open_server(Doctor *doctor, CdcError *err)
{
	PGresult *result;
	CdcStatus status =
		pgconn_open(&doctor->sql, doctor->options->dbname, PGCONN_SQL, doctor->interrupted, err);

	if (status == CDC_OK)
		status = pgconn_query(doctor->sql, settings_sql, &doctor->settings, err);
	if (status == CDC_OK)
		status = pgconn_query(doctor->sql, "SELECT pg_catalog.pg_is_in_recovery()", &result, err);
	if (status != CDC_OK)
		return status;
	doctor->in_recovery = PQgetvalue(result, 0, 0)[0] == 't';
	PQclear(result);
	doctor->version = PQserverVersion(doctor->sql);
	doctor->can_create_slot = true;
	if (doctor->options->slot != NULL)
		status = slot_read(doctor->sql, doctor->options->slot, &doctor->slot, err);
	return status;
}

int
doctor_main(const CdcOptions *options, const volatile int *interrupted)
{
	Doctor doctor = {.options = options, .interrupted = interrupted};
	CdcError err;
	CdcStatus status = open_server(&doctor, &err);

	if (status != CDC_OK)
		log_error(LOG_ERROR, &err);
	else
	{
		doctor_check_server(&doctor);
		doctor_check_stream(&doctor);
		for (int i = 0; i < doctor.num_lines; i++)
			if (doctor.lines[i].level == DOCTOR_FAIL)
				status = CDC_STOP;
		if (options->json)
			put_json(&doctor, status == CDC_OK);
		else
			put_text(&doctor);
	}
	PQclear(doctor.settings);
	PQfinish(doctor.replication);
	PQfinish(doctor.sql);
	free(doctor.lines);
	return (int) status;
}
