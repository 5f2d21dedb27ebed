/*
 * test_delivery.c
 *		The order of what a server sends: what is out of order would be lost in silence, or come twice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <libpq-fe.h>

#include "delivery.h"
#include "message_builder.h"

typedef struct CountingSink
{
	SinkBase base;
	int room; /* records that it takes */
	int num_records;
	int num_schemas;
	int num_ends;
	int num_flushes;
	Position ended; /* the last end_transaction() */
} CountingSink;

static CdcError err;
static CountingSink sink;
static CdcOptions options;
static StreamState state;
static Session session;
static Delivery delivery;
static Builder builder;

static CdcStatus
count_deliver(Sink *base, const SinkRecord *record, const Position *after, bool *taken,
			  CdcError *error)
{
	CountingSink *counting = (CountingSink *) base;

	(void) after;
	(void) error;
	*taken = counting->room > 0;
	if (!*taken)
		return CDC_OK;
	counting->room--;
	if (record->frame->kind == CDC_FRAME_SCHEMA)
		counting->num_schemas++;
	else
		counting->num_records++;
	return CDC_OK;
}

static CdcStatus
count_end(Sink *base, const Position *position, CdcError *error)
{
	(void) error;
	((CountingSink *) base)->num_ends++;
	((CountingSink *) base)->ended = *position;
	return CDC_OK;
}

static CdcStatus
count_flush(Sink *base, CdcError *error)
{
	(void) error;
	((CountingSink *) base)->num_flushes++;
	return CDC_OK;
}

static SinkOps ops = {.name = "counting",
					  .deliver = count_deliver,
					  .end_transaction = count_end,
					  .flush = count_flush};

static int
setup(void **unused)
{
	(void) unused;
	ops.takes_schemas = true;
	sink = (CountingSink){.base = {&ops}, .room = 100};
	options = (CdcOptions){.max_in_flight = 1 << 20};
	state = (StreamState){.options = &options, .sink = (Sink *) &sink};
	session = (Session){.state = &state};
	session.taken = session.start = (Position){.timeline = 1, .confirmed = 0x100};
	delivery = (Delivery){.session = &session};
	return 0;
}

static int
teardown(void **unused)
{
	(void) unused;
	delivery_drop(&delivery);
	frame_reader_reset(&session.reader);
	return 0;
}

/* libpq frees the message. */
static CdcStatus
receive(void)
{
	size_t length;

	delivery_drop(&delivery);
	delivery.message = (char *) PQunescapeBytea((const unsigned char *) "", &length);
	assert_non_null(delivery.message);
	memset(&err, 0, sizeof(err));
	assert_int_equal(frame_open(&session.reader, builder.bytes, builder.length, &err), CDC_OK);
	return delivery_continue(&delivery, &err);
}

static void
build_schema(void)
{
	static const char payload[] = "{\"version\":\"0011223344556677\"}";
	uint32_t length = sizeof(payload) - 1;
	uint8_t *at;

	build_frame(&builder, CDC_FRAME_SCHEMA, 0, 0, 0, 1, payload, length, "");
	at = builder.bytes + builder.frame;
	put32(at + CDC_FRAME_AT_KEY_OFFSET, CDC_FRAME_HEADER_SIZE + 11);
	put32(at + CDC_FRAME_AT_KEY_LENGTH, CDC_SCHEMA_VERSION_DIGITS + 2);
}

static void
transactions_follow_one_another(void **unused)
{
	(void) unused;
	build_message(&builder, 0x1000, 0x1100);
	build_relation(&builder, 1, "public", "t", "");
	build_record(&builder, 1, 1, "{}");
	assert_int_equal(receive(), CDC_OK);
	/* the same transaction in another message, up to its end */
	build_message(&builder, 0x1000, 0x1100);
	build_record(&builder, 2, 1, "{}");
	build_commit(&builder, 3);
	assert_int_equal(receive(), CDC_OK);
	assert_int_equal(sink.num_ends, 1);
	build_message(&builder, 0x2000, 0x2100);
	build_record(&builder, 1, 1, "{}");
	assert_int_equal(receive(), CDC_OK);
	assert_int_equal(sink.num_records, 3);
	/* one that begins in the middle of it */
	build_message(&builder, 0x3000, 0x3100);
	build_record(&builder, 1, 1, "{}");
	assert_int_equal(receive(), CDC_STOP);
	assert_string_equal(err.message,
						"the server began transaction 0/3000 before it ended transaction 0/2000");
	assert_int_equal(sink.num_records, 3);
}

static void
records_rise(void **unused)
{
	static const struct
	{
		uint64_t lsn;
		uint64_t seq;
		uint16_t part;
		const char *said;
	} bad[] = {
		{0x1000, 5, 0, "the server sent record 0/1000 seq 5 after record 0/1000 seq 5"},
		{0x1000, 4, 9, "the server sent record 0/1000 seq 4 after record 0/1000 seq 5"},
	};

	(void) unused;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		setup(NULL);
		build_message(&builder, 0x1000, 0x1100);
		build_frame(&builder, CDC_FRAME_RECORD, CDC_OP_INSERT, 5, 0, 0, "{}", 2, "");
		build_frame(&builder, CDC_FRAME_RECORD, CDC_OP_INSERT, bad[i].seq, bad[i].part, 0, "{}", 2,
					"");
		assert_int_equal(receive(), CDC_STOP);
		assert_string_equal(err.message, bad[i].said);
		assert_int_equal(sink.num_records, 1);
		teardown(NULL);
	}
	/* a later transaction that commits before an earlier one */
	setup(NULL);
	build_message(&builder, 0x2000, 0x2100);
	build_frame(&builder, CDC_FRAME_RECORD, CDC_OP_INSERT, 1, 0, 0, "{}", 2, "");
	build_commit(&builder, 2);
	assert_int_equal(receive(), CDC_OK);
	build_message(&builder, 0x1000, 0x1100);
	build_frame(&builder, CDC_FRAME_RECORD, CDC_OP_INSERT, 7, 0, 0, "{}", 2, "");
	assert_int_equal(receive(), CDC_STOP);
	assert_string_equal(err.message,
						"the server sent record 0/1000 seq 7 after record 0/2000 seq 2");
	/* parts of one record */
	teardown(NULL);
	setup(NULL);
	build_message(&builder, 0x1000, 0x1100);
	build_frame(&builder, CDC_FRAME_RECORD, CDC_OP_INSERT, 1, 0, 0, "{}", 2, "");
	build_frame(&builder, CDC_FRAME_RECORD, CDC_OP_INSERT, 1, 1, 0, "{}", 2, "");
	build_commit(&builder, 2);
	assert_int_equal(receive(), CDC_OK);
	assert_int_equal(sink.num_records, 2);
}

