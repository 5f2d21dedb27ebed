/*
 * sink_stdout.c
 *		"-": records as lines on the standard output; what is written counts as durable.
 *
 * At least once over restarts of the client, since a pipe holds no position; within one process
 * nothing is doubled, because what was taken survives close() and is written after the next open().
 *
 * A pipe or terminal must not block the loop, yet O_NONBLOCK would be set for every process that
 * shares it.  So it is asked first whether it can take something, and then given no more than a pipe
 * takes without blocking once it is writable: PIPE_BUF.
 */
#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* So many bytes are gathered at most (or one record) before the reader must take them. */
#define GATHER_SIZE (256 * 1024)

/* poll() goes back to the loop after so many bytes: the server may be waiting for an answer. */
#define POLL_BUDGET (1024 * 1024)

typedef enum OutputKind
{
	OUTPUT_FILE,   /* write() does not block on a reader */
	OUTPUT_PIPE,   /* pipe, terminal or the like */
	OUTPUT_SOCKET, /* send() can be told not to block */
} OutputKind;

typedef struct StdoutSink
{
	SinkBase base;
	int fd;
	OutputKind kind;
	char *buffer;
	size_t capacity;
	size_t length;
	size_t written; /* of length */
	bool writing;   /* nothing is taken until the buffer is empty */
	bool found;     /* taken holds a position */
	Source source;
	Position taken;
	uint64_t taken_bytes;
	SinkProgress progress;
} StdoutSink;

