/*
 * test_options.c
 *		Command line, environment and config file: precedence, and every kind of bad value.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "option_table.h"
#include "options.h"

#define ARGS(...) ((char *[]){"cdc_client", __VA_ARGS__, NULL})
#define ENV(...) ((char *[]){__VA_ARGS__, NULL})
#define NO_ENV ((char *[]){NULL})

static CdcOptions options;
static CdcError err;
static char config_path[64];

static CdcStatus
read_options(char **argv, char **envp)
{
	int argc = 0;

	while (argv[argc] != NULL)
		argc++;
	options_free(&options);
	memset(&err, 0, sizeof(err));
	return options_read(&options, argc, argv, envp, &err);
}

static int
teardown(void **state)
{
	(void) state;
	options_free(&options);
	if (config_path[0] != '\0')
		unlink(config_path);
	config_path[0] = '\0';
	return 0;
}

/* Writes a config file and returns "--config=PATH". */
static char *
config(const char *text)
{
	static char flag[96];
	int fd;

	if (config_path[0] != '\0')
		unlink(config_path);
	strcpy(config_path, "/tmp/cdc_test_options.XXXXXX");
	fd = mkstemp(config_path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	snprintf(flag, sizeof(flag), "--config=%s", config_path);
	return flag;
}

/* Fails with CDC_USAGE, and the message, detail and hint together have all three texts. */
static void
check_refused(char **argv, char **envp, const char *one, const char *two, const char *three)
{
	char all[sizeof(err.message) + sizeof(err.detail) + sizeof(err.hint)];

	assert_int_equal(read_options(argv, envp), CDC_USAGE);
	snprintf(all, sizeof(all), "%s|%s|%s", err.message, err.detail, err.hint);
	if (strstr(all, one) == NULL || strstr(all, two) == NULL || strstr(all, three) == NULL)
		fail_msg("\"%s\" lacks one of \"%s\", \"%s\", \"%s\"", all, one, two, three);
}

static void
test_defaults(void **state)
{
	(void) state;
	assert_int_equal(read_options(ARGS("stream", "--slot=s", "--sink=-"), NO_ENV), CDC_OK);
	assert_int_equal(options.command, CMD_STREAM);
	assert_null(options.dbname);
	assert_string_equal(options.slot, "s");
	assert_string_equal(options.sink, "-");
	assert_false(options.create_slot);
	assert_int_equal(options.num_plugin_options, 0);
	assert_int_equal(options.endpos, 0);
	assert_int_equal(options.retry_for, INT64_C(300000000));
	assert_int_equal(options.receive_timeout, 60000000);
	assert_int_equal(options.status_interval, 10000000);
	assert_int_equal(options.commit_interval, -1);
	assert_null(options.dead_letter);
	assert_int_equal(options.wait_for_slot, 0);
	assert_int_equal(options.max_in_flight, 16 << 20);
	assert_int_equal(options.progress_interval, 10000000);
	assert_true(options.progress);
	assert_false(options.log_json);
	assert_int_equal(options.num_warnings, 0);
}

static void
test_every_field_is_reachable(void **state)
{
	(void) state;
	assert_int_equal(
		read_options(ARGS("stream", "-d", "dbname=x", "-Ss", "--sink", "-", "--create-slot",
						  "--failover", "--endpos=1/A", "--require-position",
						  "--accept=gap, divergence,other-source", "--retry-for=forever",
						  "--receive-timeout=5s", "--status-interval=500ms", "--commit-interval=0",
						  "--max-in-flight=1GB", "--log-format=json", "-v", "--progress=off",
						  "--progress-interval=1min"),
					 NO_ENV),
		CDC_OK);
	assert_string_equal(options.dbname, "dbname=x");
	assert_true(options.create_slot && options.failover && options.require_position);
	assert_true(options.endpos == ((UINT64_C(1) << 32) | 0xa));
	assert_true(options.accept_gap && options.accept_divergence && options.accept_other_source);
	assert_int_equal(options.retry_for, -1);
	assert_int_equal(options.receive_timeout, 5000000);
	assert_int_equal(options.status_interval, 500000);
	assert_int_equal(options.commit_interval, 0);
	assert_int_equal(options.max_in_flight, 1 << 30);
	assert_true(options.log_json && options.verbose && !options.quiet && !options.progress);
	assert_int_equal(options.progress_interval, 60000000);

	assert_int_equal(read_options(ARGS("stream", "-S", "s", "--sink=-", "--until", "now", "-q",
									   "--on-error=dead-letter:file:///d", "--sink-table=t"),
								  NO_ENV),
					 CDC_OK);
	assert_string_equal(options.dead_letter, "file:///d");
	assert_true(options.until_now && options.quiet);
	/* a value that may be left out is never the next argument */
	assert_int_equal(read_options(ARGS("stream", "--wait-for-slot", "-Ss", "--sink=-"), NO_ENV),
					 CDC_OK);
	assert_int_equal(options.wait_for_slot, -1);
	assert_int_equal(
		read_options(ARGS("stream", "--wait-for-slot=2min", "-Ss", "--sink=-"), NO_ENV), CDC_OK);
	assert_int_equal(options.wait_for_slot, 120000000);
	assert_int_equal(read_options(ARGS("slot", "create", "-S", "s", "--if-not-exists"), NO_ENV),
					 CDC_OK);
	assert_int_equal(options.command, CMD_SLOT_CREATE);
	assert_true(options.if_not_exists);
	assert_int_equal(read_options(ARGS("doctor", "--fix", "--json=yes"), NO_ENV), CDC_OK);
	assert_int_equal(options.command, CMD_DOCTOR);
	assert_true(options.fix && options.json);
	assert_int_equal(read_options(ARGS("slot", "list"), NO_ENV), CDC_OK);
	assert_int_equal(options.command, CMD_SLOT_LIST);
	assert_int_equal(read_options(ARGS("slot", "drop", "--slot", "x"), NO_ENV), CDC_OK);
	assert_int_equal(options.command, CMD_SLOT_DROP);
	assert_int_equal(read_options(ARGS("status"), NO_ENV), CDC_OK);
	assert_int_equal(options.command, CMD_STATUS);
}

static void
test_plugin_options(void **state)
{
	(void) state;
	assert_int_equal(
		read_options(ARGS("stream", "-Ss", "--sink=-", "--publication-names=a,B", "-o",
						  "future=1=2", "--batch_bytes", "65536", "--option=max-record-bytes=5"),
					 ENV("CDC_FORMAT=cdc", "CDC_BATCH_BYTES=1")),
		CDC_OK);
	assert_int_equal(options.num_plugin_options, 5);
	assert_string_equal(options.plugin_options[0].name, "publication_names");
	assert_string_equal(options.plugin_options[0].value, "a,B");
	assert_string_equal(options.plugin_options[1].name, "future");
	assert_string_equal(options.plugin_options[1].value, "1=2");
	assert_string_equal(options.plugin_options[2].name, "batch_bytes");
	assert_string_equal(options.plugin_options[2].value, "65536");
	assert_string_equal(options.plugin_options[3].name, "max_record_bytes");
	assert_string_equal(options.plugin_options[4].name, "format");
}

static void
test_plugin_options_refused(void **state)
{
	(void) state;
	check_refused(ARGS("stream", "-Ss", "--sink=-", "-o", "framing=lines"), NO_ENV, "-o", "framing",
				  "set by cdc_client itself");
	check_refused(ARGS("stream", "-Ss", "--sink=-", "-o", "protocol_version=1"), NO_ENV,
				  "protocol_version", "set by cdc_client itself", "");
	check_refused(ARGS("stream", "-Ss", "--sink=-", "--option=x"), NO_ENV, "--option", "\"x\"",
				  "NAME=VALUE");
	check_refused(ARGS("stream", "-Ss", "--sink=-", "-o", "=x"), NO_ENV, "-o", "NAME=VALUE", "");
	check_refused(ARGS("stream", "-Ss", "--sink=-", "-o", "format=a", "--format=b"), NO_ENV,
				  "--format", "given before, by -o", "");
	check_refused(ARGS("stream", "-Ss", "--sink=-", "-o", "y=a", "-o", "y=b"), NO_ENV, "\"y\"",
				  "given before", "");
}

static void
test_precedence(void **state)
{
	char *flag = config("# first\n\nslot = from_file\nsink='file:///a # b''c' # comment\n"
						"max_in_flight = 1MB # one\nformat=f\n");

	(void) state;
	assert_int_equal(read_options(ARGS("stream", flag), NO_ENV), CDC_OK);
	assert_string_equal(options.slot, "from_file");
	assert_string_equal(options.sink, "file:///a # b'c");
	assert_int_equal(options.max_in_flight, 1 << 20);
	assert_string_equal(options.plugin_options[0].value, "f");

	assert_int_equal(
		read_options(ARGS("stream", flag), ENV("CDC_SLOT=from_env", "CDC_MAX_IN_FLIGHT=2MB")),
		CDC_OK);
	assert_string_equal(options.slot, "from_env");
	assert_int_equal(options.max_in_flight, 2 << 20);

	assert_int_equal(read_options(ARGS("stream", flag, "--slot=from_flag", "--format=g"),
								  ENV("CDC_SLOT=from_env", "CDC_SINK=")),
					 CDC_OK);
	assert_string_equal(options.slot, "from_flag");
	assert_string_equal(options.sink, "file:///a # b'c");
	assert_int_equal(options.num_plugin_options, 1);
	assert_string_equal(options.plugin_options[0].value, "g");

	/* a set that is overridden leaves nothing behind; the file may be named by the environment */
	assert_int_equal(read_options(ARGS("stream", "-Ss", "--sink=-", "--accept=divergence"),
								  ENV("CDC_ACCEPT=gap")),
					 CDC_OK);
	assert_true(options.accept_divergence && !options.accept_gap);
	{
		char variable[128];

		snprintf(variable, sizeof(variable), "CDC_CONFIG=%s", config_path);
		assert_int_equal(read_options(ARGS("slot", "drop"), ENV(variable)), CDC_OK);
	}
	assert_string_equal(options.slot, "from_file");
}

/* What is for another subcommand is checked and left alone. */
static void
test_shared_file(void **state)
{
	(void) state;
	assert_int_equal(read_options(ARGS("slot", "list", config("sink=-\nendpos=0/1\n")), NO_ENV),
					 CDC_OK);
	assert_null(options.sink);
	assert_int_equal(options.endpos, 0);
	check_refused(ARGS("slot", "list", config("\nendpos=x\n")), NO_ENV, ":2: \"x\" is not an LSN",
				  "0/16E2A10", "");
	check_refused(ARGS("slot", "list", config("slot=A\n"), "--slot=b"), NO_ENV, ":1: \"A\"",
				  "lower case", "");
}

static void
test_config_refused(void **state)
{
	(void) state;
	check_refused(ARGS("slot", "list", "--config=/nonexistent/x"), NO_ENV, "--config",
				  "\"/nonexistent/x\"", "No such file");
	check_refused(ARGS("pipeline", "preview", "file", "--relation=r", "--max-rows=0"), NO_ENV,
				  "--max-rows", "\"0\" is not a number that is allowed", "Allowed are");
	check_refused(ARGS("slot", "list", "--config=/tmp"), NO_ENV, "--config",
				  "cannot read \"/tmp\": Is a directory", "");
	check_refused(ARGS("slot", "list"), ENV("CDC_CONFIG=/nonexistent/x"), "CDC_CONFIG",
				  "No such file", "");
	check_refused(ARGS("slot", "list", config("\n\nslot\n")), NO_ENV, ":3: \"slot\"",
				  "not a setting", "name = value");
	check_refused(ARGS("slot", "list", config("slot='x\n")), NO_ENV, ":1:", "quoted wrongly", "");
	check_refused(ARGS("slot", "list", config("slot='x' y\n")), NO_ENV, ":1:", "quoted wrongly",
				  "");
	check_refused(ARGS("slot", "list", config("slot=x\nslot=y\n")), NO_ENV, ":2:", "given before",
				  ":1");
	check_refused(ARGS("slot", "list", config("slott=x\n")), NO_ENV, ":1:", "\"slott\"",
				  "Did you mean \"slot\"");
	check_refused(ARGS("slot", "list", config("config=x\n")), NO_ENV,
				  ":1:", "not an option for a file", "");
	check_refused(ARGS("slot", "list", config("slot = \n")), NO_ENV, ":1:", "empty", "");
}

static void
test_unknown(void **state)
{
	(void) state;
	check_refused(ARGS("stream", "--slto=x"), NO_ENV, "--slto", "no option", "mean \"slot\"");
	check_refused(ARGS("stream", "--max-in-fligth=1"), NO_ENV, "no option", "max-in-flight", "");
	check_refused(ARGS("stream", "--quite-another"), NO_ENV, "no option", "stream --help", "");
	check_refused(ARGS("stream", "-z"), NO_ENV, "-z", "no option", "");
	check_refused(ARGS("stream", "-h", "db1"), NO_ENV, "-h", "--dbname", "PGHOST");
	check_refused(ARGS("stream", "x"), NO_ENV, "unexpected argument \"x\"", "--slot=NAME", "");
	check_refused(ARGS("stream", "-"), NO_ENV, "unexpected argument", "", "");
	check_refused(ARGS("stream", "postgresql://u:s3cret@h/d"), NO_ENV,
				  "unexpected argument \"(a connection string, not shown)\"", "", "");
	check_refused(ARGS("stream", "dbname=d", "PassWord=s3cret"), NO_ENV, "\"dbname=d\"", "", "");
	check_refused(ARGS("stream", "PassWord=s3cret"), NO_ENV, "not shown", "", "");
	check_refused(ARGS("postgres://u:s3cret@h"), NO_ENV, "no subcommand", "not shown", "");
	check_refused(ARGS("stream", config("postgres://u:s3cret@h\n")), NO_ENV, ":1:", "not shown",
				  "");
	check_refused(ARGS("stream", config("postgres://u:s3cret@h/d?sslmode=require\n")), NO_ENV,
				  ":1:", "\"(a connection string, not shown)\"", "");
	check_refused(ARGS("slot", "list", "--fix"), NO_ENV, "--fix", "\"slot list\" takes no such",
				  "");
	check_refused(ARGS("stream"), ENV("CDC_SLTO=x"), "CDC_SLTO", "no option", "mean \"slot\"");
	assert_int_equal(read_options(ARGS("slot", "list"), ENV("CDC_PORT_5432_TCP_ADDR=x", "CDC=1")),
					 CDC_OK);
	assert_int_equal(options.num_warnings, 1);
	assert_non_null(strstr(options.warnings[0], "CDC_PORT_5432_TCP_ADDR"));
}

static void
test_commands(void **state)
{
	(void) state;
	check_refused(((char *[]){"cdc_client", NULL}), NO_ENV, "subcommand is missing", "stream",
				  "slot create");
	check_refused(ARGS("strem"), NO_ENV, "\"strem\"", "stream", "doctor");
	check_refused(ARGS("slot"), NO_ENV, "second word", "slot list", "");
	check_refused(ARGS("slot", "crate"), NO_ENV, "crate", "slot create", "");
	check_refused(ARGS("--slot=secret"), NO_ENV, "comes first", "--slot", "");
	assert_null(strstr(err.message, "secret"));
}

static void
test_required(void **state)
{
	(void) state;
	check_refused(ARGS("stream"), NO_ENV, "needs option \"slot\"", "--slot=", "CDC_SLOT");
	check_refused(ARGS("stream", "-Ss"), NO_ENV, "needs option \"sink\"", "--sink=", "CDC_SINK");
	check_refused(ARGS("slot", "create"), NO_ENV, "slot create", "--slot=", "");
	check_refused(ARGS("slot", "drop"), NO_ENV, "slot drop", "--slot=", "");
}

static void
test_bad_values(void **state)
{
	static const struct
	{
		char *flag;
		const char *says;
	} cases[] = {
		{"--slot=Bad", "lower case"},
		{"--slot=", "empty"},
		{"--slot=a234567890123456789012345678901234567890123456789012345678901234", "63"},
		{"--endpos=1", "not an LSN"},
		{"--endpos=1/", "not an LSN"},
		{"--endpos=123456789/0", "not an LSN"},
		{"--endpos=0/0x", "not an LSN"},
		{"--endpos=0/0", "no place in the WAL"},
		{"--until=later", "Allowed: now"},
		{"--accept=gap,", "\"\" is not allowed"},
		{"--accept=gaps", "\"gaps\" is not allowed"},
		{"--retry-for=-1", "not a duration"},
		{"--retry-for=5 parsecs", "not a duration"},
		{"--retry-for=9999999999999999999999d", "not a duration"},
		{"--retry-for=366d", "0 to 365d, and forever"},
		{"--receive-timeout=forever", "not a duration"},
		{"--receive-timeout=0", "1s to 1d"},
		{"--status-interval=99ms", "100ms to 1h"},
		{"--commit-interval=2h", "0 to 1h"},
		{"--max-in-flight=1", "64kB to 64GB"},
		{"--max-in-flight=1.5GB", "not a size"},
		{"--max-in-flight=16000000TB", "not a size"},
		{"--max-in-flight=GB", "not a size"},
		{"--max-rate=0", "from 1 to 1000000000"},
		{"--max-rate=2GB", "is not a rate that is allowed"},
		{"--max-rate=fast", "a number of rows a second, for example 5000"},
		{"--max-rate=5000/s", "a size of their records, for example 20MB"},
		{"--log-format=xml", "Allowed: text, json"},
		{"--create-slot=maybe", "neither on nor off"},
		{"--progress-interval=1us", "100ms to 1d"},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		char name[64];

		snprintf(name, sizeof(name), "%.*s", (int) strcspn(cases[i].flag, "="), cases[i].flag);
		check_refused(ARGS("stream", cases[i].flag), NO_ENV, name, cases[i].says, "");
	}
	check_refused(ARGS("stream", "--slot"), NO_ENV, "--slot", "value is missing", "NAME");
	check_refused(ARGS("stream", "-S"), NO_ENV, "-S", "value is missing", "");
	check_refused(ARGS("stream", "-Sa", "--slot=b"), NO_ENV, "--slot", "given before, by -S", "");
	check_refused(ARGS("stream"), ENV("CDC_MAX_IN_FLIGHT=x"), "CDC_MAX_IN_FLIGHT", "not a size",
				  "");
	check_refused(ARGS("stream", "-Ss", "--sink=-", "--endpos=0/1", "--until=now"), NO_ENV,
				  "endpos", "until", "exclude");
	check_refused(ARGS("slot", "list", "-q", "-v"), NO_ENV, "quiet", "verbose", "exclude");
	check_refused(ARGS("stream", "-Ss", "--sink=-", "--failover"), NO_ENV, "--failover",
				  "--create-slot", "");
}

static void
test_password_warning(void **state)
{
	(void) state;
	assert_int_equal(read_options(ARGS("slot", "list", "-d", "host=x password=s3cret"), NO_ENV),
					 CDC_OK);
	assert_string_equal(options.dbname, "host=x password=s3cret");
	assert_int_equal(read_options(ARGS("slot", "list", "-d", "sslpassword=s3cret"), NO_ENV),
					 CDC_OK);
	assert_int_equal(options.num_warnings, 1);
	assert_int_equal(read_options(ARGS("slot", "list", "-d", "host=x password=s3cret"), NO_ENV),
					 CDC_OK);
	assert_int_equal(options.num_warnings, 1);
	assert_non_null(strstr(options.warnings[0], ".pgpass"));
	assert_null(strstr(options.warnings[0], "s3cret"));
	assert_int_equal(read_options(ARGS("slot", "list", "-d", "postgresql://u:s3cret@h/db"), NO_ENV),
					 CDC_OK);
	assert_int_equal(options.num_warnings, 1);
	/* nobody else can read the environment, and a file has its permissions */
	assert_int_equal(read_options(ARGS("slot", "list"), ENV("CDC_DBNAME=password=s3cret")), CDC_OK);
	assert_int_equal(options.num_warnings, 0);
	assert_int_equal(read_options(ARGS("slot", "list", "-d", "dbname=x"), NO_ENV), CDC_OK);
	assert_int_equal(options.num_warnings, 0);
}

static void
test_values(void **state)
{
	uint64_t bytes;
	int64_t us;
	uint64_t lsn;

	(void) state;
	assert_int_equal(options_parse_size("0", "x", &bytes, &err), CDC_OK);
	assert_int_equal(bytes, 0);
	assert_int_equal(options_parse_size("64 MiB", "x", &bytes, &err), CDC_OK);
	assert_int_equal(bytes, 64 << 20);
	assert_int_equal(options_parse_size("3kB", "x", &bytes, &err), CDC_OK);
	assert_int_equal(bytes, 3072);
	assert_int_equal(options_parse_size("9223372036854775807", "x", &bytes, &err), CDC_OK);
	assert_int_equal(options_parse_size("9223372036854775808", "x", &bytes, &err), CDC_USAGE);
	assert_int_equal(options_parse_size("1kb", "rotate", &bytes, &err), CDC_USAGE);
	assert_non_null(strstr(err.message, "rotate"));
	assert_int_equal(options_parse_duration("90", "x", &us, &err), CDC_OK);
	assert_int_equal(us, 90000000);
	assert_int_equal(options_parse_duration("2h", "x", &us, &err), CDC_OK);
	assert_int_equal(us, INT64_C(7200000000));
	assert_int_equal(options_parse_duration("1 year", "x", &us, &err), CDC_USAGE);
	assert_int_equal(options_parse_lsn("ffffffff/FFFFFFFF", "x", &lsn, &err), CDC_OK);
	assert_true(lsn == UINT64_MAX);
	assert_int_equal(options_parse_lsn("", "x", &lsn, &err), CDC_USAGE);
}

/* Without a unit it counts rows. */
static void
test_rates(void **state)
{
	(void) state;
	assert_int_equal(
		read_options(ARGS("stream", "--slot=s", "--sink=-", "--max-rate=5000"), NO_ENV), CDC_OK);
	assert_int_equal(options.max_rate.rows, 5000);
	assert_int_equal(options.max_rate.bytes, 0);
	assert_int_equal(
		read_options(ARGS("stream", "--slot=s", "--sink=-", "--max-rate=20MB"), NO_ENV), CDC_OK);
	assert_int_equal(options.max_rate.rows, 0);
	assert_int_equal(options.max_rate.bytes, 20 << 20);
}

static void
test_on_error(void **state)
{
	static char *bad[] = {"--on-error=skip", "--on-error=dead-letter",
						  "--on-error=dead-letter:", "--on-error=dead-letters:file:///x"};

	(void) state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_refused(ARGS("stream", "--slot=s", "--sink=-", bad[i]), NO_ENV, "--on-error: \"",
					  "neither stop nor dead-letter:URI", "--on-error=dead-letter:file:///");
	check_refused(ARGS("stream", "--slot=s", "--sink=-", "--on-error=http://u:secret@h/"), NO_ENV,
				  "\"(a connection string, not shown)\" is neither", "", "");
	assert_int_equal(
		read_options(ARGS("stream", "--slot=s", "--sink=-", "--on-error=stop"), NO_ENV), CDC_OK);
	assert_null(options.dead_letter);
}

/* What is near to a short name by its shortness only is somebody else's variable. */
static void
test_others_variables(void **state)
{
	(void) state;
	assert_int_equal(read_options(ARGS("stream", "--slot=s", "--sink=-"),
								  ENV("CDC_TLS=1", "CDC_ENV=x", "CDC_DB=x", "CDC_PORT=1")),
					 CDC_OK);
	assert_int_equal(options.num_warnings, 4);
	check_refused(ARGS("stream", "--sink=-"), ENV("CDC_SLT=s"), "CDC_SLT: there is no option",
				  "Did you mean \"slot\"", "");
}

static void
test_accept(void **state)
{
	(void) state;
	check_refused(ARGS("stream", "--slot=s", "--sink=-"), ENV("CDC_ACCEPT=missing,gap"),
				  "CDC_ACCEPT: gap, divergence and other-source are accepted for one start",
				  "start once with --accept=missing,gap", "");
	check_refused(ARGS("stream", "--slot=s", "--sink=-", config("accept = divergence\n")), NO_ENV,
				  ":1: gap, divergence and other-source", "", "");
	assert_int_equal(
		read_options(ARGS("stream", "--slot=s", "--sink=-"), ENV("CDC_ACCEPT=missing")), CDC_OK);
	assert_true(options.accept_missing);
	/* another subcommand's */
	assert_int_equal(read_options(ARGS("doctor"), ENV("CDC_ACCEPT=gap")), CDC_OK);
}

/* The table's own rules: each entry can be stored, documented and told from the others. */
static void
test_table(void **state)
{
	(void) state;
	for (const OptionDef *def = option_table; def->name != NULL; def++)
	{
		assert_ptr_equal(option_find(def->name, strlen(def->name)), def);
		assert_true(def->doc != NULL && def->commands != 0);
		assert_true(def->argument != NULL || def->type == OPTION_BOOL || def->type == OPTION_HELP ||
					def->type == OPTION_VERSION);
		assert_true((def->type != OPTION_CHOICE && def->type != OPTION_SET) ||
					def->members != NULL);
		assert_true((def->type != OPTION_SIZE && def->type != OPTION_DURATION) ||
					def->max > def->min);
		if (def->short_name != 0)
			assert_ptr_equal(option_find_short(def->short_name), def);
	}
	assert_null(option_find("slo", 3));
	assert_null(option_find("slots", 5));
}

static void
test_help(void **state)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out;

	(void) state;
	for (const CommandDef *command = command_table; command->word != NULL; command++)
	{
		out = open_memstream(&text, &size);
		option_help(out, command->command);
		fclose(out);
		assert_non_null(strstr(text, command->doc));
		assert_non_null(strstr(text, "Exit codes:"));
		for (const OptionDef *def = option_table; def->name != NULL; def++)
		{
			char flag[64];

			snprintf(flag, sizeof(flag), "--%s", def->name);
			if (def->commands & COMMAND_BIT(command->command))
				assert_non_null(strstr(text, flag));
		}
		for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
			assert_true(strlen(line) <= 100);
		free(text);
	}
	out = open_memstream(&text, &size);
	option_help(out, CMD_NONE);
	fclose(out);
	assert_non_null(strstr(text, "slot create"));
	free(text);
}