/* A schema comes before its records, as often as the server likes, and moves no position. */
static void
schemas_have_no_place_in_the_order(void **unused)
{
	(void) unused;
	build_message(&builder, 0x1000, 0x1100);
	build_relation(&builder, 1, "public", "t", "");
	build_schema();
	build_record(&builder, 1, 1, "{}");
	build_schema();
	build_commit(&builder, 2);
	sink.room = 1;
	assert_int_equal(receive(), CDC_OK);
	assert_true(delivery.sink_full); /* the record waits */
	assert_int_equal(session.taken.id.commit_lsn, 0);
	sink.room = 1;
	delivery.sink_full = false;
	assert_int_equal(delivery_continue(&delivery, &err), CDC_OK);
	assert_true(delivery.sink_full); /* the second schema waits */
	assert_int_equal(sink.num_schemas, 1);
	assert_int_equal(session.taken.id.seq, 1);
	sink.room = 1;
	delivery.sink_full = false;
	assert_int_equal(delivery_continue(&delivery, &err), CDC_OK);
	assert_int_equal(sink.num_schemas, 2);
	assert_int_equal(sink.num_records, 1);
	assert_int_equal(sink.num_ends, 1);
	assert_null(delivery.message);
}

static void
schemas_are_refused_where_no_sink_takes_them(void **unused)
{
	(void) unused;
	ops.takes_schemas = false;
	build_message(&builder, 0x1000, 0x1100);
	build_relation(&builder, 1, "public", "t", "");
	build_schema();
	assert_int_equal(receive(), CDC_STOP);
	assert_string_equal(err.message,
						"the stream has schema records, which the sink counting does not take");
	assert_non_null(strstr(err.hint, "--option=schemas=off"));
}

/* What is in flight is bounded; a record larger than the window goes alone. */
static void
the_window_is_kept(void **unused)
{
	(void) unused;
	options.max_in_flight = 10;
	build_message(&builder, 0x1000, 0x1100);
	build_frame(&builder, CDC_FRAME_RECORD, CDC_OP_INSERT, 1, 0, 0, "{\"a\":\"longer\"}", 14, "");
	build_frame(&builder, CDC_FRAME_RECORD, CDC_OP_INSERT, 2, 0, 0, "{}", 2, "");
	build_commit(&builder, 3);
	assert_int_equal(receive(), CDC_OK);
	assert_int_equal(sink.num_records, 1);
	assert_int_equal(sink.num_flushes, 1); /* what is in flight is to become durable */
	assert_true(delivery.sink_full);
	session.progress.durable_bytes = 14;
	delivery.sink_full = false;
	assert_int_equal(delivery_continue(&delivery, &err), CDC_OK);
	assert_int_equal(sink.num_records, 2);
	assert_null(delivery.message);
}

/*
 * A sink whose records tell more than the position stored beside them: what comes again before the last record moves
 * end_lsn and confirmed, and the id not back, or the next session would begin before what is delivered.
 */
static void
no_position_goes_back(void **unused)
{
	(void) unused;
	session.start.id = (RecordId){0x2000, 7, 0};
	session.start.commit_time = 42;
	session.taken = session.start;
	build_message(&builder, 0x1000, 0x1100);
	build_relation(&builder, 1, "public", "t", "");
	build_record(&builder, 1, 1, "{}");
	build_commit(&builder, 2);
	assert_int_equal(receive(), CDC_OK);
	assert_int_equal(sink.num_records, 0);
	assert_int_equal(sink.num_ends, 1);
	assert_int_equal(sink.ended.id.commit_lsn, 0x2000);
	assert_int_equal(sink.ended.id.seq, 7);
	assert_int_equal(sink.ended.commit_time, 42);
	assert_int_equal(sink.ended.end_lsn, 0x1100);
	assert_int_equal(sink.ended.confirmed, 0x1100);
	/* the transaction that the last record is of */
	build_message(&builder, 0x2000, 0x2100);
	build_record(&builder, 7, 1, "{}");
	build_record(&builder, 8, 1, "{}");
	build_commit(&builder, 9);
	assert_int_equal(receive(), CDC_OK);
	assert_int_equal(sink.num_records, 1);
	assert_int_equal(sink.ended.id.seq, 9);
	assert_int_equal(sink.ended.commit_time, -5);
	assert_int_equal(sink.ended.end_lsn, 0x2100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(transactions_follow_one_another, setup, teardown),
		cmocka_unit_test_setup_teardown(records_rise, setup, teardown),
		cmocka_unit_test_setup_teardown(schemas_have_no_place_in_the_order, setup, teardown),
		cmocka_unit_test_setup_teardown(schemas_are_refused_where_no_sink_takes_them, setup,
										teardown),
		cmocka_unit_test_setup_teardown(the_window_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(no_position_goes_back, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
