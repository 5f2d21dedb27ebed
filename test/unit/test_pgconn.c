/*
 * test_pgconn.c
 *		What a failure means and how it is mended; lists of plugins; quoting.
 */
#include "script_libpq.h"

#include "pgconn.h"

static CdcError err;

static int
setup(void **state)
{
	(void) state;
	memset(&script, 0, sizeof(script));
	memset(&err, 0, sizeof(err));
	script.version = 150020;
	script.transaction = PQTRANS_IDLE;
	return 0;
}

static void
check_contains(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("\"%s\" does not contain \"%s\"", text, part);
}

/* Failures of commands, as servers of several versions and in several languages word them. */
static void
test_errors(void **state)
{
	static const struct
	{
		ScriptResult result;
		CdcStatus status;
		const char *hint;
	} cases[] = {
		{{.sqlstate = "55000", .message = "logical decoding requires wal_level >= logical"},
		 CDC_USAGE,
		 "ALTER SYSTEM SET wal_level = logical; then restart"},
		{{.sqlstate = "55000",
		  .message = "logische Dekodierung erfordert \"wal_level\" >= \"logical\""},
		 CDC_USAGE,
		 "ALTER SYSTEM SET wal_level = logical"},
		{{.sqlstate = "55000",
		  .message = "replication slots can only be used if max_replication_slots > 0"},
		 CDC_USAGE,
		 "max_replication_slots"},
		{{.sqlstate = "55000", .message = "can no longer get changes from replication slot \"s\""},
		 CDC_STOP,
		 "drop it, create it anew"},
		{{.sqlstate = "55000",
		  .message = "can no longer access replication slot \"s\"",
		  .hint = "the server's own"},
		 CDC_STOP,
		 "the server's own"},
		{{.sqlstate = "53400",
		  .message = "all replication slots are in use",
		  .hint = "Free one or increase max_replication_slots."},
		 CDC_USAGE,
		 "ALTER SYSTEM SET max_replication_slots"},
		{{.sqlstate = "58P01",
		  .message = "could not access file \"cdc_decoder\": No such file or directory"},
		 CDC_USAGE,
		 "pg_config --pkglibdir"},
		{{.sqlstate = "XX000",
		  .message = "could not load library \"/x/cdc_decoder.so\": file too short"},
		 CDC_USAGE,
		 "major version"},
		{{.sqlstate = "58P01",
		  .message = "requested WAL segment 00000001 has already been removed"},
		 CDC_STOP,
		 ""},
		{{.sqlstate = "42501",
		  .message = "must be superuser or replication role to use replication slots"},
		 CDC_USAGE,
		 "ALTER ROLE \"the \"\"user\"\"\" REPLICATION;"},
		{{.sqlstate = "42501",
		  .message = "permission denied to use replication slots",
		  .detail = "Only roles with the REPLICATION attribute may use replication slots."},
		 CDC_USAGE,
		 "REPLICATION;"},
		{{.sqlstate = "42501", .message = "permission denied for table t"}, CDC_USAGE, ""},
		{{.sqlstate = "42704", .message = "replication slot \"s\" does not exist"},
		 CDC_USAGE,
		 "slot list"},
		{{.sqlstate = "42710", .message = "replication slot \"s\" already exists"},
		 CDC_USAGE,
		 "--if-not-exists"},
		{{.sqlstate = "55006", .message = "replication slot \"s\" is active for PID 7"},
		 CDC_RETRY,
		 "pg_terminate_backend"},
		{{.sqlstate = "22023",
		  .message = "invalid value for option \"numeric\"",
		  .hint = "Allowed: string or number"},
		 CDC_USAGE,
		 "Allowed: string or number"},
		{{.sqlstate = "57P01", .message = "terminating connection"}, CDC_RETRY, ""},
		{{.sqlstate = "57P03", .message = "the database system is starting up"}, CDC_RETRY, ""},
		{{.sqlstate = "57P04", .message = "database dropped"}, CDC_USAGE, ""},
		{{.sqlstate = "53100", .message = "disk full"}, CDC_RETRY, ""},
		{{.sqlstate = "08006", .message = "connection failure"}, CDC_RETRY, ""},
		{{.sqlstate = "40001", .message = "serialization failure"}, CDC_RETRY, ""},
		{{.sqlstate = "XX001", .message = "data corrupted"}, CDC_STOP, ""},
		{{.sqlstate = "XX000", .message = "could not open relation"}, CDC_RETRY, ""},
		{{.sqlstate = "54000", .message = "out of memory"}, CDC_STOP, ""},
		{{.sqlstate = "P0001", .message = "raised"}, CDC_RETRY, ""},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		CdcStatus status =
			pgconn_error(SCRIPT_CONN, (const PGresult *) &cases[i].result, "what", &err);

		if (status != cases[i].status)
			fail_msg("%s %s: status %d", cases[i].result.sqlstate, cases[i].result.message, status);
		assert_string_equal(err.sqlstate, cases[i].result.sqlstate);
		assert_memory_equal(err.message, "what: ", 6);
		check_contains(err.message, cases[i].result.message);
		check_contains(err.hint, cases[i].hint);
		if (cases[i].result.detail != NULL)
			assert_string_equal(err.detail, cases[i].result.detail);
		if (cases[i].hint[0] == '\0')
			assert_string_equal(err.hint, "");
	}
}

