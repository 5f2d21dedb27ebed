/*
 * test_frame.c
 *		The frame reader: what it yields, and all that it must refuse.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "frame.h"
#include "message_builder.h"

static FrameReader reader;
static CdcError err;

static int
reset(void **state)
{
	(void) state;
	frame_reader_reset(&reader);
	return 0;
}

/* Reads each byte, for a sanitizer to see. */
static void
touch(const char *bytes, uint32_t length)
{
	static volatile char sum;

	for (uint32_t i = 0; i < length; i++)
		sum = (char) (sum + bytes[i]);
}

/*
 * Reads all of a message, from a copy of exactly its size, so that a sanitizer sees a read past its
 * end.	 The last frame stays in *last, and its bytes until the next call.
 */
static CdcStatus
read_all(const Builder *builder, int *count, Frame *last)
{
	static uint8_t *copy;
	Frame frame;
	bool found = true;
	CdcStatus status;

	free(copy);
	copy = malloc(builder->length);
	assert_non_null(copy);
	memcpy(copy, builder->bytes, builder->length);
	*count = 0;
	memset(&err, 0, sizeof(err));
	status = frame_open(&reader, copy, builder->length, &err);
	while (status == CDC_OK && found)
	{
		status = frame_next(&reader, &frame, &found, &err);
		if (status == CDC_OK && found)
		{
			(*count)++;
			*last = frame;
			touch(frame.payload, frame.payload_length);
			touch(frame.key, frame.key_length);
			touch(frame.old_key, frame.old_key_length);
		}
	}
	return status;
}

static void
good_message(Builder *builder)
{
	build_message(builder, 0x1000, 0x1030);
	build_relation(builder, 1, "public", "orders", "shop.orders");
	build_record(builder, 1, 1, "{\"a\":1}");
	build_frame(builder, CDC_FRAME_RECORD, CDC_OP_UPDATE, 2, 1, 1, "{\"key\":{}}", 10, "old");
	put32(builder->bytes + builder->frame + CDC_FRAME_AT_KEY_OFFSET, CDC_FRAME_HEADER_SIZE + 7);
	put32(builder->bytes + builder->frame + CDC_FRAME_AT_KEY_LENGTH, 2);
	put32(builder->bytes + builder->frame + CDC_FRAME_AT_OLD_KEY_OFFSET,
		  CDC_FRAME_HEADER_SIZE + 10);
	put32(builder->bytes + builder->frame + CDC_FRAME_AT_OLD_KEY_LENGTH, 3);
}

static void
reads_what_was_written(void **state)
{
	Builder builder;
	Frame frame;
	bool found;

	(void) state;
	good_message(&builder);
	assert_int_equal(frame_open(&reader, builder.bytes, builder.length, &err), CDC_OK);
	assert_true(reader.message.transactional);
	assert_false(reader.message.tombstones);
	assert_int_equal(reader.message.timeline, 3);
	assert_int_equal(reader.message.commit_lsn, 0x1000);
	assert_int_equal(reader.message.end_lsn, 0x1030);
	assert_int_equal(reader.message.commit_time, -5);
	assert_int_equal(reader.message.xid, 771);

	assert_int_equal(frame_next(&reader, &frame, &found, &err), CDC_OK);
	assert_true(found);
	assert_int_equal(frame.kind, CDC_FRAME_RECORD);
	assert_int_equal(frame.op, CDC_OP_INSERT);
	assert_int_equal(frame.seq, 1);
	assert_int_equal(frame.part, 0);
	assert_string_equal(frame.relation->schema, "public");
	assert_string_equal(frame.relation->table, "orders");
	assert_string_equal(frame.relation->target, "shop.orders");
	assert_int_equal(frame.payload_length, 7);
	assert_memory_equal(frame.payload, "{\"a\":1}", 7);
	assert_null(frame.key);
	assert_null(frame.old_key);

	assert_int_equal(frame_next(&reader, &frame, &found, &err), CDC_OK);
	assert_true(found);
	assert_int_equal(frame.op, CDC_OP_UPDATE);
	assert_int_equal(frame.part, 1);
	assert_int_equal(frame.key_length, 2);
	assert_memory_equal(frame.key, "{}", 2);
	assert_int_equal(frame.old_key_length, 3);
	assert_memory_equal(frame.old_key, "old", 3);

	assert_int_equal(frame_next(&reader, &frame, &found, &err), CDC_OK);
	assert_false(found);
}

