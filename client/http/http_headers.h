/*
 * http_headers.h
 *		A request's headers, and what of them and of the signature's secret stands in files.
 */
#ifndef CDC_HTTP_HEADERS_H
#define CDC_HTTP_HEADERS_H

#include <stdbool.h>
#include <stdint.h>

#include <curl/curl.h>

#include "error.h"
#include "http_batch.h"
#include "http_params.h"

/* Appends the lines of cdc.headers-file.  Errors name file and line, never what stands there. */
extern CdcStatus http_headers_read(const char *path, struct curl_slist **headers,
								   CdcError *err) CDC_MUST_CHECK;

/* The secret of cdc.secret-file or cdc.secret-env, malloc'd; NULL where there is none of them. */
extern CdcStatus http_secret_read(const HttpParams *params, char **secret, size_t *length,
								  CdcError *err) CDC_MUST_CHECK;

/* What the request for count records of batch from the from-th on says of them. */
typedef struct HttpAbout
{
	const HttpParams *params;
	const Source *source;
	const HttpBatch *batch;
	uint32_t from;
	uint32_t count;
	const char *signature; /* or NULL */
} HttpAbout;

/* All headers of a request, the user's (which stay the caller's) last; NULL: out of memory. */
extern struct curl_slist *http_headers_make(const HttpAbout *about, const struct curl_slist *users);

#endif /* CDC_HTTP_HEADERS_H */
