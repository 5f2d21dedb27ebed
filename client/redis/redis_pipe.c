/*
 * redis_pipe.c
 *		Batches one after the other.
 */
#include "redis_pipe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "clock.h"

/*
 * Larger transactions are no faster (1 M narrow records, 64 KiB to 4 MiB tried), and would keep the
 * server from its other clients for more than a few milliseconds.
 */
#define BATCH_BYTES (256 * 1024)
#define BATCH_RECORDS 2000

void
redis_pipe_start(RedisPipe *pipe, const Source *source, const char *position_key,
				 const char *schemas_key)
{
	pipe->source = source;
	pipe->position_key = position_key;
	pipe->schemas_key = schemas_key;
	pipe->building = &pipe->batches[0];
	pipe->building_number = 1;
	pipe->num_sent = 0;
	pipe->stored = false;
	memset(&pipe->progress, 0, sizeof(pipe->progress));
}

void
redis_pipe_close(RedisPipe *pipe)
{
	redis_wire_close(&pipe->wire);
	for (int i = 0; i <= REDIS_MAX_SENT; i++)
		redis_batch_free(&pipe->batches[i]);
	pipe->num_sent = 0;
}

static bool
is_full(const RedisBatch *batch)
{
	return batch->body.length + batch->schemas.length >= BATCH_BYTES ||
		   batch->num_records >= BATCH_RECORDS;
}

bool
redis_pipe_is_full(const RedisPipe *pipe)
{
	return is_full(pipe->building);
}

static RedisBatch *
unused_batch(RedisPipe *pipe)
{
	for (int i = 0; i <= REDIS_MAX_SENT; i++)
	{
		RedisBatch *batch = &pipe->batches[i];
		bool used = batch == pipe->building;

		for (int k = 0; k < pipe->num_sent; k++)
			used = used || batch == pipe->sent[k];
		if (!used)
			return batch;
	}
	return NULL; /* there is one more than can be sent */
}

/* Puts the batch that is being built on the wire. */
static CdcStatus
start_batch(RedisPipe *pipe, CdcError *err)
{
	RedisBatch *batch = pipe->building;
	struct json_object *object = position_to_json(pipe->source, &batch->after);
	bool good =
		redis_batch_seal(batch, pipe->position_key, pipe->schemas_key, pipe->server.guard_sha,
						 json_object_to_json_string_ext(
							 object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));

	json_object_put(object);
	if (!good)
		return cdc_error(err, CDC_RETRY, "out of memory");
	if (pipe->num_sent == 0)
		pipe->last_sign = clock_now();
	pipe->sent[pipe->num_sent++] = batch;
	pipe->building = unused_batch(pipe);
	pipe->building_number++;
	return CDC_OK;
}

/* Hands the next piece of the batch to hiredis. */
static CdcStatus
feed_batch(RedisPipe *pipe, RedisBatch *batch, CdcError *err)
{
	const RedisBuffer *from = batch->fed < batch->head.length ? &batch->head : &batch->body;
	size_t at = from == &batch->head ? batch->fed : batch->fed - batch->head.length;
	size_t length = from->length - at;

	if (length > REDIS_FEED_SIZE)
		length = REDIS_FEED_SIZE;
	batch->fed += length;
	return redis_wire_feed(&pipe->wire, from->data + at, length, err);
}

CdcStatus
redis_pipe_send(RedisPipe *pipe, bool start, CdcError *err)
{
	static const char exec[] = "*1\r\n$4\r\nEXEC\r\n";
	size_t before = redis_wire_unsent(&pipe->wire);
	CdcStatus status = redis_wire_write(&pipe->wire, err);

	while (status == CDC_OK && redis_wire_unsent(&pipe->wire) == 0)
	{
		RedisBatch *last = pipe->num_sent > 0 ? pipe->sent[pipe->num_sent - 1] : NULL;

		if (last != NULL && last->fed < last->head.length + last->body.length)
			status = feed_batch(pipe, last, err);
		else if (last != NULL && !last->exec_sent)
		{
			if (last->answers <= last->guard_answer)
				break;
			last->exec_sent = true;
			status = redis_wire_feed(&pipe->wire, exec, sizeof(exec) - 1, err);
		}
		else if (start && pipe->num_sent < REDIS_MAX_SENT && pipe->building->dirty &&
				 (pipe->num_sent == 0 || is_full(pipe->building)))
		{
			status = start_batch(pipe, err);
			continue;
		}
		else
			break;
		pipe->last_sign = clock_now();
		if (status == CDC_OK)
			status = redis_wire_write(&pipe->wire, err);
	}
	if (status == CDC_OK && redis_wire_unsent(&pipe->wire) < before)
		pipe->last_sign = clock_now();
	return status;
}