/* No answer of the server's: the connection broke. */
static void
test_broken_connection(void **state)
{
	(void) state;
	script.connection_error = "server closed the connection unexpectedly\n\tThis probably means\n";
	assert_int_equal(pgconn_error(SCRIPT_CONN, NULL, "COPY", &err), CDC_RETRY);
	assert_string_equal(err.message,
						"COPY: server closed the connection unexpectedly  This probably means");
	script.connection_error = "";
	assert_int_equal(pgconn_error(SCRIPT_CONN, NULL, "COPY", &err), CDC_RETRY);
	assert_string_equal(err.message, "COPY: the connection was lost");
	assert_string_equal(err.sqlstate, "");
}

#define FORBIDDEN                                                                                  \
	{                                                                                              \
		.command = "CREATE", .status = PGRES_FATAL_ERROR, .sqlstate = "42501",                     \
		.message = "library \"cdc_decoder\" may not be used as an output plugin",                  \
		.hint = "... add it to \"output_plugin_libraries\" ..."                                    \
	}

static void
test_plugin_libraries_hint(void **state)
{
	static const struct
	{
		const char *value;
		const char *command;
	} cases[] = {
		{"pgoutput, test_decoding",
		 "= pgoutput, test_decoding, cdc_decoder; SELECT pg_reload_conf()"},
		{"", "= cdc_decoder; "},
		{"\"\"", "= cdc_decoder; "},
		{"pgoutput,\"a, b\" , Mixed,$libdir/x,1st,cdc_decoder2",
		 "= pgoutput, \"a, b\", \"Mixed\", \"$libdir/x\", \"1st\", cdc_decoder2, cdc_decoder; "},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		const ScriptResult answers[] = {
			FORBIDDEN,
			{.command = "output_plugin_libraries",
			 .status = PGRES_TUPLES_OK,
			 .num_rows = 1,
			 .row = {cases[i].value}},
			{0},
		};

		script.next = answers;
		assert_int_equal(pgconn_query(SCRIPT_CONN, "CREATE_REPLICATION_SLOT", NULL, &err),
						 CDC_USAGE);
		assert_ptr_equal(script.next, answers + 2);
		check_contains(err.hint, cases[i].command);
	}
}

/* In the midst of a command nothing can be asked; the hint is still true. */
static void
test_plugin_libraries_busy(void **state)
{
	const ScriptResult answers[] = {FORBIDDEN, {0}};

	(void) state;
	script.next = answers;
	script.transaction = PQTRANS_ACTIVE;
	assert_int_equal(pgconn_query(SCRIPT_CONN, "CREATE_REPLICATION_SLOT", NULL, &err), CDC_USAGE);
	check_contains(err.hint, "SHOW output_plugin_libraries");
}

