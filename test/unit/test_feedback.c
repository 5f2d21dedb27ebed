/*
 * test_feedback.c
 *		What the server is told and when, the messages' bytes, and the pauses between tries.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "byteorder.h"
#include "clock.h"
#include "feedback.h"
#include "retry.h"
#include "wal_message.h"

static Feedback feedback;
static uint8_t sent[WAL_STATUS_SIZE];
static CdcError err;

/* Sends at now, and returns what was told as flushed. */
static uint64_t
send_at(int64_t now)
{
	feedback_build(&feedback, sent, now, 0);
	assert_int_equal(sent[0], 'r');
	assert_int_equal(get_be64(sent + 9), get_be64(sent + 17));
	return get_be64(sent + 9);
}

static void
timer_is_a_third_of_the_timeout(void **state)
{
	(void) state;
	feedback_start(&feedback, 10 * CLOCK_SECOND, 60 * CLOCK_SECOND, 0);
	assert_int_equal(feedback_deadline(&feedback), 0); /* the first at once */
	send_at(CLOCK_SECOND);
	assert_int_equal(feedback_deadline(&feedback), 11 * CLOCK_SECOND);
	feedback_start(&feedback, 10 * CLOCK_SECOND, 2 * CLOCK_SECOND, 0);
	send_at(CLOCK_SECOND);
	assert_int_equal(feedback_deadline(&feedback), CLOCK_SECOND + 2 * CLOCK_SECOND / 3);
	feedback_start(&feedback, 10 * CLOCK_SECOND, 0, 0); /* wal_sender_timeout is off */
	send_at(CLOCK_SECOND);
	assert_int_equal(feedback_deadline(&feedback), 11 * CLOCK_SECOND);
}

static void
tells_only_what_is_durable(void **state)
{
	(void) state;
	feedback_start(&feedback, 10 * CLOCK_SECOND, 0, 0x100);
	feedback_note_received(&feedback, 0x500);
	assert_int_equal(send_at(1), 0); /* nothing is durable: 0 changes nothing at the server */
	assert_int_equal(get_be64(sent + 1), 0x500);
	feedback_note_server_end(&feedback, 0x480); /* what was received, the server has */
	feedback_note_durable(&feedback, 0xff);
	assert_int_equal(send_at(2), 0); /* less than the slot's: would take it back */
	feedback_note_durable(&feedback, 0x300);
	assert_int_equal(send_at(3), 0x300);
	feedback_note_durable(&feedback, 0x200); /* never back */
	assert_int_equal(send_at(4), 0x300);
	feedback_note_durable(&feedback, 0x900); /* more than the server itself has sent */
	assert_int_equal(send_at(5), 0x500);
	feedback_note_received(&feedback, 0x400);
	assert_int_equal(send_at(6), 0x500);
}

/* Written is what was received: neither what the server has besides, nor less than what is durable. */
static void
written_is_what_was_received(void **state)
{
	(void) state;
	feedback_start(&feedback, 10 * CLOCK_SECOND, 0, 0x100);
	feedback_note_server_end(&feedback, 0x900);
	assert_int_equal(send_at(CLOCK_SECOND), 0);
	assert_int_equal(get_be64(sent + 1), 0);
	assert_int_equal(feedback_deadline(&feedback), 11 * CLOCK_SECOND);
	feedback_note_received(&feedback, 0x300);
	assert_true(feedback_deadline(&feedback) <=
				2 * CLOCK_SECOND); /* synchronous_commit = remote_write */
	assert_int_equal(send_at(2 * CLOCK_SECOND), 0);
	assert_int_equal(get_be64(sent + 1), 0x300);
	assert_int_equal(feedback_deadline(&feedback), 12 * CLOCK_SECOND);
	feedback_note_durable(&feedback, 0x700); /* an earlier session's */
	assert_int_equal(send_at(3 * CLOCK_SECOND), 0x700);
	assert_int_equal(get_be64(sent + 1), 0x700);
}

static void
progress_is_told_soon_and_answers_at_once(void **state)
{
	(void) state;
	feedback_start(&feedback, 10 * CLOCK_SECOND, 0, 0x100);
	feedback_note_received(&feedback, 0x500);
	send_at(CLOCK_SECOND);
	feedback_note_durable(&feedback, 0x300);
	assert_true(feedback_deadline(&feedback) <= 2 * CLOCK_SECOND);
	send_at(2 * CLOCK_SECOND);
	assert_int_equal(feedback_deadline(&feedback), 12 * CLOCK_SECOND);
	feedback.reply_due = true;
	assert_true(feedback_deadline(&feedback) <= 2 * CLOCK_SECOND + CLOCK_SECOND / 10);
	send_at(3 * CLOCK_SECOND);
	assert_int_equal(sent[33], 0);
	assert_int_equal(feedback_deadline(&feedback), 13 * CLOCK_SECOND);
	feedback.ask_for_reply = true;
	assert_true(feedback_deadline(&feedback) <= 3 * CLOCK_SECOND + CLOCK_SECOND / 10);
	send_at(4 * CLOCK_SECOND);
	assert_int_equal(sent[33], 1);
	send_at(5 * CLOCK_SECOND);
	assert_int_equal(sent[33], 0);
}

/* Only what is durable hurries; what was received does not. */
static void
what_only_the_server_remembers_is_told_at_once(void **state)
{
	(void) state;
	feedback_start(&feedback, 10 * CLOCK_SECOND, 0, 0x100);
	feedback.prompt = true;
	send_at(CLOCK_SECOND);
	assert_int_equal(feedback_deadline(&feedback), 11 * CLOCK_SECOND);
	feedback_note_received(&feedback, 0x500);
	assert_int_equal(feedback_deadline(&feedback), CLOCK_SECOND + CLOCK_SECOND / 2);
	feedback_note_durable(&feedback, 0x300);
	assert_int_equal(feedback_deadline(&feedback), CLOCK_SECOND + CLOCK_SECOND / 50);
	assert_int_equal(send_at(2 * CLOCK_SECOND), 0x300);
	assert_int_equal(feedback_deadline(&feedback), 12 * CLOCK_SECOND);
}