static void
relations_last_over_messages(void **state)
{
	Builder builder;
	Frame frame;
	int count;
	uint64_t serial;

	(void) state;
	good_message(&builder);
	assert_int_equal(read_all(&builder, &count, &frame), CDC_OK);
	serial = frame.relation->serial;
	build_message(&builder, 0x2000, 0x2030);
	build_record(&builder, 1, 1, "{}");
	assert_int_equal(read_all(&builder, &count, &frame), CDC_OK);
	assert_string_equal(frame.relation->table, "orders");
	assert_int_equal(frame.relation->serial, serial);

	/* the number announced anew is another relation, with another serial */
	build_message(&builder, 0x3000, 0x3030);
	build_relation(&builder, 1, "public", "users", "");
	build_record(&builder, 1, 1, "{}");
	assert_int_equal(read_all(&builder, &count, &frame), CDC_OK);
	assert_string_equal(frame.relation->table, "users");
	assert_string_equal(frame.relation->target, "");
	assert_int_not_equal(frame.relation->serial, serial);

	/* and a session's end forgets them */
	frame_reader_reset(&reader);
	build_message(&builder, 0x4000, 0x4030);
	build_record(&builder, 1, 1, "{}");
	assert_int_equal(read_all(&builder, &count, &frame), CDC_STOP);
	assert_non_null(strstr(err.message, "not announced"));

	/* a sink that outlives the session must not take the next one's relation for that one */
	serial++;
	memset(&reader, 0, sizeof(reader));
	good_message(&builder);
	assert_int_equal(read_all(&builder, &count, &frame), CDC_OK);
	assert_true(frame.relation->serial > serial);
}

static void
keeps_many_relations(void **state)
{
	Builder builder;
	Frame frame;
	int count;
	char name[32];

	(void) state;
	for (uint32_t number = 1; number <= 10000; number++)
	{
		snprintf(name, sizeof(name), "partition_%u", number);
		build_message(&builder, 0x1000 * number, 0x1000 * number + 1);
		build_relation(&builder, number, "public", name, "");
		assert_int_equal(read_all(&builder, &count, &frame), CDC_OK);
	}
	assert_string_equal(relation_find(&reader.relations, 7777)->table, "partition_7777");
	assert_null(relation_find(&reader.relations, 0));
	assert_null(relation_find(&reader.relations, 10001));
}

