/*
 * test_grpc.c
 *		The grpc sink's pure parts: URIs, messages, what is on its way, what ends of streams mean.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#ifdef HAVE_GRPC

#include <grpc/status.h>
#include <unistd.h>

#include "../../plugin/cdc_protocol.h"
#include "cdc_sink.pb-c.h"
#include "clock.h"
#include "grpc/rpc_channel.h"
#include "grpc/rpc_flight.h"
#include "grpc/rpc_message.h"
#include "grpc/rpc_params.h"
#include "grpc/rpc_status.h"

static CdcError err;

static void
uris_are_taken_apart(void **state)
{
	RpcParams params = {0};

	(void) state;
	assert_int_equal(rpc_params_parse(&params,
									  "grpcs://[::1]:50051/a.{table}?batch-bytes=2KiB&"
									  "authority=sink.example.com&timeout=500ms&keepalive=30s",
									  &err),
					 CDC_OK);
	assert_true(params.tls);
	assert_string_equal(params.address, "[::1]:50051");
	assert_string_equal(params.target, "a.{table}");
	assert_string_equal(params.authority, "sink.example.com");
	assert_int_equal(params.batch_bytes, 2048);
	assert_int_equal(params.timeout, CLOCK_SECOND / 2);
	assert_int_equal(params.keepalive, 30 * CLOCK_SECOND);
	rpc_params_free(&params);
	assert_int_equal(rpc_params_parse(&params, "grpc://localhost:1", &err), CDC_OK);
	assert_false(params.tls);
	assert_string_equal(params.target, "{schema}.{table}");
	rpc_params_free(&params);
}

static void
what_is_wrong_is_refused(void **state)
{
	static const char *const wrong[] = {
		"grpc:localhost:1",
		"grpc://",
		"grpc://:1",
		"grpc://localhost",
		"grpc://localhost:",
		"grpc://localhost:0",
		"grpc://localhost:65536",
		"grpc://localhost:http",
		"grpc://::1:5",
		"grpc://[::1]5",
		"grpc://me@localhost:1",
		"grpc://localhost:1?nosuch=1",
		"grpc://localhost:1?batch-bytes=1B",
		"grpc://localhost:1?batch-records=0",
		"grpc://localhost:1?ack-timeout=0",
		"grpc://localhost:1?authority=",
		"grpc://localhost:1?cert=a&key=b",
		"grpcs://localhost:1?cert=a",
		"grpcs://localhost:1?key=a",
	};

	(void) state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
	{
		RpcParams params = {0};

		memset(&err, 0, sizeof(err));
		if (rpc_params_parse(&params, wrong[i], &err) != CDC_USAGE || err.message[0] == '\0')
			fail_msg("%s is taken", wrong[i]);
		rpc_params_free(&params);
	}
}

static const Position some_position = {.timeline = 2,
									   .incarnation = 1,
									   .id = {0x116E2A10, UINT64_MAX, 65535},
									   .end_lsn = UINT64_MAX,
									   .confirmed = UINT64_C(0x100000000),
									   .commit_time = -1};

/* Records and position that were encoded one after the other are one message. */
static void
batches_are_one_message(void **state)
{
	static const Relation orders = {.schema = "public", .table = "orders", .target = ""};
	MessageHeader message = {.commit_time = -5, .xid = 771};
	Frame frames[] = {
		{.op = CDC_OP_UPDATE,
		 .relation = &orders,
		 .payload = "{\"a\":1}",
		 .payload_length = 7,
		 .key = "{\"id\":1}",
		 .key_length = 8,
		 .old_key = "{\"id\":2}",
		 .old_key_length = 8},
		{.op = CDC_OP_MESSAGE, .payload = "{}", .payload_length = 2},
	};
	RpcBuffer buffer = {0};
	Cdc__V1__Batch *batch;

	(void) state;
	for (uint16_t i = 0; i < 2; i++)
	{
		SinkRecord record = {
			.message = &message, .frame = &frames[i], .id = {0x16E2A10, i + UINT64_C(1), i}};

		assert_true(rpc_put_record(&buffer, &record, "a.target"));
	}
	assert_true(rpc_put_position(&buffer, 7, &some_position));
	batch = cdc__v1__batch__unpack(NULL, buffer.length, buffer.data);
	assert_non_null(batch);
	assert_null(batch->hello);
	assert_int_equal(batch->epoch, 7);
	assert_int_equal(batch->n_records, 2);
	assert_int_equal(batch->records[0]->commit_lsn, 0x16E2A10);
	assert_int_equal(batch->records[0]->op, CDC__V1__OP__OP_UPDATE);
	assert_string_equal(batch->records[0]->schema, "public");
	assert_string_equal(batch->records[0]->target, "a.target");
	assert_int_equal(batch->records[0]->value.len, 7);
	assert_memory_equal(batch->records[0]->value.data, "{\"a\":1}", 7);
	assert_memory_equal(batch->records[0]->old_key.data, "{\"id\":2}", 8);
	assert_int_equal(batch->records[0]->commit_time, -5);
	assert_int_equal(batch->records[0]->xid, 771);
	assert_int_equal(batch->records[1]->part, 1);
	assert_string_equal(batch->records[1]->table, "");
	assert_int_equal(batch->records[1]->key.len, 0);
	assert_int_equal(batch->position->seq, UINT64_MAX);
	cdc__v1__batch__free_unpacked(batch, NULL);
	rpc_buffer_free(&buffer);
}

