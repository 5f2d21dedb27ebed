/*
 * redis_batch.h
 *		Records on their way to Redis: one transaction, and the guard that stands before it.
 *
 * On the wire a batch is
 *
 *		HSET schemas version record [version record]..., where there are schema records
 *		WATCH position owner stream [owner stream]...
 *		EVALSHA guard: who holds the position, whose the streams are, where they end
 *		MULTI, SET owner (of streams that are new in this session), XADD..., HSET position
 *		EXEC, sent when the guard's answer was good
 *
 * A transaction of Redis does not roll back: an XADD that fails in it leaves the rest of it done.
 * So whatever could make one fail is looked at by the guard, and WATCH makes EXEC do nothing where
 * any of it changes between the two.  The rest (no memory, a full disk, a replica) the server says
 * when the command is queued, and then refuses EXEC.
 *
 * Schema records are facts: one that is there without its transaction does no harm, so they stand before
 * it, where a failure leaves nothing half done.
 */
#ifndef CDC_REDIS_BATCH_H
#define CDC_REDIS_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hiredis/hiredis.h>

#include "error.h"
#include "frame.h"
#include "position.h"
#include "redis_keys.h"

typedef struct RedisBuffer
{
	char *data;
	size_t length;
	size_t size;
} RedisBuffer;

/* A stream that the batch writes to. */
typedef struct RedisBatchStream
{
	char *name;
	char *owner_key;
	RedisEntryId first; /* of the batch's entries in it */
	bool claim;
} RedisBatchStream;

typedef struct RedisBatch
{
	RedisBuffer head;    /* up to MULTI and SET */
	RedisBuffer body;    /* XADD and HSET */
	RedisBuffer schemas; /* fields and values */
	int num_schemas;
	RedisBatchStream *streams;
	int num_streams;
	int max_streams;
	int num_records;
	uint64_t bytes; /* of payload */
	RecordId last;  /* record */
	Position after; /* stored by it */
	bool dirty;     /* after is to be stored */

	/* on the wire */
	size_t fed; /* bytes of head and body that were handed to hiredis */
	int answers;
	int guard_answer; /* the number of the guard's, from 0 */
	int expected;     /* up to EXEC's, exclusive */
	bool exec_sent;
	char *queue_error; /* the first error of a command that was to be queued; NULL: none */
} RedisBatch;

extern const char redis_guard_script[];

/*
 * What a stream's XADD begins with, up to the entry's id: made once for each stream.  malloc'd,
 * its length in *length; NULL: out of memory.
 */
extern char *redis_xadd_prefix(const char *stream, uint64_t maxlen, size_t *length);

/* Adds a record.  prefix as above.  false: out of memory. */
extern bool redis_batch_add(RedisBatch *batch, const char *prefix, size_t prefix_length,
							const RedisEntryId *entry, const char *record, size_t length);

/* Says that the batch writes to stream, first at entry.  false: out of memory. */
extern bool redis_batch_add_stream(RedisBatch *batch, const char *stream, bool claim,
								   const RedisEntryId *entry);

/* Adds a schema record.  false: out of memory. */
extern bool redis_batch_add_schema(RedisBatch *batch, const Frame *frame);

/*
 * Finishes the batch for the wire.  sha: of the guard script; position: the text that is stored.
 * schemas_key may be NULL where there are no schema records.  false: out of memory.
 */
extern bool redis_batch_seal(RedisBatch *batch, const char *position_key, const char *schemas_key,
							 const char *sha, const char *position);

/*
 * Judges the guard's answer: CDC_OK where EXEC may be sent.  CDC_RETRY: another client has fenced
 * this one.  CDC_STOP: a stream is not ours, not a stream, or is ahead.  name: of the server.
 */
extern CdcStatus redis_batch_judge(const RedisBatch *batch, const redisReply *reply,
								   const char *position_key, long long epoch, const char *name,
								   CdcError *err) CDC_MUST_CHECK;

/* Empties it for the next records, and keeps memory up to a usual batch's. */
extern void redis_batch_reset(RedisBatch *batch);
extern void redis_batch_free(RedisBatch *batch);

#endif /* CDC_REDIS_BATCH_H */
