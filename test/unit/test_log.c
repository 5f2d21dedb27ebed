/*
 * test_log.c
 *		Log lines, errors and progress, as text and as JSON; errors of one line; JSON always UTF-8.
 */
#include <math.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "json_out.h"
#include "log.h"

static int real_stderr;
static FILE *captured;
static char text[8192];

static int
setup(void **state)
{
	(void) state;
	fflush(stderr);
	captured = tmpfile();
	real_stderr = dup(STDERR_FILENO);
	dup2(fileno(captured), STDERR_FILENO);
	log_setup(LOG_INFO, false);
	log_setup_progress(false, 0);
	return 0;
}

static int
teardown(void **state)
{
	(void) state;
	fflush(stderr);
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	fclose(captured);
	return 0;
}

/* What was written since the last call. */
static const char *
written(void)
{
	size_t length;

	fflush(stderr);
	rewind(captured);
	length = fread(text, 1, sizeof(text) - 1, captured);
	text[length] = '\0';
	rewind(captured);
	assert_int_equal(ftruncate(fileno(captured), 0), 0);
	return text;
}

/* A line without its time, which must look like one. */
static const char *
after_time(const char *line)
{
	static const char pattern[] = "0000-00-00T00:00:00.000Z ";

	for (size_t i = 0; i < sizeof(pattern) - 1; i++)
		assert_true(pattern[i] == '0' ? line[i] >= '0' && line[i] <= '9' : line[i] == pattern[i]);
	return line + sizeof(pattern) - 1;
}

static const char *
json_text(struct json_object *object, const char *key)
{
	struct json_object *value;

	assert_true(json_object_object_get_ex(object, key, &value));
	return json_object_get_string(value);
}

static void
test_plain(void **state)
{
	CdcError err;

	(void) state;
	log_line(LOG_DEBUG, "unseen");
	assert_string_equal(written(), "");
	log_line(LOG_INFO, "%d records\nERROR forged", 5);
	assert_string_equal(after_time(written()), "INFO    5 records ERROR forged\n");

	cdc_error(&err, CDC_RETRY, "it %s\n", "failed\tthere");
	cdc_error_detail(&err, "because");
	cdc_error_hint(&err, "mend it");
	strcpy(err.sqlstate, "42501");
	log_error(LOG_ERROR, &err);
	written();
	assert_non_null(strstr(text, "Z ERROR   it failed there (SQLSTATE 42501)\n"));
	assert_non_null(strstr(text, "Z DETAIL  because\n"));
	assert_non_null(strstr(text, "Z HINT    mend it\n"));

	log_setup(LOG_WARNING, false);
	log_line(LOG_INFO, "unseen");
	assert_string_equal(written(), "");
	log_line(LOG_WARNING, "seen");
	assert_string_equal(after_time(written()), "WARNING seen\n");
}

static void
test_json(void **state)
{
	struct json_object *line;
	CdcError err;

	(void) state;
	log_setup(LOG_DEBUG, true);
	cdc_error(&err, CDC_STOP, "quote \" and \xff and \xc3\xa4");
	cdc_error_hint(&err, "mend it");
	strcpy(err.sqlstate, "XX001");
	log_error(LOG_DEBUG, &err);
	written();
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	line = json_tokener_parse(text);
	assert_non_null(line);
	after_time(strcat(strcpy(text, json_text(line, "time")), " "));
	assert_string_equal(json_text(line, "level"), "debug");
	assert_string_equal(json_text(line, "message"), "quote \" and ? and \xc3\xa4");
	assert_string_equal(json_text(line, "sqlstate"), "XX001");
	assert_string_equal(json_text(line, "hint"), "mend it");
	assert_false(json_object_object_get_ex(line, "detail", NULL));
	json_object_put(line);

	cdc_error(&err, CDC_RETRY, "lost");
	cdc_error_detail(&err, "by whom");
	written();
	log_error(LOG_WARNING, &err);
	line = json_tokener_parse(written());
	assert_string_equal(json_text(line, "level"), "warning");
	assert_string_equal(json_text(line, "detail"), "by whom");
	assert_false(json_object_object_get_ex(line, "sqlstate", NULL));
	json_object_put(line);
}

