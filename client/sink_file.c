/*
 * sink_file.c
 *		file://PATH[?rotate=SIZE]: records as lines, each exactly once.
 *
 * The loop's thread gathers lines in a buffer and writes it; a worker thread syncs data and sidecar
 * (file_store.c), so that neither the socket nor the server's questions wait for the disk.	 There is
 * at most one job; while it runs, more is written behind what it makes durable.  A rotation is a job
 * too, during which nothing is taken.
 */
#include "sink.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "file_look.h"
#include "file_store.h"
#include "options.h"
#include "worker.h"

/* One write() per so many bytes at most; larger gains nothing measurable. */
#define BUFFER_SIZE (256 * 1024)

/* A rotated file smaller than this would be nearly all renames and syncs. */
#define MIN_ROTATE (64 * 1024)

/* What a job makes durable, and where it leaves off. */
typedef struct Commit
{
	uint64_t size;  /* of the current file */
	uint64_t bytes; /* of payload since open() */
	Position position;
} Commit;

typedef struct FileSink
{
	SinkBase base;
	SinkUri uri;
	uint64_t rotate; /* bytes; 0: never */
	int64_t commit_interval;
	uint64_t max_in_flight;

	/* from open() to close() */
	FileStore *store;
	Worker *worker;
	Source source;
	char *buffer;
	size_t buffered;
	Position taken;       /* after all that was taken */
	uint64_t taken_bytes; /* of payload */
	bool dirty;           /* taken is ahead of what the job under way makes durable */
	int64_t dirty_since;  /* poll() that first saw it so; 0: not yet */
	bool flush_wanted;
	bool rotate_wanted;
	bool busy; /* job belongs to the worker */
	bool rotating;
	Commit job;
	SinkProgress progress;
} FileSink;

static CdcStatus
read_params(FileSink *sink, CdcError *err)
{
	for (int i = 0; i < sink->uri.num_params; i++)
	{
		CdcStatus status;

		if (strcmp(sink->uri.params[i].name, "rotate") != 0)
			return cdc_error(err, CDC_USAGE,
							 "the file sink has no parameter \"%s\"; it has: rotate=SIZE",
							 sink->uri.params[i].name);
		status = options_parse_size(sink->uri.params[i].value, "rotate in the sink's URI",
									&sink->rotate, err);
		if (status != CDC_OK)
			return status;
		if (sink->rotate < MIN_ROTATE)
			return cdc_error(err, CDC_USAGE,
							 "rotate=%s in the sink's URI is too small; "
							 "at least 64KiB is allowed",
							 sink->uri.params[i].value);
	}
	return CDC_OK;
}

static void
file_destroy(Sink *base)
{
	FileSink *sink = (FileSink *) base;

	sink_uri_free(&sink->uri);
	free(sink);
}

