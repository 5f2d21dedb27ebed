/*
 * rpc_stream.c
 *		One call of cdc.v1.CdcSink/Deliver by gRPC's core.
 *
 * Who does what: the loop's thread starts operations, each under a tag of its own, of each kind one at a
 * time; the completion queue's thread only passes on which tag has finished.  What an operation reads or
 * writes is gRPC's until then.
 */
#include "rpc_stream.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/support/alloc.h>
#include <grpc/support/log.h>
#include <grpc/support/time.h>

#include "clock.h"
#include "rpc_channel.h"

#define METHOD "/cdc.v1.CdcSink/Deliver"

typedef enum Tag
{
	TAG_SEND,
	TAG_RECEIVE,
	TAG_STATUS,
	TAG_HALF_CLOSE,
	NUM_TAGS,
} Tag;

/* What the thread has to say. */
typedef struct Finished
{
	bool yet;
	bool success;
} Finished;

struct RpcStream
{
	grpc_channel *channel;
	grpc_completion_queue *queue;
	grpc_call *call;
	bool thread_started;
	pthread_t thread;
	pthread_mutex_t mutex; /* of finished */
	Finished finished[NUM_TAGS];
	int event_fd;

	bool under_way[NUM_TAGS];
	bool greeted; /* the first batches have gone out, which have the metadata in them */
	grpc_metadata_array metadata;
	grpc_byte_buffer *sending;

	grpc_byte_buffer *received;
	grpc_metadata_array first_metadata;
	grpc_slice message; /* what was last returned */
	bool has_message;

	grpc_metadata_array last_metadata;
	grpc_status_code code;
	grpc_slice details;
	bool receive_ended;
	bool status_known;
	bool ended;
	char text[700];
};

/* gRPC writes to standard error, which is the client's log; GRPC_VERBOSITY and GRPC_TRACE bring it back. */
static void
say_nothing(gpr_log_func_args *args)
{
	(void) args;
}

void
rpc_library_start(void)
{
	if (getenv("GRPC_VERBOSITY") == NULL && getenv("GRPC_TRACE") == NULL)
		gpr_set_log_function(say_nothing);
	/* names as everything else here finds them, by getaddrinfo(); gRPC's own way (c-ares) leaks besides */
	setenv("GRPC_DNS_RESOLVER", "native", 0);
	grpc_init();
}

void
rpc_library_stop(void)
{
	grpc_shutdown_blocking();
}

