/*
 * test_small_file.c
 *		Files of secrets and headers: what is taken from them, and what is said of those that are none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "small_file.h"

#define LONGEST (64 * 1024)

static char path[64];
static CdcError err;

static int
setup(void **state)
{
	int fd;

	(void) state;
	memset(&err, 0, sizeof(err));
	strcpy(path, "/tmp/cdc_small_file.XXXXXX");
	fd = mkstemp(path);
	return fd < 0 || close(fd) != 0;
}

static int
teardown(void **state)
{
	(void) state;
	return unlink(path);
}

static void
fill(const char *text, size_t length)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
}

static void
files_are_read_whole(void **state)
{
	static char longest[LONGEST + 1];
	char *text;
	size_t length;

	(void) state;
	fill("a\0b\n", 4);
	assert_int_equal(small_file_read(path, "secret_file", &text, &length, &err), CDC_OK);
	assert_int_equal(length, 4);
	assert_memory_equal(text, "a\0b\n", 5); /* a NUL follows */
	small_file_free(text, length);
	small_file_free(NULL, 0);

	memset(longest, 'x', sizeof(longest));
	fill(longest, LONGEST);
	assert_int_equal(small_file_read(path, "secret_file", &text, &length, &err), CDC_OK);
	assert_int_equal(length, LONGEST);
	small_file_free(text, length);
	fill(longest, LONGEST + 1);
	assert_int_equal(small_file_read(path, "secret_file", &text, &length, &err), CDC_USAGE);
	assert_null(text);
	assert_non_null(strstr(err.message, "(secret_file) is longer than 64 KiB"));
	assert_non_null(strstr(err.message, path));
}

static void
what_cannot_be_read_is_named(void **state)
{
	char *text;
	size_t length;

	(void) state;
	assert_int_equal(small_file_read("/tmp", "ca", &text, &length, &err), CDC_USAGE);
	assert_string_equal(err.message, "could not read \"/tmp\" (ca)");
	assert_int_equal(small_file_read("/tmp/none/at/all", "ca", &text, &length, &err), CDC_USAGE);
	assert_string_equal(err.message,
						"could not open \"/tmp/none/at/all\" (ca): No such file or directory");
	assert_null(text);
}

static char taken[256];
static const char *refused_name;

static CdcStatus
take(void *arg, char *name, char *value, CdcError *error)
{
	size_t used = strlen(taken);

	assert_ptr_equal(arg, taken);
	if (refused_name != NULL && strcmp(name, refused_name) == 0)
		return cdc_error(error, CDC_USAGE, "header \"%s\" is the client's own", name);
	snprintf(taken + used, sizeof(taken) - used, "%s=%s;", name, value);
	return CDC_OK;
}

static CdcStatus
read_headers(const char *text, size_t length)
{
	fill(text, length);
	taken[0] = '\0';
	return small_file_read_headers(path, "headers_file", take, taken, &err);
}

static void
headers_are_lines(void **state)
{
	static const char text[] = "# for the gateway\r\n"
							   "Authorization:  Bearer a:b \r\n"
							   "\n"
							   "X-Two:\tone\ttwo";

	(void) state;
	assert_int_equal(read_headers(text, sizeof(text) - 1), CDC_OK);
	assert_string_equal(taken, "Authorization=Bearer a:b;X-Two=one\ttwo;");
	assert_int_equal(read_headers("", 0), CDC_OK);
	assert_string_equal(taken, "");
	assert_int_equal(small_file_read_headers("/none", "headers_file", take, taken, &err),
					 CDC_USAGE);
	assert_non_null(strstr(err.message, "could not open \"/none\" (headers_file)"));
}

/* Each with its line; nothing of a value is repeated, for it may be a password. */
static void
lines_that_are_no_headers_are_refused(void **state)
{
	static const char *const bad[] = {"secret",    ": secret",        "a b: secret",
									  "name:",     "a: sec\x01ret",   "a: \x7fsecret\x1b",
									  "na\xc3: x", "name : secret\n", "a: \"secret\x08\""};
	char text[64];

	(void) state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		snprintf(text, sizeof(text), "good: 1\n%s", bad[i]);
		assert_int_equal(read_headers(text, strlen(text)), CDC_USAGE);
		assert_memory_equal(err.message, "line 2 of \"", 11);
		assert_non_null(strstr(err.message, "(headers_file): a header is wanted"));
		assert_non_null(strstr(err.hint, "Name: value"));
		assert_null(strstr(err.message, "secret"));
		assert_string_equal(taken, "good=1;");
	}
	assert_int_equal(read_headers("a: b\0c", 6), CDC_USAGE);
	assert_non_null(strstr(err.message, "is not a text: it has NUL"));
	assert_string_equal(taken, "");
}

/* What the taker says gets its place, too. */
static void
refusals_name_the_line(void **state)
{
	static const char text[] = "a: 1\nHost: x\nb: 2\n";

	(void) state;
	refused_name = "Host";
	assert_int_equal(read_headers(text, sizeof(text) - 1), CDC_USAGE);
	refused_name = NULL;
	assert_string_equal(taken, "a=1;");
	assert_memory_equal(err.message, "line 2 of \"", 11);
	assert_non_null(strstr(err.message, "(headers_file): header \"Host\" is the client's own"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(files_are_read_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_read_is_named, setup, teardown),
		cmocka_unit_test_setup_teardown(headers_are_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(lines_that_are_no_headers_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(refusals_name_the_line, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