static void
refuses(Builder *builder, const char *why)
{
	Frame frame;
	int count;

	assert_int_equal(read_all(builder, &count, &frame), CDC_STOP);
	if (strstr(err.message, why) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", why, err.message);
}

static void
refuses_unknown_headers(void **state)
{
	Builder builder;

	(void) state;
	good_message(&builder);
	builder.bytes[CDC_MESSAGE_AT_VERSION] = 2;
	refuses(&builder, "protocol version 2");
	good_message(&builder);
	builder.bytes[CDC_MESSAGE_AT_FLAGS] |= 0x80;
	refuses(&builder, "flags 0x81");
	good_message(&builder);
	builder.bytes[CDC_MESSAGE_AT_FLAGS] |= 0x04;
	refuses(&builder, "flags 0x05");
	good_message(&builder);
	builder.bytes[2] = 1;
	refuses(&builder, "reserved");
	good_message(&builder);
	builder.bytes[39] = 1;
	refuses(&builder, "reserved");
	good_message(&builder);
	put64(builder.bytes + CDC_MESSAGE_AT_COMMIT_LSN, 0);
	refuses(&builder, "which no transaction has");
	good_message(&builder);
	put64(builder.bytes + CDC_MESSAGE_AT_END_LSN, 0xfff);
	refuses(&builder, "which no transaction has");
}

static void
refuses_unknown_frames(void **state)
{
	static const struct
	{
		char kind;
		char op;
	} bad[] = {{'S', 's'}, {'F', 'i'}, {'X', 'i'}, {0, 0},     {'D', 0},
			   {'D', 'c'}, {'W', 'i'}, {'D', 'x'}, {'C', 'i'}, {'R', 'i'}};
	Builder builder;
	Frame frame;
	int count;

	(void) state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		good_message(&builder);
		build_frame(&builder, bad[i].kind, bad[i].op, 3, 0, 1, "{}", 2, "");
		refuses(&builder, "is not known");
	}
	/* a commit frame with a payload is a record of it, without one it may have no op */
	good_message(&builder);
	build_frame(&builder, CDC_FRAME_COMMIT, CDC_OP_COMMIT, 3, 0, 0, "{}", 2, "");
	assert_int_equal(read_all(&builder, &count, &frame), CDC_OK);
	good_message(&builder);
	build_frame(&builder, CDC_FRAME_COMMIT, 0, 3, 0, 0, "{}", 2, "");
	refuses(&builder, "is not known");
}

static void
schemas_have_versions(void **state)
{
	static const char *const bad[] = {"", "\"0123456789abcde\"", "\"0123456789ABCDEF\"",
									  "\"0123456789abcdef0", "x0123456789abcdef\""};
	static const char good[] = "\"0123456789abcdef\"";
	Builder builder;
	Frame frame;
	int count;

	(void) state;
	good_message(&builder);
	build_frame(&builder, CDC_FRAME_SCHEMA, 0, 0, 0, 1, good, sizeof(good) - 1, "");
	put32(builder.bytes + builder.frame + CDC_FRAME_AT_KEY_OFFSET, CDC_FRAME_HEADER_SIZE);
	put32(builder.bytes + builder.frame + CDC_FRAME_AT_KEY_LENGTH, sizeof(good) - 1);
	assert_int_equal(read_all(&builder, &count, &frame), CDC_OK);
	assert_memory_equal(frame_schema_version(&frame), good + 1, CDC_SCHEMA_VERSION_DIGITS);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		uint32_t length = (uint32_t) strlen(bad[i]);

		good_message(&builder);
		build_frame(&builder, CDC_FRAME_SCHEMA, 0, 0, 0, 1, "{}", 2, bad[i]);
		put32(builder.bytes + builder.frame + CDC_FRAME_AT_KEY_OFFSET,
			  length == 0 ? 0 : CDC_FRAME_HEADER_SIZE + 2);
		put32(builder.bytes + builder.frame + CDC_FRAME_AT_KEY_LENGTH, length);
		refuses(&builder, "a key that is not a version");
	}
	good_message(&builder);
	build_frame(&builder, CDC_FRAME_SCHEMA, 0, 0, 0, 0, good, sizeof(good) - 1, "");
	put32(builder.bytes + builder.frame + CDC_FRAME_AT_KEY_OFFSET, CDC_FRAME_HEADER_SIZE);
	put32(builder.bytes + builder.frame + CDC_FRAME_AT_KEY_LENGTH, sizeof(good) - 1);
	refuses(&builder, "has no relation");
}

