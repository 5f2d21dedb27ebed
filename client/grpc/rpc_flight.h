/*
 * rpc_flight.h
 *		Batches that were sent and are not acknowledged: in order, and how much they are.
 *
 * Pure.
 */
#ifndef CDC_RPC_FLIGHT_H
#define CDC_RPC_FLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "position.h"
#include "rpc_message.h"

/* So many batches may be unacknowledged at most: memory for them is fixed. */
#define RPC_MAX_FLIGHT 1024

typedef struct RpcBatch
{
	Position after;
	RecordId first; /* of its records; meaningless without any */
	uint64_t records;
	uint64_t schemas;       /* schema records; without both it is a position alone */
	uint64_t payload_bytes; /* as the loop counts them */
	uint64_t message_bytes;
} RpcBatch;

typedef struct RpcFlight
{
	RpcBatch batches[RPC_MAX_FLIGHT]; /* a ring */
	uint32_t oldest;
	uint32_t count;
	uint64_t records;
	uint64_t bytes; /* of messages */
} RpcFlight;

extern void rpc_flight_clear(RpcFlight *flight);

/* Whether another one may be sent: there is room, and the window allows it. */
extern bool rpc_flight_allows(const RpcFlight *flight, const RpcWindow *window,
							  const RpcBatch *batch);

/* batch is copied.	 Only where rpc_flight_allows() says so. */
extern void rpc_flight_add(RpcFlight *flight, const RpcBatch *batch);

/*
 * Takes out all up to the one whose position this is; *after is that one's own, with all that the protocol
 * does not tell (how far a snapshot is), *payload_bytes is what they had.	 false: it is none
 * of theirs, and nothing is taken out.
 */
extern bool rpc_flight_acknowledge(RpcFlight *flight, const Position *position, Position *after,
								   uint64_t *payload_bytes);

/* The one that was sent first. */
extern const RpcBatch *rpc_flight_oldest(const RpcFlight *flight);

extern bool rpc_position_equal(const Position *a, const Position *b);

#endif /* CDC_RPC_FLIGHT_H */
