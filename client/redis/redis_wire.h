/*
 * redis_wire.h
 *		One connection to a Redis server, and what its errors mean.
 *
 * The connection never blocks.  While a sink is being opened, redis_wire_request() waits for an
 * answer and calls tick() meanwhile; later the loop waits, and redis_wire_feed(), _write() and
 * _read() move bytes.
 */
#ifndef CDC_REDIS_WIRE_H
#define CDC_REDIS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hiredis/hiredis.h>

#include "error.h"
#include "redis_tls.h"
#include "redis_uri.h"
#include "sink.h"

/* No more than so much is handed to hiredis at a time: it moves what a write() left over. */
#define REDIS_FEED_SIZE (256 * 1024)

typedef struct RedisWire
{
	redisContext *context; /* NULL: not connected */
	RedisTls *tls;         /* NULL: none */
	const RedisConfig *config;
	char host[256]; /* the config's, or where a node of a cluster has sent us */
	uint16_t port;
	bool (*tick)(void *tick_arg);
	void *tick_arg;
	char name[300]; /* "Redis at host:port", for messages */
} RedisWire;

/*
 * Connects, logs in and selects the database.  On failure too the wire is the caller's to
 * redis_wire_close().  *wire needs nothing but zeroes and, where it is the first time, host = "".
 */
extern CdcStatus redis_wire_open(RedisWire *wire, const RedisConfig *config,
								 const SinkConfig *sink_config, CdcError *err) CDC_MUST_CHECK;

/* Safe at any time. */
extern void redis_wire_close(RedisWire *wire);

/*
 * Sends a command and waits for its answer, which is the caller's to freeReplyObject(); it may be
 * an error, for redis_wire_error().  CDC_RETRY: the connection broke, or no answer came in time.
 */
extern CdcStatus redis_wire_request(RedisWire *wire, int argc, const char **argv,
									redisReply **reply, CdcError *err) CDC_MUST_CHECK;

/*
 * Where an error says that a key lives on another node of the cluster: true, and the next
 * redis_wire_open() goes there.
 */
extern bool redis_wire_redirected(RedisWire *wire, const redisReply *reply);

/* Bytes not yet sent; feed no more before it is 0. */
extern size_t redis_wire_unsent(const RedisWire *wire);
extern CdcStatus redis_wire_feed(RedisWire *wire, const char *data, size_t length,
								 CdcError *err) CDC_MUST_CHECK;

/* Sends as much as the socket takes. */
extern CdcStatus redis_wire_write(RedisWire *wire, CdcError *err) CDC_MUST_CHECK;

/* Reads what the socket has; *got: there was something. */
extern CdcStatus redis_wire_read(RedisWire *wire, bool *got, CdcError *err) CDC_MUST_CHECK;

/* The next answer of those read, the caller's to freeReplyObject(); NULL: none is whole. */
extern CdcStatus redis_wire_reply(RedisWire *wire, redisReply **reply,
								  CdcError *err) CDC_MUST_CHECK;

/* What an error that the server answered means; "what" was being done. */
extern CdcStatus redis_wire_error(const RedisWire *wire, const char *answer, const char *what,
								  CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_REDIS_WIRE_H */
