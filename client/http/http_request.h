/*
 * http_request.h
 *		One POST at a time over a kept connection, without blocking: libcurl's multi interface.
 */
#ifndef CDC_HTTP_REQUEST_H
#define CDC_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <curl/curl.h>

#include "error.h"
#include "http_params.h"
#include "sink.h"

typedef struct HttpRequest HttpRequest;

/* How a request ended.  Strings are valid until the next one begins. */
typedef struct HttpAnswer
{
	int curl_code;       /* CURLE_OK: status is the endpoint's */
	long status;         /* 0: there was none */
	const char *text;    /* the beginning of the answer's body, printable; or what libcurl says */
	int64_t retry_after; /* microseconds; 0: not said */
	const char *location;
} HttpAnswer;

/* params is borrowed. */
extern CdcStatus http_request_open(HttpRequest **request, const HttpParams *params,
								   CdcError *err) CDC_MUST_CHECK;
extern void http_request_close(HttpRequest *request); /* takes NULL */

/* Begins one.  headers becomes the request's; body stays the caller's, and as it is until the end. */
extern CdcStatus http_request_start(HttpRequest *request, const char *url,
									struct curl_slist *headers, const char *body, size_t length,
									CdcError *err) CDC_MUST_CHECK;

/* Advances it; true once it has ended. */
extern bool http_request_poll(HttpRequest *request, HttpAnswer *answer);
extern void http_request_wait(HttpRequest *request, int64_t now, SinkWait *wait);

/* Takes whatever is under way back. */
extern void http_request_abort(HttpRequest *request);

#endif /* CDC_HTTP_REQUEST_H */