static void
test_plugin_libraries(void **state)
{
	const ScriptResult listed[] = {
		{.command = "pg_settings",
		 .status = PGRES_TUPLES_OK,
		 .num_rows = 1,
		 .row = {"a, \"cdc_decoder\""}},
		{0},
	};
	const ScriptResult unknown[] = {
		{.command = "pg_settings", .status = PGRES_TUPLES_OK, .num_rows = 0},
		{.command = "SHOW", .status = PGRES_FATAL_ERROR, .sqlstate = "42704", .message = "no"},
		{0},
	};
	const ScriptResult hidden[] = {
		{.command = "pg_settings", .status = PGRES_TUPLES_OK, .num_rows = 0},
		{.command = "SHOW", .status = PGRES_FATAL_ERROR, .sqlstate = "42501", .message = "no"},
		{0},
	};
	const ScriptResult broken[] = {
		{.command = "pg_settings", .status = PGRES_TUPLES_OK, .num_rows = 0},
		{.command = "SHOW", .status = PGRES_FATAL_ERROR, .message = "gone"},
		{0},
	};
	PluginLibraries libraries;

	(void) state;
	script.next = listed;
	assert_int_equal(pgconn_plugin_libraries(SCRIPT_CONN, &libraries, &err), CDC_OK);
	assert_true(libraries.known && libraries.readable && libraries.listed);
	assert_string_equal(libraries.command, "");
	/* never proposed where the server does not know it */
	script.next = unknown;
	assert_int_equal(pgconn_plugin_libraries(SCRIPT_CONN, &libraries, &err), CDC_OK);
	assert_true(!libraries.known && libraries.listed);
	assert_string_equal(libraries.command, "");
	script.next = hidden;
	assert_int_equal(pgconn_plugin_libraries(SCRIPT_CONN, &libraries, &err), CDC_OK);
	assert_true(libraries.known && !libraries.readable);
	check_contains(libraries.command, "\\gexec");
	script.next = broken;
	assert_int_equal(pgconn_plugin_libraries(SCRIPT_CONN, &libraries, &err), CDC_RETRY);
}

