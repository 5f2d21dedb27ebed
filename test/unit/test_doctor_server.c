/*
 * test_doctor_server.c
 *		What doctor says of a server's settings, of servers that no test starts: other versions, standbys,
 *		settings that nobody may change or read, changes that wait for a restart.
 */
#include "script_libpq.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "doctor_report.h"

enum
{
	WAL_LEVEL,
	SLOTS,
	WALSENDERS,
	KEEP_SIZE,
	STANDBY_NAMES,
	USUAL,
	MOST = USUAL + 2
};

static const char *settings[MOST][SCRIPT_MAX_COLUMNS];
static ScriptResult settings_result;
static CdcOptions options;
static Doctor doctor;
static const char *application_name;
static int jump; /* seconds that the clock advances whenever it is read */
static time_t jumped;

const char *
PQparameterStatus(const PGconn *conn, const char *name)
{
	(void) conn;
	return strcmp(name, "application_name") == 0 ? application_name : "as the server calls it";
}

/* Before libc's: what is waited for to no avail need not be waited for here. */
int
clock_gettime(clockid_t clock, struct timespec *now)
{
	int result = (int) syscall(SYS_clock_gettime, clock, now);

	jumped += jump;
	now->tv_sec += jumped;
	return result;
}

static void
set(int row, const char *name, const char *value, const char *shown)
{
	settings[row][0] = name;
	settings[row][1] = value;
	settings[row][2] = shown;
	settings[row][3] = "f";
	if (row >= settings_result.num_rows)
		settings_result.num_rows = row + 1;
}

static int
setup(void **state)
{
	(void) state;
	memset(&script, 0, sizeof(script));
	memset(&options, 0, sizeof(options));
	memset(settings, 0, sizeof(settings));
	settings_result = (ScriptResult){.rows = (const char *const(*)[SCRIPT_MAX_COLUMNS]) settings};
	set(WAL_LEVEL, "wal_level", "logical", "logical");
	set(SLOTS, "max_replication_slots", "10", "10");
	set(WALSENDERS, "max_wal_senders", "10", "10");
	set(KEEP_SIZE, "max_slot_wal_keep_size", "51200", "50GB");
	set(STANDBY_NAMES, "synchronous_standby_names", "", "");
	doctor = (Doctor){.options = &options,
					  .sql = SCRIPT_CONN,
					  .settings = (PGresult *) &settings_result,
					  .version = 170004,
					  .can_create_slot = true};
	script.version = doctor.version;
	application_name = "cdc_client";
	jump = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void) state;
	free(doctor.lines);
	return 0;
}

#define ONE(part, value)                                                                           \
	{                                                                                              \
		.command = part, .status = PGRES_TUPLES_OK, .num_rows = 1, .row = { value }                \
	}
#define DONE(part)                                                                                 \
	{                                                                                              \
		.command = part, .status = PGRES_COMMAND_OK                                                \
	}
#define REFUSED(part)                                                                              \
	{                                                                                              \
		.command = part, .status = PGRES_FATAL_ERROR, .sqlstate = "42501",                         \
		.message = "permission denied"                                                             \
	}
#define FAILED(part)                                                                               \
	{                                                                                              \
		.command = part, .status = PGRES_FATAL_ERROR, .sqlstate = "53200",                         \
		.message = "the server has no memory", .hint = "Give it some."                             \
	}
#define SLOTS_USED(n) ONE("pg_replication_slots", n)
#define WALSENDERS_USED(n) ONE("walsender", n)
#define LIBRARIES(list) ONE("output_plugin_libraries", list)
#define REST                                                                                       \
	SLOTS_USED("1"), WALSENDERS_USED("1"), LIBRARIES("cdc_decoder"),                               \
	{                                                                                              \
		0                                                                                          \
	}

/* Runs the checks, which ask for all of answers and for nothing else. */
static void
check_server(const ScriptResult *answers)
{
	script.next = answers;
	doctor_check_server(&doctor);
	if (script.next->command != NULL)
		fail_msg("not asked for: %s", script.next->command);
}

/* The one line of a check; text and remedy: parts of what it says, remedy "" for none. */
static const DoctorLine *
check_line(const char *check, DoctorLevel level, const char *text, const char *remedy)
{
	const DoctorLine *found = NULL;

	for (int i = 0; i < doctor.num_lines; i++)
		if (strcmp(doctor.lines[i].check, check) == 0)
		{
			assert_null(found);
			found = &doctor.lines[i];
		}
	assert_non_null(found);
	if (found->level != level || strstr(found->text, text) == NULL ||
		(remedy[0] == '\0') != (found->remedy[0] == '\0') || strstr(found->remedy, remedy) == NULL)
		fail_msg("%s: level %d, \"%s\", remedy \"%s\"", check, found->level, found->text,
				 found->remedy);
	return found;
}