static CdcStatus
stdout_create(Sink **result, const SinkConfig *config, CdcError *err)
{
	StdoutSink *sink = calloc(1, sizeof(*sink));
	struct stat info;

	(void) config;
	if (sink == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	sink->base.ops = &sink_stdout_ops;
	sink->fd = STDOUT_FILENO;
	sink->kind = OUTPUT_PIPE;
	if (fstat(sink->fd, &info) != 0 || (fcntl(sink->fd, F_GETFL) & O_ACCMODE) == O_RDONLY)
	{
		free(sink);
		return cdc_error(err, CDC_USAGE, "the standard output is closed, or not open for writing");
	}
	if (S_ISREG(info.st_mode))
		sink->kind = OUTPUT_FILE;
	else if (S_ISSOCK(info.st_mode))
		sink->kind = OUTPUT_SOCKET;
	*result = (Sink *) sink;
	return CDC_OK;
}

static CdcStatus
stdout_open(Sink *base, const Source *source, Source *stored_source, Position *position,
			bool *found, CdcError *err)
{
	StdoutSink *sink = (StdoutSink *) base;

	(void) err;
	*found = sink->found;
	*stored_source = sink->found ? sink->source : *source;
	*position = sink->taken;
	sink->source = *source;
	sink->taken_bytes = 0;
	sink->progress.durable_bytes = 0;
	return CDC_OK;
}

static bool
reserve(StdoutSink *sink, size_t more)
{
	size_t capacity = sink->capacity > 0 ? sink->capacity : GATHER_SIZE;
	char *buffer;

	while (capacity < sink->length + more)
		capacity *= 2;
	if (capacity == sink->capacity)
		return true;
	buffer = realloc(sink->buffer, capacity);
	if (buffer == NULL)
		return false;
	sink->buffer = buffer;
	sink->capacity = capacity;
	return true;
}

/* Everything is out: what was taken is durable.  A buffer that one huge record made is given back. */
static void
all_written(StdoutSink *sink)
{
	sink->length = sink->written = 0;
	sink->writing = false;
	if (sink->found)
		sink->progress.durable = sink->taken;
	sink->progress.durable_bytes = sink->taken_bytes;
	if (sink->capacity > GATHER_SIZE)
	{
		free(sink->buffer);
		sink->buffer = NULL;
		sink->capacity = 0;
	}
}

/* Like write(), but -1 with EAGAIN instead of blocking on a reader. */
static ssize_t
write_some(const StdoutSink *sink, const char *data, size_t length)
{
	struct pollfd ready = {.fd = sink->fd, .events = POLLOUT};

	if (sink->kind == OUTPUT_SOCKET)
		return send(sink->fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sink->kind == OUTPUT_PIPE)
	{
		int result = poll(&ready, 1, 0);

		if (result < 0)
			return -1;
		if (result == 0)
		{
			errno = EAGAIN;
			return -1;
		}
		if (length > PIPE_BUF)
			length = PIPE_BUF;
	}
	return write(sink->fd, data, length);
}

/*
 * Whether whoever reads has gone, seen without writing.  Of a pipe that is an error, of a socket or a
 * terminal a hang-up; neither ever passes, so not to see it would be to spin.
 */
static bool
reader_gone(const StdoutSink *sink)
{
	struct pollfd ready = {.fd = sink->fd, .events = 0};

	return sink->kind != OUTPUT_FILE && poll(&ready, 1, 0) > 0 &&
		   (ready.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
}

static CdcStatus
stdout_poll(Sink *base, int64_t now, SinkProgress *progress, CdcError *err)
{
	StdoutSink *sink = (StdoutSink *) base;
	size_t stop = sink->written + POLL_BUDGET;

	(void) now;
	sink->writing = sink->length > 0;
	while (sink->writing && !sink->progress.closed && sink->written < stop)
	{
		ssize_t written =
			write_some(sink, sink->buffer + sink->written, sink->length - sink->written);

		if (written >= 0)
			sink->written += (size_t) written;
		else if (errno == EAGAIN)
			break;
		else if (errno == EPIPE || errno == ECONNRESET)
			sink->progress.closed = true;
		else if (errno != EINTR)
			return cdc_error(err, CDC_RETRY, "could not write to the standard output: %s",
							 strerror(errno));
		if (sink->written == sink->length)
			sink->writing = false;
	}
	if (!sink->writing)
		all_written(sink);
	if (reader_gone(sink))
		sink->progress.closed = true;
	*progress = sink->progress;
	return CDC_OK;
}

static CdcStatus
stdout_deliver(Sink *base, const SinkRecord *record, const Position *after, bool *taken,
			   CdcError *err)
{
	StdoutSink *sink = (StdoutSink *) base;
	size_t length = record->frame->payload_length;

	*taken = false;
	if (sink->writing || (sink->length > 0 && sink->length + length + 1 > GATHER_SIZE))
		return CDC_OK;
	if (!reserve(sink, length + 1))
		return cdc_error(err, CDC_RETRY, "out of memory for a record of %zu bytes", length);
	memcpy(sink->buffer + sink->length, record->frame->payload, length);
	sink->length += length;
	sink->buffer[sink->length++] = '\n';
	sink->taken = *after;
	sink->found = true;
	sink->taken_bytes += length;
	*taken = true;
	return CDC_OK;
}

/* The lines of the transaction stand before it in the buffer, so it is durable when that is empty. */
static CdcStatus
stdout_end_transaction(Sink *base, const Position *after, CdcError *err)
{
	StdoutSink *sink = (StdoutSink *) base;

	(void) err;
	sink->taken = *after;
	sink->found = true;
	return CDC_OK;
}

static CdcStatus
stdout_flush(Sink *base, CdcError *err)
{
	(void) base;
	(void) err;
	return CDC_OK;
}

static void
stdout_wait(Sink *base, int64_t now, SinkWait *wait)
{
	StdoutSink *sink = (StdoutSink *) base;

	(void) now;
	if (sink->kind == OUTPUT_FILE)
		return;
	wait->fds[wait->num_fds].fd = sink->fd;
	wait->fds[wait->num_fds++].events = sink->writing ? POLLOUT : 0;
}

static void
stdout_close(Sink *base)
{
	(void) base;
}

static void
stdout_destroy(Sink *base)
{
	StdoutSink *sink = (StdoutSink *) base;

	free(sink->buffer);
	free(sink);
}

const SinkOps sink_stdout_ops = {
	.name = "-",
	.syntax = "-",
	.summary = "the standard output, at least once",
	.keeps_no_position = true,
	.takes_schemas = true,
	.create = stdout_create,
	.open = stdout_open,
	.deliver = stdout_deliver,
	.end_transaction = stdout_end_transaction,
	.store = stdout_end_transaction,
	.flush = stdout_flush,
	.poll = stdout_poll,
	.wait = stdout_wait,
	.close = stdout_close,
	.destroy = stdout_destroy,
};
