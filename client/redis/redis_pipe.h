/*
 * redis_pipe.h
 *		Batches one after the other, of which at most two are on the wire.
 *
 * One batch is being built; those sent wait for their answers.  The later of two waits with its
 * EXEC for the earlier one's answer: so a transaction that fails is the last.
 */
#ifndef CDC_REDIS_PIPE_H
#define CDC_REDIS_PIPE_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "redis_batch.h"
#include "redis_server.h"
#include "redis_wire.h"
#include "sink.h"

#define REDIS_MAX_SENT 2

typedef struct RedisPipe
{
	RedisWire wire;
	RedisServer server;
	const Source *source;     /* borrowed */
	const char *position_key; /* borrowed */
	const char *schemas_key;  /* borrowed */
	RedisBatch batches[REDIS_MAX_SENT + 1];
	RedisBatch *building;
	uint64_t building_number; /* of the batch that is being built: 1, 2, ... */
	RedisBatch *sent[REDIS_MAX_SENT];
	int num_sent;
	int64_t last_sign; /* of life, while something is on the wire */
	bool stored;       /* a position, since the start */
	SinkProgress progress;
} RedisPipe;

/* Begins anew: nothing is sent, the first batch is being built.  The wire is left alone. */
extern void redis_pipe_start(RedisPipe *pipe, const Source *source, const char *position_key,
							 const char *schemas_key);

/* Closes the wire too.  Safe at any time. */
extern void redis_pipe_close(RedisPipe *pipe);

/* Whether the batch that is being built is to take no more. */
extern bool redis_pipe_is_full(const RedisPipe *pipe);

/*
 * Sends what may be sent, as far as the socket takes it.  start: the batch that is being built may
 * follow; where it does, pipe->building is another one.
 */
extern CdcStatus redis_pipe_send(RedisPipe *pipe, bool start, CdcError *err) CDC_MUST_CHECK;

/* Takes the answers that have come, and notes in pipe->progress what they made durable. */
extern CdcStatus redis_pipe_receive(RedisPipe *pipe, CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_REDIS_PIPE_H */