static void *
watch_queue(void *stream_arg)
{
	RpcStream *stream = stream_arg;

	for (;;)
	{
		grpc_event event =
			grpc_completion_queue_next(stream->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
		uint64_t one = 1;
		ssize_t written;

		if (event.type == GRPC_QUEUE_SHUTDOWN)
			return NULL;
		pthread_mutex_lock(&stream->mutex);
		stream->finished[(uintptr_t) event.tag] = (Finished){true, event.success != 0};
		pthread_mutex_unlock(&stream->mutex);
		/* Cannot fail: the counter is far from its end. */
		written = write(stream->event_fd, &one, sizeof(one));
		(void) written;
	}
}

/* Signals are the loop's: the thread begins with all of them blocked. */
static CdcStatus
start_thread(RpcStream *stream, CdcError *err)
{
	sigset_t all;
	sigset_t before;
	int code;

	stream->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (stream->event_fd < 0)
		return cdc_error(err, CDC_RETRY, "could not create an eventfd: %s", strerror(errno));
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	code = pthread_create(&stream->thread, NULL, watch_queue, stream);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (code != 0)
		return cdc_error(err, CDC_RETRY, "could not start a thread: %s", strerror(code));
	stream->thread_started = true;
	return CDC_OK;
}

/* false: gRPC does not take them, which it says of misuse and of a call that has ended. */
static bool
start_ops(RpcStream *stream, const grpc_op *ops, size_t count, Tag tag)
{
	stream->under_way[tag] = grpc_call_start_batch(stream->call, ops, count,
												   (void *) (uintptr_t) tag, NULL) == GRPC_CALL_OK;
	return stream->under_way[tag];
}

static bool
receive_more(RpcStream *stream)
{
	grpc_op ops[2];
	size_t count = 1;

	memset(ops, 0, sizeof(ops));
	ops[0].op = GRPC_OP_RECV_MESSAGE;
	ops[0].data.recv_message.recv_message = &stream->received;
	if (!stream->greeted)
	{
		ops[count].op = GRPC_OP_RECV_INITIAL_METADATA;
		ops[count++].data.recv_initial_metadata.recv_initial_metadata = &stream->first_metadata;
	}
	return start_ops(stream, ops, count, TAG_RECEIVE);
}

static bool
await_status(RpcStream *stream)
{
	grpc_op op;

	memset(&op, 0, sizeof(op));
	op.op = GRPC_OP_RECV_STATUS_ON_CLIENT;
	op.data.recv_status_on_client.trailing_metadata = &stream->last_metadata;
	op.data.recv_status_on_client.status = &stream->code;
	op.data.recv_status_on_client.status_details = &stream->details;
	return start_ops(stream, &op, 1, TAG_STATUS);
}

CdcStatus
rpc_stream_open(RpcStream **result, const RpcParams *params, CdcError *err)
{
	RpcStream *stream = calloc(1, sizeof(*stream));
	CdcStatus status;

	*result = NULL;
	if (stream == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	stream->event_fd = -1;
	pthread_mutex_init(&stream->mutex, NULL);
	grpc_metadata_array_init(&stream->first_metadata);
	grpc_metadata_array_init(&stream->last_metadata);
	stream->details = grpc_empty_slice();
	stream->queue = grpc_completion_queue_create_for_next(NULL);
	status = rpc_metadata_read(&stream->metadata, params, err);
	if (status == CDC_OK)
		status = rpc_channel_create(&stream->channel, params, err);
	if (status == CDC_OK)
		status = start_thread(stream, err);
	if (status == CDC_OK)
	{
		stream->call = grpc_channel_create_call(
			stream->channel, NULL, GRPC_PROPAGATE_DEFAULTS, stream->queue,
			grpc_slice_from_static_string(METHOD), NULL, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
		if (stream->call == NULL || !await_status(stream))
			status = cdc_error(err, CDC_RETRY, "gRPC could not begin a call");
	}
	if (status != CDC_OK)
	{
		rpc_stream_close(stream, 0);
		return status;
	}
	*result = stream;
	return CDC_OK;
}

bool
rpc_stream_can_send(const RpcStream *stream)
{
	return !stream->under_way[TAG_SEND] && !stream->ended;
}

CdcStatus
rpc_stream_send(RpcStream *stream, uint8_t *data, size_t length, CdcError *err)
{
	grpc_slice slice = grpc_slice_new(data, length, free);
	grpc_op ops[2];
	size_t count = 0;
	bool good;

	stream->sending = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_slice_unref(slice);
	memset(ops, 0, sizeof(ops));
	if (!stream->greeted)
	{
		ops[count].op = GRPC_OP_SEND_INITIAL_METADATA;
		ops[count].data.send_initial_metadata.count = stream->metadata.count;
		ops[count++].data.send_initial_metadata.metadata = stream->metadata.metadata;
	}
	ops[count].op = GRPC_OP_SEND_MESSAGE;
	ops[count++].data.send_message.send_message = stream->sending;
	good = start_ops(stream, ops, count, TAG_SEND);
	if (good && !stream->greeted)
		good = receive_more(stream);
	stream->greeted = true;
	return good ? CDC_OK : cdc_error(err, CDC_RETRY, "gRPC could not take a message");
}

/* Copies what came, in one piece. */
static void
read_message(RpcStream *stream)
{
	grpc_byte_buffer_reader reader;

	if (stream->has_message)
		grpc_slice_unref(stream->message);
	stream->has_message = grpc_byte_buffer_reader_init(&reader, stream->received) != 0;
	if (stream->has_message)
	{
		stream->message = grpc_byte_buffer_reader_readall(&reader);
		grpc_byte_buffer_reader_destroy(&reader);
	}
	else
		stream->receive_ended = true; /* a compressed one that cannot be read: the status tells */
	grpc_byte_buffer_destroy(stream->received);
	stream->received = NULL;
}

/* What follows from an operation that has finished; whether there is a message. */
static bool
take_finished(RpcStream *stream, Tag tag, bool success)
{
	stream->under_way[tag] = false;
	switch (tag)
	{
		case TAG_SEND:
			/* where it failed, the status says why */
			grpc_byte_buffer_destroy(stream->sending);
			stream->sending = NULL;
			return false;
		case TAG_RECEIVE:
			if (!success || stream->received == NULL)
			{
				stream->receive_ended = true;
				return false;
			}
			read_message(stream);
			if (!stream->receive_ended && !receive_more(stream))
				stream->receive_ended = true;
			return stream->has_message;
		case TAG_STATUS:
			stream->status_known = true;
			return false;
		case TAG_HALF_CLOSE:
		case NUM_TAGS:
			break;
	}
	return false;
}

/* The status's text as one line. */
static const char *
status_text(RpcStream *stream)
{
	size_t length = GRPC_SLICE_LENGTH(stream->details);

	if (length > sizeof(stream->text) - 1)
		length = sizeof(stream->text) - 1;
	memcpy(stream->text, GRPC_SLICE_START_PTR(stream->details), length);
	stream->text[length] = '\0';
	for (char *at = stream->text; *at != '\0'; at++)
		if ((unsigned char) *at < 0x20 || *at == 0x7f)
			*at = ' ';
	return stream->text;
}

void
rpc_stream_next(RpcStream *stream, RpcEvent *event)
{
	uint64_t count;
	ssize_t got = read(stream->event_fd, &count, sizeof(count));
	bool message = false;

	(void) got;
	*event = (RpcEvent){.kind = RPC_NOTHING};
	for (int tag = 0; tag < NUM_TAGS && !message; tag++)
	{
		Finished finished;

		pthread_mutex_lock(&stream->mutex);
		finished = stream->finished[tag];
		stream->finished[tag].yet = false;
		pthread_mutex_unlock(&stream->mutex);
		if (finished.yet)
			message = take_finished(stream, (Tag) tag, finished.success);
	}
	if (message)
	{
		event->kind = RPC_MESSAGE;
		event->data = GRPC_SLICE_START_PTR(stream->message);
		event->length = GRPC_SLICE_LENGTH(stream->message);
		return;
	}
	/* the status may overtake messages that came before it; and no first message, no reading at all */
	if (!stream->status_known || (stream->greeted && !stream->receive_ended))
		return;
	stream->ended = true;
	event->kind = RPC_END;
	event->code = (int) stream->code;
	event->text = status_text(stream);
}

int
rpc_stream_fd(const RpcStream *stream)
{
	return stream->event_fd;
}

/* Tells the server that nothing more comes, and gives it time to end the stream. */
static void
leave(RpcStream *stream, int64_t patience)
{
	int64_t deadline = clock_now() + patience;
	RpcEvent event;
	grpc_op op;

	memset(&op, 0, sizeof(op));
	op.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
	if (!stream->greeted || !start_ops(stream, &op, 1, TAG_HALF_CLOSE))
		return;
	for (rpc_stream_next(stream, &event); event.kind != RPC_END; rpc_stream_next(stream, &event))
	{
		struct pollfd fd = {.fd = stream->event_fd, .events = POLLIN};
		int64_t now = clock_now();

		if (event.kind == RPC_NOTHING &&
			(now >= deadline || poll(&fd, 1, clock_timeout_ms(now, deadline, 100)) < 0))
			return;
	}
}

void
rpc_stream_close(RpcStream *stream, int64_t patience)
{
	if (stream == NULL)
		return;
	if (patience > 0 && stream->call != NULL && !stream->ended)
		leave(stream, patience);
	if (stream->call != NULL)
	{
		grpc_call_cancel(stream->call, NULL);
		grpc_call_unref(stream->call);
	}
	/* the thread ends when all that was under way has ended */
	grpc_completion_queue_shutdown(stream->queue);
	if (stream->thread_started)
		pthread_join(stream->thread, NULL);
	else
		grpc_completion_queue_next(stream->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
	grpc_completion_queue_destroy(stream->queue);
	if (stream->channel != NULL)
		grpc_channel_destroy(stream->channel);
	grpc_byte_buffer_destroy(stream->sending);
	grpc_byte_buffer_destroy(stream->received);
	if (stream->has_message)
		grpc_slice_unref(stream->message);
	grpc_slice_unref(stream->details);
	grpc_metadata_array_destroy(&stream->first_metadata);
	grpc_metadata_array_destroy(&stream->last_metadata);
	rpc_metadata_free(&stream->metadata);
	if (stream->event_fd >= 0)
		close(stream->event_fd);
	pthread_mutex_destroy(&stream->mutex);
	free(stream);
}
