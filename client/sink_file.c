/*
 * sink_file.c
 *		file://PATH[?PARAMETER=VALUE&...]: records as lines, each exactly once.
 *
 * The loop's thread gathers lines in a buffer, compresses and writes them (file_writer.c); a worker
 * thread syncs data and sidecar (file_store.c), so that neither the socket nor the server's questions
 * wait for the disk.  There is at most one job; while it runs, more is written behind what it makes
 * durable.  A rotation is a job too, during which nothing is taken.
 *
 * A compressed frame ends wherever a job makes durable, so that what counts is whole frames.
 */
#include "sink.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "file_look.h"
#include "file_store.h"
#include "file_writer.h"
#include "options.h"
#include "worker.h"

/* A rotated file smaller than this would be nearly all renames and syncs. */
#define MIN_ROTATE (64 * 1024)

/* PostgreSQL's epoch, which clock_timestamp() counts from, in seconds since 1970. */
#define EPOCH_2000 INT64_C(946684800)

#define PARAMETERS "rotate=SIZE, rotate-every=TIME, compress=zstd"

/* What a job makes durable, and where it leaves off. */
typedef struct Commit
{
	uint64_t size;  /* of the current file */
	int64_t began;  /* when it got its first byte */
	uint64_t bytes; /* of payload since open() */
	Position position;
} Commit;

