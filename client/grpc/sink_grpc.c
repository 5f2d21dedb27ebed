/*
 * sink_grpc.c
 *		grpc(s)://HOST:PORT: records over one stream, the position kept by the server.
 *
 * One batch is filled while those before it are on their way.  What was handed to gRPC is forgotten here but
 * for its position: after a failure it comes again from the loop, behind the position that the server
 * tells.
 */
#include "sink.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../plugin/cdc_protocol.h"
#include "clock.h"
#include "rpc_flight.h"
#include "rpc_greet.h"
#include "rpc_message.h"
#include "rpc_params.h"
#include "rpc_status.h"
#include "rpc_stream.h"
#include "target.h"

/* A server that has acknowledged everything may take so long to end the stream by itself. */
#define LEAVE_PATIENCE (CLOCK_SECOND / 2)

/* Below this a batch is not made smaller: a message has to have room for a record. */
#define MIN_LIMIT 1024

typedef struct GrpcSink
{
	SinkBase base;
	RpcParams params;
	SinkConfig config;
	uint64_t limit; /* bytes of a message, learnt from the server's refusals over streams */
	bool
		has_refused; /* the record that ended the last stream, until something is taken behind it */
	RecordId refused;

	/* from open() to close() */
	RpcStream *stream;
	TargetNames *names;
	uint64_t epoch;
	RpcWindow window;
	RpcFlight flight;
	RpcBuffer buffer;    /* the batch that is filled */
	RpcBatch filling;    /* and what is known of it */
	bool full;           /* it takes no more records */
	bool dirty;          /* taken is ahead of what was sent */
	int64_t dirty_since; /* poll() that first saw it so; 0: not yet */
	bool flush_wanted;
	bool ended;         /* the stream, or what came over it cannot be */
	int64_t last_heard; /* of an acknowledgement, or of the first batch on its way */
	Position taken;
	SinkProgress progress;
} GrpcSink;

static void
grpc_sink_destroy(Sink *base)
{
	GrpcSink *sink = (GrpcSink *) base;

	rpc_params_free(&sink->params);
	free(sink);
	rpc_library_stop();
}

static const TargetRules target_rules = {0};

