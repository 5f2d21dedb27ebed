/*
 * rpc_greet.c
 *		The first words on a stream.
 */
#include "rpc_greet.h"

#include <poll.h>

#include "clock.h"
#include "rpc_status.h"

/* tick() is called at least so often while the answer is waited for. */
#define TICK_MS 200

CdcStatus
rpc_end_error(const RpcParams *params, const RpcEvent *event, bool answered, CdcError *err)
{
	CdcStatus status = rpc_status_meaning(event->code, event->text, answered);

	if (event->code == 0)
		cdc_error(err, status, "server %s has ended the stream", params->address);
	else
		cdc_error(err, status, "server %s ended the stream with %s%s%s", params->address,
				  rpc_status_name(event->code), event->text[0] != '\0' ? ": " : "", event->text);
	cdc_error_hint(err, "%s", rpc_status_hint(event->code, event->text));
	return status;
}

static CdcStatus
say_hello(RpcStream *stream, const Source *source, bool look, CdcError *err)
{
	RpcBuffer buffer = {0};

	if (!rpc_put_hello(&buffer, source, look))
	{
		rpc_buffer_free(&buffer);
		return cdc_error(err, CDC_RETRY, "out of memory");
	}
	return rpc_stream_send(stream, buffer.data, buffer.length, err);
}

/* Waits for the first answer, or whatever else it is, ticking. */
static CdcStatus
await_answer(const RpcParams *params, const SinkConfig *config, RpcStream *stream, RpcAck *ack,
			 CdcError *err)
{
	int64_t deadline = clock_now() + params->timeout;
	RpcEvent event;

	for (;;)
	{
		struct pollfd fd = {.fd = rpc_stream_fd(stream), .events = POLLIN};
		int64_t now = clock_now();
		CdcStatus status;

		rpc_stream_next(stream, &event);
		if (event.kind == RPC_MESSAGE)
			return rpc_read_ack(ack, event.data, event.length, err);
		if (event.kind == RPC_END)
		{
			status = rpc_end_error(params, &event, false, err);
			/* of a stream that has no records yet */
			return status == CDC_REFUSED ? CDC_STOP : status;
		}
		if (now >= deadline)
		{
			cdc_error(err, CDC_RETRY, "server %s has not answered in %.1f s", params->address,
					  (double) params->timeout / CLOCK_SECOND);
			cdc_error_hint(err, "timeout=DURATION in the sink's URI says how long it may take.");
			return CDC_RETRY;
		}
		if (config->tick != NULL && !config->tick(config->tick_arg))
			return cdc_error(err, CDC_RETRY, "stopped while server %s was being waited for",
							 params->address);
		poll(&fd, 1, clock_timeout_ms(now, deadline, TICK_MS));
	}
}

CdcStatus
rpc_greet(const RpcParams *params, const SinkConfig *config, const Source *source, bool look,
		  RpcStream **stream, RpcAck *ack, CdcError *err)
{
	CdcStatus status = rpc_stream_open(stream, params, err);

	if (status == CDC_OK)
		status = say_hello(*stream, source, look, err);
	if (status == CDC_OK)
		status = await_answer(params, config, *stream, ack, err);
	return status;
}