/* Each operation that a frame may have says what it is, and schema records stand beside the records. */
static void
operations_and_schemas_are_told(void **state)
{
	static const MessageHeader message = {.commit_lsn = 1};
	static const struct
	{
		uint8_t op;
		Cdc__V1__Op said;
	} cases[] = {
		{CDC_OP_INSERT, CDC__V1__OP__OP_INSERT},     {CDC_OP_UPDATE, CDC__V1__OP__OP_UPDATE},
		{CDC_OP_DELETE, CDC__V1__OP__OP_DELETE},     {CDC_OP_TRUNCATE, CDC__V1__OP__OP_TRUNCATE},
		{CDC_OP_MESSAGE, CDC__V1__OP__OP_MESSAGE},   {CDC_OP_BEGIN, CDC__V1__OP__OP_BEGIN},
		{CDC_OP_COMMIT, CDC__V1__OP__OP_COMMIT},     {CDC_OP_DDL, CDC__V1__OP__OP_DDL},
		{CDC_OP_SNAPSHOT, CDC__V1__OP__OP_SNAPSHOT},
	};
	static const size_t count = sizeof(cases) / sizeof(cases[0]);
	const Relation relation = {.schema = "public", .table = "t"};
	const Frame schema = {.kind = CDC_FRAME_SCHEMA,
						  .relation = &relation,
						  .key = "\"0123456789abcdef\"",
						  .key_length = 18,
						  .payload = "{}",
						  .payload_length = 2};
	RpcBuffer buffer = {0};
	Cdc__V1__Batch *batch;

	(void) state;
	for (size_t i = 0; i < count; i++)
	{
		const Frame frame = {.op = cases[i].op, .payload = "{}", .payload_length = 2};
		const SinkRecord record = {.message = &message, .frame = &frame, .id = {1, i, 0}};

		assert_true(rpc_put_record(&buffer, &record, "t"));
	}
	assert_true(rpc_put_schema(&buffer, &schema, "public.t"));
	assert_true(rpc_put_position(&buffer, 1, &some_position));
	batch = cdc__v1__batch__unpack(NULL, buffer.length, buffer.data);
	assert_non_null(batch);
	assert_int_equal(batch->n_records, count);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(batch->records[i]->op, cases[i].said);
	assert_int_equal(batch->n_schemas, 1);
	assert_string_equal(batch->schemas[0]->schema, "public");
	assert_string_equal(batch->schemas[0]->table, "t");
	assert_string_equal(batch->schemas[0]->version, "0123456789abcdef");
	assert_string_equal(batch->schemas[0]->target, "public.t");
	assert_int_equal(batch->schemas[0]->value.len, 2);
	cdc__v1__batch__free_unpacked(batch, NULL);
	rpc_buffer_free(&buffer);
}

static void
read_ack(Cdc__V1__Ack *said, RpcAck *ack, CdcStatus expected)
{
	uint8_t bytes[1000];
	size_t length = cdc__v1__ack__pack(said, bytes);

	assert_int_equal(rpc_read_ack(ack, bytes, length, &err), expected);
}

