/*
 * test_authority.c
 *		The authority of a sink's URI taken apart.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "authority.h"

static CdcError err;

static void
test_hosts(void **state)
{
	Authority authority;

	(void) state;
	assert_int_equal(authority_parse(&authority, "one,two:7,[::1],[fe80::2]:65535", 4222, &err),
					 CDC_OK);
	assert_int_equal(authority.num_hosts, 4);
	assert_null(authority.user);
	assert_null(authority.password);
	assert_string_equal(authority.hosts[0].host, "one");
	assert_int_equal(authority.hosts[0].port, 4222);
	assert_string_equal(authority.hosts[1].host, "two");
	assert_int_equal(authority.hosts[1].port, 7);
	assert_string_equal(authority.hosts[2].host, "::1");
	assert_int_equal(authority.hosts[2].port, 4222);
	assert_string_equal(authority.hosts[3].host, "fe80::2");
	assert_int_equal(authority.hosts[3].port, 65535);
	authority_free(&authority);
	authority_free(&authority);
}

static void
test_user(void **state)
{
	static const struct
	{
		const char *text;
		const char *user;
		const char *password;
		const char *host;
	} cases[] = {
		{NULL, NULL, NULL, "localhost"},
		{"", NULL, NULL, "localhost"},
		{"@", "", NULL, "localhost"},
		{"u@h", "u", NULL, "h"},
		{"u:@h", "u", "", "h"},
		{":p@", "", "p", "localhost"},
		{"a%40b:c%2fd%3A%25@h", "a@b", "c/d:%", "h"},
		{"u:p@q@h", "u", "p@q", "h"},
		{"u:p:q@h", "u", "p:q", "h"},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		Authority authority;

		assert_int_equal(authority_parse(&authority, cases[i].text, 1, &err), CDC_OK);
		if (cases[i].user == NULL)
			assert_null(authority.user);
		else
			assert_string_equal(authority.user, cases[i].user);
		if (cases[i].password == NULL)
			assert_null(authority.password);
		else
			assert_string_equal(authority.password, cases[i].password);
		assert_string_equal(authority.hosts[0].host, cases[i].host);
		authority_free(&authority);
	}
}

static void
test_refused(void **state)
{
	static const char *const cases[] = {
		"h:",    "h:0",     "h:65536",     "h:99999999999", "h:1x",       "h: 1",
		":1",    "a,,b",    "a,",          "[::1",          "[::1]x",     "[]",
		"[]:80", "u%4:p@h", "u:secr%zz@h", "%00@h",         "u:secr%0@h",
	};
	char many[200] = "h";

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		Authority authority;

		assert_int_equal(authority_parse(&authority, cases[i], 1, &err), CDC_USAGE);
		assert_null(strstr(err.message, "secr"));
		assert_null(authority.buffer);
	}
	for (int i = 0; i < AUTHORITY_MAX_HOSTS; i++)
		strcat(many, ",h");
	assert_int_equal(authority_parse(&(Authority){0}, many, 1, &err), CDC_USAGE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_user),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
