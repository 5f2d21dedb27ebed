/*
 * test_divert.c
 *		Records that a sink refuses: the stop that names them, letters, and what a crash leaves of them.
 *
 * The first sink is scripted; letters go to a real file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <json-c/json.h>
#include <libpq-fe.h>
#include <signal.h>
#include <unistd.h>

#include "clock.h"
#include "delivery.h"
#include "divert.h"
#include "message_builder.h"

#define MAX_TAKEN 16

/* What it takes becomes durable at the poll() after a flush() or store(). */
typedef struct ScriptedSink
{
	SinkBase base;
	uint64_t refused_seq; /* by deliver() */
	RecordId taken[MAX_TAKEN];
	int num_taken;
	int num_stored;
	Position last;
	bool wanted;
} ScriptedSink;

static CdcError err;
static char directory[64];
static char uri[128];
static ScriptedSink scripted;
static CdcOptions options;
static StreamState state;
static Session session;
static Delivery delivery;
static Builder builder;
static volatile int interrupted;
static int ticks;
static int ticks_until_stop = -1;

static CdcStatus
scripted_deliver(Sink *base, const SinkRecord *record, const Position *after, bool *taken,
				 CdcError *error)
{
	ScriptedSink *sink = (ScriptedSink *) base;

	if (record->id.seq == sink->refused_seq)
	{
		cdc_error(error, CDC_REFUSED, "no such \"topic\"");
		cdc_error_detail(error, "It is full.");
		strcpy(error->sqlstate, "22021");
		return CDC_REFUSED;
	}
	sink->taken[sink->num_taken++] = record->id;
	sink->last = *after;
	*taken = true;
	return CDC_OK;
}

static CdcStatus
scripted_store(Sink *base, const Position *position, CdcError *error)
{
	ScriptedSink *sink = (ScriptedSink *) base;

	(void) error;
	sink->last = *position;
	sink->wanted = true;
	sink->num_stored++;
	return CDC_OK;
}

static CdcStatus
scripted_end(Sink *base, const Position *position, CdcError *error)
{
	(void) error;
	((ScriptedSink *) base)->last = *position;
	return CDC_OK;
}

static CdcStatus
scripted_flush(Sink *base, CdcError *error)
{
	(void) error;
	((ScriptedSink *) base)->wanted = true;
	return CDC_OK;
}

static const SinkOps scripted_ops = {
	.name = "scripted",
	.deliver = scripted_deliver,
	.end_transaction = scripted_end,
	.store = scripted_store,
	.flush = scripted_flush,
};

/* The loop's turn: what the sink was asked to make durable is. */
static void
turn(void)
{
	if (scripted.wanted)
		session.progress.durable = scripted.last;
	scripted.wanted = false;
	delivery.sink_full = false;
}

static bool
tick(void *arg)
{
	(void) arg;
	ticks++;
	return ticks_until_stop < 0 || ticks_until_stop-- > 0;
}

static const Source here = {"7301234567890123456", "shop", "cdc", "the shop"};

/* A session as after its opening; letters as of a process that has just begun. */
static void
begin_session(bool letters)
{
	session = (Session){.state = &state, .source = here};
	session.taken = session.start = session.progress.durable =
		(Position){.timeline = 1, .confirmed = 0x100};
	delivery = (Delivery){.session = &session};
	if (letters && state.dead_letters == NULL)
		assert_int_equal(dead_letters_create(&state.dead_letters, &options, tick, NULL, &err),
						 CDC_OK);
}

static void
end_session(bool process)
{
	dead_letters_close(state.dead_letters);
	if (process)
	{
		dead_letters_destroy(state.dead_letters);
		state = (StreamState){
			.options = &options, .interrupted = &interrupted, .sink = (Sink *) &scripted};
	}
	delivery_drop(&delivery);
	frame_reader_reset(&session.reader);
}

static int
setup(void **unused)
{
	(void) unused;
	strcpy(directory, "/tmp/cdc_divert.XXXXXX");
	if (mkdtemp(directory) == NULL)
		return 1;
	snprintf(uri, sizeof(uri), "file://%s/dead", directory);
	scripted = (ScriptedSink){.base = {&scripted_ops}};
	options = (CdcOptions){.sink = "scripted:",
						   .slot = "cdc",
						   .dead_letter = uri,
						   .commit_interval = 60 * CLOCK_SECOND,
						   .max_in_flight = 1 << 20};
	state =
		(StreamState){.options = &options, .interrupted = &interrupted, .sink = (Sink *) &scripted};
	return 0;
}

