/*
 * sink_postgresql.c
 *		postgresql://...: rows of a table, each record exactly once.
 *
 * The loop's thread writes records as rows into one buffer, while a worker thread sends the other to
 * the server and commits it together with the position (pgsink_store.c): there is at most one job, and
 * each is one transaction.	 A batch is kept until it is committed, so that a record which the server
 * does not take can be found.
 */
#include "sink.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "../../plugin/cdc_protocol.h"
#include "pgsink_row.h"
#include "pgsink_store.h"
#include "worker.h"

/* The rows of a batch: larger ones save next to nothing. */
#define MAX_BATCH_SIZE ((size_t) 8 * 1024 * 1024)

/* While open() waits, the loop's tick() is called so often. */
#define TICK_MS 200

/* A job of the worker's: a batch, or the sink's opening. */
typedef struct Job
{
	PgRows rows;
	PgSchemas schemas;
	Position position;
	uint64_t bytes; /* of payload, since open() */
	RecordId refused;

	bool look; /* of an opening */
	Source *stored_source;
	bool *found;
} Job;

typedef struct PostgresqlSink
{
	SinkBase base;
	SinkConfig config;
	size_t batch_size; /* bytes of rows */

	/* from open() to close() */
	Source source;
	Worker *worker;
	volatile int interrupted; /* ends whatever the worker waits for */
	PgStore *store;           /* the worker's while it has a job */
	PgRowFormat format;
	PgRows rows;             /* taken, and not given to the worker yet */
	PgSchemas schemas;       /* the same */
	uint64_t checked_serial; /* a relation that is none of the sink's own tables; 0: none yet */
	Position taken;
	uint64_t taken_bytes;
	bool dirty;          /* taken is ahead of what the job under way makes durable */
	int64_t dirty_since; /* poll() that first saw it so; 0: not yet */
	bool flush_wanted;
	bool full;
	bool busy; /* job belongs to the worker */
	Job job;
	SinkProgress progress;
} PostgresqlSink;

/* libpq's own parameters are the sink's; those that are for debugging it are not told. */
static void
list_parameters(char *text, size_t size)
{
	PQconninfoOption *options = PQconndefaults();
	size_t used = 0;

	text[0] = '\0';
	for (const PQconninfoOption *option = options; option != NULL && option->keyword != NULL;
		 option++)
		if (*option->dispchar != 'D' && used < size)
			used += (size_t) snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "",
									  option->keyword);
	PQconninfoFree(options);
}

/* libpq's message may quote a piece of the string, and the piece may be one of a password. */
static CdcStatus
check_uri(const char *text, CdcError *err)
{
	char allowed[1024];
	SinkUri uri;
	PQconninfoOption *parsed = PQconninfoParse(text, NULL);
	CdcStatus status = CDC_OK;

	if (parsed != NULL)
	{
		PQconninfoFree(parsed);
		return CDC_OK;
	}
	list_parameters(allowed, sizeof(allowed));
	status = sink_uri_parse(&uri, text, err);
	for (int i = 0; status == CDC_OK && i < uri.num_params; i++)
	{
		char list[1032];
		char wanted[80];

		snprintf(list, sizeof(list), ", %s,", allowed);
		snprintf(wanted, sizeof(wanted), ", %.70s,", uri.params[i].name);
		if (strcmp(uri.params[i].name, "ssl") != 0 && strstr(list, wanted) == NULL)
			status =
				cdc_error(err, CDC_USAGE,
						  "the postgresql sink has no parameter \"%s\"; it has those of libpq: %s",
						  uri.params[i].name, allowed);
	}
	if (status == CDC_OK)
	{
		status = cdc_error(err, CDC_USAGE, "the postgresql sink's URI cannot be read");
		cdc_error_hint(err, "postgresql://USER@HOST:PORT/DATABASE?PARAMETER=VALUE; in user, "
							"password and values write %%XX for /, @, :, ?, & and %%.");
	}
	sink_uri_free(&uri);
	return status;
}

