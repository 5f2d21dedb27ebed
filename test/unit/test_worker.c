/*
 * test_worker.c
 *		The thread for blocking jobs: what comes of a job, and a machine that has no thread left.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "worker.h"

static CdcError err;
static bool no_eventfd;
static bool no_thread;

/* Instead of the system's, for the worker too. */
int
eventfd(unsigned int count, int flags)
{
	int (*real)(unsigned int, int) = NULL;

	if (no_eventfd)
	{
		errno = EMFILE;
		return -1;
	}
	*(void **) &real = dlsym(RTLD_NEXT, "eventfd");
	return real(count, flags);
}

int
pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
			   void *arg)
{
	int (*real)(pthread_t *, const pthread_attr_t *, void *(*) (void *), void *) = NULL;

	if (no_thread)
		return EAGAIN;
	*(void **) &real = dlsym(RTLD_NEXT, "pthread_create");
	return real(thread, attributes, start, arg);
}

typedef struct Job
{
	CdcStatus status;
	pthread_t thread;
	bool signals_blocked;
} Job;

static CdcStatus
run(void *arg, CdcError *error)
{
	Job *job = arg;
	sigset_t blocked;

	job->thread = pthread_self();
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	job->signals_blocked = sigismember(&blocked, SIGTERM) && sigismember(&blocked, SIGINT);
	return job->status == CDC_OK ? CDC_OK : cdc_error(error, job->status, "the disk is gone");
}

/* Waits as the loop does. */
static CdcStatus
collect(Worker *worker)
{
	struct pollfd fd = {.fd = worker_fd(worker), .events = POLLIN};
	CdcStatus status = CDC_REFUSED;

	assert_int_equal(poll(&fd, 1, 30000), 1);
	assert_true(worker_collect(worker, &status, &err));
	/* once, and then there is nothing to wake up for */
	assert_false(worker_collect(worker, &status, &err));
	assert_int_equal(poll(&fd, 1, 0), 0);
	return status;
}

static void
jobs_run_elsewhere(void **state)
{
	Worker *worker;
	CdcStatus status;
	Job job = {.status = CDC_OK};

	(void) state;
	assert_int_equal(worker_start(&worker, &err), CDC_OK);
	assert_false(worker_collect(worker, &status, &err));
	worker_submit(worker, run, &job);
	assert_int_equal(collect(worker), CDC_OK);
	assert_false(pthread_equal(job.thread, pthread_self()));
	assert_true(job.signals_blocked); /* they are the loop's */

	job.status = CDC_RETRY;
	worker_submit(worker, run, &job);
	assert_int_equal(collect(worker), CDC_RETRY);
	assert_string_equal(err.message, "the disk is gone");
	job.status = CDC_OK;
	worker_submit(worker, run, &job);
	assert_int_equal(collect(worker), CDC_OK);
	worker_stop(worker);
	worker_stop(NULL);
}

static volatile int finished;

static CdcStatus
take_a_while(void *arg, CdcError *error)
{
	(void) arg;
	(void) error;
	usleep(50000);
	finished = 1;
	return CDC_OK;
}

/* What a job borrowed may go once the worker has stopped. */
static void
stopping_waits_for_the_job(void **state)
{
	Worker *worker;

	(void) state;
	for (int i = 0; i < 5; i++)
	{
		finished = 0;
		assert_int_equal(worker_start(&worker, &err), CDC_OK);
		worker_submit(worker, take_a_while, NULL);
		worker_stop(worker);
		assert_int_equal(finished, 1);
	}
}

static void
a_machine_without_means_is_tried_again(void **state)
{
	Worker *worker = (Worker *) &err;

	(void) state;
	no_eventfd = true;
	assert_int_equal(worker_start(&worker, &err), CDC_RETRY);
	no_eventfd = false;
	assert_null(worker);
	assert_string_equal(err.message, "could not create an eventfd: Too many open files");
	no_thread = true;
	assert_int_equal(worker_start(&worker, &err), CDC_RETRY);
	no_thread = false;
	assert_null(worker);
	assert_string_equal(err.message, "could not start a thread: Resource temporarily unavailable");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jobs_run_elsewhere),
		cmocka_unit_test(stopping_waits_for_the_job),
		cmocka_unit_test(a_machine_without_means_is_tried_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