static int
teardown(void **unused)
{
	char command[128];

	(void) unused;
	end_session(true);
	snprintf(command, sizeof(command), "rm -r %s", directory);
	return system(command);
}

/* libpq frees the message. */
static void
receive(void)
{
	size_t length;

	delivery.message = (char *) PQunescapeBytea((const unsigned char *) "", &length);
	assert_non_null(delivery.message);
	assert_int_equal(frame_open(&session.reader, builder.bytes, builder.length, &err), CDC_OK);
}

/* One transaction: three records of a table and the commit. */
static void
build_transaction(void)
{
	static const char poison[] = "{\"id\":2,\"v\":\"\\u0000\"}";
	uint32_t length = sizeof(poison) - 1;

	build_message(&builder, 0x1000, 0x1100);
	build_relation(&builder, 1, "public", "orders", "a.rule's.target");
	build_record(&builder, 1, 1, "{\"id\":1}");
	build_frame(&builder, CDC_FRAME_RECORD, CDC_OP_UPDATE, 2, 0, 1, poison, length, "{\"id\":2}");
	put32(builder.bytes + builder.frame + CDC_FRAME_AT_KEY_OFFSET, CDC_FRAME_HEADER_SIZE + length);
	put32(builder.bytes + builder.frame + CDC_FRAME_AT_KEY_LENGTH, 8);
	build_record(&builder, 3, 1, "{\"id\":3}");
	build_commit(&builder, 4);
}

static CdcStatus
deliver_all(void)
{
	CdcStatus status = CDC_OK;

	for (int turns = 0; delivery.message != NULL && status == CDC_OK; turns++)
	{
		assert_true(turns < 20);
		status = delivery_continue(&delivery, &err);
		turn();
	}
	return status;
}

static int
count_letters(void)
{
	char path[160];
	char line[4096];
	int count = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/dead", directory);
	file = fopen(path, "r");
	if (file == NULL)
		return 0;
	while (fgets(line, sizeof(line), file) != NULL)
		count++;
	fclose(file);
	return count;
}

static const char *
member(struct json_object *object, const char *name)
{
	struct json_object *value;

	return json_object_object_get_ex(object, name, &value)
			   ? json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN)
			   : "(none)";
}

static void
a_refused_record_becomes_a_letter(void **unused)
{
	char path[160];
	struct json_object *letter;

	(void) unused;
	build_transaction();
	scripted.refused_seq = 2;
	begin_session(true);
	receive();
	assert_int_equal(deliver_all(), CDC_OK);
	assert_int_equal(scripted.num_taken, 2);
	assert_int_equal(scripted.taken[0].seq, 1);
	assert_int_equal(scripted.taken[1].seq, 3);
	assert_int_equal(scripted.num_stored, 1); /* the position behind the letter */
	assert_int_equal(scripted.last.id.seq, 4);
	assert_int_equal(scripted.last.end_lsn, 0x1100);
	assert_int_equal(state.records, 2);
	assert_int_equal(state.dead_letters_written, 1);

	assert_int_equal(count_letters(), 1);
	snprintf(path, sizeof(path), "%s/dead", directory);
	letter = json_object_from_file(path);
	assert_non_null(letter);
	assert_string_equal(member(letter, "source"), "\"the shop\"");
	assert_string_equal(member(letter, "slot"), "\"cdc\"");
	assert_string_equal(member(letter, "commit_lsn"), "\"0\\/1000\"");
	assert_string_equal(member(letter, "seq"), "2");
	assert_string_equal(member(letter, "part"), "(none)");
	assert_string_equal(member(letter, "op"), "\"update\"");
	assert_string_equal(member(letter, "schema"), "\"public\"");
	assert_string_equal(member(letter, "table"), "\"orders\"");
	assert_string_equal(member(letter, "target"), "\"a.rule's.target\"");
	assert_string_equal(member(letter, "reason"), "\"refused by sink \\\"scripted\\\"\"");
	assert_string_equal(member(letter, "answer"), "\"no such \\\"topic\\\"\"");
	assert_string_equal(member(letter, "detail"), "\"It is full.\"");
	assert_string_equal(member(letter, "sqlstate"), "\"22021\"");
	assert_string_equal(member(letter, "key"), "{\"id\":2}");
	assert_string_equal(member(letter, "record"), "{\"id\":2,\"v\":\"\\u0000\"}");
	json_object_put(letter);
}