/* JSON has neither NaN nor infinity. */
static void
test_json_numbers(void **state)
{
	struct json_object *object = json_object_new_object();

	(void) state;
	json_add_double(object, "rate", 2.0 / 3);
	json_add_double(object, "nan", NAN);
	json_add_double(object, "infinite", -INFINITY);
	json_add_int(object, "least", INT64_MIN);
	json_add_uint(object, "most", UINT64_MAX);
	json_add_text(object, "none", NULL);
	json_add_bool(object, "yes", 5);
	assert_string_equal(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN),
						"{\"rate\":0.667,\"nan\":null,\"infinite\":null,"
						"\"least\":-9223372036854775808,\"most\":18446744073709551615,"
						"\"none\":null,\"yes\":true}");
	json_object_put(object);
}

static void
test_utf8(void **state)
{
	static const char *const cases[][2] = {
		{"plain", "plain"},
		{"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
		{"\x80z\xc0\xaf", "?z??"},    /* continuation alone, overlong */
		{"\xed\xa0\x80", "???"},      /* surrogate */
		{"\xf4\x90\x80\x80", "????"}, /* past U+10FFFF */
		{"\xe0\x9f\xbf", "???"},      /* overlong */
		{"a\xe2\x82", "a??"},         /* cut */
		{"\xf0\x8f\xbf\xbf", "????"}, /* overlong */
		{"\xf5\x80\x80\x80x", "????x"},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		char copy[32];

		strcpy(copy, cases[i][0]);
		json_make_utf8(copy);
		assert_string_equal(copy, cases[i][1]);
	}
}

#define SECOND INT64_C(1000000)

static void
test_progress_lines(void **state)
{
	LogProgress progress = {.records = 1000,
							.bytes = 500000,
							.lag_bytes = 1234567,
							.lag_seconds = 2.25,
							.durable_lsn = "0/16E2A10"};

	(void) state;
	log_progress(&progress, 0);
	assert_string_equal(written(), ""); /* off */
	log_setup_progress(false, 10 * SECOND);
	log_progress(&progress, 100 * SECOND);
	assert_string_equal(written(), ""); /* no rate yet */
	progress.records = 21000;
	progress.bytes = 30500000;
	log_progress(&progress, 109 * SECOND);
	assert_string_equal(written(), ""); /* too early */
	log_progress(&progress, 110 * SECOND);
	assert_string_equal(after_time(written()),
						"INFO    21000 records, 2000 records/s, 3.0 MB/s, lag 1.2 MB, 2.2 s, "
						"durable 0/16E2A10\n");
	progress.lag_seconds = -1;
	progress.lag_bytes = 12;
	log_progress(&progress, 120 * SECOND);
	assert_string_equal(after_time(written()),
						"INFO    21000 records, 0 records/s, 0 B/s, lag 12 B, durable 0/16E2A10\n");
	progress.dead_letters = 3;
	log_progress(&progress, 130 * SECOND);
	assert_non_null(strstr(written(), ", durable 0/16E2A10, 3 dead letters\n"));
	log_setup(LOG_WARNING, false);
	log_progress(&progress, 200 * SECOND);
	assert_string_equal(written(), "");
}

static void
test_progress_json(void **state)
{
	LogProgress progress = {.records = 1000, .lag_seconds = -1, .durable_lsn = "0/1"};
	struct json_object *line;

	(void) state;
	log_setup(LOG_INFO, true);
	log_setup_progress(true, 10 * SECOND); /* JSON is never drawn in place */
	log_progress(&progress, 1000 * SECOND);
	written();
	progress.records = 2000;
	log_progress(&progress, 1005 * SECOND);
	assert_string_equal(written(), "");
	log_progress(&progress, 1010 * SECOND);
	line = json_tokener_parse(written());
	assert_non_null(line);
	assert_string_equal(json_text(line, "message"), "progress");
	assert_string_equal(json_text(line, "records"), "2000");
	assert_string_equal(json_text(line, "records_per_second"), "100.000");
	assert_false(json_object_object_get_ex(line, "lag_seconds", NULL));
	json_object_put(line);
	progress.lag_seconds = 1.5;
	log_progress(&progress, 1020 * SECOND);
	line = json_tokener_parse(written());
	assert_string_equal(json_text(line, "lag_seconds"), "1.500");
	json_object_put(line);
}

/* A log line erases the progress line, which then is drawn again. */
static void
test_progress_in_place(void **state)
{
	LogProgress progress = {.lag_seconds = -1, .durable_lsn = "0/1"};

	(void) state;
	log_setup_progress(true, 10 * SECOND);
	log_progress(&progress, 2000 * SECOND);
	written();
	log_progress(&progress, 2001 * SECOND);
	assert_memory_equal(written(), "\r0 records, ", 12);
	assert_string_equal(text + strlen(text) - 3, "\033[K");
	log_progress(&progress, 2001 * SECOND + 1000);
	assert_string_equal(written(), ""); /* not readable so fast */
	log_line(LOG_INFO, "said");
	assert_memory_equal(written(), "\r\033[K", 4);
	assert_string_equal(after_time(text + 4), "INFO    said\n");
	log_line(LOG_INFO, "again");
	assert_string_equal(after_time(written()), "INFO    again\n");
	log_progress(&progress, 2002 * SECOND);
	written();
	log_progress_end();
	assert_string_equal(written(), "\n");
	log_progress_end();
	assert_string_equal(written(), "");
}

/* A line that wraps could not be erased: it is cut at the terminal's width, whatever that is by now. */
static void
test_progress_on_a_terminal(void **state)
{
	LogProgress progress = {.lag_seconds = -1, .durable_lsn = "0/1"};
	struct winsize window = {.ws_row = 24, .ws_col = 20};
	/* the last column is within a character */
	static const char *const above[] = {"123456789012345678\xc3\xa4 and more"};
	int master;
	int terminal;
	ssize_t length;

	(void) state;
	assert_int_equal(openpty(&master, &terminal, NULL, NULL, &window), 0);
	log_setup_progress(true, 10 * SECOND);
	log_progress(&progress, 3000 * SECOND);
	assert_true(log_progress_above(above, 1));
	fflush(stderr);
	dup2(terminal, STDERR_FILENO);
	log_progress(&progress, 3001 * SECOND);
	dup2(fileno(captured), STDERR_FILENO);
	/* which passes it on piece by piece */
	for (size_t got = 0; got == 0 || strstr(text, "0 record\033[K") == NULL; got += (size_t) length)
	{
		length = read(master, text + got, sizeof(text) - 1 - got);
		assert_true(length > 0);
		text[got + (size_t) length] = '\0';
	}
	assert_non_null(strstr(text, "123456789012345678\r\n\r0 records, 0 record\033[K"));
	assert_true(log_progress_above(NULL, 0));
	close(terminal);
	close(master);
}

/* Lines above it are erased and drawn with it. */
static void
test_progress_above(void **state)
{
	static const char *const lines[] = {"table\none", "all"};
	LogProgress progress = {.lag_seconds = -1, .durable_lsn = "0/1"};

	(void) state;
	assert_false(log_progress_above(lines, 2));
	log_setup_progress(true, 10 * SECOND);
	assert_true(log_progress_above(lines, 2));
	log_progress(&progress, 4000 * SECOND);
	written();
	log_progress(&progress, 4001 * SECOND);
	assert_memory_equal(written(), "\r\033[K\033[A\033[K\033[A\033[Ktable one\nall\n\r0 records, ",
						42);
	log_line(LOG_INFO, "said");
	assert_memory_equal(written(), "\r\033[K\033[A\033[K\033[A\033[K", 16);
	assert_string_equal(after_time(text + 16), "INFO    said\n");
	log_progress(&progress, 4002 * SECOND);
	assert_memory_equal(written(), "table one\nall\n\r0 records, ", 26);
	assert_true(log_progress_above(NULL, 0));
	log_progress(&progress, 4003 * SECOND);
	assert_memory_equal(written(), "\r\033[K\033[A\033[K\033[A\033[K\r0 records, ", 28);
	log_progress(&progress, 4004 * SECOND);
	assert_memory_equal(written(), "\r0 records, ", 12);
	log_progress_end();
	assert_string_equal(written(), "\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_plain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_json, setup, teardown),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_json_numbers),
		cmocka_unit_test_setup_teardown(test_progress_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_progress_json, setup, teardown),
		cmocka_unit_test_setup_teardown(test_progress_in_place, setup, teardown),
		cmocka_unit_test_setup_teardown(test_progress_on_a_terminal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_progress_above, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
