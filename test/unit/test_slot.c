/*
 * test_slot.c
 *		Reading slots of every version, and which of them can be streamed.
 */
#include "script_libpq.h"

#include "slot.h"

static CdcError err;

static const SlotInfo good = {.exists = true,
							  .plugin = "cdc_decoder",
							  .database = "shop",
							  .wal_status = "reserved",
							  .confirmed_flush_lsn = UINT64_C(0x1600000001)};

static void
check_refused(const SlotInfo *info, CdcStatus status, const char *message, const char *hint)
{
	assert_int_equal(slot_check_usable(info, "s", "shop", &err), status);
	if (strstr(err.message, message) == NULL || strstr(err.hint, hint) == NULL)
		fail_msg("\"%s\", \"%s\" lack \"%s\" or \"%s\"", err.message, err.hint, message, hint);
}

static void
test_usable(void **state)
{
	SlotInfo info = good;

	(void) state;
	assert_int_equal(slot_check_usable(&info, "s", "shop", &err), CDC_OK);
	strcpy(info.wal_status, "unreserved");
	info.active = true;
	assert_int_equal(slot_check_usable(&info, "s", "shop", &err), CDC_OK);
}

static void
test_unusable(void **state)
{
	SlotInfo info = {0};

	(void) state;
	check_refused(&info, CDC_USAGE, "\"s\" does not exist", "slot create --slot=s");
	info = good;
	strcpy(info.plugin, "pgoutput");
	check_refused(&info, CDC_USAGE, "of plugin \"pgoutput\"", "another name");
	info.plugin[0] = '\0';
	check_refused(&info, CDC_USAGE, "physical", "another name");
	info = good;
	strcpy(info.database, "other");
	check_refused(&info, CDC_USAGE, "of database \"other\", not of \"shop\"", "dbname=other");
	info = good;
	strcpy(info.wal_status, "lost");
	check_refused(&info, CDC_STOP, "\"s\" is lost: changes after 16/1", "max_slot_wal_keep_size");
	assert_non_null(strstr(err.detail, "max_slot_wal_keep_size"));
	strcpy(info.invalidation_reason, "idle_timeout");
	check_refused(&info, CDC_STOP, "lost", "idle_replication_slot_timeout");
	assert_non_null(strstr(err.detail, "idle_timeout"));
	info = good;
	info.synced = true;
	check_refused(&info, CDC_RETRY, "standby", "target_session_attrs=read-write");
}

static void
test_read(void **state)
{
	static const struct
	{
		int version;
		const char *query;
	} cases[] = {
		{150000, "false, false, NULL FROM"},
		{160000, "CASE WHEN conflicting"},
		{170000, "failover, synced AND pg_catalog.pg_is_in_recovery(), invalidation_reason"},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		const ScriptResult answers[] = {
			{.command = cases[i].query,
			 .status = PGRES_TUPLES_OK,
			 .num_rows = 1,
			 .null_mark = "-",
			 .row = {"cdc_decoder", "shop", "t", "4711", "-", "16/B374D848", "extended", "f", "t",
					 "f", "-"}},
			{0},
		};
		SlotInfo info;

		script.version = cases[i].version;
		script.next = answers;
		assert_int_equal(slot_read(SCRIPT_CONN, "it's", &info, &err), CDC_OK);
		assert_true(info.exists && info.active && info.failover && !info.synced && !info.two_phase);
		assert_string_equal(info.plugin, "cdc_decoder");
		assert_int_equal(info.active_pid, 4711);
		assert_int_equal(info.restart_lsn, 0);
		assert_true(info.confirmed_flush_lsn == UINT64_C(0x16B374D848));
		assert_string_equal(info.wal_status, "extended");
		assert_string_equal(info.invalidation_reason, "");
	}
}

static void
test_read_nothing(void **state)
{
	const ScriptResult none[] = {
		{.command = "slot_name = 'it''s'", .status = PGRES_TUPLES_OK, .num_rows = 0}, {0}};
	const ScriptResult broken[] = {
		{.command = "pg_replication_slots", .status = PGRES_FATAL_ERROR, .message = "gone"}, {0}};
	SlotInfo info;

	(void) state;
	script.next = none;
	assert_int_equal(slot_read(SCRIPT_CONN, "it's", &info, &err), CDC_OK);
	assert_false(info.exists);
	script.next = broken;
	assert_int_equal(slot_read(SCRIPT_CONN, "s", &info, &err), CDC_RETRY);
	assert_false(info.exists);
}

/* Refused before anything is sent. */
static void
test_failover_version(void **state)
{
	uint64_t lsn;

	(void) state;
	script.version = 160004;
	script.next = NULL;
	assert_int_equal(slot_create(SCRIPT_CONN, NULL, "s", true, NULL, NULL, &lsn, &err), CDC_USAGE);
	assert_non_null(strstr(err.message, "PostgreSQL 16"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usable),
		cmocka_unit_test(test_unusable),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_read_nothing),
		cmocka_unit_test(test_failover_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