/* The order that makes a crash harmless: all before it durable, the letter, and only then the position. */
static void
nothing_passes_a_letter(void **unused)
{
	(void) unused;
	build_transaction();
	scripted.refused_seq = 2;
	begin_session(true);
	receive();
	assert_int_equal(delivery_continue(&delivery, &err), CDC_OK);
	assert_int_equal(scripted.num_taken, 1);
	assert_true(delivery.sink_full);
	delivery.sink_full = false;
	assert_int_equal(delivery_continue(&delivery, &err), CDC_OK); /* record 1 is not durable yet */
	assert_int_equal(count_letters(), 0);
	assert_true(delivery.sink_full && scripted.wanted);
	turn();
	assert_int_equal(delivery_continue(&delivery, &err), CDC_OK);
	assert_int_equal(count_letters(), 1);
	assert_int_equal(scripted.num_taken, 1); /* record 3 waits for the position behind record 2 */
	assert_int_equal(scripted.last.id.seq, 2);
	assert_true(delivery.sink_full);
	turn();
	assert_int_equal(delivery_continue(&delivery, &err), CDC_OK);
	assert_int_equal(scripted.num_taken, 2);
}

/* As when the process dies between the letter and the sink's position, or the session ends there. */
static void
a_letter_is_written_once(void **unused)
{
	(void) unused;
	for (int process = 0; process <= 2; process++)
	{
		build_transaction();
		scripted.refused_seq = 2;
		scripted.num_taken = 0;
		begin_session(true);
		receive();
		assert_int_equal(deliver_all(), CDC_OK);
		assert_int_equal(scripted.num_taken, 2);
		assert_int_equal(count_letters(), 1);
		end_session(process != 1);
	}
	/* the same id of another incarnation is another record */
	build_transaction();
	begin_session(true);
	session.taken.incarnation = session.start.incarnation = 1;
	session.progress.durable.incarnation = 1;
	receive();
	assert_int_equal(deliver_all(), CDC_OK);
	assert_int_equal(count_letters(), 2);
}

/* What poll() says of a record that was handed over earlier holds for the next session. */
static void
a_late_answer_is_remembered(void **unused)
{
	RecordId second = {0x1000, 2, 0};
	RecordId third = {0x1000, 3, 0};
	CdcError answer = {.message = "too large"};

	(void) unused;
	build_transaction();
	begin_session(true);
	assert_true(divert_remember(&session, &second, &answer));
	assert_true(divert_wanted(&session, &second));
	assert_false(divert_wanted(&session, &third));
	end_session(false);
	begin_session(true);
	receive();
	assert_int_equal(deliver_all(), CDC_OK);
	assert_int_equal(scripted.num_taken, 2);
	assert_int_equal(count_letters(), 1);

	/* the next one is progress, the same one again is not */
	assert_true(divert_remember(&session, &third, &answer));
	assert_false(divert_remember(&session, &third, &answer));
	assert_false(divert_remember(&session, &second, &answer));
	session.taken.incarnation++;
	assert_false(divert_wanted(&session, &second));
	assert_true(divert_remember(&session, &second, &answer));
}

static void
without_letters_the_stream_stops(void **unused)
{
	(void) unused;
	build_transaction();
	scripted.refused_seq = 2;
	begin_session(false);
	receive();
	assert_int_equal(deliver_all(), CDC_STOP);
	assert_string_equal(
		err.message,
		"record 0/1000 seq 2 of public.orders was refused by sink \"scripted\": no such "
		"\"topic\"");
	assert_non_null(strstr(err.detail, "It is full. All that was committed before it is durable"));
	assert_non_null(strstr(err.hint, "--on-error=dead-letter:file:///var/lib/cdc/cdc-dead.ndjson"));
	assert_int_equal(session.progress.durable.id.seq, 1); /* what came before it is durable */
	assert_int_equal(scripted.num_taken, 1);
}

static void
letters_need_a_place_of_their_own(void **unused)
{
	DeadLetters *letters = NULL;
	char path[160];
	FILE *file;

	(void) unused;
	options.sink = "file:///a/b?rotate=1GiB";
	options.dead_letter = "file:///a/b";
	assert_int_equal(dead_letters_create(&letters, &options, tick, NULL, &err), CDC_USAGE);
	options.dead_letter = "file:///a/bc?rotate=x";
	assert_int_equal(dead_letters_create(&letters, &options, tick, NULL, &err), CDC_USAGE);
	assert_non_null(strstr(err.message, "rotate"));
	assert_null(letters);

	/* a file with something else in it */
	options.dead_letter = uri;
	snprintf(path, sizeof(path), "%s/dead", directory);
	file = fopen(path, "w");
	fputs("a shopping list\n", file);
	fclose(file);
	build_transaction();
	scripted.refused_seq = 2;
	begin_session(true);
	receive();
	assert_int_equal(deliver_all(), CDC_STOP);
	assert_non_null(strstr(err.message, "dead-letter sink: "));
	assert_int_equal(count_letters(), 1);
	assert_int_equal(scripted.num_stored, 0);
}

