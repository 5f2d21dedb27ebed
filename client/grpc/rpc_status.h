/*
 * rpc_status.h
 *		What follows from the status that a gRPC stream ended with.
 *
 * Pure: a table.	doc/sink-grpc.md has it in words.
 */
#ifndef CDC_RPC_STATUS_H
#define CDC_RPC_STATUS_H

#include <stdbool.h>

#include "error.h"

/* "UNAVAILABLE"; "14" of a code that is not one. */
extern const char *rpc_status_name(int code);

/*
 * answered: the server had taken the stream before.  CDC_RETRY or CDC_STOP; CDC_REFUSED: a record is
 * what it does not take, if there is just one.
 */
extern CdcStatus rpc_status_meaning(int code, const char *text, bool answered);

/* Whether this says that a message is larger than the server takes. */
extern bool rpc_status_too_large(int code, const char *text);

/* What to do, or "". */
extern const char *rpc_status_hint(int code, const char *text);

#endif /* CDC_RPC_STATUS_H */