static void
answers_are_read(void **state)
{
	Cdc__V1__Ack said = CDC__V1__ACK__INIT;
	Cdc__V1__Position position = CDC__V1__POSITION__INIT;
	Cdc__V1__Window window = CDC__V1__WINDOW__INIT;
	Cdc__V1__Refusal refused = CDC__V1__REFUSAL__INIT;
	char reason[] = "too\nlong";
	RpcAck ack;

	(void) state;
	read_ack(&said, &ack, CDC_OK);
	assert_false(ack.has_position || ack.has_window || ack.has_refused);
	position.timeline = some_position.timeline;
	position.incarnation = some_position.incarnation;
	position.commit_lsn = some_position.id.commit_lsn;
	position.seq = some_position.id.seq;
	position.part = some_position.id.part;
	position.end_lsn = some_position.end_lsn;
	position.confirmed = some_position.confirmed;
	position.commit_time = some_position.commit_time;
	window.bytes = 5;
	window.paused = 1;
	refused.commit_lsn = 3;
	refused.reason = reason;
	said.position = &position;
	said.window = &window;
	said.refused = &refused;
	said.epoch = UINT64_MAX;
	read_ack(&said, &ack, CDC_OK);
	assert_true(ack.has_position && rpc_position_equal(&ack.position, &some_position));
	assert_true(ack.has_window && ack.window.paused);
	assert_int_equal(ack.window.bytes, 5);
	assert_true(ack.has_refused);
	assert_string_equal(ack.reason, "too long");
	assert_true(ack.epoch == UINT64_MAX);
	position.part = 65536;
	read_ack(&said, &ack, CDC_STOP);
	assert_int_equal(rpc_read_ack(&ack, (const uint8_t *) "\xff\xff\xff", 3, &err), CDC_STOP);
}

static Position
position_of(uint64_t n)
{
	return (Position){.id = {n, 1, 0}, .end_lsn = n, .confirmed = n};
}

static RpcBatch
batch_of(uint64_t n, uint64_t records)
{
	return (RpcBatch){.after = position_of(n),
					  .records = records,
					  .payload_bytes = records * 10,
					  .message_bytes = records * 20};
}

static void
what_is_on_its_way_is_counted(void **state)
{
	static RpcFlight flight;
	RpcWindow any = {0};
	RpcWindow paused = {.paused = true};
	RpcWindow some = {.records = 100};
	RpcWindow few = {.bytes = 100};
	Position position = position_of(3);
	Position after;
	uint64_t bytes;

	(void) state;
	for (uint64_t round = 0; round < 3; round++)
	{
		rpc_flight_clear(&flight);
		for (uint64_t n = 1; n <= RPC_MAX_FLIGHT; n++)
		{
			RpcBatch batch = batch_of(n, n == 1 ? 1000 : 3);

			assert_false(rpc_flight_allows(&flight, &paused, &batch));
			assert_true(rpc_flight_allows(&flight, &any, &batch));
			/* a large one goes where nothing else is on its way */
			assert_int_equal(rpc_flight_allows(&flight, &some, &batch), n == 1);
			assert_int_equal(rpc_flight_allows(&flight, &few, &batch), n == 1);
			if (n == 3)
				batch.after.snapshot = (const SnapshotCursor *) flight.batches;
			rpc_flight_add(&flight, &batch);
		}
		assert_false(rpc_flight_allows(&flight, &any, &(RpcBatch){0}));
		assert_true(rpc_flight_acknowledge(&flight, &position, &after, &bytes));
		assert_int_equal(bytes, 10060);
		/* what the protocol does not tell is the batch's own */
		assert_ptr_equal(after.snapshot, flight.batches);
		assert_int_equal(flight.count, RPC_MAX_FLIGHT - 3);
		assert_int_equal(rpc_flight_oldest(&flight)->after.id.commit_lsn, 4);
		assert_false(rpc_flight_acknowledge(&flight, &position, &after, &bytes));
		assert_int_equal(flight.count, RPC_MAX_FLIGHT - 3);
		for (uint64_t n = 1; n <= 3; n++)
		{
			RpcBatch batch = batch_of(5000, 0);

			rpc_flight_add(&flight, &batch);
		}
		assert_int_equal(flight.count, RPC_MAX_FLIGHT);
		/* the same position again: all of them are meant */
		position = position_of(5000);
		assert_true(rpc_flight_acknowledge(&flight, &position, &after, &bytes));
		assert_int_equal(flight.count, 0);
		assert_int_equal(flight.bytes, 0);
		assert_int_equal(flight.records, 0);
		position = position_of(3);
	}
}

