/*
 * test_pgwait.c
 *		Waiting for a server's answer: what ends the wait, and what is then known.
 *
 * libpq is scripted as to what it has to send and to receive; its socket is one end of a pair.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "pgwait.h"

static CdcError err;
static int sockets[2];
static int flushes_left; /* so often something is left to be sent */
static int answers_left;
static bool connection_lost;
static int cleared;
static ExecStatusType kind;
static int result_data;
#define RESULT ((PGresult *) &result_data)
#define CONN ((PGconn *) &sockets)

int
PQflush(PGconn *conn)
{
	(void) conn;
	return flushes_left-- > 0 ? 1 : 0;
}

int
PQisBusy(PGconn *conn)
{
	struct pollfd fd = {.fd = sockets[0], .events = POLLIN};

	(void) conn;
	return !connection_lost && poll(&fd, 1, 0) == 0;
}

int
PQsocket(const PGconn *conn)
{
	(void) conn;
	return sockets[0];
}

int
PQconsumeInput(PGconn *conn)
{
	char byte;

	(void) conn;
	return recv(sockets[0], &byte, 1, MSG_PEEK) > 0;
}

PGresult *
PQgetResult(PGconn *conn)
{
	(void) conn;
	return answers_left-- > 0 ? RESULT : NULL;
}

ExecStatusType
PQresultStatus(const PGresult *result)
{
	(void) result;
	return kind;
}

ConnStatusType
PQstatus(const PGconn *conn)
{
	(void) conn;
	return connection_lost ? CONNECTION_BAD : CONNECTION_OK;
}

void
PQclear(PGresult *result)
{
	cleared += result != NULL;
}

static int
setup(void **state)
{
	(void) state;
	memset(&err, 0, sizeof(err));
	flushes_left = answers_left = cleared = 0;
	connection_lost = false;
	kind = PGRES_TUPLES_OK;
	return socketpair(AF_UNIX, SOCK_STREAM, 0, sockets);
}

static int
teardown(void **state)
{
	(void) state;
	close(sockets[1]);
	return close(sockets[0]);
}

static void
the_last_answer_counts(void **state)
{
	PGresult *result;

	(void) state;
	assert_int_equal(write(sockets[1], "x", 1), 1);
	answers_left = 3;
	flushes_left = 2; /* which the socket takes at once */
	assert_int_equal(pgwait_result(CONN, 1, NULL, CLOCK_SECOND, &result, &err), CDC_OK);
	assert_ptr_equal(result, RESULT);
	assert_int_equal(cleared, 2);
	assert_true(flushes_left < 0);

	/* after one of these nothing more is to be asked for: there is none */
	kind = PGRES_COPY_BOTH;
	answers_left = 2;
	assert_int_equal(pgwait_result(CONN, 1, NULL, CLOCK_SECOND, &result, &err), CDC_OK);
	assert_ptr_equal(result, RESULT);
	assert_int_equal(answers_left, 1);

	/* what could not be sent has no answer */
	assert_int_equal(pgwait_result(CONN, 0, NULL, CLOCK_SECOND, &result, &err), CDC_OK);
	assert_null(result);
}

static void
a_silent_server_is_given_up(void **state)
{
	PGresult *result = RESULT;
	int64_t began = clock_now();

	(void) state;
	assert_int_equal(pgwait_result(CONN, 1, NULL, CLOCK_SECOND / 10, &result, &err), CDC_RETRY);
	assert_null(result);
	assert_string_equal(err.message, "the server has not answered for 0 s");
	assert_true(clock_now() - began >= CLOCK_SECOND / 10);
	/* also one that does not even take the question */
	flushes_left = 1 << 30;
	assert_int_equal(pgwait_result(CONN, 1, NULL, CLOCK_SECOND / 10, &result, &err), CDC_RETRY);
	assert_non_null(strstr(err.message, "has not answered"));
}

static void
a_signal_ends_the_wait(void **state)
{
	volatile int interrupted = 1;
	PGresult *result = RESULT;

	(void) state;
	assert_int_equal(pgwait_result(CONN, 1, &interrupted, 60 * CLOCK_SECOND, &result, &err),
					 CDC_RETRY);
	assert_null(result);
	assert_string_equal(err.message, "interrupted while waiting for the server's answer");
	/* an answer that is there is taken */
	assert_int_equal(write(sockets[1], "x", 1), 1);
	answers_left = 1;
	assert_int_equal(pgwait_result(CONN, 1, &interrupted, 60 * CLOCK_SECOND, &result, &err),
					 CDC_OK);
	assert_ptr_equal(result, RESULT);
}

/* The connection's end is no answer: libpq then has what there is to be said. */
static void
a_lost_connection_ends_the_wait(void **state)
{
	PGresult *result;

	(void) state;
	shutdown(sockets[1], SHUT_RDWR);
	answers_left = 5;
	connection_lost = true;
	flushes_left = 1;
	assert_int_equal(pgwait_result(CONN, 1, NULL, 60 * CLOCK_SECOND, &result, &err), CDC_OK);
	assert_ptr_equal(result, RESULT);
	assert_int_equal(answers_left, 4);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_last_answer_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(a_silent_server_is_given_up, setup, teardown),
		cmocka_unit_test_setup_teardown(a_signal_ends_the_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(a_lost_connection_ends_the_wait, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
