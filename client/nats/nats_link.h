/*
 * nats_link.h
 *		One connection to NATS, driven by the loop.
 *
 * The library has neither a thread that reads nor one that writes: it is told when the socket is
 * ready (natsOptions_SetEventLoop), so that nothing blocks while records are delivered.  What
 * blocks by nature (connecting, asking JetStream while the sink is opened) runs as a job in a
 * worker's thread, and the loop's thread moves bytes and calls tick() until it is done.
 */
#ifndef CDC_NATS_LINK_H
#define CDC_NATS_LINK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <nats/nats.h>

#include "error.h"
#include "nats_uri.h"
#include "sink.h"
#include "worker.h"

typedef struct NatsLink
{
	const NatsConfig *config;
	const SinkConfig *sink_config;
	natsConnection *nc;
	jsCtx *js;
	natsConnection *attached; /* the same, as the library says */
	bool connected;           /* else the two above are the job's */
	Worker *worker;
	int wake_fd;       /* an eventfd: something is to be written; -1: none */
	atomic_int socket; /* -1: none */
	atomic_bool want_write;
	bool seen; /* something has come since the connection was made, and so it is known: */
	bool tls;
	char name[512]; /* "NATS at host:port", for messages */
} NatsLink;

/* An empty one, safe to close. */
extern void nats_link_init(NatsLink *link);

/* Connects.  On failure too the link is the caller's to nats_link_close(). */
extern CdcStatus nats_link_open(NatsLink *link, const NatsConfig *config,
								const SinkConfig *sink_config, CdcError *err) CDC_MUST_CHECK;

/*
 * Ends the connection, which comes before subscriptions are destroyed: those would say so to the
 * server. nats_link_close() does both.  Safe at any time.
 */
extern void nats_link_disconnect(NatsLink *link);
extern void nats_link_close(NatsLink *link);

/*
 * Runs job in the worker's thread and returns its status.  CDC_RETRY where tick() gives up: the
 * connection is closed then, which ends what the job waits for.
 */
extern CdcStatus nats_link_run(NatsLink *link, WorkerJob job, void *arg,
							   CdcError *err) CDC_MUST_CHECK;

/*
 * What may wait in the library to be written (natsConnection_Buffered): it goes out in one piece,
 * and with TLS the library does not come back before that piece is with the kernel.
 */
#define NATS_MAX_BUFFERED (64 * 1024)

/* Reads and writes what the socket has and takes.  CDC_RETRY: the connection is closed. */
extern CdcStatus nats_link_move(NatsLink *link, CdcError *err) CDC_MUST_CHECK;

/* Adds what is to be waited for. */
extern void nats_link_wait(NatsLink *link, SinkWait *wait);

/* An error of the library's on this connection, with what the server said last. */
extern CdcStatus nats_link_error(NatsLink *link, natsStatus status, const char *what,
								 CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_NATS_LINK_H */
