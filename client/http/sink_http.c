/*
 * sink_http.c
 *		http(s)://HOST[:PORT]/PATH: records POSTed in batches, at least once.
 *
 * Two batches: one is on its way (http_send.c) while the other is filled; when both are full, the sink is.
 * Whoever receives is not asked for a position.  Within this process nothing is doubled by a lost
 * connection to the server: what was taken survives close(), as the position behind it does, and after
 * the next open() it is sent first, the same bytes under the same key.
 */
#include "sink.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "clock.h"
#include "http_batch.h"
#include "http_params.h"
#include "http_send.h"
#include "target.h"

typedef struct HttpSink
{
	SinkBase base;
	HttpParams params;
	int64_t commit_interval;
	HttpSend *send;
	HttpBatch batches[2];
	HttpBatch *sending; /* NULL: none is under way */
	HttpBatch *filling;
	bool full;     /* filling takes no more */
	bool refused;  /* what was taken is to be dropped: it is delivered again */
	uint32_t done; /* records of sending that are durable */
	bool found;    /* taken holds a position */
	Source source;
	Position taken;

	/* from open() to close() */
	TargetNames *names;
	int64_t filling_since; /* poll() that first saw a record in filling; 0: not yet */
	bool flush_wanted;
	SinkProgress progress;
} HttpSink;

static void
http_destroy(Sink *base)
{
	HttpSink *sink = (HttpSink *) base;

	http_send_free(sink->send);
	http_batch_free(&sink->batches[0]);
	http_batch_free(&sink->batches[1]);
	http_params_free(&sink->params);
	free(sink);
	curl_global_cleanup();
}

/* What of a schema's or table's name may stand in a path: the unreserved characters (RFC 3986), but no
 * dot, since "." and ".." lead elsewhere. */
static bool
path_byte_allowed(unsigned char byte)
{
	return byte < 0x80 && (isalnum(byte) || strchr("-_~", byte) != NULL) && byte != '\0';
}

static const TargetRules path_rules = {.allowed = path_byte_allowed, .free_data = free};

