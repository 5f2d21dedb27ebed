/*
 * rpc_params.h
 *		A grpc sink's URI taken apart.	Pure.
 */
#ifndef CDC_RPC_PARAMS_H
#define CDC_RPC_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "sink.h"

/* Strings point into uri, or are owned as said; NULL where not given. */
typedef struct RpcParams
{
	SinkUri uri;
	bool tls;
	const char *address; /* "host:port" */
	const char *target;  /* template of the records' target */
	uint64_t batch_bytes;
	uint64_t batch_records;
	int64_t timeout;     /* of the first answer, microseconds */
	int64_t ack_timeout; /* of any later one that is due */
	int64_t keepalive;   /* 0: no pings */
	const char *authority;
	const char *ca_file;
	const char *cert_file;
	const char *key_file;
	const char *metadata_file;
} RpcParams;

/* A zeroed struct is an empty one.	 On failure too it is the caller's to rpc_params_free(). */
extern CdcStatus rpc_params_parse(RpcParams *params, const char *uri, CdcError *err) CDC_MUST_CHECK;
extern void rpc_params_free(RpcParams *params);

#endif /* CDC_RPC_PARAMS_H */