/* The transaction's own answer: all or nothing was done. */
static CdcStatus
finish_batch(RedisPipe *pipe, RedisBatch *batch, const redisReply *reply, CdcError *err)
{
	if (reply->type == REDIS_REPLY_ERROR)
		return redis_wire_error(&pipe->wire,
								batch->queue_error != NULL ? batch->queue_error : reply->str,
								"the transaction", err);
	if (reply->type != REDIS_REPLY_ARRAY)
		return cdc_error(err, CDC_RETRY,
						 "%s: another client has written to a stream or to key \"%s\" meanwhile",
						 pipe->wire.name, pipe->position_key);
	for (size_t i = 0; i < reply->elements; i++)
		if (reply->element[i]->type == REDIS_REPLY_ERROR)
		{
			/*
			 * The guard looks at whatever can cause it; the position is ahead of the records now.
			 */
			cdc_error(err, CDC_STOP, "%s: a command failed in a transaction: %s", pipe->wire.name,
					  reply->element[i]->str);
			cdc_error_hint(err, "Records of it are missing in the streams; replay them into "
								"streams of another name.");
			return CDC_STOP;
		}
	pipe->stored = true;
	pipe->progress.durable = batch->after;
	pipe->progress.durable_bytes += batch->bytes;
	redis_batch_reset(batch);
	pipe->sent[0] = pipe->sent[1];
	pipe->num_sent--;
	return CDC_OK;
}

/* They are no records, so none of them is refused. */
static CdcStatus
schemas_error(const RedisPipe *pipe, const redisReply *reply, CdcError *err)
{
	char what[300];
	CdcStatus status;

	snprintf(what, sizeof(what), "schema records to key \"%.200s\"", pipe->schemas_key);
	status = redis_wire_error(&pipe->wire, reply->str, what, err);
	return status == CDC_REFUSED ? CDC_STOP : status;
}

/* One answer to the oldest batch on the wire. */
static CdcStatus
take_answer(RedisPipe *pipe, const redisReply *reply, CdcError *err)
{
	RedisBatch *batch = pipe->sent[0];
	int number = batch->answers++;
	CdcStatus status = CDC_OK;

	if (number == batch->expected)
		return finish_batch(pipe, batch, reply, err);
	if (reply->type == REDIS_REPLY_ERROR && number == 0 && batch->num_schemas > 0)
		return schemas_error(pipe, reply, err);
	if (reply->type == REDIS_REPLY_ERROR)
	{
		if (strncmp(reply->str, "ERR Protocol error", 18) == 0 || number <= batch->guard_answer + 1)
			status = redis_wire_error(
				&pipe->wire, reply->str,
				number == batch->guard_answer ? "the guard" : "the transaction", err);
		else if (batch->queue_error == NULL)
			batch->queue_error = strdup(reply->str); /* EXEC's own error says it less well */
		if (status == CDC_REFUSED)
			pipe->progress.refused = batch->last;
		return status;
	}
	if (number == batch->guard_answer)
		status = redis_batch_judge(batch, reply, pipe->position_key, pipe->server.epoch,
								   pipe->wire.name, err);
	return status;
}

CdcStatus
redis_pipe_receive(RedisPipe *pipe, CdcError *err)
{
	redisReply *reply = NULL;
	bool got = true;
	CdcStatus status = CDC_OK;

	while (status == CDC_OK && got)
	{
		status = redis_wire_read(&pipe->wire, &got, err);
		if (status == CDC_OK && got)
			pipe->last_sign = clock_now();
		while (status == CDC_OK)
		{
			status = redis_wire_reply(&pipe->wire, &reply, err);
			if (status != CDC_OK || reply == NULL)
				break;
			if (pipe->num_sent > 0)
				status = take_answer(pipe, reply, err);
			else
				status = cdc_error(err, CDC_RETRY, "%s sent what nobody asked for: %s",
								   pipe->wire.name, reply->str != NULL ? reply->str : "");
			freeReplyObject(reply);
		}
	}
	return status;
}
