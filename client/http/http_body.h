/*
 * http_body.h
 *		What is done to a body before it is sent: compressed, signed; a piece at a time.
 */
#ifndef CDC_HTTP_BODY_H
#define CDC_HTTP_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "http_params.h"

typedef struct HttpBody HttpBody;

/* secret may be NULL: nothing is signed then.  It is copied. */
extern CdcStatus http_body_create(HttpBody **body, HttpCoding coding, const char *secret,
								  size_t secret_length, CdcError *err) CDC_MUST_CHECK;
extern void http_body_free(HttpBody *body); /* takes NULL */

/* Begins with other bytes, which stay the caller's and as they are until they have been sent. */
extern CdcStatus http_body_begin(HttpBody *body, const char *data, size_t length,
								 CdcError *err) CDC_MUST_CHECK;

/* The same bytes are to be signed anew. */
extern CdcStatus http_body_resign(HttpBody *body, CdcError *err) CDC_MUST_CHECK;

/* Does a few milliseconds' worth; *done once the body is ready. */
extern CdcStatus http_body_step(HttpBody *body, bool *done, CdcError *err) CDC_MUST_CHECK;

/* The bytes to be sent, and "t=...,v1=..." where they are signed, else NULL. */
extern const char *http_body_data(const HttpBody *body, size_t *length);
extern const char *http_body_signature(const HttpBody *body);

/* The value of Content-Encoding, or NULL. */
extern const char *http_coding_name(HttpCoding coding);

#endif /* CDC_HTTP_BODY_H */
