/*
 * test_redis_batch.c
 *		The Redis sink's keys and ids, what a batch is on the wire, and how the guard's answer is judged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#ifdef HAVE_REDIS
#include "../../plugin/cdc_protocol.h"
#include "redis/redis_batch.h"
#include "redis/redis_keys.h"

static CdcError err;

static void
test_keys(void **state)
{
	static const char *const positions[][2] = {
		{"events", "{events}:cdc-position"},
		{"cdc:{table}", "cdc:{table}:cdc-position"},
		{"{{cdc}:{schema}.{table}", "{cdc}:{schema}.{table}:cdc-position"},
		{"{source}", "{shop}:cdc-position"},
		{"a{source}b{source}", "{ashopbshop}:cdc-position"},
		{"{{source}", "{source}:cdc-position"},
		{"{{}x", "{{}x}:cdc-position"},
	};
	static const char *const owners[][2] = {
		{"events", "{events}:cdc-owner"},
		{"{cdc}:t", "{cdc}:t:cdc-owner"},
		{"a{b", "{a{b}:cdc-owner"},
	};
	char *key;

	(void) state;
	for (size_t i = 0; i < sizeof(positions) / sizeof(positions[0]); i++)
	{
		key = redis_position_key(positions[i][0], "shop");
		assert_string_equal(key, positions[i][1]);
		free(key);
	}
	for (size_t i = 0; i < sizeof(owners) / sizeof(owners[0]); i++)
	{
		key = redis_owner_key(owners[i][0]);
		assert_string_equal(key, owners[i][1]);
		free(key);
	}
	key = redis_schemas_key("{source}", "shop");
	assert_string_equal(key, "{shop}:cdc-schemas");
	free(key);
}

/* Rising identities, incarnation first, give rising ids. */
static void
test_order(void **state)
{
	static const struct
	{
		uint32_t incarnation;
		RecordId id;
	} rising[] = {
		{0, {1, 0, 0}}, {0, {1, 0, 1}},
		{0, {1, 1, 0}}, {0, {1, 1, UINT16_MAX}},
		{0, {1, 2, 0}}, {0, {1, (UINT64_C(1) << 47) - 1, UINT16_MAX}},
		{0, {2, 0, 0}}, {0, {(UINT64_C(1) << 56) - 1, 0, 0}},
		{1, {1, 0, 0}}, {127, {(UINT64_C(1) << 56) - 1, (UINT64_C(1) << 47) - 1, UINT16_MAX}},
	};
	RedisEntryId before = {0};

	(void) state;
	for (size_t i = 0; i < sizeof(rising) / sizeof(rising[0]); i++)
	{
		RedisEntryId entry;

		assert_int_equal(redis_entry_id(&entry, &rising[i].id, rising[i].incarnation, &err),
						 CDC_OK);
		assert_true(redis_entry_id_compare(&before, &entry) < 0);
		assert_true(redis_entry_id_compare(&entry, &before) > 0);
		assert_int_equal(redis_entry_id_compare(&entry, &entry), 0);
		assert_true(entry.first <= INT64_MAX && entry.second <= INT64_MAX);
		before = entry;
	}
}

static void
test_ids_that_do_not_fit(void **state)
{
	RedisEntryId entry;

	(void) state;
	assert_int_equal(redis_entry_id(&entry, &(RecordId){1, UINT64_C(1) << 47, 0}, 0, &err),
					 CDC_REFUSED);
	assert_non_null(strstr(err.message, "seq 140737488355328 of transaction 0/1 does not fit"));
	assert_int_equal(redis_entry_id(&entry, &(RecordId){UINT64_C(1) << 56, 1, 0}, 0, &err),
					 CDC_STOP);
	assert_int_equal(redis_entry_id(&entry, &(RecordId){1, 1, 0}, 128, &err), CDC_STOP);
	assert_non_null(strstr(err.message, "incarnation 128 does not fit"));
}