static CdcStatus
grpc_sink_create(Sink **result, const SinkConfig *config, CdcError *err)
{
	GrpcSink *sink = calloc(1, sizeof(*sink));
	TargetNames *names = NULL;
	CdcStatus status;

	if (sink == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	rpc_library_start();
	sink->base.ops = &sink_grpc_ops;
	sink->config = *config;
	status = rpc_params_parse(&sink->params, config->uri, err);
	sink->limit = sink->params.batch_bytes;
	if (status == CDC_OK)
		status = target_names_create(&names, sink->params.target, "the path in the sink's URI", "",
									 &target_rules, err);
	target_names_free(names); /* open() makes them, which knows the source */
	if (status != CDC_OK)
	{
		grpc_sink_destroy((Sink *) sink);
		return status;
	}
	*result = (Sink *) sink;
	return CDC_OK;
}

/* ------------------------------------------------------------------------------------------------
 * Opening
 * ------------------------------------------------------------------------------------------------ */

/* A server that went on storing behind a record that it refused has lost it: better said than not known. */
static CdcStatus
check_refused(const GrpcSink *sink, const RpcAck *ack, CdcError *err)
{
	char position[POSITION_TEXT_SIZE];
	char lsn[LSN_TEXT_SIZE];

	if (!sink->has_refused || !ack->has_position ||
		record_id_compare(&ack->position.id, &sink->refused) < 0)
		return CDC_OK;
	cdc_error(err, CDC_STOP,
			  "server %s refused record %s seq %" PRIu64
			  ", and has then stored a position behind it: that record is missing there",
			  sink->params.address, lsn_format(lsn, sink->refused.commit_lsn), sink->refused.seq);
	cdc_error_detail(err, "It is at %s.", position_describe(position, &ack->position));
	cdc_error_hint(err, "The server must take nothing more from a stream in which it has refused a "
						"record (cdc_sink.proto, Ack.refused).  Set its position back before that "
						"record, if it can take the records behind it again.");
	return CDC_STOP;
}

static CdcStatus
grpc_sink_open(Sink *base, const Source *source, Source *stored_source, Position *position,
			   bool *found, CdcError *err)
{
	GrpcSink *sink = (GrpcSink *) base;
	RpcAck ack = {0};
	CdcStatus status;

	sink->filling = (RpcBatch){0};
	sink->full = sink->dirty = sink->flush_wanted = sink->ended = false;
	sink->dirty_since = 0;
	memset(&sink->progress, 0, sizeof(sink->progress));
	memset(&sink->taken, 0, sizeof(sink->taken));
	rpc_flight_clear(&sink->flight);
	status = target_names_create(&sink->names, sink->params.target, "the path in the sink's URI",
								 source->name, &target_rules, err);
	if (status == CDC_OK)
		status = rpc_greet(&sink->params, &sink->config, source, false, &sink->stream, &ack, err);
	if (status == CDC_OK)
		status = check_refused(sink, &ack, err);
	sink->ended = status != CDC_OK;
	if (status != CDC_OK)
		return status;
	sink->epoch = ack.epoch;
	sink->window = ack.has_window ? ack.window : (RpcWindow){0};
	*stored_source = *source;
	*found = ack.has_position;
	if (ack.has_position)
		*position = sink->taken = sink->progress.durable = ack.position;
	return CDC_OK;
}

static CdcStatus
grpc_sink_look(Sink *base, const Source *source, Source *stored_source, Position *position,
			   bool *found, CdcError *err)
{
	const GrpcSink *sink = (const GrpcSink *) base;
	RpcStream *stream = NULL;
	RpcAck ack = {0};
	CdcStatus status = rpc_greet(&sink->params, &sink->config, source, true, &stream, &ack, err);

	rpc_stream_close(stream, status == CDC_OK ? LEAVE_PATIENCE : 0);
	if (status != CDC_OK)
		return status;
	*stored_source = *source;
	*found = ack.has_position;
	if (ack.has_position)
		*position = ack.position;
	return CDC_OK;
}

static void
grpc_sink_close(Sink *base)
{
	GrpcSink *sink = (GrpcSink *) base;
	bool idle = !sink->ended && sink->flight.count == 0;

	rpc_stream_close(sink->stream, idle ? LEAVE_PATIENCE : 0);
	sink->stream = NULL;
	target_names_free(sink->names);
	sink->names = NULL;
	rpc_buffer_free(&sink->buffer);
}

/* ------------------------------------------------------------------------------------------------
 * Taking records
 * ------------------------------------------------------------------------------------------------ */

static uint64_t
smaller(uint64_t a, uint64_t b)
{
	return b != 0 && b < a ? b : a;
}

static void
take_position(GrpcSink *sink, const Position *after)
{
	sink->taken = *after;
	sink->dirty = true;
	if (record_id_compare(&after->id, &sink->refused) >= 0)
		sink->has_refused = false;
}

/* What a batch has besides its position. */
static uint64_t
num_items(const RpcBatch *batch)
{
	return batch->records + batch->schemas;
}

static bool
add_record(GrpcSink *sink, const SinkRecord *record, const char *target)
{
	if (!rpc_put_record(&sink->buffer, record, target))
		return false;
	if (sink->filling.records == 0)
		sink->filling.first = record->id;
	sink->filling.records++;
	return true;
}

static bool
add_schema(GrpcSink *sink, const Frame *frame, const char *target)
{
	if (!rpc_put_schema(&sink->buffer, frame, target))
		return false;
	sink->filling.schemas++;
	return true;
}

static CdcStatus
grpc_sink_deliver(Sink *base, const SinkRecord *record, const Position *after, bool *taken,
				  CdcError *err)
{
	GrpcSink *sink = (GrpcSink *) base;
	const Frame *frame = record->frame;
	uint64_t limit = smaller(sink->limit, sink->window.bytes);
	uint64_t max_records = smaller(sink->params.batch_records, sink->window.records);
	uint64_t length = (uint64_t) frame->payload_length + frame->key_length + frame->old_key_length +
					  RPC_RECORD_OVERHEAD;
	Target *target;
	CdcStatus status;

	*taken = false;
	if (num_items(&sink->filling) > 0 &&
		(sink->buffer.length + length > limit || num_items(&sink->filling) >= max_records ||
		 sink->taken.incarnation != after->incarnation))
		sink->full = true;
	if (sink->full)
		return CDC_OK;
	status = target_find(sink->names, frame, &target, err);
	if (status != CDC_OK)
		return status;
	if (frame->kind == CDC_FRAME_SCHEMA ? !add_schema(sink, frame, target->name)
										: !add_record(sink, record, target->name))
		return cdc_error(err, CDC_RETRY, "out of memory for a record of %" PRIu32 " bytes",
						 frame->payload_length);
	sink->filling.payload_bytes += frame->payload_length;
	sink->full = sink->buffer.length >= limit || num_items(&sink->filling) >= max_records;
	take_position(sink, after);
	*taken = true;
	return CDC_OK;
}

static CdcStatus
grpc_sink_end_transaction(Sink *base, const Position *after, CdcError *err)
{
	(void) err;
	take_position((GrpcSink *) base, after);
	return CDC_OK;
}

static CdcStatus
grpc_sink_flush(Sink *base, CdcError *err)
{
	(void) err;
	((GrpcSink *) base)->flush_wanted = true;
	return CDC_OK;
}

static CdcStatus
grpc_sink_store(Sink *base, const Position *position, CdcError *err)
{
	take_position((GrpcSink *) base, position);
	return grpc_sink_flush(base, err);
}

/* ------------------------------------------------------------------------------------------------
 * Sending
 * ------------------------------------------------------------------------------------------------ */

/*
 * A record that is larger than a batch should be travels alone: if it is larger than the server's limit,
 * it is known to be this one.
 */
static bool
travels_alone(const GrpcSink *sink, const RpcBatch *batch)
{
	return num_items(batch) == 1 && batch->message_bytes > sink->limit;
}

static bool
may_send(const GrpcSink *sink)
{
	RpcBatch next = sink->filling;

	next.message_bytes = sink->buffer.length;
	if (!rpc_stream_can_send(sink->stream) ||
		!rpc_flight_allows(&sink->flight, &sink->window, &next))
		return false;
	return sink->flight.count == 0 ||
		   (!travels_alone(sink, &next) && !travels_alone(sink, rpc_flight_oldest(&sink->flight)));
}

static bool
batch_is_due(const GrpcSink *sink, int64_t now)
{
	return sink->dirty &&
		   (sink->full || sink->flush_wanted ||
			(sink->dirty_since != 0 && now - sink->dirty_since >= sink->config.commit_interval));
}

static CdcStatus
send_filled(GrpcSink *sink, int64_t now, CdcError *err)
{
	uint8_t *data;
	size_t length;

	if (!rpc_put_position(&sink->buffer, sink->epoch, &sink->taken))
		return cdc_error(err, CDC_RETRY, "out of memory");
	sink->filling.after = sink->taken;
	sink->filling.message_bytes = sink->buffer.length;
	if (sink->flight.count == 0)
		sink->last_heard = now;
	rpc_flight_add(&sink->flight, &sink->filling);
	data = sink->buffer.data;
	length = sink->buffer.length;
	memset(&sink->buffer, 0, sizeof(sink->buffer));
	sink->filling = (RpcBatch){0};
	sink->full = sink->dirty = sink->flush_wanted = false;
	sink->dirty_since = 0;
	return rpc_stream_send(sink->stream, data, length, err);
}

/* ------------------------------------------------------------------------------------------------
 * Hearing
 * ------------------------------------------------------------------------------------------------ */

static void
note_refused(GrpcSink *sink, const RecordId *id)
{
	sink->progress.refused = sink->refused = *id;
	sink->has_refused = true;
}

static CdcStatus
take_ack(GrpcSink *sink, const RpcEvent *event, int64_t now, CdcError *err)
{
	char text[POSITION_TEXT_SIZE];
	uint64_t bytes;
	RpcAck ack = {0};
	CdcStatus status = rpc_read_ack(&ack, event->data, event->length, err);

	if (status != CDC_OK)
		return status;
	sink->last_heard = now;
	if (ack.has_window)
		sink->window = ack.window;
	if (ack.has_position &&
		rpc_flight_acknowledge(&sink->flight, &ack.position, &sink->progress.durable, &bytes))
		sink->progress.durable_bytes += bytes;
	else if (ack.has_position && !position_covers(&sink->progress.durable, &ack.position))
	{
		cdc_error(err, CDC_STOP, "server %s acknowledged a position that is none of a batch's: %s",
				  sink->params.address, position_describe(text, &ack.position));
		cdc_error_hint(err, "It has to give back Batch.position as it is (cdc_sink.proto).");
		return CDC_STOP;
	}
	if (!ack.has_refused)
		return CDC_OK;
	note_refused(sink, &ack.refused);
	cdc_error(err, CDC_REFUSED, "server %s refused it: %s", sink->params.address,
			  ack.reason[0] != '\0' ? ack.reason : "it gave no reason");
	return CDC_REFUSED;
}

/*
 * The stream has ended.  Where it was one message with one record, that is the record that is not taken;
 * else, where messages are too large, the next ones are smaller, until it is.
 */
static CdcStatus
stream_ended(GrpcSink *sink, const RpcEvent *event, CdcError *err)
{
	const RpcBatch *oldest = rpc_flight_oldest(&sink->flight);
	CdcStatus status = rpc_end_error(&sink->params, event, true, err);

	if (status != CDC_REFUSED)
		return status;
	if (sink->flight.count == 1 && oldest->schemas == 1 && oldest->records == 0)
	{
		cdc_error_detail(err, "It does not take a schema record, which --on-error cannot divert: "
							  "it is no record.");
		return CDC_STOP;
	}
	if (sink->flight.count == 1 && num_items(oldest) == 1)
	{
		note_refused(sink, &oldest->first);
		return CDC_REFUSED;
	}
	if (!rpc_status_too_large(event->code, event->text))
		return CDC_STOP;
	sink->limit = sink->limit / 2 > MIN_LIMIT ? sink->limit / 2 : MIN_LIMIT;
	cdc_error_detail(err, "Batches are made smaller: %" PRIu64 " bytes at most.", sink->limit);
	return CDC_RETRY;
}

static CdcStatus
hear(GrpcSink *sink, int64_t now, CdcError *err)
{
	RpcEvent event;
	CdcStatus status = CDC_OK;

	for (rpc_stream_next(sink->stream, &event); event.kind != RPC_NOTHING && status == CDC_OK;)
	{
		if (event.kind == RPC_END)
			return stream_ended(sink, &event, err);
		status = take_ack(sink, &event, now, err);
		if (status == CDC_OK)
			rpc_stream_next(sink->stream, &event);
	}
	return status;
}

static CdcStatus
check_silence(const GrpcSink *sink, int64_t now, CdcError *err)
{
	if (sink->flight.count == 0 || sink->window.paused ||
		now - sink->last_heard < sink->params.ack_timeout)
		return CDC_OK;
	cdc_error(
		err, CDC_RETRY,
		"server %s has acknowledged nothing for %.1f s, with %" PRIu32 " batches on their way",
		sink->params.address, (double) sink->params.ack_timeout / CLOCK_SECOND, sink->flight.count);
	cdc_error_hint(err, "ack-timeout=DURATION in the sink's URI says how long it may take.");
	return CDC_RETRY;
}

static CdcStatus
grpc_sink_poll(Sink *base, int64_t now, SinkProgress *progress, CdcError *err)
{
	GrpcSink *sink = (GrpcSink *) base;
	CdcStatus status = hear(sink, now, err);

	if (sink->dirty && sink->dirty_since == 0)
		sink->dirty_since = now;
	if (!sink->dirty)
		sink->flush_wanted = false;
	if (status == CDC_OK && batch_is_due(sink, now) && may_send(sink))
		status = send_filled(sink, now, err);
	if (status == CDC_OK)
		status = check_silence(sink, now, err);
	sink->ended = status != CDC_OK;
	*progress = sink->progress;
	return status;
}

static void
grpc_sink_wait(Sink *base, int64_t now, SinkWait *wait)
{
	GrpcSink *sink = (GrpcSink *) base;

	wait->fds[wait->num_fds].fd = rpc_stream_fd(sink->stream);
	wait->fds[wait->num_fds++].events = POLLIN;
	if (sink->flight.count > 0 && !sink->window.paused)
		wait->deadline = sink->last_heard + sink->params.ack_timeout;
	/* what is held up by the window or the network goes on when something is heard of these */
	if (!sink->dirty || !may_send(sink))
		return;
	if (batch_is_due(sink, now) || sink->dirty_since == 0)
		wait->deadline = now;
	else if (wait->deadline == 0 ||
			 wait->deadline > sink->dirty_since + sink->config.commit_interval)
		wait->deadline = sink->dirty_since + sink->config.commit_interval;
}

const SinkOps sink_grpc_ops = {
	.name = "grpc",
	.keeps_no_snapshot = true,
	.alias = "grpcs",
	.syntax = "grpc[s]://HOST:PORT[/TARGET][?...]",
	.summary = "a gRPC server of yours (cdc_sink.proto), which keeps the position",
	.commit_interval = CLOCK_SECOND / 10,
	.takes_schemas = true,
	.create = grpc_sink_create,
	.open = grpc_sink_open,
	.look = grpc_sink_look,
	.deliver = grpc_sink_deliver,
	.end_transaction = grpc_sink_end_transaction,
	.store = grpc_sink_store,
	.flush = grpc_sink_flush,
	.poll = grpc_sink_poll,
	.wait = grpc_sink_wait,
	.close = grpc_sink_close,
	.destroy = grpc_sink_destroy,
};
