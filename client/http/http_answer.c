/*
 * http_answer.c
 *		What follows from an endpoint's answer, or from its lack.
 */
#include "http_answer.h"

#include <stddef.h>

#include <curl/curl.h>

/* RFC 9110 "Status Codes" and RFC 6585; what is not listed goes by its class, below. */
static const struct
{
	short status;
	HttpVerdict verdict;
	const char *hint;
} answers[] = {
	{307, HTTP_REDIRECT, ""},
	{308, HTTP_REDIRECT, ""},
	{401, HTTP_WRONG,
	 "The endpoint wants other credentials: see cdc.headers-file (Authorization: Bearer ...), or "
	 "user:password@ in the sink's URI."},
	{402, HTTP_WRONG, ""},
	{403, HTTP_WRONG,
	 "The endpoint does not allow this.  If it checks signatures, see cdc.secret-file; if "
	 "credentials, cdc.headers-file."},
	{404, HTTP_WRONG, "There is nothing at this address: see the path in the sink's URI."},
	{405, HTTP_WRONG, "The endpoint takes no POST: see the path in the sink's URI."},
	{406, HTTP_WRONG, ""},
	{407, HTTP_WRONG, "The proxy wants credentials: see the environment variable that names it."},
	{408, HTTP_AGAIN, ""},
	{409, HTTP_AGAIN, ""}, /* draft-ietf-httpapi-idempotency-key-header: the first one is at work */
	{410, HTTP_WRONG, "The endpoint has been taken away: see the sink's URI."},
	{411, HTTP_WRONG, ""},
	{413, HTTP_TOO_LARGE, ""},
	{415, HTTP_WRONG,
	 "The endpoint does not take this kind of body: see cdc.batch and cdc.compress in the sink's "
	 "URI."},
	{417, HTTP_WRONG, ""},
	{421, HTTP_WRONG, ""},
	{425, HTTP_AGAIN, ""},
	{426, HTTP_WRONG, ""},
	{429, HTTP_AGAIN, ""},
	{431, HTTP_WRONG, "The headers are too large for it: see cdc.headers-file."},
	{501, HTTP_WRONG, "The endpoint takes no POST: see the sink's URI."},
	{505, HTTP_WRONG, ""},
	{511, HTTP_WRONG, ""},
};

#define NUM_ANSWERS (sizeof(answers) / sizeof(answers[0]))

HttpVerdict
http_answer_verdict(long status)
{
	for (size_t i = 0; i < NUM_ANSWERS; i++)
		if (answers[i].status == status)
			return answers[i].verdict;
	if (status >= 200 && status <= 299)
		return HTTP_TAKEN;
	if (status >= 400 && status <= 499)
		return HTTP_POISON;
	if (status >= 500 && status <= 599)
		return HTTP_AGAIN;
	return HTTP_WRONG;
}

const char *
http_answer_hint(long status)
{
	for (size_t i = 0; i < NUM_ANSWERS; i++)
		if (answers[i].status == status)
			return answers[i].hint;
	if (status >= 300 && status <= 399)
		return "A redirection that does not keep the method and the body is not followed: put the "
			   "new address into the sink's URI.";
	return "";
}

/* What never passes by itself; everything else about a connection may. */
static const struct
{
	CURLcode code;
	CdcStatus status;
	const char *hint;
} failures[] = {
	{CURLE_UNSUPPORTED_PROTOCOL, CDC_USAGE, ""},
	{CURLE_URL_MALFORMAT, CDC_USAGE, ""},
	{CURLE_NOT_BUILT_IN, CDC_USAGE, ""},
	{CURLE_SSL_ENGINE_NOTFOUND, CDC_USAGE, ""},
	{CURLE_SSL_CERTPROBLEM, CDC_USAGE,
	 "See cdc.cert and cdc.key in the sink's URI: PEM files, that the client may read."},
	{CURLE_SSL_CIPHER, CDC_USAGE, ""},
	{CURLE_SSL_CACERT_BADFILE, CDC_USAGE,
	 "See cdc.cafile in the sink's URI: a PEM file, that the client may read."},
	{CURLE_PEER_FAILED_VERIFICATION, CDC_STOP,
	 "Whoever answers has no certificate for this name from an authority that is trusted; "
	 "cdc.cafile in the sink's URI names another one."},
	{CURLE_SSL_ISSUER_ERROR, CDC_STOP, ""},
	{CURLE_SSL_PINNEDPUBKEYNOTMATCH, CDC_STOP, ""},
};

#define NUM_FAILURES (sizeof(failures) / sizeof(failures[0]))

CdcStatus
http_answer_failure(int curl_code)
{
	for (size_t i = 0; i < NUM_FAILURES; i++)
		if ((int) failures[i].code == curl_code)
			return failures[i].status;
	return CDC_RETRY;
}

const char *
http_answer_failure_hint(int curl_code)
{
	for (size_t i = 0; i < NUM_FAILURES; i++)
		if ((int) failures[i].code == curl_code)
			return failures[i].hint;
	return "";
}