static void
refuses_wrong_lengths(void **state)
{
	static const uint32_t lengths[] = {0,    1,          CDC_FRAME_HEADER_SIZE - 1,
									   1000, 0x7fffffff, UINT32_MAX};
	Builder builder;

	(void) state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
	{
		good_message(&builder);
		put32(builder.bytes + builder.frame + CDC_FRAME_AT_LENGTH, lengths[i]);
		refuses(&builder, "frame says that it has");
	}
	good_message(&builder);
	put32(builder.bytes + builder.frame + CDC_FRAME_AT_PAYLOAD_LENGTH, 14);
	refuses(&builder, "says that its payload has 14");
	good_message(&builder);
	put32(builder.bytes + builder.frame + CDC_FRAME_AT_PAYLOAD_LENGTH, UINT32_MAX);
	refuses(&builder, "says that its payload has 4294967295");
	good_message(&builder);
	builder.length += 3;
	refuses(&builder, "too few for a frame");
}

static void
refuses_keys_outside(void **state)
{
	static const struct
	{
		uint32_t offset;
		uint32_t length;
	} bad[] = {{1, 1},
			   {CDC_FRAME_HEADER_SIZE - 1, 1},
			   {CDC_FRAME_HEADER_SIZE, 14},
			   {0, 1},
			   {54, 0},
			   {UINT32_MAX, 2},
			   {CDC_FRAME_HEADER_SIZE, UINT32_MAX}};
	static const int places[] = {CDC_FRAME_AT_KEY_OFFSET, CDC_FRAME_AT_OLD_KEY_OFFSET};
	Builder builder;

	(void) state;
	for (size_t place = 0; place < 2; place++)
	{
		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		{
			good_message(&builder);
			put32(builder.bytes + builder.frame + places[place], bad[i].offset);
			put32(builder.bytes + builder.frame + places[place] + 4, bad[i].length);
			refuses(&builder, "key lies outside");
		}
	}
}

static void
refuses_broken_relations(void **state)
{
	static const uint32_t numbers[] = {0, RELATION_MAX_NUMBER + 1, UINT32_MAX};
	Builder builder;

	(void) state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
	{
		build_message(&builder, 1, 2);
		build_relation(&builder, numbers[i], "s", "t", "");
		refuses(&builder, "1 to 1048576 is allowed");
	}
	build_message(&builder, 1, 2);
	build_relation(&builder, 1, "s", "t", "");
	builder.bytes[builder.frame + CDC_FRAME_HEADER_SIZE + 1] = 200; /* longer than the payload */
	refuses(&builder, "do not match");
	build_message(&builder, 1, 2);
	build_relation(&builder, 1, "s", "t", "");
	builder.bytes[builder.frame + CDC_FRAME_HEADER_SIZE + 2] = 0; /* a NUL in a name */
	refuses(&builder, "do not match");
	build_message(&builder, 1, 2);
	build_frame(&builder, CDC_FRAME_RELATION, 0, 0, 0, 1, "\0\1s\0\1t\0\0more", 12, "");
	refuses(&builder, "do not match");
	build_message(&builder, 1, 2);
	build_frame(&builder, CDC_FRAME_RELATION, 0, 0, 0, 1, "", 0, "");
	refuses(&builder, "do not match");
}

/* Cut anywhere, a message is refused or has fewer frames; nothing is read past its end. */
static void
survives_cuts_and_flips(void **state)
{
	Builder whole;
	Builder spoilt;
	Frame frame;
	int count;
	int total;

	(void) state;
	good_message(&whole);
	build_commit(&whole, 3);
	assert_int_equal(read_all(&whole, &total, &frame), CDC_OK);
	assert_int_equal(total, 3);
	for (size_t length = 0; length < whole.length; length++)
	{
		spoilt = whole;
		spoilt.length = length;
		frame_reader_reset(&reader);
		if (length == 0)
		{
			assert_int_equal(frame_open(&reader, "", 0, &err), CDC_STOP);
			continue;
		}
		if (read_all(&spoilt, &count, &frame) == CDC_OK)
			assert_true(count < total);
	}
	for (size_t at = 0; at < whole.length; at++)
	{
		for (int bit = 0; bit < 8; bit++)
		{
			CdcStatus status;

			spoilt = whole;
			spoilt.bytes[at] ^= (uint8_t) (1 << bit);
			frame_reader_reset(&reader);
			status = read_all(&spoilt, &count, &frame);
			assert_true(status == CDC_OK || status == CDC_STOP);
		}
	}
}