static void
ends_are_told_apart(void **state)
{
	static const struct
	{
		int code;
		const char *text;
		CdcStatus first;
		CdcStatus later;
	} cases[] = {
		{GRPC_STATUS_OK, "", CDC_RETRY, CDC_RETRY},
		{GRPC_STATUS_UNAVAILABLE, "Socket closed", CDC_RETRY, CDC_RETRY},
		{GRPC_STATUS_UNAVAILABLE, "SSL routines::certificate verify failed", CDC_STOP, CDC_STOP},
		{GRPC_STATUS_UNAUTHENTICATED, "", CDC_STOP, CDC_RETRY},
		{GRPC_STATUS_UNIMPLEMENTED, "", CDC_STOP, CDC_STOP},
		{GRPC_STATUS_INVALID_ARGUMENT, "", CDC_REFUSED, CDC_REFUSED},
		{GRPC_STATUS_RESOURCE_EXHAUSTED, "quota", CDC_RETRY, CDC_RETRY},
		{GRPC_STATUS_RESOURCE_EXHAUSTED, "Received message larger than max (5 vs. 4)", CDC_REFUSED,
		 CDC_REFUSED},
		{GRPC_STATUS_RESOURCE_EXHAUSTED, "gRPC message exceeds maximum size 4: 5", CDC_REFUSED,
		 CDC_REFUSED},
		{GRPC_STATUS_OUT_OF_RANGE, "Error, message length too large: found 5 bytes", CDC_REFUSED,
		 CDC_REFUSED},
		{GRPC_STATUS_OUT_OF_RANGE, "no", CDC_STOP, CDC_STOP},
		{99, "", CDC_RETRY, CDC_RETRY},
		{-1, "", CDC_RETRY, CDC_RETRY},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		assert_int_equal(rpc_status_meaning(cases[i].code, cases[i].text, false), cases[i].first);
		assert_int_equal(rpc_status_meaning(cases[i].code, cases[i].text, true), cases[i].later);
		assert_non_null(rpc_status_name(cases[i].code));
		assert_non_null(rpc_status_hint(cases[i].code, cases[i].text));
	}
}

/* Reads a file of so many copies of a line, as the user's metadata. */
static CdcStatus
read_metadata(grpc_metadata_array *metadata, const char *line, int copies)
{
	char path[] = "/tmp/cdc_grpc.XXXXXX";
	FILE *file = fdopen(mkstemp(path), "w");
	RpcParams params = {.metadata_file = path};
	CdcError err;
	CdcStatus status;

	assert_non_null(file);
	for (int i = 0; i < copies; i++)
		fprintf(file, "%s\n", line);
	fclose(file);
	status = rpc_metadata_read(metadata, &params, &err);
	unlink(path);
	if (status != CDC_OK)
		assert_non_null(strstr(err.message, "(metadata-file)"));
	return status;
}

static void
metadata_are_what_grpc_allows(void **state)
{
	static const char *const bad[] = {
		"Grpc-Timeout: 1S", "trace-bin: AAEC", "a*b: 1", "a: \xc3\xa4", "a", ":path: /x"};
	grpc_metadata_array metadata;
	RpcParams none = {0};
	CdcError err;

	(void) state;
	assert_int_equal(rpc_metadata_read(&metadata, &none, &err), CDC_OK);
	assert_int_equal(metadata.count, 0);
	rpc_metadata_free(&metadata);
	assert_int_equal(read_metadata(&metadata, "Authorization: Bearer x:y", 64), CDC_OK);
	assert_int_equal(metadata.count, 64);
	assert_true(grpc_slice_str_cmp(metadata.metadata[0].key, "authorization") == 0);
	assert_true(grpc_slice_str_cmp(metadata.metadata[63].value, "Bearer x:y") == 0);
	rpc_metadata_free(&metadata);
	assert_int_equal(read_metadata(&metadata, "a: b", 65), CDC_USAGE);
	rpc_metadata_free(&metadata);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		if (read_metadata(&metadata, bad[i], 1) != CDC_USAGE)
			fail_msg("\"%s\" was taken", bad[i]);
		rpc_metadata_free(&metadata);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uris_are_taken_apart),
		cmocka_unit_test(what_is_wrong_is_refused),
		cmocka_unit_test(batches_are_one_message),
		cmocka_unit_test(operations_and_schemas_are_told),
		cmocka_unit_test(answers_are_read),
		cmocka_unit_test(what_is_on_its_way_is_counted),
		cmocka_unit_test(ends_are_told_apart),
		cmocka_unit_test(metadata_are_what_grpc_allows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

/* The sink is left out, and so are its tests. */
static void
the_grpc_sink_is_left_out(void **state)
{
	(void) state;
	skip();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(the_grpc_sink_is_left_out)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