static void
test_connect_errors(void **state)
{
	static const struct
	{
		const char *text;
		int needs_password;
		PgConnKind kind;
		CdcStatus status;
		const char *sqlstate;
		const char *message;
		const char *hint;
	} cases[] = {
		{"connection to server on socket \"/s\" failed: FATAL:  28P01: password authentication "
		 "failed for user \"u\"\nLOCATION:  auth_failed, auth.c:335\n",
		 0, PGCONN_SQL, CDC_USAGE, "28P01", "FATAL:  password authentication failed", "PGPASSWORD"},
		{"connection to server at \"a\" failed: FATAL:  57P03: the database system is starting up\n"
		 "LOCATION:  x, y.c:1\nconnection to server at \"b\" failed: FATAL:  57P03: the database "
		 "system is shutting down\nLOCATION:  x, y.c:1\n",
		 0, PGCONN_SQL, CDC_RETRY, "57P03", "starting up connection to server at \"b\"", ""},
		{"connection to server failed: FATAL:  42501: must be superuser or replication role to "
		 "start walsender\n",
		 0, PGCONN_REPLICATION, CDC_USAGE, "42501", "walsender", "\"\"user\"\"\" REPLICATION;"},
		{"connection to server failed: FATAL:  42501: permission denied for database \"shop\"\n", 0,
		 PGCONN_SQL, CDC_USAGE, "42501", "permission", "GRANT CONNECT ON DATABASE \"shop\""},
		{"connection to server failed: FATAL:  53300: number of requested standby connections "
		 "exceeds max_wal_senders (currently 1)\n",
		 0, PGCONN_REPLICATION, CDC_RETRY, "53300", "max_wal_senders",
		 "ALTER SYSTEM SET max_wal_senders"},
		{"connection to server failed: FATAL:  28000: no pg_hba.conf entry for host \"::1\"\n", 0,
		 PGCONN_SQL, CDC_USAGE, "28000", "no pg_hba.conf entry", "pg_reload_conf()"},
		{"connection to server failed: FATAL:  3D000: database \"x\" does not exist\n", 0,
		 PGCONN_SQL, CDC_USAGE, "3D000", "does not exist", "--dbname"},
		{"connection to server at \"h\" failed: fe_sendauth: no password supplied\n", 1, PGCONN_SQL,
		 CDC_USAGE, "", "no password", ".pgpass"},
		{"connection to server at \"h\" failed: Connection refused\n", 0, PGCONN_SQL, CDC_RETRY, "",
		 "refused", ""},
		{"connection to server at \"h\" failed: SSL error: certificate verify failed\n", 0,
		 PGCONN_SQL, CDC_USAGE, "", "certificate", ""},
		{"connection to server at \"h\" failed: server does not support SSL, but SSL was "
		 "required\n",
		 0, PGCONN_SQL, CDC_USAGE, "", "SSL", ""},
		{"could not translate host name \"h\" to address: Name or service not known\n", 0,
		 PGCONN_SQL, CDC_RETRY, "", "translate", ""},
		{"invalid sslmode value: \"perhaps\"\n", 0, PGCONN_SQL, CDC_USAGE, "", "sslmode", ""},
		{"definition of service \"x\" not found\n", 0, PGCONN_SQL, CDC_USAGE, "", "service", ""},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		CdcStatus status;

		script.connection_error = cases[i].text;
		script.needs_password = cases[i].needs_password;
		status = pgconn_connect_error(SCRIPT_CONN, cases[i].kind, &err);
		if (status != cases[i].status)
			fail_msg("%s: status %d", cases[i].text, status);
		assert_string_equal(err.sqlstate, cases[i].sqlstate);
		check_contains(err.message, cases[i].message);
		check_contains(err.hint, cases[i].hint);
		assert_null(strstr(err.message, "LOCATION"));
		assert_null(strchr(err.message, '\n'));
	}
}

static void
test_identify(void **state)
{
	const ScriptResult good[] = {
		{.command = "IDENTIFY_SYSTEM",
		 .status = PGRES_TUPLES_OK,
		 .num_rows = 1,
		 .row = {"7123456789012345678", "3", "16/B374D848", "shop"}},
		{0},
	};
	const ScriptResult physical[] = {
		{.command = "IDENTIFY_SYSTEM",
		 .status = PGRES_TUPLES_OK,
		 .num_rows = 1,
		 .row = {"7123456789012345678", "3", "16/B374D848", "-"},
		 .null_mark = "-"},
		{0},
	};
	ServerIdentity identity;

	(void) state;
	script.next = good;
	assert_int_equal(pgconn_identify(SCRIPT_CONN, &identity, &err), CDC_OK);
	assert_string_equal(identity.system_identifier, "7123456789012345678");
	assert_string_equal(identity.database, "shop");
	assert_int_equal(identity.timeline, 3);
	assert_true(identity.wal_end == UINT64_C(0x16B374D848));
	assert_int_equal(identity.version, 150020);
	script.next = physical;
	assert_int_equal(pgconn_identify(SCRIPT_CONN, &identity, &err), CDC_STOP);
}

static void
test_quote(void **state)
{
	char *text = pgconn_quote_identifier("a\"b'c\\");

	(void) state;
	assert_string_equal(text, "\"a\"\"b'c\\\"");
	free(text);
	text = pgconn_quote_literal("a\"b'c\\");
	assert_string_equal(text, "'a\"b''c\\'");
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_errors, setup),
		cmocka_unit_test_setup(test_broken_connection, setup),
		cmocka_unit_test_setup(test_plugin_libraries_hint, setup),
		cmocka_unit_test_setup(test_plugin_libraries_busy, setup),
		cmocka_unit_test_setup(test_plugin_libraries, setup),
		cmocka_unit_test_setup(test_connect_errors, setup),
		cmocka_unit_test_setup(test_identify, setup),
		cmocka_unit_test(test_quote),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
