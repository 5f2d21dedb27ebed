/*
 * http_params.h
 *		An http sink's URI taken apart: what is the endpoint's, and what is ours.
 *
 * Pure.  The query belongs to the endpoint and is sent as it stands, but for the parameters whose names
 * begin with "cdc.": these are ours, and taken out.
 */
#ifndef CDC_HTTP_PARAMS_H
#define CDC_HTTP_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

/* What a body is. */
typedef enum HttpShape
{
	HTTP_LINES,  /* records with a newline behind each */
	HTTP_ARRAY,  /* a JSON array of them */
	HTTP_SINGLE, /* one record */
} HttpShape;

typedef enum HttpCoding
{
	HTTP_IDENTITY,
	HTTP_GZIP,
	HTTP_ZSTD,
} HttpCoding;

/* Strings are owned; NULL where not given. */
typedef struct HttpParams
{
	char *origin;   /* "https://host:8443" */
	char *path;     /* begins with a slash; percent-encoded; a template (target.h) */
	char *query;    /* the endpoint's own, with its "?", or "" */
	char *user;     /* of basic authentication */
	char *password; /* never shown */

	HttpShape shape;
	HttpCoding coding;
	uint64_t batch_bytes;
	uint64_t batch_records;
	int64_t timeout; /* of one request, microseconds */
	char *ca_file;
	char *cert_file;
	char *key_file;
	char *headers_file;
	char *secret_file;
	char *secret_env;
} HttpParams;

/* A zeroed struct is an empty one.  On failure too it is the caller's to http_params_free(). */
extern CdcStatus http_params_parse(HttpParams *params, const char *uri,
								   CdcError *err) CDC_MUST_CHECK;
extern void http_params_free(HttpParams *params);

#endif /* CDC_HTTP_PARAMS_H */