static CdcStatus
file_create(Sink **result, const SinkConfig *config, CdcError *err)
{
	FileSink *sink = calloc(1, sizeof(*sink));
	CdcStatus status;

	if (sink == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	sink->base.ops = &sink_file_ops;
	sink->commit_interval = config->commit_interval;
	sink->max_in_flight = config->max_in_flight;
	status = sink_uri_parse(&sink->uri, config->uri, err);
	if (status == CDC_OK && sink->uri.authority != NULL && sink->uri.authority[0] != '\0' &&
		strcmp(sink->uri.authority, "localhost") != 0)
	{
		status = cdc_error(err, CDC_USAGE, "sink \"%s\" names the host \"%s\"", config->uri,
						   sink->uri.authority);
		cdc_error_hint(err,
					   "A path has three slashes before it: file:///var/lib/cdc/events.ndjson.");
	}
	else if (status == CDC_OK &&
			 (sink->uri.path[0] == '\0' || sink->uri.path[strlen(sink->uri.path) - 1] == '/'))
	{
		status = cdc_error(err, CDC_USAGE, "sink \"%s\" names no file", config->uri);
		cdc_error_hint(err, "For example: file:///var/lib/cdc/events.ndjson.");
	}
	if (status == CDC_OK)
		status = read_params(sink, err);
	if (status != CDC_OK)
	{
		file_destroy((Sink *) sink);
		return status;
	}
	*result = (Sink *) sink;
	return CDC_OK;
}

static void
file_close(Sink *base)
{
	FileSink *sink = (FileSink *) base;

	worker_stop(sink->worker);
	file_store_close(sink->store);
	free(sink->buffer);
	sink->worker = NULL;
	sink->store = NULL;
	sink->buffer = NULL;
}

static CdcStatus
file_open(Sink *base, const Source *source, Source *stored_source, Position *position, bool *found,
		  CdcError *err)
{
	FileSink *sink = (FileSink *) base;
	CdcStatus status;

	sink->source = *source;
	sink->buffered = 0;
	sink->taken_bytes = 0;
	sink->dirty = sink->flush_wanted = sink->rotate_wanted = sink->busy = sink->rotating = false;
	sink->dirty_since = 0;
	memset(&sink->progress, 0, sizeof(sink->progress));
	sink->buffer = malloc(BUFFER_SIZE);
	if (sink->buffer == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	status = file_store_open(&sink->store, &file_ops_system, sink->uri.path, stored_source,
							 position, found, err);
	if (status == CDC_OK)
		status = worker_start(&sink->worker, err);
	if (status != CDC_OK)
		return status;
	memset(&sink->taken, 0, sizeof(sink->taken));
	if (*found && source_equal(source, stored_source))
		sink->progress.durable = sink->taken = *position;
	return CDC_OK;
}

static CdcStatus
file_sink_look(Sink *base, const Source *source, Source *stored_source, Position *position,
			   bool *found, CdcError *err)
{
	(void) source;
	return file_look(((FileSink *) base)->uri.path, stored_source, position, found, err);
}

static CdcStatus
write_buffer(FileSink *sink, CdcError *err)
{
	CdcStatus status = file_store_write(sink->store, sink->buffer, sink->buffered, err);

	sink->buffered = 0;
	return status;
}

/* One line; what does not fit into an empty buffer is written by itself. */
static CdcStatus
put_line(FileSink *sink, const char *data, size_t length, CdcError *err)
{
	CdcStatus status = CDC_OK;

	if (sink->buffered + length + 1 > BUFFER_SIZE)
		status = write_buffer(sink, err);
	if (status == CDC_OK && length + 1 > BUFFER_SIZE)
	{
		status = file_store_write(sink->store, data, length, err);
		length = 0;
	}
	if (status != CDC_OK)
		return status;
	memcpy(sink->buffer + sink->buffered, data, length);
	sink->buffered += length;
	sink->buffer[sink->buffered++] = '\n';
	return CDC_OK;
}

static void
take_position(FileSink *sink, const Position *after)
{
	sink->taken = *after;
	sink->dirty = true;
}

static CdcStatus
file_deliver(Sink *base, const SinkRecord *record, const Position *after, bool *taken,
			 CdcError *err)
{
	FileSink *sink = (FileSink *) base;
	size_t length = record->frame->payload_length;
	uint64_t size;
	CdcStatus status;

	*taken = false;
	if (sink->rotate_wanted)
		return CDC_OK;
	if (sink->rotate > 0)
	{
		size = file_store_size(sink->store) + sink->buffered;
		if (size > 0 && size + length + 1 > sink->rotate)
		{
			sink->rotate_wanted = true;
			return CDC_OK;
		}
	}
	status = put_line(sink, record->frame->payload, length, err);
	if (status != CDC_OK)
		return status;
	sink->taken_bytes += length;
	take_position(sink, after);
	*taken = true;
	return CDC_OK;
}

static CdcStatus
file_end_transaction(Sink *base, const Position *after, CdcError *err)
{
	(void) err;
	take_position((FileSink *) base, after);
	return CDC_OK;
}

static CdcStatus
file_flush(Sink *base, CdcError *err)
{
	(void) err;
	((FileSink *) base)->flush_wanted = true;
	return CDC_OK;
}

static CdcStatus
file_store(Sink *base, const Position *position, CdcError *err)
{
	take_position((FileSink *) base, position);
	return file_flush(base, err);
}

static CdcStatus
run_job(void *arg, CdcError *err)
{
	FileSink *sink = arg;
	const Commit *job = &sink->job;

	if (sink->rotating)
		return file_store_rotate(sink->store, &sink->source, &job->position, err);
	return file_store_commit(sink->store, job->size, &sink->source, &job->position, err);
}

static bool
commit_is_due(const FileSink *sink, int64_t now)
{
	uint64_t gathered = sink->taken_bytes - sink->progress.durable_bytes;

	/* Half of the window: the other half fills while this one is made durable. */
	return sink->flush_wanted || gathered >= sink->max_in_flight / 2 ||
		   now - sink->dirty_since >= sink->commit_interval;
}

static void
start_job(FileSink *sink)
{
	sink->job.size = file_store_size(sink->store);
	sink->job.bytes = sink->taken_bytes;
	sink->job.position = sink->taken;
	sink->rotating = sink->rotate_wanted;
	sink->busy = true;
	sink->dirty = sink->flush_wanted = false;
	sink->dirty_since = 0;
	worker_submit(sink->worker, run_job, sink);
}

static CdcStatus
collect_job(FileSink *sink, CdcError *err)
{
	CdcStatus status;

	if (!sink->busy || !worker_collect(sink->worker, &status, err))
		return CDC_OK;
	sink->busy = false;
	if (sink->rotating)
		sink->rotating = sink->rotate_wanted = false;
	if (status == CDC_OK)
	{
		sink->progress.durable = sink->job.position;
		sink->progress.durable_bytes = sink->job.bytes;
	}
	return status;
}

static CdcStatus
file_poll(Sink *base, int64_t now, SinkProgress *progress, CdcError *err)
{
	FileSink *sink = (FileSink *) base;
	CdcStatus status = collect_job(sink, err);

	/* What was gathered becomes visible to readers of the file now; durable it becomes by the job. */
	if (status == CDC_OK && sink->buffered > 0 && !sink->rotating)
		status = write_buffer(sink, err);
	if (status != CDC_OK)
		return status;
	if (sink->dirty && sink->dirty_since == 0)
		sink->dirty_since = now;
	if (!sink->busy && (sink->rotate_wanted || (sink->dirty && commit_is_due(sink, now))))
		start_job(sink);
	if (!sink->dirty)
		sink->flush_wanted = false;
	*progress = sink->progress;
	return CDC_OK;
}

static void
file_wait(Sink *base, int64_t now, SinkWait *wait)
{
	FileSink *sink = (FileSink *) base;

	(void) now;
	wait->fds[wait->num_fds].fd = worker_fd(sink->worker);
	wait->fds[wait->num_fds++].events = POLLIN;
	if (sink->dirty && !sink->busy)
		wait->deadline = sink->dirty_since + sink->commit_interval;
}

const SinkOps sink_file_ops = {
	.name = "file",
	.syntax = "file:///PATH[?rotate=SIZE]",
	.summary = "a file of lines, each record exactly once",
	.takes_schemas = true,
	.create = file_create,
	.open = file_open,
	.look = file_sink_look,
	.deliver = file_deliver,
	.end_transaction = file_end_transaction,
	.store = file_store,
	.flush = file_flush,
	.poll = file_poll,
	.wait = file_wait,
	.close = file_close,
	.destroy = file_destroy,
};