/* Wherever they stand; nothing else is looked at then, and nothing is done. */
static void
test_questions(void **state)
{
	static const char *const asked[][2] = {
		{"--help", "cdc_client slot list: "},
		{"-?", "cdc_client slot list: "},
		{"--version", "cdc_client "},
		{"-V", "cdc_client "},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
	{
		char text[8192];
		FILE *answer = tmpfile();
		int saved = dup(STDOUT_FILENO);
		size_t length;
		CdcStatus status;

		fflush(stdout);
		dup2(fileno(answer), STDOUT_FILENO);
		status = read_options(ARGS("slot", "list", "--slot=", (char *) asked[i][0]), NO_ENV);
		fflush(stdout);
		dup2(saved, STDOUT_FILENO);
		close(saved);
		rewind(answer);
		length = fread(text, 1, sizeof(text) - 1, answer);
		text[length] = '\0';
		fclose(answer);
		assert_int_equal(status, CDC_OK);
		assert_int_equal(options.command, CMD_NONE);
		assert_memory_equal(text, asked[i][1], strlen(asked[i][1]));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_defaults, teardown),
		cmocka_unit_test_teardown(test_every_field_is_reachable, teardown),
		cmocka_unit_test_teardown(test_plugin_options, teardown),
		cmocka_unit_test_teardown(test_plugin_options_refused, teardown),
		cmocka_unit_test_teardown(test_precedence, teardown),
		cmocka_unit_test_teardown(test_shared_file, teardown),
		cmocka_unit_test_teardown(test_config_refused, teardown),
		cmocka_unit_test_teardown(test_unknown, teardown),
		cmocka_unit_test_teardown(test_commands, teardown),
		cmocka_unit_test_teardown(test_required, teardown),
		cmocka_unit_test_teardown(test_bad_values, teardown),
		cmocka_unit_test_teardown(test_password_warning, teardown),
		cmocka_unit_test_teardown(test_values, teardown),
		cmocka_unit_test_teardown(test_rates, teardown),
		cmocka_unit_test_teardown(test_on_error, teardown),
		cmocka_unit_test_teardown(test_accept, teardown),
		cmocka_unit_test_teardown(test_others_variables, teardown),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_help),
		cmocka_unit_test_teardown(test_questions, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