static void
all_is_well(void **state)
{
	const ScriptResult answers[] = {REST};

	(void) state;
	check_server(answers);
	for (int i = 0; i < doctor.num_lines; i++)
		if (doctor.lines[i].level != DOCTOR_OK || doctor.lines[i].remedy[0] != '\0')
			fail_msg("%s: %s", doctor.lines[i].check, doctor.lines[i].text);
	assert_true(doctor.can_create_slot && doctor.can_replicate);
	check_line("max_replication_slots", DOCTOR_OK, "1 of 10 replication slots in use", "");
	check_line("max_slot_wal_keep_size", DOCTOR_OK, "is 50GB", "");
}

static void
versions(void **state)
{
	const ScriptResult answers[] = {REST};

	(void) state;
	doctor.version = 140011;
	check_server(answers);
	check_line("server_version", DOCTOR_FAIL, "server is PostgreSQL as the server calls it",
			   "upgrade it to PostgreSQL 15 or later");
	assert_false(doctor.can_create_slot);
	teardown(state);

	setup(state);
	doctor.version = 200000;
	check_server(answers);
	check_line("server_version", DOCTOR_WARN, "tested with 15 to 19", "");
	assert_true(doctor.can_create_slot);
}

static void
standbys(void **state)
{
	const ScriptResult answers[] = {REST};

	(void) state;
	doctor.in_recovery = true;
	doctor.version = 150020;
	set(WAL_LEVEL, "wal_level", "replica", "replica");
	options.fix = true; /* nothing can be set on a standby */
	check_server(answers);
	check_line("primary", DOCTOR_FAIL, "before 16 cannot decode",
			   "target_session_attrs=read-write");
	check_line("wal_level", DOCTOR_FAIL, "wal_level is replica", "on the primary and here");
	assert_false(doctor.can_create_slot);
	teardown(state);

	setup(state);
	doctor.in_recovery = true;
	check_server(answers);
	check_line("primary", DOCTOR_OK, "needs hot_standby_feedback", "");
	assert_true(doctor.can_create_slot);
}

static void
wal_level(void **state)
{
	const ScriptResult answers[] = {REST};
	const ScriptResult mended[] = {DONE("ALTER SYSTEM SET wal_level = logical"),
								   ONE("pg_reload_conf", "t"), REST};
	const ScriptResult refused[] = {REFUSED("ALTER SYSTEM"), REST};
	const DoctorLine *line;

	(void) state;
	set(WAL_LEVEL, "wal_level", "minimal", "minimal");
	check_server(answers);
	check_line("wal_level", DOCTOR_FAIL, "minimal; decoding needs logical",
			   "ALTER SYSTEM SET wal_level = logical; then restart the server");
	assert_false(doctor.can_create_slot);
	teardown(state);

	setup(state);
	set(WAL_LEVEL, "wal_level", "replica", "replica");
	settings[WAL_LEVEL][3] = "t";
	options.fix = true; /* which has nothing to do then */
	check_server(answers);
	check_line("wal_level", DOCTOR_FAIL, "replica", "it has been changed already: restart");
	teardown(state);

	setup(state);
	set(WAL_LEVEL, "wal_level", "replica", "replica");
	options.fix = true;
	check_server(mended);
	line = check_line("wal_level", DOCTOR_FAIL, "replica", "now restart the server, which doctor");
	assert_true(line->fixed);
	assert_false(doctor.can_create_slot);
	teardown(state);

	setup(state);
	set(WAL_LEVEL, "wal_level", "replica", "replica");
	options.fix = true;
	check_server(refused);
	line = check_line("wal_level", DOCTOR_FAIL, "--fix could not mend it: ", "then restart");
	assert_non_null(strstr(line->text, "permission denied"));
	assert_false(line->fixed);
}

