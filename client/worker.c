/*
 * worker.c
 *		One thread that does one blocking job at a time.
 */
#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct Worker
{
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	int event_fd;
	WorkerJob job; /* NULL: none waits or runs */
	void *arg;
	bool finished; /* status and error await worker_collect() */
	bool stopping;
	CdcStatus status;
	CdcError error;
};

static void *
worker_main(void *worker_arg)
{
	Worker *worker = worker_arg;

	pthread_mutex_lock(&worker->mutex);
	for (;;)
	{
		uint64_t one = 1;
		ssize_t written;

		while (worker->job == NULL && !worker->stopping)
			pthread_cond_wait(&worker->changed, &worker->mutex);
		if (worker->job == NULL)
			break;
		pthread_mutex_unlock(&worker->mutex);
		worker->status = worker->job(worker->arg, &worker->error);
		pthread_mutex_lock(&worker->mutex);
		worker->job = NULL;
		worker->finished = true;
		/* Cannot fail: the counter is at most 1. */
		written = write(worker->event_fd, &one, sizeof(one));
		(void) written;
	}
	pthread_mutex_unlock(&worker->mutex);
	return NULL;
}

/* Signals are the loop's: the thread begins with all of them blocked. */
static int
create_thread(Worker *worker)
{
	sigset_t all;
	sigset_t before;
	int result;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	result = pthread_create(&worker->thread, NULL, worker_main, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return result;
}

CdcStatus
worker_start(Worker **result, CdcError *err)
{
	Worker *worker = calloc(1, sizeof(*worker));
	int code;

	*result = NULL;
	if (worker == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	worker->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (worker->event_fd < 0)
	{
		code = errno;
		free(worker);
		return cdc_error(err, CDC_RETRY, "could not create an eventfd: %s", strerror(code));
	}
	pthread_mutex_init(&worker->mutex, NULL);
	pthread_cond_init(&worker->changed, NULL);
	code = create_thread(worker);
	if (code != 0)
	{
		close(worker->event_fd);
		pthread_cond_destroy(&worker->changed);
		pthread_mutex_destroy(&worker->mutex);
		free(worker);
		return cdc_error(err, CDC_RETRY, "could not start a thread: %s", strerror(code));
	}
	*result = worker;
	return CDC_OK;
}

void
worker_stop(Worker *worker)
{
	if (worker == NULL)
		return;
	pthread_mutex_lock(&worker->mutex);
	worker->stopping = true;
	pthread_cond_signal(&worker->changed);
	pthread_mutex_unlock(&worker->mutex);
	pthread_join(worker->thread, NULL);
	close(worker->event_fd);
	pthread_cond_destroy(&worker->changed);
	pthread_mutex_destroy(&worker->mutex);
	free(worker);
}

void
worker_submit(Worker *worker, WorkerJob job, void *arg)
{
	pthread_mutex_lock(&worker->mutex);
	worker->job = job;
	worker->arg = arg;
	pthread_cond_signal(&worker->changed);
	pthread_mutex_unlock(&worker->mutex);
}

bool
worker_collect(Worker *worker, CdcStatus *status, CdcError *err)
{
	uint64_t count;
	ssize_t got;
	bool finished;

	pthread_mutex_lock(&worker->mutex);
	finished = worker->finished;
	worker->finished = false;
	pthread_mutex_unlock(&worker->mutex);
	if (!finished)
		return false;
	/* Written under the mutex before finished could be seen, so there is something to read. */
	got = read(worker->event_fd, &count, sizeof(count));
	(void) got;
	*status = worker->status;
	if (*status != CDC_OK)
		*err = worker->error;
	return true;
}

int
worker_fd(const Worker *worker)
{
	return worker->event_fd;
}
