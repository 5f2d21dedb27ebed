/*
 * rpc_stream.h
 *		One call of cdc.v1.CdcSink/Deliver by gRPC's core, without blocking.
 *
 * gRPC works in threads of its own and tells of what it has done through a completion queue, which can only
 * be waited for; a thread does that and makes a descriptor readable.
 */
#ifndef CDC_RPC_STREAM_H
#define CDC_RPC_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "rpc_params.h"

typedef struct RpcStream RpcStream;

typedef enum RpcEventKind
{
	RPC_NOTHING,
	RPC_MESSAGE, /* data and length; valid until the next call */
	RPC_END,     /* the stream's, with code and text: nothing more comes */
} RpcEventKind;

typedef struct RpcEvent
{
	RpcEventKind kind;
	const uint8_t *data;
	size_t length;
	int code;
	const char *text; /* one line */
} RpcEvent;

/* Before the first stream, and after the last. */
extern void rpc_library_start(void);
extern void rpc_library_stop(void);

/* Begins a call.  Whether anybody answers shows later.	CDC_USAGE: a file that cannot be read. */
extern CdcStatus rpc_stream_open(RpcStream **stream, const RpcParams *params,
								 CdcError *err) CDC_MUST_CHECK;

/*
 * Takes NULL.  patience: microseconds that the server may take to end the stream by itself, after it has been
 * told that nothing more comes; 0: it is cancelled.
 */
extern void rpc_stream_close(RpcStream *stream, int64_t patience);

/* Whether rpc_stream_send() may be called: the message before has been handed to the network. */
extern bool rpc_stream_can_send(const RpcStream *stream);

/* data is malloc'd, and the stream's from now on. */
extern CdcStatus rpc_stream_send(RpcStream *stream, uint8_t *data, size_t length,
								 CdcError *err) CDC_MUST_CHECK;

/* What has happened next. */
extern void rpc_stream_next(RpcStream *stream, RpcEvent *event);

/* Readable when rpc_stream_next() or rpc_stream_can_send() may have something new to say. */
extern int rpc_stream_fd(const RpcStream *stream);

#endif /* CDC_RPC_STREAM_H */
