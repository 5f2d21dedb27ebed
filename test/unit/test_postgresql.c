/*
 * test_postgresql.c
 *		Rows of the postgresql sink: each byte as COPY's binary format has it, and found again; and
 *		what the sink says of its URI.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../plugin/cdc_protocol.h"
#include "postgresql/pgsink_row.h"

static CdcError err;

static PgRowFormat
format_of(bool key_is_jsonb, bool record_is_jsonb)
{
	PgRowFormat format = {.key_is_jsonb = key_is_jsonb, .record_is_jsonb = record_is_jsonb};
	Source source = {.system_identifier = "73", .database = "shop", .slot = "s"};

	assert_string_equal(pgsink_source_text(format.source, &source), "73/shop/s");
	format.source_length = (uint32_t) strlen(format.source);
	return format;
}

typedef struct Sample
{
	MessageHeader message;
	Relation relation;
	Frame frame;
	SinkRecord record;
} Sample;

static SinkRecord *
sample(Sample *sample, uint64_t seq)
{
	*sample = (Sample){
		.message = {.commit_lsn = 0x0102030405060708, .commit_time = 0x1112131415161718},
		.relation = {.schema = "public", .table = "t", .target = ""},
		.frame = {.op = CDC_OP_UPDATE,
				  .payload = "{\"a\":1}",
				  .payload_length = 7,
				  .key = "{}",
				  .key_length = 2},
	};
	sample->frame.relation = &sample->relation;
	sample->record = (SinkRecord){.message = &sample->message,
								  .frame = &sample->frame,
								  .id = {sample->message.commit_lsn, seq, 2},
								  .incarnation = 3};
	return &sample->record;
}

static void
append(PgRows *rows, const PgRowFormat *format, const SinkRecord *record)
{
	size_t before = rows->used;
	size_t size = pgrow_size(format, record);

	assert_int_equal(pgrows_append(rows, format, record, size, &err), CDC_OK);
	assert_int_equal(rows->used, before + size);
	assert_int_equal(pgrow_length(rows->data + before), size);
}

#define BYTES(rows, text)                                                                          \
	do                                                                                             \
	{                                                                                              \
		assert_int_equal((rows).used, sizeof(text) - 1);                                           \
		assert_memory_equal((rows).data, text, sizeof(text) - 1);                                  \
	} while (0)

static void
has_the_bytes_of_copy(void **state)
{
	PgRowFormat format = format_of(true, false);
	PgRows rows = {0};
	Sample one;

	(void) state;
	append(&rows, &format, sample(&one, 0x2122232425262728));
	BYTES(rows, "\0\13"
				"\0\0\0\11"
				"73/shop/s"
				"\0\0\0\4\0\0\0\3"
				"\0\0\0\10\1\2\3\4\5\6\7\10"
				"\0\0\0\10!\"#$%&'("
				"\0\0\0\4\0\0\0\2"
				"\0\0\0\10\21\22\23\24\25\26\27\30"
				"\0\0\0\6update"
				"\0\0\0\6public"
				"\0\0\0\1t"
				"\0\0\0\3\1{}"
				"\0\0\0\7{\"a\":1}");
	pgrows_free(&rows);
}

static void
writes_null_for_what_is_not_there(void **state)
{
	PgRowFormat format = format_of(true, true);
	PgRows rows = {0};
	Sample one;
	SinkRecord *record = sample(&one, 0);

	(void) state;
	one.message.commit_time = 0;
	one.frame.op = CDC_OP_MESSAGE;
	one.frame.relation = NULL;
	one.frame.key = NULL;
	append(&rows, &format, record);
	BYTES(rows, "\0\13"
				"\0\0\0\11"
				"73/shop/s"
				"\0\0\0\4\0\0\0\3"
				"\0\0\0\10\1\2\3\4\5\6\7\10"
				"\0\0\0\10\0\0\0\0\0\0\0\0"
				"\0\0\0\4\0\0\0\2"
				"\377\377\377\377"
				"\0\0\0\7message"
				"\377\377\377\377"
				"\377\377\377\377"
				"\377\377\377\377"
				"\0\0\0\10\1{\"a\":1}");
	pgrows_free(&rows);
}

static void
finds_rows_again(void **state)
{
	PgRowFormat format = format_of(true, true);
	PgRows rows = {0};
	Sample one;
	const uint8_t *at;
	char *large = malloc(300000);

	(void) state;
	memset(large, ' ', 300000);
	for (uint64_t seq = 1; seq <= 1000; seq++)
	{
		SinkRecord *record = sample(&one, seq);

		if (seq % 3 == 0)
			one.frame.key = NULL;
		if (seq % 5 == 0)
			one.frame.relation = NULL;
		if (seq == 500)
		{
			one.frame.payload = large;
			one.frame.payload_length = 300000;
		}
		append(&rows, &format, record);
	}
	free(large);
	at = rows.data;
	assert_int_equal(pgrows_count(at, at + rows.used), 1000);
	for (uint64_t seq = 1; seq <= 1000; seq++)
	{
		RecordId id = pgrow_id(at);

		assert_int_equal(id.commit_lsn, 0x0102030405060708);
		assert_int_equal(id.seq, seq);
		assert_int_equal(id.part, 2);
		at += pgrow_length(at);
	}
	assert_ptr_equal(at, rows.data + rows.used);
	pgrows_empty(&rows, rows.size);
	assert_int_equal(rows.used, 0);
	assert_non_null(rows.data);
	pgrows_empty(&rows, 1024);
	assert_null(rows.data);
}

static void
tells_a_nul_from_what_looks_like_one(void **state)
{
	static const struct
	{
		const char *json;
		bool has;
	} cases[] = {
		{"{}", false},
		{"\\u0000", true},
		{"\"a\\u0000b\"", true},
		{"\"a\\\\u0000b\"", false},
		{"\"a\\\\\\u0000b\"", true},
		{"\"\\\\\\\\u0000\"", false},
		{"\"\\\"\\u0000\"", true},
		{"\"\\u00001\"", true},
		{"\"\\u0001\\u00e9\"", false},
		{"\"\\n\\t\\u000", false},
		{"\\", false},
		{"\"u0000\"", false},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		/* of the very length, so that a sanitizer sees a step too far */
		size_t length = strlen(cases[i].json);
		char *copy = malloc(length);

		memcpy(copy, cases[i].json, length);
		if (pgrow_has_nul(copy, length) != cases[i].has)
			fail_msg("%s: %d", cases[i].json, !cases[i].has);
		free(copy);
	}
}