static CdcStatus
http_create(Sink **result, const SinkConfig *config, CdcError *err)
{
	HttpSink *sink = calloc(1, sizeof(*sink));
	TargetNames *names = NULL;
	CdcStatus status;

	if (sink == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
	{
		free(sink);
		return cdc_error(err, CDC_RETRY, "libcurl could not be set up: out of memory");
	}
	sink->base.ops = &sink_http_ops;
	sink->commit_interval = config->commit_interval;
	sink->filling = &sink->batches[0];
	status = http_params_parse(&sink->params, config->uri, err);
	if (status == CDC_OK)
		status = target_names_create(&names, sink->params.path, "the path in the sink's URI", "",
									 &path_rules, err);
	target_names_free(names); /* open() makes them, which knows the source */
	sink->batches[0].shape = sink->batches[1].shape = sink->params.shape;
	if (status == CDC_OK)
		status = http_send_create(&sink->send, &sink->params, err);
	if (status != CDC_OK)
	{
		http_destroy((Sink *) sink);
		return status;
	}
	*result = (Sink *) sink;
	return CDC_OK;
}

static void
drop_all(HttpSink *sink)
{
	http_send_drop(sink->send);
	http_batch_clear(&sink->batches[0], 0);
	http_batch_clear(&sink->batches[1], 0);
	sink->sending = NULL;
	sink->full = false;
	sink->done = 0;
	sink->taken = sink->progress.durable;
}

static CdcStatus
http_open(Sink *base, const Source *source, Source *stored_source, Position *position, bool *found,
		  CdcError *err)
{
	HttpSink *sink = (HttpSink *) base;
	CdcStatus status;

	/* What is left of another source cannot be sent under this one's name. */
	if (sink->found && !source_equal(source, &sink->source))
		drop_all(sink);
	*found = sink->found;
	*stored_source = sink->found ? sink->source : *source;
	*position = sink->taken;
	sink->source = *source;
	sink->filling_since = 0;
	sink->flush_wanted = sink->batches[0].counts = sink->batches[1].counts = false;
	sink->progress.durable_bytes = 0;
	/* Whatever was kept goes first, by itself: its bytes are not this session's. */
	sink->full = sink->filling->num_records > 0;
	status = target_names_create(&sink->names, sink->params.path, "the path in the sink's URI",
								 source->name, &path_rules, err);
	return status == CDC_OK ? http_send_open(sink->send, source, err) : status;
}

static void
http_close(Sink *base)
{
	HttpSink *sink = (HttpSink *) base;

	http_send_close(sink->send);
	target_names_free(sink->names);
	sink->names = NULL;
	if (sink->refused)
		drop_all(sink);
	sink->refused = false;
}

/*
 * The URL of a target: the URI's path with its placeholders filled in.  A target that a rule gives stands in
 * place of the path's last segment, as a relative reference would (RFC 3986, 5.2), or, if it begins with a
 * slash, of the whole path.
 */
static char *
make_url(const HttpParams *params, const Target *target, bool from_rule)
{
	const char *slash = strrchr(params->path, '/');
	size_t kept = from_rule && target->name[0] != '/' ? (size_t) (slash + 1 - params->path) : 0;
	char *encoded = malloc(3 * target->length + 1);
	char *to = encoded;
	char *url = NULL;

	if (encoded == NULL)
		return NULL;
	for (const char *at = target->name; *at != '\0'; at++)
	{
		unsigned char c = (unsigned char) *at;

		/* what stands in the URI is a URL's path already */
		if (!from_rule || (c < 0x80 && (isalnum(c) || strchr("-._~/", c) != NULL)))
			*to++ = (char) c;
		else
			to += sprintf(to, "%%%02X", c);
	}
	*to = '\0';
	if (asprintf(&url, "%s%.*s%s%s", params->origin, (int) kept, params->path, encoded,
				 params->query) < 0)
		url = NULL;
	free(encoded);
	return url;
}

static CdcStatus
find_url(HttpSink *sink, const Frame *frame, const char **url, CdcError *err)
{
	Target *target;
	CdcStatus status = target_find(sink->names, frame, &target, err);

	if (status != CDC_OK)
		return status;
	if (target->data == NULL)
		target->data = make_url(&sink->params, target,
								frame->relation != NULL && frame->relation->target[0] != '\0');
	if (target->data == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	*url = target->data;
	return CDC_OK;
}

static CdcStatus
http_deliver(Sink *base, const SinkRecord *record, const Position *after, bool *taken,
			 CdcError *err)
{
	HttpSink *sink = (HttpSink *) base;
	HttpBatch *batch = sink->filling;
	uint32_t length = record->frame->payload_length;
	const char *url = NULL;
	CdcStatus status;

	*taken = false;
	if (sink->full)
		return CDC_OK;
	status = find_url(sink, record->frame, &url, err);
	if (status != CDC_OK)
		return status;
	if (batch->num_records > 0 &&
		(batch->length + length + 1 > http_send_limit(sink->send) ||
		 batch->num_records >= sink->params.batch_records || !http_batch_fits(batch, url, after)))
	{
		sink->full = true;
		return CDC_OK;
	}
	if (batch->num_records == 0)
		batch->counts = true;
	if (!http_batch_add(batch, url, record->frame->payload, length, &record->id, after))
		return cdc_error(err, CDC_RETRY, "out of memory for a record of %u bytes",
						 (unsigned) length);
	sink->full = batch->length >= http_send_limit(sink->send) ||
				 batch->num_records == sink->params.batch_records;
	sink->taken = *after;
	sink->found = true;
	*taken = true;
	return CDC_OK;
}

/* A position becomes durable with the last record before it; with none on its way, it is. */
static CdcStatus
http_store(Sink *base, const Position *position, CdcError *err)
{
	HttpSink *sink = (HttpSink *) base;
	HttpBatch *last = sink->filling->num_records > 0 ? sink->filling : sink->sending;

	(void) err;
	sink->taken = *position;
	sink->found = true;
	if (last != NULL)
		last->records[last->num_records - 1].after = *position;
	else
		sink->progress.durable = *position;
	return CDC_OK;
}

static CdcStatus
http_flush(Sink *base, CdcError *err)
{
	(void) err;
	((HttpSink *) base)->flush_wanted = true;
	return CDC_OK;
}

static bool
batch_is_due(const HttpSink *sink, int64_t now)
{
	return sink->filling->num_records > 0 &&
		   (sink->full || sink->flush_wanted ||
			(sink->filling_since != 0 && now - sink->filling_since >= sink->commit_interval));
}

/* What was filled is sent, and the other one filled. */
static void
send_filled(HttpSink *sink)
{
	sink->sending = sink->filling;
	sink->filling = &sink->batches[sink->filling == &sink->batches[0]];
	sink->full = sink->flush_wanted = false;
	sink->filling_since = 0;
	sink->done = 0;
	http_send_begin(sink->send, sink->sending);
}

/* Advances the batch under way, and notes which of its records have become durable. */
static CdcStatus
advance(HttpSink *sink, int64_t now, CdcError *err)
{
	const HttpBatch *batch = sink->sending;
	uint32_t taken;
	CdcStatus status = http_send_poll(sink->send, now, &taken, err);

	for (; sink->done < taken; sink->done++)
	{
		sink->progress.durable = batch->records[sink->done].after;
		if (batch->counts)
			sink->progress.durable_bytes += batch->records[sink->done].length;
	}
	if (sink->done == batch->num_records)
	{
		http_batch_clear(sink->sending, 2 * sink->params.batch_bytes);
		sink->sending = NULL;
	}
	return status;
}

static CdcStatus
http_poll(Sink *base, int64_t now, SinkProgress *progress, CdcError *err)
{
	HttpSink *sink = (HttpSink *) base;
	CdcStatus status = CDC_OK;

	if (sink->filling->num_records > 0 && sink->filling_since == 0)
		sink->filling_since = now;
	if (sink->filling->num_records == 0)
		sink->flush_wanted = false;
	if (sink->sending != NULL)
		status = advance(sink, now, err);
	if (status == CDC_OK && sink->sending == NULL && batch_is_due(sink, now))
	{
		send_filled(sink);
		status = advance(sink, now, err);
	}
	*progress = sink->progress;
	if (status == CDC_REFUSED && sink->sending != NULL)
	{
		progress->refused = sink->sending->records[sink->done].id;
		sink->refused = true;
	}
	return status;
}

static void
http_wait(Sink *base, int64_t now, SinkWait *wait)
{
	HttpSink *sink = (HttpSink *) base;

	if (sink->sending != NULL)
		http_send_wait(sink->send, now, wait);
	else if (batch_is_due(sink, now) ||
			 (sink->filling->num_records > 0 && sink->filling_since == 0))
		wait->deadline = now;
	else if (sink->filling->num_records > 0)
		wait->deadline = sink->filling_since + sink->commit_interval;
}

const SinkOps sink_http_ops = {
	.name = "http",
	.alias = "https",
	.syntax = "http[s]://HOST[:PORT]/PATH[?...]",
	.summary = "an HTTP endpoint, by POST, at least once",
	.commit_interval = CLOCK_SECOND / 10,
	.keeps_no_position = true,
	.takes_schemas = true,
	.create = http_create,
	.open = http_open,
	.deliver = http_deliver,
	.end_transaction = http_store,
	.store = http_store,
	.flush = http_flush,
	.poll = http_poll,
	.wait = http_wait,
	.close = http_close,
	.destroy = http_destroy,
};
