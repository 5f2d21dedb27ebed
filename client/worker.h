/*
 * worker.h
 *		One thread that does one blocking job at a time, so that the loop need not wait for a disk.
 */
#ifndef CDC_WORKER_H
#define CDC_WORKER_H

#include <stdbool.h>

#include "error.h"

typedef struct Worker Worker;

/* A job runs in the worker's thread; whatever arg leads to is the job's until it is collected. */
typedef CdcStatus (*WorkerJob)(void *arg, CdcError *err);

extern CdcStatus worker_start(Worker **worker, CdcError *err) CDC_MUST_CHECK;

/* Waits for a job under way, then ends the thread.	 Takes NULL. */
extern void worker_stop(Worker *worker);

/* Hands a job over.  Only one at a time: the last must have been collected. */
extern void worker_submit(Worker *worker, WorkerJob job, void *arg);

/* true once for each finished job: *status and *err are its result. */
extern bool worker_collect(Worker *worker, CdcStatus *status, CdcError *err);

/* Becomes readable when a job has finished. */
extern int worker_fd(const Worker *worker);

#endif /* CDC_WORKER_H */
