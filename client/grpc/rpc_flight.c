/*
 * rpc_flight.c
 *		Batches that were sent and are not acknowledged.
 */
#include "rpc_flight.h"

#include <string.h>

void
rpc_flight_clear(RpcFlight *flight)
{
	flight->oldest = flight->count = 0;
	flight->records = flight->bytes = 0;
}

bool
rpc_flight_allows(const RpcFlight *flight, const RpcWindow *window, const RpcBatch *batch)
{
	if (window->paused || flight->count == RPC_MAX_FLIGHT)
		return false;
	if (flight->count == 0)
		return true;
	return (window->bytes == 0 || flight->bytes + batch->message_bytes <= window->bytes) &&
		   (window->records == 0 || flight->records + batch->records <= window->records);
}

void
rpc_flight_add(RpcFlight *flight, const RpcBatch *batch)
{
	flight->batches[(flight->oldest + flight->count++) % RPC_MAX_FLIGHT] = *batch;
	flight->records += batch->records;
	flight->bytes += batch->message_bytes;
}

bool
rpc_position_equal(const Position *a, const Position *b)
{
	return a->timeline == b->timeline && a->incarnation == b->incarnation &&
		   record_id_compare(&a->id, &b->id) == 0 && a->end_lsn == b->end_lsn &&
		   a->confirmed == b->confirmed && a->commit_time == b->commit_time;
}

bool
rpc_flight_acknowledge(RpcFlight *flight, const Position *position, Position *after,
					   uint64_t *payload_bytes)
{
	uint32_t upto = 0;

	*payload_bytes = 0;
	/* the last of that position: a position may have been sent again */
	for (uint32_t i = flight->count; i > 0 && upto == 0; i--)
		if (rpc_position_equal(&flight->batches[(flight->oldest + i - 1) % RPC_MAX_FLIGHT].after,
							   position))
			upto = i;
	for (uint32_t i = 0; i < upto; i++)
	{
		const RpcBatch *batch = &flight->batches[flight->oldest];

		*after = batch->after;
		*payload_bytes += batch->payload_bytes;
		flight->records -= batch->records;
		flight->bytes -= batch->message_bytes;
		flight->oldest = (flight->oldest + 1) % RPC_MAX_FLIGHT;
	}
	flight->count -= upto;
	return upto > 0;
}

const RpcBatch *
rpc_flight_oldest(const RpcFlight *flight)
{
	return &flight->batches[flight->oldest];
}
