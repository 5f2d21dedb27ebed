/*
 * rpc_message.h
 *		What is said over the stream (cdc_sink.proto), in bytes.
 *
 * Pure.  A batch is built record by record: protobuf takes messages that stand one behind the other for one
 * message, repeated fields joined, so each record is encoded as a Batch of its own.
 */
#ifndef CDC_RPC_MESSAGE_H
#define CDC_RPC_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "position.h"
#include "sink.h"

/* Bytes under construction.  A zeroed one is empty. */
typedef struct RpcBuffer
{
	uint8_t *data; /* malloc'd */
	size_t length;
	size_t capacity;
} RpcBuffer;

extern void rpc_buffer_free(RpcBuffer *buffer);

/* These append; false: out of memory. */
extern bool rpc_put_hello(RpcBuffer *buffer, const Source *source, bool look);
extern bool rpc_put_record(RpcBuffer *buffer, const SinkRecord *record, const char *target);
extern bool rpc_put_schema(RpcBuffer *buffer, const Frame *frame, const char *target);
extern bool rpc_put_position(RpcBuffer *buffer, uint64_t epoch, const Position *position);

/* Bytes that a record takes at most beyond its payload, keys and target. */
#define RPC_RECORD_OVERHEAD 1024

typedef struct RpcWindow
{
	uint64_t bytes;   /* 0: any */
	uint64_t records; /* 0: any */
	bool paused;
} RpcWindow;

typedef struct RpcAck
{
	bool has_position;
	Position position;
	uint64_t epoch;
	bool has_window;
	RpcWindow window;
	bool has_refused;
	RecordId refused;
	char reason[512]; /* one line */
} RpcAck;

/* CDC_STOP: not an Ack, or one with values that cannot be. */
extern CdcStatus rpc_read_ack(RpcAck *ack, const uint8_t *data, size_t length,
							  CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_RPC_MESSAGE_H */
