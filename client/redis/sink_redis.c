/*
 * sink_redis.c
 *		redis://HOST[:PORT]/STREAM: records as entries of streams, each exactly once.
 *
 * Records are gathered into batches, each of which is one transaction with the position that holds
 * after it (redis_batch.h, redis_pipe.h).  Whoever opens the sink raises the epoch in the
 * position's hash, which every transaction watches.
 */
#include "sink.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../../plugin/cdc_protocol.h"
#include "clock.h"
#include "redis_pipe.h"
#include "target.h"

/* A larger record is sent by itself: proto-max-bulk-len cannot be less (redis config.c). */
#define LARGE_RECORD (1024 * 1024)

/*
 * A node of a cluster may send us to another, which knows better; in circles only if all is wrong.
 */
#define MAX_REDIRECTIONS 5

/* What is kept for a stream, as its target's data. */
typedef struct RedisStream
{
	bool claimed;   /* a batch of this session says whose it is */
	uint64_t batch; /* number of the last batch that writes to it */
	char *prefix;
	size_t prefix_length;
} RedisStream;

typedef struct RedisSink
{
	SinkBase base;
	SinkConfig config;
	RedisConfig redis;
	bool known;          /* a position of known_source was durable, in this session or one before */
	Source known_source; /* of the position that was durable last */

	/* from open() to close() */
	RedisPipe pipe;
	Source source;
	TargetNames *names;
	char *position_key;
	char *schemas_key;
	bool flush_wanted;
	int64_t dirty_since; /* poll() that first saw a position to be stored; 0: not yet */
} RedisSink;

static void
free_stream(void *data)
{
	RedisStream *stream = data;

	free(stream->prefix);
	free(stream);
}

static const TargetRules target_rules = {.free_data = free_stream};

static void
redis_close(Sink *base)
{
	RedisSink *sink = (RedisSink *) base;

	redis_pipe_close(&sink->pipe);
	target_names_free(sink->names);
	free(sink->position_key);
	free(sink->schemas_key);
	sink->names = NULL;
	sink->position_key = sink->schemas_key = NULL;
}

static void
redis_destroy(Sink *base)
{
	RedisSink *sink = (RedisSink *) base;

	redis_config_free(&sink->redis);
	free(sink);
}

