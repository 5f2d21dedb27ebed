/*
 * sink_nats.c
 *		nats://HOST[:PORT]/SUBJECT: records as messages of a JetStream stream, each exactly once.
 *
 * Records are a chain of messages (nats_flow.h).  The position is stored beside them, in a stream
 * of its own (nats_stream.h), every commit interval and only for what was acknowledged; on open
 * what was delivered since is read from the records' stream.
 *
 * A client that has lost the slot is shut out by the same means: its next record names a last
 * message that another client's records have replaced, and its next position the sequence of one
 * that is no longer the last.
 */
#include "sink.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../../plugin/cdc_protocol.h"
#include "clock.h"
#include "nats_flow.h"
#include "nats_link.h"
#include "nats_name.h"
#include "nats_schema.h"
#include "nats_store.h"
#include "nats_stream.h"
#include "target.h"

/* Headers of a record's message, besides its id, which stands there twice. */
#define HEADERS_SIZE 160

typedef struct NatsSink
{
	SinkBase base;
	SinkConfig config;
	NatsConfig nats;
	bool known; /* a position of known_source was durable, in this session or one before */
	Source known_source;

	/* from open() to close() */
	NatsLink link;
	NatsStream stream;
	NatsFlow flow;
	NatsSchemas schemas;
	Source source;
	TargetNames *names;

	NatsStore store; /* of the position of what is durable */
	bool flush_wanted;
	int64_t dirty_since; /* poll() that first saw a position to be stored; 0: not yet */
	SinkProgress progress;
} NatsSink;

static const TargetRules target_rules = {.allowed = nats_subject_allows};

static void
nats_close(Sink *base)
{
	NatsSink *sink = (NatsSink *) base;

	nats_link_disconnect(&sink->link);
	nats_flow_stop(&sink->flow);
	nats_schemas_stop(&sink->schemas);
	nats_store_stop(&sink->store);
	nats_link_close(&sink->link);
	nats_stream_free(&sink->stream);
	target_names_free(sink->names);
	sink->names = NULL;
}

static void
nats_destroy(Sink *base)
{
	NatsSink *sink = (NatsSink *) base;

	nats_config_free(&sink->nats);
	free(sink);
}

