/*
 * rpc_channel.h
 *		How a server is reached: address, credentials, and what is said of who calls.
 */
#ifndef CDC_RPC_CHANNEL_H
#define CDC_RPC_CHANNEL_H

#include <grpc/grpc.h>

#include "error.h"
#include "rpc_params.h"

/* The caller's to grpc_channel_destroy(). */
extern CdcStatus rpc_channel_create(grpc_channel **channel, const RpcParams *params,
									CdcError *err) CDC_MUST_CHECK;

/* The metadata of params->metadata_file; none without one. */
extern CdcStatus rpc_metadata_read(grpc_metadata_array *metadata, const RpcParams *params,
								   CdcError *err) CDC_MUST_CHECK;
extern void rpc_metadata_free(grpc_metadata_array *metadata);

#endif /* CDC_RPC_CHANNEL_H */