typedef struct FileSink
{
	SinkBase base;
	SinkUri uri;
	uint64_t rotate;      /* bytes; 0: never */
	int64_t rotate_every; /* seconds; 0: never */
	const CompressorOps *compressor;
	int64_t commit_interval;
	uint64_t max_in_flight;

	/* from open() to close() */
	FileStore *store;
	Worker *worker;
	FileWriter *writer;
	Source source;
	int64_t began;  /* when the current file got its first byte, seconds since 1970; 0: empty */
	Position taken; /* after all that was taken */
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
read_rotate(FileSink *sink, const char *value, CdcError *err)
{
	CdcStatus status = options_parse_size(value, "rotate in the sink's URI", &sink->rotate, err);

	if (status == CDC_OK && sink->rotate < MIN_ROTATE)
		return cdc_error(err, CDC_USAGE,
						 "rotate=%s in the sink's URI is too small; at least 64KiB is allowed",
						 value);
	return status;
}

static CdcStatus
read_rotate_every(FileSink *sink, const char *value, CdcError *err)
{
	int64_t time;
	CdcStatus status = options_parse_duration(value, "rotate-every in the sink's URI", &time, err);

	if (status == CDC_OK && (time < CLOCK_SECOND || time % CLOCK_SECOND != 0))
		return cdc_error(err, CDC_USAGE,
						 "rotate-every=%s in the sink's URI is not allowed; it has to be whole "
						 "seconds, at least one",
						 value);
	sink->rotate_every = status == CDC_OK ? time / CLOCK_SECOND : 0;
	return status;
}

static CdcStatus
read_compress(FileSink *sink, const char *value, CdcError *err)
{
	if (strcmp(value, "none") == 0)
		return CDC_OK;
	if (strcmp(value, "zstd") != 0)
		return cdc_error(err, CDC_USAGE,
						 "compress=%s in the sink's URI is none of \"none\" and \"zstd\"", value);
#ifdef HAVE_ZSTD
	sink->compressor = &compressor_zstd;
	return CDC_OK;
#else
	(void) sink;
	cdc_error(err, CDC_USAGE, "this cdc_client was built without zstd");
	cdc_error_hint(err, "Its library was not there.  apt-get install libzstd-dev, and build anew.");
	return CDC_USAGE;
#endif
}

static CdcStatus
read_params(FileSink *sink, CdcError *err)
{
	static const struct
	{
		const char *name;
		CdcStatus (*read)(FileSink *sink, const char *value, CdcError *err);
	} params[] = {
		{"rotate", read_rotate},
		{"rotate-every", read_rotate_every},
		{"compress", read_compress},
	};
	const size_t num_params = sizeof(params) / sizeof(params[0]);

	for (int i = 0; i < sink->uri.num_params; i++)
	{
		CdcStatus status;
		size_t at = 0;

		while (at < num_params && strcmp(params[at].name, sink->uri.params[i].name) != 0)
			at++;
		if (at == num_params)
			return cdc_error(err, CDC_USAGE,
							 "the file sink has no parameter \"%s\"; it has: " PARAMETERS,
							 sink->uri.params[i].name);
		status = params[at].read(sink, sink->uri.params[i].value, err);
		if (status != CDC_OK)
			return status;
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
		/* another sink's URI with file: before it may have a password there */
		status = cdc_error(err, CDC_USAGE, "the file sink's URI names the host \"%.*s\"",
						   (int) strcspn(sink->uri.authority, ":@"), sink->uri.authority);
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
	file_writer_free(sink->writer);
	file_store_close(sink->store);
	sink->worker = NULL;
	sink->writer = NULL;
	sink->store = NULL;
}

/* Since 1970; the wall's clock, not the one that never jumps. */
static int64_t
seconds_now(void)
{
	return clock_timestamp() / CLOCK_SECOND + EPOCH_2000;
}

static CdcStatus
file_open(Sink *base, const Source *source, Source *stored_source, Position *position, bool *found,
		  CdcError *err)
{
	FileSink *sink = (FileSink *) base;
	CdcStatus status;

	sink->source = *source;
	sink->taken_bytes = 0;
	sink->dirty = sink->flush_wanted = sink->rotate_wanted = sink->busy = sink->rotating = false;
	sink->dirty_since = 0;
	memset(&sink->progress, 0, sizeof(sink->progress));
	status = file_store_open(&sink->store, &file_ops_system, sink->uri.path,
							 sink->compressor != NULL, stored_source, position, found, err);
	if (status == CDC_OK)
		status = file_writer_create(&sink->writer, sink->store, sink->compressor, err);
	if (status == CDC_OK)
		status = worker_start(&sink->worker, err);
	if (status != CDC_OK)
		return status;
	sink->began = file_store_began(sink->store);
	if (sink->began == 0 && !file_writer_is_empty(sink->writer))
		sink->began = seconds_now();
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
	bool empty = file_writer_is_empty(sink->writer);
	bool fits = true;
	CdcStatus status = CDC_OK;

	*taken = false;
	if (!sink->rotate_wanted && sink->rotate > 0 && !empty)
		status = file_writer_fits(sink->writer, length, sink->rotate, &fits, err);
	if (!fits)
		sink->rotate_wanted = true;
	if (status != CDC_OK || sink->rotate_wanted)
		return status;
	if (empty)
		sink->began = seconds_now();
	status = file_writer_put(sink->writer, record->frame->payload, length, err);
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
		return file_store_rotate(sink->store, job->began, &sink->source, &job->position, err);
	return file_store_commit(sink->store, job->size, job->began, &sink->source, &job->position,
							 err);
}

static bool
commit_is_due(const FileSink *sink, int64_t now)
{
	uint64_t gathered = sink->taken_bytes - sink->progress.durable_bytes;

	/* Half of the window: the other half fills while this one is made durable. */
	return sink->flush_wanted || gathered >= sink->max_in_flight / 2 ||
		   now - sink->dirty_since >= sink->commit_interval;
}

/* When the current file's period ends: multiples of it count from 1970, so hours are UTC's. */
static int64_t
period_end(const FileSink *sink)
{
	return (sink->began / sink->rotate_every + 1) * sink->rotate_every;
}

static bool
period_is_over(FileSink *sink)
{
	int64_t now;

	if (sink->rotate_every == 0 || sink->began == 0)
		return false;
	now = seconds_now();
	if (now < sink->began) /* the clock was set back: a file of tomorrow would last too long */
		sink->began = now;
	return now >= period_end(sink);
}

static CdcStatus
start_job(FileSink *sink, CdcError *err)
{
	CdcStatus status = file_writer_end(sink->writer, err);

	if (status != CDC_OK)
		return status;
	sink->job.size = file_store_size(sink->store);
	sink->job.began = sink->began;
	sink->job.bytes = sink->taken_bytes;
	sink->job.position = sink->taken;
	sink->rotating = sink->rotate_wanted;
	sink->busy = true;
	sink->dirty = sink->flush_wanted = false;
	sink->dirty_since = 0;
	if (sink->rotating)
		sink->began = 0;
	worker_submit(sink->worker, run_job, sink);
	return CDC_OK;
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
	if (status == CDC_OK && !sink->rotating)
		status = file_writer_pass(sink->writer, err);
	if (status != CDC_OK)
		return status;
	if (!sink->rotating && period_is_over(sink))
		sink->rotate_wanted = true;
	if (sink->dirty && sink->dirty_since == 0)
		sink->dirty_since = now;
	if (!sink->busy && (sink->rotate_wanted || (sink->dirty && commit_is_due(sink, now))))
		status = start_job(sink, err);
	if (!sink->dirty)
		sink->flush_wanted = false;
	*progress = sink->progress;
	return status;
}

static void
file_wait(Sink *base, int64_t now, SinkWait *wait)
{
	FileSink *sink = (FileSink *) base;
	int64_t rotation;

	wait->fds[wait->num_fds].fd = worker_fd(sink->worker);
	wait->fds[wait->num_fds++].events = POLLIN;
	if (sink->dirty && !sink->busy)
		wait->deadline = sink->dirty_since + sink->commit_interval;
	if (sink->rotate_every == 0 || sink->began == 0 || sink->busy)
		return;
	rotation = now + (period_end(sink) - EPOCH_2000) * CLOCK_SECOND - clock_timestamp();
	if (wait->deadline == 0 || rotation < wait->deadline)
		wait->deadline = rotation;
}

const SinkOps sink_file_ops = {
	.name = "file",
	.syntax = "file:///PATH[?rotate=SIZE][&rotate-every=TIME][&compress=zstd]",
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
