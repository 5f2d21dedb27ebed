/*
 * http_send.h
 *		One batch on its way: prepared, sent, sent again, split until the record that is refused is known.
 *
 * Knows nothing of the loop.  It is told a batch and says, call by call, how many of its records have
 * been taken by the endpoint.
 */
#ifndef CDC_HTTP_SEND_H
#define CDC_HTTP_SEND_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "http_batch.h"
#include "http_params.h"
#include "position.h"
#include "retry.h"
#include "sink.h"

typedef struct HttpSend HttpSend;

/* params is borrowed. */
extern CdcStatus http_send_create(HttpSend **send, const HttpParams *params,
								  CdcError *err) CDC_MUST_CHECK;
extern void http_send_free(HttpSend *send); /* takes NULL */

/*
 * Reads secrets and headers anew and makes a connection possible.  A batch that was under way when
 * http_send_close() came is sent again, the same bytes under the same key.
 */
extern CdcStatus http_send_open(HttpSend *send, const Source *source, CdcError *err) CDC_MUST_CHECK;
extern void http_send_close(HttpSend *send);

/* Begins with a batch, which stays the caller's and, but for the records' after, as it is. */
extern void http_send_begin(HttpSend *send, HttpBatch *batch);

/* Forgets the batch: it is not sent any more. */
extern void http_send_drop(HttpSend *send);

/*
 * Advances what is under way, without blocking.  *taken is how many of the batch's records the endpoint
 * has taken so far, from the first one on.  CDC_REFUSED: the record behind these is refused.  CDC_RETRY:
 * it has failed for a while; http_send_close() and http_send_open() begin it again.
 */
extern CdcStatus http_send_poll(HttpSend *send, int64_t now, uint32_t *taken,
								CdcError *err) CDC_MUST_CHECK;
extern void http_send_wait(HttpSend *send, int64_t now, SinkWait *wait);

/* Bytes that one request may have: cdc.batch-bytes, or less where the endpoint took less. */
extern uint64_t http_send_limit(const HttpSend *send);

#endif /* CDC_HTTP_SEND_H */
