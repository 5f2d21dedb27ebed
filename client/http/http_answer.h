/*
 * http_answer.h
 *		What follows from an endpoint's answer, or from its lack.
 *
 * Pure: two tables.  doc/sink-http.md has them in words.
 */
#ifndef CDC_HTTP_ANSWER_H
#define CDC_HTTP_ANSWER_H

#include "error.h"

typedef enum HttpVerdict
{
	HTTP_TAKEN,     /* durable with the receiver */
	HTTP_AGAIN,     /* may pass: the same request again, later */
	HTTP_REDIRECT,  /* the same request elsewhere */
	HTTP_TOO_LARGE, /* too much in one request */
	HTTP_POISON,    /* one of the records, or the only one, is refused */
	HTTP_WRONG,     /* no record of ours will ever be taken so: a person has to see to it */
} HttpVerdict;

extern HttpVerdict http_answer_verdict(long status);

/* Of an HTTP_WRONG: what it may mean and what to do; "" where nothing is known. */
extern const char *http_answer_hint(long status);

/* A request that got no whole answer, by its CURLcode: CDC_RETRY, CDC_STOP or CDC_USAGE. */
extern CdcStatus http_answer_failure(int curl_code);
extern const char *http_answer_failure_hint(int curl_code);

#endif /* CDC_HTTP_ANSWER_H */