static void
test_parse_ids(void **state)
{
	RedisEntryId entry;

	(void) state;
	assert_true(redis_entry_id_parse("18446744073709551615-7", &entry));
	assert_true(entry.first == UINT64_MAX && entry.second == 7);
	assert_true(redis_entry_id_parse("0-0", &entry));
	assert_false(redis_entry_id_parse("", &entry));
	assert_false(redis_entry_id_parse("1", &entry));
	assert_false(redis_entry_id_parse("1-", &entry));
	assert_false(redis_entry_id_parse("-1-1", &entry));
	assert_false(redis_entry_id_parse("1-1x", &entry));
	assert_false(redis_entry_id_parse("18446744073709551616-1", &entry));
}

static void
assert_bytes(const RedisBuffer *buffer, const char *expected)
{
	assert_int_equal(buffer->length, strlen(expected));
	assert_memory_equal(buffer->data, expected, buffer->length);
}

static void
test_wire(void **state)
{
	RedisBatch batch = {0};
	RedisEntryId entry = {23456789, 65536};
	size_t prefix_length;
	size_t length;
	char *prefix = redis_xadd_prefix("s", 0, &prefix_length);
	char *trimmed = redis_xadd_prefix("s", 1000, &length);

	(void) state;
	assert_bytes(&(RedisBuffer){.data = prefix, .length = prefix_length},
				 "*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n");
	assert_bytes(&(RedisBuffer){.data = trimmed, .length = length},
				 "*8\r\n$4\r\nXADD\r\n$1\r\ns\r\n$6\r\nMAXLEN\r\n$1\r\n~\r\n"
				 "$4\r\n1000\r\n");
	assert_true(redis_batch_add_stream(&batch, "s", true, &entry));
	assert_true(redis_batch_add_stream(&batch, "{t}", false, &entry));
	assert_true(redis_batch_add(&batch, prefix, prefix_length, &entry, "{\"a\":1}", 7));
	assert_true(redis_batch_seal(&batch, "p", NULL, "sha", "{}"));
	assert_bytes(
		&batch.head,
		"*6\r\n$5\r\nWATCH\r\n$1\r\np\r\n$13\r\n{s}:cdc-owner\r\n$1\r\ns\r\n"
		"$13\r\n{t}:cdc-owner\r\n$3\r\n{t}\r\n"
		"*8\r\n$7\r\nEVALSHA\r\n$3\r\nsha\r\n$1\r\n5\r\n$1\r\np\r\n$13\r\n{s}:cdc-owner\r\n"
		"$1\r\ns\r\n$13\r\n{t}:cdc-owner\r\n$3\r\n{t}\r\n"
		"*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$13\r\n{s}:cdc-owner\r\n$1\r\np\r\n");
	assert_bytes(&batch.body, "*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$14\r\n23456789-65536\r\n$6\r\n"
							  "record\r\n$7\r\n{\"a\":1}\r\n"
							  "*4\r\n$4\r\nHSET\r\n$1\r\np\r\n$8\r\nposition\r\n$2\r\n{}\r\n");
	/* WATCH, guard, MULTI, SET, XADD, HSET */
	assert_int_equal(batch.expected, 6);
	redis_batch_reset(&batch);
	assert_int_equal(batch.body.length, 0);
	assert_int_equal(batch.num_streams, 0);
	redis_batch_free(&batch);
	free(prefix);
	free(trimmed);
}

static void
test_schemas(void **state)
{
	const Relation relation = {.schema = "public", .table = "t"};
	const Frame frame = {.kind = CDC_FRAME_SCHEMA,
						 .relation = &relation,
						 .key = "\"0123456789abcdef\"",
						 .key_length = 18,
						 .payload = "{}",
						 .payload_length = 2};
	const char expected[] = "*4\r\n$4\r\nHSET\r\n$1\r\nk\r\n$25\r\npublic.t:0123456789abcdef\r\n"
							"$2\r\n{}\r\n*2\r\n$5\r\nWATCH\r\n$1\r\np\r\n";
	RedisBatch batch = {0};

	(void) state;
	assert_true(redis_batch_add_schema(&batch, &frame));
	assert_int_equal(batch.bytes, 2);
	assert_int_equal(batch.num_records, 0);
	assert_true(redis_batch_seal(&batch, "p", "k", "sha", "{}"));
	assert_memory_equal(batch.head.data, expected, strlen(expected));
	/* HSET, WATCH, guard, MULTI, HSET of the position */
	assert_int_equal(batch.guard_answer, 2);
	assert_int_equal(batch.expected, 5);
	redis_batch_reset(&batch);
	assert_int_equal(batch.num_schemas, 0);
	assert_true(redis_batch_seal(&batch, "p", "k", "sha", "{}"));
	assert_int_equal(batch.guard_answer, 1);
	assert_int_equal(batch.expected, 4);
	redis_batch_free(&batch);
}