static void
letters_of_another_stream_are_left_alone(void **unused)
{
	(void) unused;
	build_transaction();
	scripted.refused_seq = 2;
	begin_session(true);
	receive();
	assert_int_equal(deliver_all(), CDC_OK);
	end_session(true);
	begin_session(true);
	strcpy(session.source.slot, "other");
	receive();
	assert_int_equal(deliver_all(), CDC_STOP);
	assert_non_null(strstr(err.message, "belongs to another stream"));
	assert_non_null(strstr(err.detail, "cdc-dead-letters"));
	assert_int_equal(count_letters(), 1);
}

/* A message's record has no relation, and one record may come in parts. */
static void
parts_are_named(void **unused)
{
	char path[160];
	struct json_object *letter;

	(void) unused;
	scripted.refused_seq = 2;
	for (int letters = 0; letters < 2; letters++)
	{
		build_message(&builder, 0x1000, 0x1100);
		build_frame(&builder, CDC_FRAME_RECORD, CDC_OP_MESSAGE, 2, 3, 0, "{\"m\":1}", 7, "");
		build_commit(&builder, 3);
		begin_session(letters == 1);
		receive();
		if (letters == 0)
		{
			assert_int_equal(deliver_all(), CDC_STOP);
			assert_non_null(strstr(err.message, "record 0/1000 seq 2 part 3 was refused by sink"));
			end_session(true);
		}
	}
	assert_int_equal(deliver_all(), CDC_OK);
	snprintf(path, sizeof(path), "%s/dead", directory);
	letter = json_object_from_file(path);
	assert_non_null(letter);
	assert_string_equal(member(letter, "part"), "3");
	assert_string_equal(member(letter, "table"), "(none)");
	assert_string_equal(member(letter, "key"), "(none)");
	assert_string_equal(member(letter, "record"), "{\"m\":1}");
	json_object_put(letter);
}

/* The standard output becomes the pipe's end; returns the one there was. */
static int
redirect(int fd)
{
	int saved = dup(STDOUT_FILENO);

	fflush(stdout);
	assert_int_equal(dup2(fd, STDOUT_FILENO), STDOUT_FILENO);
	close(fd);
	return saved;
}

/*
 * A letter that cannot be written: the record is neither taken for delivered nor passed over.  Into a pipe
 * that is full it waits until the client is to stop; where nobody reads any more, a person is asked.
 */
static void
letters_that_cannot_be_written_hold_up_the_stream(void **unused)
{
	static const char block[65536];
	int fds[2];
	int saved;
	CdcStatus status;

	(void) unused;
	signal(SIGPIPE, SIG_IGN);
	for (int gone = 0; gone < 2; gone++)
	{
		scripted.num_stored = 0;
		options.dead_letter = "-";
		assert_int_equal(pipe(fds), 0);
		assert_true(fcntl(fds[1], F_SETFL, O_NONBLOCK) == 0);
		while (write(fds[1], block, sizeof(block)) > 0)
			;
		if (gone)
			close(fds[0]);
		saved = redirect(fds[1]);
		build_transaction();
		scripted.refused_seq = 2;
		begin_session(true);
		receive();
		ticks_until_stop = 3;
		status = deliver_all();
		ticks_until_stop = -1;
		end_session(true);
		assert_int_equal(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
		close(saved);
		if (!gone)
			close(fds[0]);
		assert_int_equal(status, gone ? CDC_STOP : CDC_RETRY);
		assert_non_null(strstr(err.message, gone ? "dead-letter sink: whoever read it has gone"
												 : "dead-letter sink: stopped while a letter"));
		assert_int_equal(scripted.num_stored, 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_refused_record_becomes_a_letter, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_passes_a_letter, setup, teardown),
		cmocka_unit_test_setup_teardown(a_letter_is_written_once, setup, teardown),
		cmocka_unit_test_setup_teardown(a_late_answer_is_remembered, setup, teardown),
		cmocka_unit_test_setup_teardown(without_letters_the_stream_stops, setup, teardown),
		cmocka_unit_test_setup_teardown(letters_need_a_place_of_their_own, setup, teardown),
		cmocka_unit_test_setup_teardown(letters_of_another_stream_are_left_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(parts_are_named, setup, teardown),
		cmocka_unit_test_setup_teardown(letters_that_cannot_be_written_hold_up_the_stream, setup,
										teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