static CdcStatus
create(const char *uri)
{
	SinkConfig config = {.uri = uri, .commit_interval = 1000000, .max_in_flight = 1 << 20};
	Sink *sink = NULL;
	CdcStatus status = sink_create(&sink, &config, &err);

	sink_destroy(sink);
	return status;
}

static void
reads_the_uri_as_libpq_does(void **state)
{
	(void) state;
	assert_int_equal(create("postgresql://"), CDC_OK);
	assert_int_equal(create("postgres://u@h1:1,h2:2/db?target_session_attrs=read-write"), CDC_OK);
	assert_int_equal(create("postgresql:///db?host=%2Ftmp&port=6543&options=-csearch_path%3Dx"),
					 CDC_OK);
	assert_int_equal(create("postgresql://h/db?ssl=true"), CDC_OK);
	assert_int_equal(create("postgresql://u:secret@h/db?conect_timeout=3"), CDC_USAGE);
	assert_non_null(strstr(err.message, "no parameter \"conect_timeout\""));
	assert_non_null(strstr(err.message, ", connect_timeout,"));
	assert_null(strstr(err.message, "secret"));
	assert_int_equal(create("postgresql://u:secret@h/db?time"), CDC_USAGE);
	assert_int_equal(create("postgresql://u:secret%zz@h/db"), CDC_USAGE);
	assert_null(strstr(err.message, "secret"));
	assert_null(strstr(err.detail, "secret"));
	assert_string_not_equal(err.hint, "");
	assert_int_equal(create("postgresql:db"), CDC_USAGE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_the_bytes_of_copy),
		cmocka_unit_test(writes_null_for_what_is_not_there),
		cmocka_unit_test(finds_rows_again),
		cmocka_unit_test(tells_a_nul_from_what_looks_like_one),
		cmocka_unit_test(reads_the_uri_as_libpq_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