static CdcStatus
redis_create(Sink **result, const SinkConfig *config, CdcError *err)
{
	RedisSink *sink = calloc(1, sizeof(*sink));
	TargetNames *names;
	CdcStatus status;

	if (sink == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	sink->base.ops = &sink_redis_ops;
	sink->config = *config;
	status = redis_config_parse(&sink->redis, config->uri, err);
	if (status == CDC_OK)
	{
		/* a template that is not one is known now, and not when the server has been connected to */
		status = target_names_create(&names, sink->redis.template,
									 "the stream's name in the sink's URI", "", &target_rules, err);
		if (status == CDC_OK)
			target_names_free(names);
	}
	if (status != CDC_OK)
	{
		redis_destroy((Sink *) sink);
		return status;
	}
	*result = (Sink *) sink;
	return CDC_OK;
}

/* Connects to the server, of a cluster to the node that has our keys, and takes it over if take. */
static CdcStatus
connect_to_node(RedisSink *sink, bool take, Source *stored_source, Position *position, bool *found,
				CdcError *err)
{
	RedisWire *wire = &sink->pipe.wire;
	bool redirected = true;
	CdcStatus status = CDC_OK;

	wire->host[0] = '\0';
	for (int i = 0; i < MAX_REDIRECTIONS && redirected && status == CDC_OK; i++)
	{
		redirected = false;
		status = redis_wire_open(wire, &sink->redis, &sink->config, err);
		if (status == CDC_OK && take)
			status =
				redis_server_take(wire, sink->position_key, &sink->pipe.server, &redirected, err);
		if (status == CDC_OK && !redirected)
			status = redis_server_position(wire, sink->position_key, stored_source, position, found,
										   &redirected, err);
	}
	if (status == CDC_OK && redirected)
		status = cdc_error(err, CDC_RETRY, "the cluster's nodes send us in circles, last to %s:%u",
						   wire->host, (unsigned) wire->port);
	return status;
}

/* Without a position all would begin anew, as if nothing had been delivered. */
static CdcStatus
refuse_forgotten(const RedisSink *sink, CdcError *err)
{
	cdc_error(err, CDC_STOP, "%s has forgotten the position in key \"%s\"", sink->pipe.wire.name,
			  sink->position_key);
	cdc_error_detail(err,
					 "It was stored there during this run, for slot \"%s\" of database \"%s\".",
					 sink->known_source.slot, sink->known_source.database);
	cdc_error_hint(err,
				   "The server was emptied, restarted without a log on disk, or replaced: "
				   "records that it held may be missing.  Restore it; or, where what is missing "
				   "is not needed, start cdc_client again, which takes the sink for new.");
	return CDC_STOP;
}

static CdcStatus
redis_open(Sink *base, const Source *source, Source *stored_source, Position *position, bool *found,
		   CdcError *err)
{
	RedisSink *sink = (RedisSink *) base;
	CdcStatus status;

	redis_close(base);
	sink->source = *source;
	sink->flush_wanted = false;
	sink->dirty_since = 0;
	sink->position_key = redis_position_key(sink->redis.template, source->name);
	sink->schemas_key = redis_schemas_key(sink->redis.template, source->name);
	if (sink->position_key == NULL || sink->schemas_key == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	redis_pipe_start(&sink->pipe, &sink->source, sink->position_key, sink->schemas_key);
	status = target_names_create(&sink->names, sink->redis.template,
								 "the stream's name in the sink's URI", source->name, &target_rules,
								 err);
	if (status == CDC_OK)
		status = connect_to_node(sink, true, stored_source, position, found, err);
	if (status == CDC_OK && !*found && sink->known && source_equal(source, &sink->known_source))
		status = refuse_forgotten(sink, err);
	if (status == CDC_OK && *found && source_equal(source, stored_source))
	{
		sink->pipe.progress.durable = *position;
		sink->known = true;
		sink->known_source = *source;
	}
	return status;
}

static CdcStatus
redis_look(Sink *base, const Source *source, Source *stored_source, Position *position, bool *found,
		   CdcError *err)
{
	RedisSink *sink = (RedisSink *) base;
	CdcStatus status;

	/* who only looks may not know what records call the source: mostly the database's name */
	sink->position_key = redis_position_key(
		sink->redis.template, source->name[0] != '\0' ? source->name : source->database);
	if (sink->position_key == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	status = connect_to_node(sink, false, stored_source, position, found, err);
	redis_close(base);
	return status;
}

/* The stream's own data, made when it is first written to. */
static CdcStatus
find_stream(RedisSink *sink, const Frame *frame, Target **target, CdcError *err)
{
	RedisStream *stream;
	CdcStatus status = target_find(sink->names, frame, target, err);

	if (status != CDC_OK || (*target)->data != NULL)
		return status;
	stream = calloc(1, sizeof(*stream));
	if (stream != NULL)
		stream->prefix =
			redis_xadd_prefix((*target)->name, sink->redis.maxlen, &stream->prefix_length);
	if (stream == NULL || stream->prefix == NULL)
	{
		free(stream);
		return cdc_error(err, CDC_RETRY, "out of memory");
	}
	(*target)->data = stream;
	return CDC_OK;
}

static CdcStatus
add_record(RedisSink *sink, const SinkRecord *record, const Position *after, CdcError *err)
{
	RedisBatch *batch = sink->pipe.building;
	Target *target;
	RedisStream *stream;
	RedisEntryId entry;
	CdcStatus status = find_stream(sink, record->frame, &target, err);

	if (status == CDC_OK)
		status = redis_entry_id(&entry, &record->id, record->incarnation, err);
	if (status != CDC_OK)
		return status;
	stream = target->data;
	if (stream->batch != sink->pipe.building_number)
	{
		if (!redis_batch_add_stream(batch, target->name, !stream->claimed, &entry))
			return cdc_error(err, CDC_RETRY, "out of memory");
		stream->batch = sink->pipe.building_number;
		stream->claimed = true;
	}
	if (!redis_batch_add(batch, stream->prefix, stream->prefix_length, &entry,
						 record->frame->payload, record->frame->payload_length))
		return cdc_error(err, CDC_RETRY, "out of memory");
	batch->last = record->id;
	batch->after = *after;
	batch->dirty = true;
	return CDC_OK;
}

/* It has no id, and so no place in a stream: it goes into a hash. */
static CdcStatus
add_schema(RedisSink *sink, const Frame *frame, const Position *after, CdcError *err)
{
	RedisBatch *batch = sink->pipe.building;

	if (!redis_batch_add_schema(batch, frame))
		return cdc_error(err, CDC_RETRY, "out of memory");
	batch->after = *after;
	batch->dirty = true;
	return CDC_OK;
}

/* Sends; a batch that started has all that was to be flushed. */
static CdcStatus
send_batches(RedisSink *sink, bool start, CdcError *err)
{
	uint64_t number = sink->pipe.building_number;
	CdcStatus status = redis_pipe_send(&sink->pipe, start, err);

	if (sink->pipe.building_number != number)
	{
		sink->flush_wanted = false;
		sink->dirty_since = 0;
	}
	return status;
}

static CdcStatus
redis_deliver(Sink *base, const SinkRecord *record, const Position *after, bool *taken,
			  CdcError *err)
{
	RedisSink *sink = (RedisSink *) base;
	uint32_t length = record->frame->payload_length;
	bool is_schema = record->frame->kind == CDC_FRAME_SCHEMA;
	CdcStatus status;

	*taken = false;
	if (length > sink->pipe.server.max_record)
	{
		status = is_schema ? CDC_STOP : CDC_REFUSED; /* what is no record cannot be diverted */
		cdc_error(err, status, "the record has %" PRIu32 " bytes, and %s takes %" PRIu64 " at most",
				  length, sink->pipe.wire.name, sink->pipe.server.max_record);
		cdc_error_hint(err, "Raise the server's proto-max-bulk-len and client-query-buffer-limit.");
		return status;
	}
	if (redis_pipe_is_full(&sink->pipe) ||
		(length >= LARGE_RECORD && sink->pipe.building->num_records > 0))
	{
		status = send_batches(sink, true, err);
		if (status != CDC_OK)
			return status;
		if (sink->pipe.building->num_records > 0)
			return CDC_OK;
	}
	status = is_schema ? add_schema(sink, record->frame, after, err)
					   : add_record(sink, record, after, err);
	*taken = status == CDC_OK;
	return status;
}

static void
take_position(RedisSink *sink, const Position *after)
{
	sink->pipe.building->after = *after;
	sink->pipe.building->dirty = true;
}

static CdcStatus
redis_end_transaction(Sink *base, const Position *after, CdcError *err)
{
	(void) err;
	take_position((RedisSink *) base, after);
	return CDC_OK;
}

static CdcStatus
redis_flush(Sink *base, CdcError *err)
{
	(void) err;
	((RedisSink *) base)->flush_wanted = true;
	return CDC_OK;
}

static CdcStatus
redis_store(Sink *base, const Position *position, CdcError *err)
{
	take_position((RedisSink *) base, position);
	return redis_flush(base, err);
}

/* Records go as soon as the wire is free; a position by itself may wait. */
static bool
may_start(RedisSink *sink, int64_t now)
{
	const RedisBatch *batch = sink->pipe.building;

	if (!batch->dirty)
	{
		sink->flush_wanted = false;
		return false;
	}
	if (sink->dirty_since == 0)
		sink->dirty_since = now;
	return batch->num_records > 0 || sink->flush_wanted ||
		   now - sink->dirty_since >= sink->config.commit_interval;
}

static CdcStatus
redis_poll(Sink *base, int64_t now, SinkProgress *progress, CdcError *err)
{
	RedisSink *sink = (RedisSink *) base;
	CdcStatus status = redis_pipe_receive(&sink->pipe, err);

	if (status == CDC_OK)
		status = send_batches(sink, may_start(sink, now), err);
	*progress = sink->pipe.progress;
	if (sink->pipe.stored)
	{
		sink->known = true;
		sink->known_source = sink->source;
	}
	if (status == CDC_OK && sink->pipe.num_sent > 0 &&
		now - sink->pipe.last_sign >= sink->redis.timeout)
	{
		cdc_error(err, CDC_RETRY, "%s has not answered for %" PRId64 " s", sink->pipe.wire.name,
				  sink->redis.timeout / CLOCK_SECOND);
		cdc_error_hint(err,
					   "The connection is taken for dead; timeout in the sink's URI says after how "
					   "long.");
		return CDC_RETRY;
	}
	return status;
}

static void
redis_wait(Sink *base, int64_t now, SinkWait *wait)
{
	RedisSink *sink = (RedisSink *) base;
	struct pollfd *fd = &wait->fds[wait->num_fds++];

	(void) now;
	fd->fd = sink->pipe.wire.context->fd;
	fd->events = POLLIN;
	if (redis_wire_unsent(&sink->pipe.wire) > 0)
		fd->events |= POLLOUT;
	if (sink->pipe.num_sent > 0)
		wait->deadline = sink->pipe.last_sign + sink->redis.timeout;
	else if (sink->pipe.building->dirty && sink->dirty_since > 0)
		wait->deadline = sink->dirty_since + sink->config.commit_interval;
	else if (sink->pipe.building->dirty)
		wait->deadline = now;
}

const SinkOps sink_redis_ops = {
	.name = "redis",
	.alias = "rediss",
	.syntax = "redis[s]://[USER:PASSWORD@]HOST[:PORT][/STREAM][?maxlen=N&...]",
	.summary = "entries of Redis streams, each record exactly once",
	.takes_schemas = true,
	.create = redis_create,
	.open = redis_open,
	.look = redis_look,
	.deliver = redis_deliver,
	.end_transaction = redis_end_transaction,
	.store = redis_store,
	.flush = redis_flush,
	.poll = redis_poll,
	.wait = redis_wait,
	.close = redis_close,
	.destroy = redis_destroy,
};
