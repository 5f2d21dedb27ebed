/*
 * test_nats_name.c
 *		What the NATS sink's streams, subjects and messages are called.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#ifdef HAVE_NATS
#include "nats/nats_name.h"

static void
test_streams(void **state)
{
	static const char *const names[][2] = {
		{"cdc.{schema}.{table}", "cdc"},
		{"a.b.{table}", "a_b"},
		{"events", "events"},
		{"{table}", "cdc"},
		{".{table}", "cdc"},
		{"a/b.{op}", "a_b"},
	};
	char name[256];
	char longest[300];

	(void) state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		nats_default_stream(names[i][0], name, sizeof(name));
		assert_string_equal(name, names[i][1]);
		assert_true(nats_stream_name_valid(name));
	}
	memset(longest, 'x', sizeof(longest));
	longest[255] = '\0';
	assert_true(nats_stream_name_valid(longest));
	longest[255] = 'x';
	longest[256] = '\0';
	assert_false(nats_stream_name_valid(longest));
	assert_false(nats_stream_name_valid(""));
	assert_false(nats_stream_name_valid("a.b"));
	assert_false(nats_stream_name_valid("a b"));
	assert_false(nats_stream_name_valid("a\\b"));
}

static void
test_subjects(void **state)
{
	(void) state;
	assert_true(nats_subject_valid("a"));
	assert_true(nats_subject_valid("a.b.c-d_\xc3\xa4"));
	assert_false(nats_subject_valid(""));
	assert_false(nats_subject_valid("."));
	assert_false(nats_subject_valid("a."));
	assert_false(nats_subject_valid(".a"));
	assert_false(nats_subject_valid("a..b"));
	assert_false(nats_subject_valid("a.*"));
	assert_false(nats_subject_valid("a.>"));
	assert_false(nats_subject_valid("a b"));
}

static void
test_matching(void **state)
{
	static const struct
	{
		const char *pattern;
		const char *subject;
		bool matches;
	} cases[] = {
		{"a", "a", true},          {"a", "b", false},    {"a", "a.b", false},
		{"a.b", "a", false},       {"a.*", "a.b", true}, {"a.*", "a", false},
		{"a.*", "a.b.c", false},   {"*.b", "a.b", true}, {"a.>", "a.b", true},
		{"a.>", "a.b.c", true},    {"a.>", "a", false},  {">", "a.b", true},
		{"a.*.c", "a.bb.c", true}, {"ab", "a", false},   {"a", "ab", false},
		{"a*", "ab", false},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(nats_subject_matches(cases[i].pattern, cases[i].subject),
						 cases[i].matches);
}

static void
test_patterns(void **state)
{
	static const char *const cases[][2] = {
		{"cdc.{schema}.{table}", "cdc.*.*"},
		{"events", "events"},
		{"x.a{table}b.y", "x.*.y"},
		{"{source}.{op}", "my_shop.*"},
		{"{source}{source}", "my_shopmy_shop"},
		{"a.{{b}.c", "a.{b}.c"},
		{"{table}", "*"},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		char *pattern = nats_subject_pattern(cases[i][0], "my.shop");

		assert_string_equal(pattern, cases[i][1]);
		free(pattern);
	}
}

static void
test_ids(void **state)
{
	static const Source source = {"7301234567890123456", "my shop:1%", "cdc", "x"};
	static const char *const broken[] = {
		"0:0/1:1",  "0:0/1:1:0:0",        "-1:0/1:1:0",        "0:0/1:1:65536", "0:01:1:0",
		"0:0/1::0", "4294967296:0/1:1:0", "0:0/123456789:1:0", "0:0/1:1:0x",    "",
		"0:0/1:1:",
	};
	const RecordId id = {UINT64_C(0x16FEDCBA98), UINT64_MAX, UINT16_MAX};
	char prefix[NATS_SOURCE_SIZE];
	char text[NATS_ID_SIZE];
	uint32_t incarnation;
	RecordId parsed;

	(void) state;
	nats_source_prefix(prefix, &source);
	assert_string_equal(prefix, "7301234567890123456:my%20shop%3A1%25:cdc:");
	nats_message_id(text, prefix, strlen(prefix), UINT32_MAX, &id);
	assert_string_equal(text, "7301234567890123456:my%20shop%3A1%25:cdc:4294967295:16/FEDCBA98:"
							  "18446744073709551615:65535");
	assert_true(nats_message_id_parse(text, prefix, &incarnation, &parsed));
	assert_true(incarnation == UINT32_MAX);
	assert_int_equal(record_id_compare(&id, &parsed), 0);
	assert_true(nats_is_message_id(text));
	assert_false(
		nats_message_id_parse(text, "7301234567890123456:other:cdc:", &incarnation, &parsed));
	assert_false(nats_is_message_id("order-17"));
	assert_false(nats_is_message_id("a:b:c:d"));
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		assert_false(nats_message_id_parse(broken[i], "", &incarnation, &parsed));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams),  cmocka_unit_test(test_subjects),
		cmocka_unit_test(test_matching), cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
static void
test_left_out(void **state)
{
	(void) state;
	skip();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_left_out)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