static void
messages_are_parsed(void **state)
{
	uint8_t bytes[40] = {0};
	WalMessage message;

	(void) state;
	bytes[0] = 'k';
	put_be64(bytes + 1, 0x1234);
	bytes[17] = 1;
	assert_int_equal(wal_message_parse(&message, bytes, 18, &err), CDC_OK);
	assert_int_equal(message.kind, WAL_KEEPALIVE);
	assert_int_equal(message.wal_end, 0x1234);
	assert_true(message.reply_requested);
	assert_int_equal(wal_message_parse(&message, bytes, 17, &err), CDC_STOP);
	bytes[0] = 'w';
	put_be64(bytes + 1, 0x2000);
	put_be64(bytes + 9, 0x3000);
	assert_int_equal(wal_message_parse(&message, bytes, 30, &err), CDC_OK);
	assert_int_equal(message.kind, WAL_DATA);
	assert_int_equal(message.wal_end, 0x3000);
	assert_int_equal(message.length, 5);
	put_be64(bytes + 1, 0x4000); /* a walsender may send WAL that it has not seen flushed */
	assert_int_equal(wal_message_parse(&message, bytes, 30, &err), CDC_OK);
	assert_int_equal(message.wal_end, 0x4000);
	assert_ptr_equal(message.data, bytes + 25);
	assert_int_equal(wal_message_parse(&message, bytes, 25, &err), CDC_OK);
	assert_int_equal(message.length, 0);
	assert_int_equal(wal_message_parse(&message, bytes, 24, &err), CDC_STOP);
	bytes[0] = 'x';
	assert_int_equal(wal_message_parse(&message, bytes, 30, &err), CDC_STOP);
	assert_non_null(strstr(err.message, "0x78"));
	assert_int_equal(wal_message_parse(&message, bytes, 0, &err), CDC_STOP);
}

static void
pauses_grow_and_vary(void **state)
{
	Retry retry;
	int64_t pause;
	int64_t previous = 0;
	int64_t seen[20];
	bool varies = false;

	(void) state;
	retry_start(&retry, -1, 42);
	for (int i = 0; i < 20; i++)
	{
		assert_true(retry_failed(&retry, i, RETRY_MAX_PAUSE, &pause));
		assert_true(pause >= 50000 && pause <= RETRY_MAX_PAUSE);
		if (i < 8)
			assert_true(pause >= previous / 2);
		previous = pause;
		seen[i] = pause;
	}
	assert_true(pause >= RETRY_MAX_PAUSE / 2);
	/* another client's pauses are others */
	retry_start(&retry, -1, 43);
	for (int i = 0; i < 20; i++)
	{
		assert_true(retry_failed(&retry, i, RETRY_MAX_PAUSE, &pause));
		varies = varies || pause != seen[i];
	}
	assert_true(varies);
	retry_progress(&retry);
	assert_true(retry_failed(&retry, 100, RETRY_MAX_PAUSE, &pause));
	assert_true(pause <= 100000);
	for (int i = 0; i < 20; i++)
		assert_true(retry_failed(&retry, 100, RETRY_MAX_PAUSE_SLOT_HELD, &pause));
	assert_true(pause <= RETRY_MAX_PAUSE_SLOT_HELD);
}

static void
gives_up_when_the_time_is_up(void **state)
{
	Retry retry;
	int64_t now = 5 * CLOCK_SECOND;
	int64_t pause;
	int tries = 0;

	(void) state;
	retry_start(&retry, 0, 1);
	assert_false(retry_failed(&retry, now, RETRY_MAX_PAUSE, &pause));
	retry_start(&retry, 60 * CLOCK_SECOND, 1);
	for (; retry_failed(&retry, now, RETRY_MAX_PAUSE, &pause); tries++)
	{
		now += pause;
		assert_true(now <= 65 * CLOCK_SECOND);
	}
	assert_int_equal(now, 65 * CLOCK_SECOND); /* and a last try was made just then */
	assert_true(tries > 5);
	retry_progress(&retry);
	assert_true(retry_failed(&retry, now, RETRY_MAX_PAUSE, &pause));
}

/* A failure that takes its time to come, each time, must come to an end all the same. */
static void
lasting_is_no_progress_by_itself(void **state)
{
	RetrySession session = {.caught_up = true, .moved = true};

	(void) state;
	assert_true(retry_was_progress(&session));
	session.moved = false;
	session.lasted = 3600 * CLOCK_SECOND;
	assert_false(retry_was_progress(&session));
	session.read_all = true; /* an idle server's connection that broke after an hour */
	assert_true(retry_was_progress(&session));
	session.lasted = CLOCK_SECOND;
	assert_false(retry_was_progress(&session));
	session.moved = true;
	session.caught_up = false; /* the sink lost what it had been given before */
	assert_false(retry_was_progress(&session));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timer_is_a_third_of_the_timeout),
		cmocka_unit_test(tells_only_what_is_durable),
		cmocka_unit_test(written_is_what_was_received),
		cmocka_unit_test(progress_is_told_soon_and_answers_at_once),
		cmocka_unit_test(what_only_the_server_remembers_is_told_at_once),
		cmocka_unit_test(messages_are_parsed),
		cmocka_unit_test(pauses_grow_and_vary),
		cmocka_unit_test(gives_up_when_the_time_is_up),
		cmocka_unit_test(lasting_is_no_progress_by_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