/* A guard's answer, read as hiredis reads it. */
static redisReply *
read_reply(const char *bytes)
{
	redisReader *reader = redisReaderCreate();
	void *reply = NULL;

	assert_int_equal(redisReaderFeed(reader, bytes, strlen(bytes)), REDIS_OK);
	assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
	assert_non_null(reply);
	redisReaderFree(reader);
	return reply;
}

static void
test_judge(void **state)
{
	static const struct
	{
		const char *answer;
		CdcStatus status;
		const char *says;
	} cases[] = {
		{"*5\r\n$1\r\n7\r\n$0\r\n\r\n$0\r\n\r\n$3\r\n0-0\r\n:0\r\n", CDC_OK, NULL},
		{"*5\r\n$1\r\n7\r\n$1\r\np\r\n$0\r\n\r\n$3\r\n5-4\r\n:9\r\n", CDC_OK, NULL},
		{"*5\r\n$1\r\n8\r\n$1\r\np\r\n$0\r\n\r\n$3\r\n5-4\r\n:9\r\n", CDC_RETRY,
		 "taken the streams over"},
		{"*5\r\n$0\r\n\r\n$1\r\np\r\n$0\r\n\r\n$3\r\n5-4\r\n:9\r\n", CDC_RETRY,
		 "taken the streams over"},
		{"*5\r\n$1\r\n7\r\n$1\r\nq\r\n$0\r\n\r\n$3\r\n5-4\r\n:9\r\n", CDC_STOP,
		 "belongs to another sink"},
		{"*5\r\n$1\r\n7\r\n$0\r\n\r\n$0\r\n\r\n$3\r\n5-4\r\n:9\r\n", CDC_STOP,
		 "does not say whose"},
		{"*5\r\n$1\r\n7\r\n$0\r\n\r\n$0\r\n\r\n$5\r\n!list\r\n:0\r\n", CDC_STOP, "is a list"},
		{"*5\r\n$1\r\n7\r\n$1\r\np\r\n$0\r\n\r\n$3\r\n5-5\r\n:9\r\n", CDC_STOP, "at or behind"},
		{"*5\r\n$1\r\n7\r\n$0\r\n\r\n$0\r\n\r\n$3\r\n6-0\r\n:0\r\n", CDC_STOP, "at or behind"},
		{"*5\r\n$1\r\n7\r\n$1\r\np\r\n$0\r\n\r\n$1\r\nx\r\n:9\r\n", CDC_RETRY, "no id"},
		{"*1\r\n$1\r\n7\r\n", CDC_RETRY, "something else"},
		{":1\r\n", CDC_RETRY, "something else"},
	};
	RedisBatch batch = {0};

	(void) state;
	assert_true(redis_batch_add_stream(&batch, "s", true, &(RedisEntryId){5, 5}));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		redisReply *reply = read_reply(cases[i].answer);

		assert_int_equal(redis_batch_judge(&batch, reply, "p", 7, "Redis", &err), cases[i].status);
		if (cases[i].says != NULL)
			assert_non_null(strstr(err.message, cases[i].says));
		freeReplyObject(reply);
	}
	redis_batch_free(&batch);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),      cmocka_unit_test(test_order),
		cmocka_unit_test(test_parse_ids), cmocka_unit_test(test_ids_that_do_not_fit),
		cmocka_unit_test(test_wire),      cmocka_unit_test(test_schemas),
		cmocka_unit_test(test_judge),
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