/* As records have them in their member op; one that a later server may have is not refused here. */
static void
operations_have_names(void **state)
{
	static const struct
	{
		uint8_t op;
		const char *name;
	} names[] = {
		{CDC_OP_INSERT, "insert"},     {CDC_OP_UPDATE, "update"},
		{CDC_OP_DELETE, "delete"},     {CDC_OP_TRUNCATE, "truncate"},
		{CDC_OP_MESSAGE, "message"},   {CDC_OP_BEGIN, "begin"},
		{CDC_OP_COMMIT, "commit"},     {CDC_OP_DDL, "ddl"},
		{CDC_OP_SNAPSHOT, "snapshot"}, {0, "other"},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_string_equal(frame_op_name(names[i].op), names[i].name);
}

/* Rows stand in watermarks as keys of one length each. */
static void
watermarks_have_an_operation_and_whole_keys(void **state)
{
	static const char keys[3 * CDC_WATERMARK_KEY_SIZE] = "";
	static const char ops[] = {CDC_WATERMARK_LOW,         CDC_WATERMARK_HIGH,
							   CDC_WATERMARK_HIGH_VOID,   CDC_WATERMARK_ROW,
							   CDC_WATERMARK_PARTIAL_ROW, CDC_WATERMARK_UNKNOWN,
							   CDC_WATERMARK_TRUNCATED};
	Builder builder;
	Frame frame;
	int count;

	(void) state;
	for (size_t i = 0; i < sizeof(ops); i++)
	{
		build_message(&builder, 0x1000, 0x1100);
		build_frame(&builder, CDC_FRAME_WATERMARK, ops[i], 0, 0, 0, keys, sizeof(keys), "");
		assert_int_equal(read_all(&builder, &count, &frame), CDC_OK);
		assert_int_equal(frame.kind, CDC_FRAME_WATERMARK);
		assert_int_equal(frame.op, ops[i]);
		assert_int_equal(frame.payload_length, sizeof(keys));
	}
	for (uint32_t length = 1; length < CDC_WATERMARK_KEY_SIZE; length++)
	{
		build_message(&builder, 0x1000, 0x1100);
		build_frame(&builder, CDC_FRAME_WATERMARK, CDC_WATERMARK_ROW, 0, 0, 0, keys, length, "");
		assert_int_equal(read_all(&builder, &count, &frame), CDC_STOP);
	}
	build_message(&builder, 0x1000, 0x1100);
	build_frame(&builder, CDC_FRAME_WATERMARK, 0, 0, 0, 0, keys, 0, "");
	assert_int_equal(read_all(&builder, &count, &frame), CDC_STOP);
	build_message(&builder, 0x1000, 0x1100);
	build_frame(&builder, CDC_FRAME_WATERMARK, 'x', 0, 0, 0, keys, 0, "");
	assert_int_equal(read_all(&builder, &count, &frame), CDC_STOP);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(reads_what_was_written, reset),
		cmocka_unit_test_teardown(relations_last_over_messages, reset),
		cmocka_unit_test_teardown(keeps_many_relations, reset),
		cmocka_unit_test_teardown(refuses_unknown_headers, reset),
		cmocka_unit_test_teardown(refuses_unknown_frames, reset),
		cmocka_unit_test_teardown(schemas_have_versions, reset),
		cmocka_unit_test_teardown(refuses_wrong_lengths, reset),
		cmocka_unit_test_teardown(refuses_keys_outside, reset),
		cmocka_unit_test_teardown(refuses_broken_relations, reset),
		cmocka_unit_test_teardown(survives_cuts_and_flips, reset),
		cmocka_unit_test(operations_have_names),
		cmocka_unit_test_teardown(watermarks_have_an_operation_and_whole_keys, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
