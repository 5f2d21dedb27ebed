/*
 * rpc_greet.h
 *		The first words on a stream: who we are, and what the server answers; and what a stream's end means.
 */
#ifndef CDC_RPC_GREET_H
#define CDC_RPC_GREET_H

#include "rpc_message.h"
#include "rpc_params.h"
#include "rpc_stream.h"
#include "sink.h"

/*
 * Opens a stream, greets the server and waits for its answer, timeout at most, ticking.  look: nothing is to be
 * delivered, only its position told.  *stream is the caller's to close, also where this fails; NULL: there is none.
 */
extern CdcStatus rpc_greet(const RpcParams *params, const SinkConfig *config, const Source *source,
						   bool look, RpcStream **stream, RpcAck *ack,
						   CdcError *err) CDC_MUST_CHECK;

/*
 * What the end of a stream means.  CDC_REFUSED where one record alone may be what was not taken; answered: the
 * server has said something before.
 */
extern CdcStatus rpc_end_error(const RpcParams *params, const RpcEvent *event, bool answered,
							   CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_RPC_GREET_H */