/* PostgreSQL 19: it follows from what there is. */
static void
wal_level_that_rises(void **state)
{
	const ScriptResult answers[] = {REST};

	(void) state;
	set(WAL_LEVEL, "wal_level", "replica", "replica");
	set(USUAL, "effective_wal_level", "replica", "replica");
	check_server(answers);
	check_line("wal_level", DOCTOR_OK, "which the first logical slot raises to logical", "");
	assert_true(doctor.can_create_slot);
	teardown(state);

	setup(state);
	set(WAL_LEVEL, "wal_level", "replica", "replica");
	set(USUAL, "effective_wal_level", "logical", "logical");
	doctor.in_recovery = true;
	check_server(answers);
	check_line("wal_level", DOCTOR_OK, "in effect logical as long as there are logical slots", "");
	teardown(state);

	setup(state);
	set(WAL_LEVEL, "wal_level", "replica", "replica");
	set(USUAL, "effective_wal_level", "replica", "replica");
	doctor.in_recovery = true;
	check_server(answers);
	check_line("wal_level", DOCTOR_FAIL, "wal_level is replica", "on the primary and here");
}

static void
room(void **state)
{
	const ScriptResult full[] = {
		SLOTS_USED("10"), WALSENDERS_USED("10"), LIBRARIES("cdc_decoder"), {0}};
	const ScriptResult none[] = {
		SLOTS_USED("0"), WALSENDERS_USED("0"), LIBRARIES("cdc_decoder"), {0}};
	const ScriptResult refused[] = {
		FAILED("pg_replication_slots"), WALSENDERS_USED("0"), LIBRARIES("cdc_decoder"), {0}};

	(void) state;
	settings[WALSENDERS][3] = "t";
	check_server(full);
	check_line("max_replication_slots", DOCTOR_FAIL, "all 10 replication slots are in use",
			   "ALTER SYSTEM SET max_replication_slots = 20; then restart");
	check_line("max_wal_senders", DOCTOR_FAIL, "all 10 walsenders are in use",
			   "changed already: restart");
	assert_false(doctor.can_create_slot || doctor.can_replicate);
	teardown(state);

	/* the slot is there and in use: no more is wanted */
	setup(state);
	doctor.slot.exists = doctor.slot.active = true;
	check_server(full);
	check_line("max_replication_slots", DOCTOR_OK, "10 of 10", "");
	check_line("max_wal_senders", DOCTOR_OK, "10 of 10", "");
	assert_true(doctor.can_create_slot);
	assert_false(doctor.can_replicate);
	teardown(state);

	setup(state);
	set(SLOTS, "max_replication_slots", "0", "0");
	set(WALSENDERS, "max_wal_senders", "0", "0");
	check_server(none);
	check_line("max_replication_slots", DOCTOR_FAIL, "max_replication_slots is 0: there can be no",
			   "= 10; then restart");
	check_line("max_wal_senders", DOCTOR_FAIL, "max_wal_senders is 0: there can be no", "= 10;");
	teardown(state);

	setup(state);
	check_server(refused);
	check_line("max_replication_slots", DOCTOR_FAIL, "the server has no memory", "Give it some.");
}

#define BEFORE SLOTS_USED("1"), WALSENDERS_USED("1")
#define HIDDEN(state, text)                                                                        \
	{.command = "pg_settings", .status = PGRES_TUPLES_OK, .num_rows = 0},                          \
	{                                                                                              \
		.command = "SHOW", .status = PGRES_FATAL_ERROR, .sqlstate = state, .message = text         \
	}

static void
plugin_libraries(void **state)
{
	static const char check[] = "output_plugin_libraries";
	const ScriptResult missing[] = {BEFORE, LIBRARIES("pgoutput"), {0}};
	const ScriptResult unknown[] = {BEFORE, HIDDEN("42704", "no such parameter"), {0}};
	const ScriptResult hidden[] = {BEFORE, HIDDEN("42501", "not for you"), {0}};
	const ScriptResult refused[] = {BEFORE, FAILED("output_plugin_libraries"), {0}};

	(void) state;
	check_server(missing);
	check_line(check, DOCTOR_FAIL, "does not list cdc_decoder (pgoutput)",
			   "ALTER SYSTEM SET output_plugin_libraries = pgoutput, cdc_decoder; SELECT "
			   "pg_reload_conf();");
	assert_false(doctor.can_create_slot);
	teardown(state);

	setup(state);
	check_server(unknown);
	check_line(check, DOCTOR_OK, "does not limit output plugins", "");
	assert_true(doctor.can_create_slot);
	teardown(state);

	setup(state);
	check_server(hidden);
	check_line(check, DOCTOR_WARN, "cannot be read by this role", "pg_read_all_settings");
	assert_true(doctor.can_create_slot);
	teardown(state);

	setup(state);
	check_server(refused);
	check_line(check, DOCTOR_FAIL, "the server has no memory", "Give it some.");
}