static CdcStatus
nats_create(Sink **result, const SinkConfig *config, CdcError *err)
{
	NatsSink *sink = calloc(1, sizeof(*sink));
	TargetNames *names;
	CdcStatus status;

	if (sink == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	sink->base.ops = &sink_nats_ops;
	sink->config = *config;
	nats_link_init(&sink->link);
	status = nats_config_parse(&sink->nats, config->uri, err);
	if (status == CDC_OK)
	{
		/* a template that is not one is known now, and not when the server has been connected to */
		status = target_names_create(&names, sink->nats.template, "the subject in the sink's URI",
									 "", &target_rules, err);
		if (status == CDC_OK)
			target_names_free(names);
	}
	if (status != CDC_OK)
	{
		nats_destroy((Sink *) sink);
		return status;
	}
	*result = (Sink *) sink;
	return CDC_OK;
}

/* Without a position all would begin anew, as if nothing had been delivered. */
static CdcStatus
refuse_forgotten(const NatsSink *sink, CdcError *err)
{
	cdc_error(err, CDC_STOP, "%s has forgotten the position of stream \"%s\"", sink->link.name,
			  sink->nats.stream);
	cdc_error_detail(err,
					 "It was stored in stream \"%s\" during this run, for slot \"%s\" of database "
					 "\"%s\".",
					 sink->nats.positions, sink->known_source.slot, sink->known_source.database);
	cdc_error_hint(err,
				   "Streams were deleted, or the server was replaced: records may be missing.  "
				   "Restore them; or, where what is missing is not needed, start cdc_client "
				   "again, which takes the sink for new.");
	return CDC_STOP;
}

static CdcStatus
nats_open(Sink *base, const Source *source, Source *stored_source, Position *position, bool *found,
		  CdcError *err)
{
	NatsSink *sink = (NatsSink *) base;
	CdcStatus status;
	bool ours;

	nats_close(base);
	sink->source = *source;
	sink->flush_wanted = false;
	sink->dirty_since = 0;
	memset(&sink->progress, 0, sizeof(sink->progress));
	status = target_names_create(&sink->names, sink->nats.template, "the subject in the sink's URI",
								 source->name, &target_rules, err);
	if (status == CDC_OK)
		status = nats_link_open(&sink->link, &sink->nats, &sink->config, err);
	if (status == CDC_OK)
		status = nats_stream_open(&sink->stream, &sink->link, source, true, err);
	if (status == CDC_OK)
		status = nats_flow_start(&sink->flow, &sink->link, source, sink->stream.last_sequence, err);
	nats_schemas_start(&sink->schemas, &sink->link);
	if (status == CDC_OK && !sink->stream.found && sink->known &&
		source_equal(source, &sink->known_source))
		status = refuse_forgotten(sink, err);
	ours = sink->stream.found && source_equal(source, &sink->stream.stored_source);
	if (status == CDC_OK)
		status = nats_store_start(&sink->store, &sink->link, &sink->stream, ours, err);
	if (status != CDC_OK)
		return status;
	*found = sink->stream.found;
	*stored_source = sink->stream.stored_source;
	*position = sink->stream.position;
	if (ours)
	{
		sink->progress.durable = sink->flow.durable = *position;
		sink->known = true;
		sink->known_source = *source;
		/* what was found out is stored at once: the stream may drop what it was read from */
		sink->flush_wanted = true;
	}
	return CDC_OK;
}

static CdcStatus
nats_look(Sink *base, const Source *source, Source *stored_source, Position *position, bool *found,
		  CdcError *err)
{
	NatsSink *sink = (NatsSink *) base;
	CdcStatus status = nats_link_open(&sink->link, &sink->nats, &sink->config, err);

	if (status == CDC_OK)
		status = nats_stream_open(&sink->stream, &sink->link, source, false, err);
	*found = status == CDC_OK && sink->stream.found;
	if (*found)
	{
		*stored_source = sink->stream.stored_source;
		*position = sink->stream.position;
	}
	nats_close(base);
	return status;
}

/* The record's subject, checked when it is first used. */
static CdcStatus
find_subject(NatsSink *sink, const Frame *frame, const char **subject, CdcError *err)
{
	static char checked;
	Target *target;
	CdcStatus status = target_find(sink->names, frame, &target, err);

	if (status != CDC_OK)
		return status;
	*subject = target->name;
	if (target->data != NULL)
		return CDC_OK;
	if (!nats_subject_valid(target->name))
	{
		cdc_error(err, CDC_STOP, "\"%s\" is not a subject of NATS", target->name);
		cdc_error_hint(err,
					   "A subject is tokens with a dot between them, none of them empty, without "
					   "spaces, '*' and '>'.  Correct it in the sink's URI, or by "
					   "cdc.set_target().");
		return CDC_STOP;
	}
	if (!nats_stream_takes(&sink->stream, target->name))
	{
		cdc_error(err, CDC_STOP, "stream \"%s\" does not take subject \"%s\"", sink->nats.stream,
				  target->name);
		cdc_error_detail(err, "It takes \"%s\"%s.",
						 sink->stream.num_subjects > 0 ? sink->stream.subjects[0] : "",
						 sink->stream.num_subjects > 1 ? " and others" : "");
		cdc_error_hint(err,
					   "Add the subject to the stream (nats stream edit), or name a stream that "
					   "has it: stream=NAME in the sink's URI.");
		return CDC_STOP;
	}
	target->data = &checked;
	return CDC_OK;
}

/*
 * Whether the position that is stored tells timeline and incarnation of records after it; else one
 * that does is stored first: what is read from the stream itself are ids only.
 */
static bool
position_is_ready(NatsSink *sink, const Position *after)
{
	Position first = sink->flow.durable;

	if (sink->store.have_stored && sink->store.stored.timeline == after->timeline &&
		sink->store.stored.timeline_began == after->timeline_began &&
		sink->store.stored.incarnation == after->incarnation)
		return true;
	if (sink->flow.count == 0 && !sink->store.busy)
	{
		first.timeline = after->timeline;
		first.timeline_began = after->timeline_began;
		first.incarnation = after->incarnation;
		nats_flow_set(&sink->flow, &first);
	}
	sink->flush_wanted = true;
	return false;
}

static CdcStatus
nats_deliver(Sink *base, const SinkRecord *record, const Position *after, bool *taken,
			 CdcError *err)
{
	NatsSink *sink = (NatsSink *) base;
	uint64_t length = record->frame->payload_length;
	uint64_t headers = HEADERS_SIZE + 2 * (sink->flow.prefix_length + 80);
	const char *subject;
	CdcStatus status;

	*taken = false;
	if (sink->schemas.busy)
		return CDC_OK;
	if (record->frame->kind == CDC_FRAME_SCHEMA)
	{
		status = nats_schemas_send(&sink->schemas, record->frame, clock_now(), err);
		*taken = status == CDC_OK;
		return status;
	}
	if (length + headers > sink->stream.max_record)
	{
		cdc_error(err, CDC_REFUSED,
				  "the record has %" PRIu64 " bytes, with headers %" PRIu64
				  ", and stream \"%s\" takes %" PRIu64 " at most",
				  length, length + headers, sink->nats.stream, sink->stream.max_record);
		cdc_error_hint(err, "Raise the server's max_payload and the stream's max_msg_size.");
		return CDC_REFUSED;
	}
	status = find_subject(sink, record->frame, &subject, err);
	if (status != CDC_OK)
		return status;
	if (nats_flow_is_full(&sink->flow))
		status = nats_link_move(&sink->link, err);
	if (status != CDC_OK || nats_flow_is_full(&sink->flow) || !position_is_ready(sink, after))
		return status;
	status = nats_flow_add(&sink->flow, subject, record, after, err);
	*taken = status == CDC_OK;
	return status;
}

static CdcStatus
nats_end_transaction(Sink *base, const Position *after, CdcError *err)
{
	(void) err;
	nats_flow_set(&((NatsSink *) base)->flow, after);
	return CDC_OK;
}

static CdcStatus
nats_flush(Sink *base, CdcError *err)
{
	(void) err;
	((NatsSink *) base)->flush_wanted = true;
	return CDC_OK;
}

static CdcStatus
nats_store(Sink *base, const Position *position, CdcError *err)
{
	nats_end_transaction(base, position, err);
	return nats_flush(base, err);
}

static CdcStatus
store_position(NatsSink *sink, int64_t now, CdcError *err)
{
	if (sink->store.busy)
		return CDC_OK;
	/* nothing was said to be stored yet, and nothing is known: open() found no position */
	if (!nats_store_differs(&sink->store, &sink->flow.durable) || sink->flow.durable.timeline == 0)
	{
		if (sink->flow.count == 0)
			sink->flush_wanted = false;
		return CDC_OK;
	}
	if (sink->dirty_since == 0)
		sink->dirty_since = now;
	if (!sink->flush_wanted && now - sink->dirty_since < sink->config.commit_interval)
		return CDC_OK;
	sink->dirty_since = 0;
	return nats_store_send(&sink->store, &sink->source, &sink->flow.durable,
						   sink->flow.durable_sequence, now, err);
}

/* What is durable: records by themselves, what is confirmed by the position that says so. */
static void
note_progress(NatsSink *sink)
{
	Position *durable = &sink->progress.durable;
	const Position *flow = &sink->flow.durable;

	sink->progress.durable_bytes = sink->flow.durable_bytes + sink->schemas.durable_bytes;
	if (!sink->store.have_stored)
		return;
	sink->known = true;
	sink->known_source = sink->source;
	*durable = sink->store.stored;
	if (flow->incarnation == durable->incarnation && flow->timeline == durable->timeline &&
		record_id_compare(&flow->id, &durable->id) > 0)
	{
		durable->id = flow->id;
		durable->commit_time = flow->commit_time;
	}
}

static CdcStatus
check_timeout(NatsSink *sink, int64_t now, CdcError *err)
{
	bool dead = (sink->flow.count > 0 && now - sink->flow.last_sign >= sink->nats.timeout) ||
				(sink->store.busy && now - sink->store.busy_since >= sink->nats.timeout) ||
				(sink->schemas.busy && now - sink->schemas.busy_since >= sink->nats.timeout);

	if (!dead)
		return CDC_OK;
	cdc_error(err, CDC_RETRY, "%s has not answered for %" PRId64 " s", sink->link.name,
			  sink->nats.timeout / CLOCK_SECOND);
	cdc_error_hint(err,
				   "The connection is taken for dead; timeout in the sink's URI says after how "
				   "long.");
	return CDC_RETRY;
}

/* A message that the user may not send is dropped by the server: no answer will come. */
static CdcStatus
check_permissions(NatsSink *sink, CdcError *err)
{
	const char *ignored;

	if ((sink->flow.count == 0 && !sink->store.busy && !sink->schemas.busy) ||
		natsConnection_GetLastError(sink->link.nc, &ignored) != NATS_NOT_PERMITTED)
		return CDC_OK;
	return nats_link_error(&sink->link, NATS_NOT_PERMITTED, "sending", err);
}

static CdcStatus
nats_poll(Sink *base, int64_t now, SinkProgress *progress, CdcError *err)
{
	NatsSink *sink = (NatsSink *) base;
	CdcStatus status = nats_flow_push(&sink->flow, err);

	if (status == CDC_OK)
		status = nats_link_move(&sink->link, err);
	if (status == CDC_OK)
		status = nats_flow_receive(&sink->flow, &sink->progress.refused, err);
	if (status == CDC_OK)
		status = nats_store_receive(&sink->store, err);
	if (status == CDC_OK)
		status = nats_schemas_receive(&sink->schemas, now, err);
	if (status == CDC_OK)
		status = check_permissions(sink, err);
	if (status == CDC_OK)
		status = store_position(sink, now, err);
	note_progress(sink);
	*progress = sink->progress;
	return status == CDC_OK ? check_timeout(sink, now, err) : status;
}

static void
nats_wait(Sink *base, int64_t now, SinkWait *wait)
{
	NatsSink *sink = (NatsSink *) base;

	(void) now;
	nats_link_wait(&sink->link, wait);
	if (sink->dirty_since > 0 && !sink->store.busy)
		wait->deadline = sink->dirty_since + sink->config.commit_interval;
	else if (sink->store.busy)
		wait->deadline = sink->store.busy_since + sink->nats.timeout;
	if (sink->flow.count > 0 &&
		(wait->deadline == 0 || sink->flow.last_sign + sink->nats.timeout < wait->deadline))
		wait->deadline = sink->flow.last_sign + sink->nats.timeout;
	if (sink->schemas.busy &&
		(wait->deadline == 0 || sink->schemas.busy_since + sink->nats.timeout < wait->deadline))
		wait->deadline = sink->schemas.busy_since + sink->nats.timeout;
}

const SinkOps sink_nats_ops = {
	.name = "nats",
	.syntax = "nats://[USER:PASSWORD@]HOST[:PORT][/SUBJECT][?stream=NAME&...]",
	.summary = "messages of a NATS JetStream stream, each record exactly once",
	.takes_schemas = true,
	.create = nats_create,
	.open = nats_open,
	.look = nats_look,
	.deliver = nats_deliver,
	.end_transaction = nats_end_transaction,
	.store = nats_store,
	.flush = nats_flush,
	.poll = nats_poll,
	.wait = nats_wait,
	.close = nats_close,
	.destroy = nats_destroy,
};