static CdcStatus
postgresql_create(Sink **result, const SinkConfig *config, CdcError *err)
{
	PostgresqlSink *sink;
	CdcStatus status = check_uri(config->uri, err);

	if (status != CDC_OK)
		return status;
	sink = calloc(1, sizeof(*sink));
	if (sink == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	sink->base.ops = &sink_postgresql_ops;
	sink->config = *config;
	sink->batch_size = config->max_in_flight / 2 < MAX_BATCH_SIZE
						   ? (size_t) config->max_in_flight / 2
						   : MAX_BATCH_SIZE;
	*result = (Sink *) sink;
	return CDC_OK;
}

static void
postgresql_close(Sink *base)
{
	PostgresqlSink *sink = (PostgresqlSink *) base;

	sink->interrupted = 1;
	worker_stop(sink->worker);
	pgsink_store_close(sink->store);
	pgrows_free(&sink->rows);
	pgrows_free(&sink->job.rows);
	pgschemas_free(&sink->schemas);
	pgschemas_free(&sink->job.schemas);
	sink->worker = NULL;
	sink->store = NULL;
}

static void
postgresql_destroy(Sink *base)
{
	free(base);
}

static CdcStatus
run_opening(void *arg, CdcError *err)
{
	PostgresqlSink *sink = arg;
	Job *job = &sink->job;

	if (job->look)
		return pgsink_store_look(sink->config.uri, sink->config.table, &sink->source,
								 &sink->interrupted, job->stored_source, &job->position, job->found,
								 err);
	return pgsink_store_open(&sink->store, sink->config.uri, sink->config.table, &sink->source,
							 &sink->interrupted, job->stored_source, &job->position, job->found,
							 err);
}

/* Has the worker open or look, and calls tick() until it has. */
static CdcStatus
open_by_worker(PostgresqlSink *sink, bool look, Source *stored_source, bool *found, CdcError *err)
{
	CdcStatus status;

	sink->interrupted = 0;
	memset(&sink->job, 0, sizeof(sink->job));
	sink->job.look = look;
	sink->job.stored_source = stored_source;
	sink->job.found = found;
	status = worker_start(&sink->worker, err);
	if (status != CDC_OK)
		return status;
	worker_submit(sink->worker, run_opening, sink);
	while (!worker_collect(sink->worker, &status, err))
	{
		struct pollfd fd = {.fd = worker_fd(sink->worker), .events = POLLIN};

		if (sink->interrupted == 0 && sink->config.tick != NULL &&
			!sink->config.tick(sink->config.tick_arg))
			sink->interrupted = 1;
		/* An interrupted poll() only makes the next tick() come sooner. */
		if (poll(&fd, 1, TICK_MS) < 0 && errno != EINTR)
			sink->interrupted = 1;
	}
	return status;
}

static CdcStatus
postgresql_open(Sink *base, const Source *source, Source *stored_source, Position *position,
				bool *found, CdcError *err)
{
	PostgresqlSink *sink = (PostgresqlSink *) base;
	CdcStatus status;

	sink->source = *source;
	sink->checked_serial = 0;
	sink->taken_bytes = 0;
	sink->dirty = sink->flush_wanted = sink->full = sink->busy = false;
	sink->dirty_since = 0;
	memset(&sink->progress, 0, sizeof(sink->progress));
	memset(&sink->taken, 0, sizeof(sink->taken));
	status = open_by_worker(sink, false, stored_source, found, err);
	if (status != CDC_OK)
		return status;
	sink->format = *pgsink_store_format(sink->store);
	if (!*found)
		return CDC_OK;
	*position = sink->job.position;
	if (source_equal(source, stored_source))
		sink->progress.durable = sink->taken = *position;
	return CDC_OK;
}

static CdcStatus
postgresql_look(Sink *base, const Source *source, Source *stored_source, Position *position,
				bool *found, CdcError *err)
{
	PostgresqlSink *sink = (PostgresqlSink *) base;
	CdcStatus status;

	sink->source = *source;
	status = open_by_worker(sink, true, stored_source, found, err);
	if (status == CDC_OK && *found)
		*position = sink->job.position;
	postgresql_close(base);
	return status;
}

/* A stream that captures what it writes would never end. */
static CdcStatus
check_relation(PostgresqlSink *sink, const Relation *relation, CdcError *err)
{
	if (relation == NULL || relation->serial == sink->checked_serial)
		return CDC_OK;
	if (!pgsink_store_is_own(sink->store, relation->schema, relation->table))
	{
		sink->checked_serial = relation->serial;
		return CDC_OK;
	}
	cdc_error(err, CDC_STOP, "the stream captures the sink's own table %s.%s: it would never end",
			  relation->schema, relation->table);
	cdc_error_hint(err, "Use another database for the sink; or stream a publication that does not "
						"have the sink's tables, from a slot that was made after both.");
	return CDC_STOP;
}

static CdcStatus
check_storable(const PostgresqlSink *sink, const Frame *frame, CdcError *err)
{
	bool key = sink->format.key_is_jsonb && frame->key != NULL &&
			   pgrow_has_nul(frame->key, frame->key_length);

	if (!key &&
		!(sink->format.record_is_jsonb && pgrow_has_nul(frame->payload, frame->payload_length)))
		return CDC_OK;
	cdc_error(err, CDC_REFUSED, "the record's %s holds \\u0000, which jsonb cannot store",
			  key ? "key" : "JSON");
	strcpy(err->sqlstate, "22P05"); /* as the server would say: untranslatable_character */
	cdc_error_hint(err, "A table whose column %s is of type json or text can.",
				   key ? "key" : "record");
	return CDC_REFUSED;
}

static CdcStatus
postgresql_deliver(Sink *base, const SinkRecord *record, const Position *after, bool *taken,
				   CdcError *err)
{
	PostgresqlSink *sink = (PostgresqlSink *) base;
	const Frame *frame = record->frame;
	bool is_schema = frame->kind == CDC_FRAME_SCHEMA;
	size_t size = is_schema ? pgschemas_size(frame) : pgrow_size(&sink->format, record);
	size_t used = sink->rows.used + sink->schemas.used;
	CdcStatus status = check_relation(sink, frame->relation, err);

	*taken = false;
	if (status == CDC_OK && !is_schema)
		status = check_storable(sink, frame, err);
	if (status != CDC_OK)
		return status;
	if (used > 0 && used + size > sink->batch_size)
	{
		sink->full = true;
		return CDC_OK;
	}
	status = is_schema ? pgschemas_append(&sink->schemas, frame, err)
					   : pgrows_append(&sink->rows, &sink->format, record, size, err);
	if (status != CDC_OK)
		return status;
	sink->taken_bytes += frame->payload_length;
	sink->taken = *after;
	sink->dirty = true;
	*taken = true;
	return CDC_OK;
}

static CdcStatus
postgresql_end_transaction(Sink *base, const Position *after, CdcError *err)
{
	PostgresqlSink *sink = (PostgresqlSink *) base;

	(void) err;
	sink->taken = *after;
	sink->dirty = true;
	return CDC_OK;
}

static CdcStatus
postgresql_flush(Sink *base, CdcError *err)
{
	(void) err;
	((PostgresqlSink *) base)->flush_wanted = true;
	return CDC_OK;
}

static CdcStatus
postgresql_store(Sink *base, const Position *position, CdcError *err)
{
	CdcStatus status = postgresql_end_transaction(base, position, err);

	return status == CDC_OK ? postgresql_flush(base, err) : status;
}

static bool
commit_is_due(const PostgresqlSink *sink, int64_t now)
{
	uint64_t gathered = sink->taken_bytes - sink->progress.durable_bytes;

	/* Half of the window: the other half fills while this one is made durable. */
	return sink->flush_wanted || sink->full || gathered >= sink->config.max_in_flight / 2 ||
		   now - sink->dirty_since >= sink->config.commit_interval;
}

static CdcStatus
run_batch(void *arg, CdcError *err)
{
	PostgresqlSink *sink = arg;
	Job *job = &sink->job;

	return pgsink_store_commit(sink->store, &job->rows, &job->schemas, &job->position,
							   &job->refused, err);
}

static void
start_batch(PostgresqlSink *sink)
{
	PgRows empty = sink->job.rows; /* kept, for its memory */

	sink->job.rows = sink->rows;
	sink->rows = empty;
	sink->job.schemas = sink->schemas;
	memset(&sink->schemas, 0, sizeof(sink->schemas));
	sink->job.position = sink->taken;
	sink->job.bytes = sink->taken_bytes;
	sink->busy = true;
	sink->dirty = sink->flush_wanted = sink->full = false;
	sink->dirty_since = 0;
	worker_submit(sink->worker, run_batch, sink);
}

static CdcStatus
collect_batch(PostgresqlSink *sink, SinkProgress *progress, CdcError *err)
{
	CdcStatus status;

	if (!sink->busy || !worker_collect(sink->worker, &status, err))
		return CDC_OK;
	sink->busy = false;
	pgrows_empty(&sink->job.rows, 2 * sink->batch_size);
	pgschemas_free(&sink->job.schemas);
	if (status == CDC_OK)
	{
		sink->progress.durable = sink->job.position;
		sink->progress.durable_bytes = sink->job.bytes;
	}
	else if (status == CDC_REFUSED)
		progress->refused = sink->job.refused;
	return status;
}

static CdcStatus
postgresql_poll(Sink *base, int64_t now, SinkProgress *progress, CdcError *err)
{
	PostgresqlSink *sink = (PostgresqlSink *) base;
	CdcStatus status = collect_batch(sink, progress, err);

	if (status != CDC_OK)
		return status;
	if (sink->dirty && sink->dirty_since == 0)
		sink->dirty_since = now;
	if (!sink->busy && sink->dirty && commit_is_due(sink, now))
		start_batch(sink);
	if (!sink->dirty)
		sink->flush_wanted = false;
	*progress = sink->progress;
	return CDC_OK;
}

static void
postgresql_wait(Sink *base, int64_t now, SinkWait *wait)
{
	PostgresqlSink *sink = (PostgresqlSink *) base;

	(void) now;
	wait->fds[wait->num_fds].fd = worker_fd(sink->worker);
	wait->fds[wait->num_fds++].events = POLLIN;
	if (sink->dirty && !sink->busy)
		wait->deadline = sink->dirty_since + sink->config.commit_interval;
}

const SinkOps sink_postgresql_ops = {
	.name = "postgresql",
	.alias = "postgres",
	.syntax = "postgresql://[USER@]HOST[:PORT]/DATABASE[?PARAMETER=VALUE&...]",
	.summary = "a table of records, each exactly once",
	.takes_schemas = true,
	.create = postgresql_create,
	.open = postgresql_open,
	.look = postgresql_look,
	.deliver = postgresql_deliver,
	.end_transaction = postgresql_end_transaction,
	.store = postgresql_store,
	.flush = postgresql_flush,
	.poll = postgresql_poll,
	.wait = postgresql_wait,
	.close = postgresql_close,
	.destroy = postgresql_destroy,
};