#define FIX                                                                                        \
	BEFORE, LIBRARIES("pgoutput"), DONE("ALTER SYSTEM SET output_plugin_libraries = pgoutput, "),  \
		ONE("pg_reload_conf", "t")

static void
plugin_libraries_fixed(void **state)
{
	static const char check[] = "output_plugin_libraries";
	const ScriptResult fixed[] = {FIX,
								  ONE("pg_sleep", ""),
								  LIBRARIES("pgoutput"), /* not reloaded yet */
								  ONE("pg_sleep", ""),
								  LIBRARIES("pgoutput, cdc_decoder"),
								  {0}};
	const ScriptResult overruled[] = {FIX, ONE("pg_sleep", ""), LIBRARIES("pgoutput"), {0}};
	const ScriptResult lost[] = {FIX, REFUSED("pg_sleep"), {0}};
	const DoctorLine *line;

	(void) state;
	options.fix = true;
	check_server(fixed);
	line = check_line(check, DOCTOR_OK, "lists cdc_decoder now", "pgoutput, cdc_decoder; SELECT");
	assert_true(line->fixed);
	assert_true(doctor.can_create_slot);
	teardown(state);

	setup(state);
	options.fix = true;
	jump = 6;
	check_server(overruled);
	line = check_line(check, DOCTOR_FAIL, "does not list", "the server's command line");
	assert_false(line->fixed);
	assert_false(doctor.can_create_slot);
	teardown(state);

	setup(state);
	options.fix = true;
	check_server(lost);
	line = check_line(check, DOCTOR_FAIL, "does not list", "did not suffice");
	assert_false(line->fixed);
	assert_false(doctor.can_create_slot);
}

static void
slots_that_get_lost(void **state)
{
	static const char idle[] = "idle_replication_slot_timeout";
	const ScriptResult answers[] = {REST};

	(void) state;
	set(KEEP_SIZE, "max_slot_wal_keep_size", "-1", "-1");
	set(USUAL, idle, "0", "0");
	check_server(answers);
	check_line("max_slot_wal_keep_size", DOCTOR_WARN, "until the disk is full", "= '50GB'");
	check_line(idle, DOCTOR_OK, "no slot is lost by idling", "");
	teardown(state);

	setup(state);
	set(USUAL, idle, "86400", "1d");
	check_server(answers);
	check_line(idle, DOCTOR_WARN, "is 1d: a client that is away for so long loses its slot",
			   "ALTER SYSTEM SET idle_replication_slot_timeout = 0;");
}

/* Commits that would wait for the client's sink. */
static void
synchronous_standbys(void **state)
{
	static const char check[] = "synchronous_standby_names";
	static const struct
	{
		const char *names;
		const char *application_name;
		const char *found; /* NULL: it is none of them */
	} cases[] = {
		{"a, b", "cdc_client", NULL},
		{"cdc_client2", "cdc_client", NULL},
		{"*", "cdc_client", "with * in it"},
		{"*", NULL, "with * in it"},
		{"cdc_client", NULL, NULL},
		{"FIRST 1 (a, \"CDC_Client\")", "cdc_client", "with cdc_client in it"},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		const ScriptResult without[] = {REST};
		const ScriptResult with[] = {
			BEFORE, LIBRARIES("cdc_decoder"), ONE("pg_stat_replication", "'a, \"b-2\"'"), {0}};

		setup(state);
		set(STANDBY_NAMES, check, cases[i].names, cases[i].names);
		application_name = cases[i].application_name;
		check_server(cases[i].found != NULL ? with : without);
		if (cases[i].found != NULL)
			check_line(check, DOCTOR_WARN, cases[i].found,
					   "ALTER SYSTEM SET synchronous_standby_names = 'a, \"b-2\"';");
		else
			check_line(check, DOCTOR_OK, "does not take the client for a standby", "");
		teardown(state);
	}
	doctor.lines = NULL;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_is_well, setup, teardown),
		cmocka_unit_test_setup_teardown(versions, setup, teardown),
		cmocka_unit_test_setup_teardown(standbys, setup, teardown),
		cmocka_unit_test_setup_teardown(wal_level, setup, teardown),
		cmocka_unit_test_setup_teardown(wal_level_that_rises, setup, teardown),
		cmocka_unit_test_setup_teardown(room, setup, teardown),
		cmocka_unit_test_setup_teardown(plugin_libraries, setup, teardown),
		cmocka_unit_test_setup_teardown(plugin_libraries_fixed, setup, teardown),
		cmocka_unit_test_setup_teardown(slots_that_get_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(synchronous_standbys, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
