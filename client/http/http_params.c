/*
 * http_params.c
 *		An http sink's URI taken apart.
 */
#include "http_params.h"

#include <ctype.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "clock.h"
#include "sink_param.h"

#define PREFIX "cdc."
#define PREFIX_LENGTH 4

#define DEFAULT_BATCH_RECORDS 10000

#define KNOWN_PARAMS                                                                               \
	"cdc.batch=lines|array|single, cdc.batch-bytes=SIZE, cdc.batch-records=N, "                    \
	"cdc.compress=none|gzip|"                                                                      \
	"zstd, cdc.timeout=DURATION, cdc.headers-file=PATH, cdc.secret-file=PATH, "                    \
	"cdc.secret-env=NAME, cdc.cafile=PATH, cdc.cert=PATH, cdc.key=PATH"

static CdcStatus
read_text(void *field, const char *name, const char *value, CdcError *err)
{
	if (*value == '\0')
		return cdc_error(err, CDC_USAGE, "%s in the sink's URI is empty", name);
	*(char **) field = strdup(value);
	return *(char **) field != NULL ? CDC_OK : cdc_error(err, CDC_RETRY, "out of memory");
}

static CdcStatus
read_batch(void *field, const char *name, const char *value, CdcError *err)
{
	static const char *const names[] = {
		[HTTP_LINES] = "lines", [HTTP_ARRAY] = "array", [HTTP_SINGLE] = "single"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(value, names[i]) == 0)
		{
			*(HttpShape *) field = (HttpShape) i;
			return CDC_OK;
		}
	return cdc_error(err, CDC_USAGE,
					 "%s=%s in the sink's URI is none of \"lines\", \"array\" and \"single\"", name,
					 value);
}

static CdcStatus
read_coding(void *field, const char *name, const char *value, CdcError *err)
{
	static const char *const names[] = {
		[HTTP_IDENTITY] = "none", [HTTP_GZIP] = "gzip", [HTTP_ZSTD] = "zstd"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(value, names[i]) == 0)
		{
#ifndef HAVE_ZSTD
			if (i == HTTP_ZSTD)
			{
				cdc_error(err, CDC_USAGE, "this cdc_client was built without zstd");
				cdc_error_hint(err, "Its library was not there.  apt-get install libzstd-dev, and "
									"build anew; or take gzip.");
				return CDC_USAGE;
			}
#endif
			*(HttpCoding *) field = (HttpCoding) i;
			return CDC_OK;
		}
	return cdc_error(err, CDC_USAGE,
					 "%s=%s in the sink's URI is none of \"none\", \"gzip\" and \"zstd\"", name,
					 value);
}

static const struct
{
	const char *name; /* without the prefix */
	SinkParamReader read;
	size_t field;
} known_params[] = {
	{"batch", read_batch, offsetof(HttpParams, shape)},
	{"batch-bytes", sink_param_batch_bytes, offsetof(HttpParams, batch_bytes)},
	{"batch-records", sink_param_batch_records, offsetof(HttpParams, batch_records)},
	{"compress", read_coding, offsetof(HttpParams, coding)},
	{"timeout", sink_param_timeout, offsetof(HttpParams, timeout)},
	{"headers-file", read_text, offsetof(HttpParams, headers_file)},
	{"secret-file", read_text, offsetof(HttpParams, secret_file)},
	{"secret-env", read_text, offsetof(HttpParams, secret_env)},
	{"cafile", read_text, offsetof(HttpParams, ca_file)},
	{"cert", read_text, offsetof(HttpParams, cert_file)},
	{"key", read_text, offsetof(HttpParams, key_file)},
};

#define NUM_KNOWN (sizeof(known_params) / sizeof(known_params[0]))

/* name=value, without the prefix. */
static CdcStatus
read_param(HttpParams *params, const char *param, unsigned *seen, CdcError *err)
{
	const char *equals = strchr(param, '=');
	size_t length = equals != NULL ? (size_t) (equals - param) : strlen(param);

	for (size_t i = 0; i < NUM_KNOWN; i++)
	{
		char name[40];
		char *value;
		CdcStatus status;

		if (strlen(known_params[i].name) != length ||
			strncmp(known_params[i].name, param, length) != 0)
			continue;
		snprintf(name, sizeof(name), PREFIX "%s", known_params[i].name);
		if (equals == NULL)
			return cdc_error(err, CDC_USAGE, "%s in the sink's URI has no value", name);
		if ((*seen & 1U << i) != 0)
			return cdc_error(err, CDC_USAGE, "%s is in the sink's URI twice", name);
		*seen |= 1U << i;
		value = curl_easy_unescape(NULL, equals + 1, 0, NULL);
		if (value == NULL)
			return cdc_error(err, CDC_RETRY, "out of memory");
		status = known_params[i].read((char *) params + known_params[i].field, name, value, err);
		curl_free(value);
		return status;
	}
	cdc_error(err, CDC_USAGE, "the http sink has no parameter \"" PREFIX "%.*s\"", (int) length,
			  param);
	cdc_error_hint(err, "It has: %s.", KNOWN_PARAMS);
	return CDC_USAGE;
}

/*
 * What is most likely one of ours misspelt: a name of ours without its prefix, or with something like
 * it ("CDC.batch", "cdc_batch").
 */
static bool
looks_like_ours(const char *param)
{
	size_t length = strcspn(param, "=");

	if (strncasecmp(param, "cdc", 3) == 0 && length > 3 && !isalnum((unsigned char) param[3]))
		return true;
	for (size_t i = 0; i < NUM_KNOWN; i++)
		/* an endpoint's own "key" is common */
		if (strlen(known_params[i].name) == length && strcmp(known_params[i].name, "key") != 0 &&
			strncmp(known_params[i].name, param, length) == 0)
			return true;
	return false;
}

/* Ours are read, the others stay as they are, in their order. */
static CdcStatus
read_query(HttpParams *params, char *query, CdcError *err)
{
	unsigned seen = 0;
	size_t kept = 0;

	params->query = calloc(1, strlen(query) + 2);
	if (params->query == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	for (char *param = query; param != NULL;)
	{
		char *next = strchr(param, '&');
		CdcStatus status = CDC_OK;

		if (next != NULL)
			*next++ = '\0';
		if (strncmp(param, PREFIX, PREFIX_LENGTH) == 0)
			status = read_param(params, param + PREFIX_LENGTH, &seen, err);
		else if (looks_like_ours(param))
		{
			int length = (int) strcspn(param, "=");

			status = cdc_error(err, CDC_USAGE,
							   "parameter \"%.*s\" in the sink's URI looks like one of "
							   "cdc_client's, but these begin with \"" PREFIX "\"",
							   length, param);
			cdc_error_hint(err,
						   "Ours are: %s.  If it is the endpoint's own, write its first letter "
						   "percent-encoded: %%%02X%.*s.",
						   KNOWN_PARAMS, (unsigned) (unsigned char) param[0], length - 1,
						   param + 1);
		}
		else
			kept += (size_t) sprintf(params->query + kept, "%c%s", kept == 0 ? '?' : '&', param);
		if (status != CDC_OK)
			return status;
		param = next;
	}
	return CDC_OK;
}

/* One part of the URL, malloc'd; NULL where there is none, or memory. */
static char *
url_part(CURLU *url, CURLUPart part, unsigned flags)
{
	char *text = NULL;
	char *copy = NULL;

	if (curl_url_get(url, part, &text, flags) == CURLUE_OK)
		copy = strdup(text);
	curl_free(text);
	return copy;
}

/* User or password, decoded; NULL where there is none. */
static CdcStatus
read_credential(char **credential, CURLU *url, CURLUPart part, CdcError *err)
{
	char *text = NULL;
	CURLUcode code = curl_url_get(url, part, &text, CURLU_URLDECODE);

	if (code == CURLUE_NO_USER || code == CURLUE_NO_PASSWORD)
		return CDC_OK;
	/* without a word about it, requests would go without credentials */
	if (code == CURLUE_URLDECODE)
	{
		cdc_error(err, CDC_USAGE,
				  "user or password in the sink's URI has a control character in it, as %%0A");
		cdc_error_hint(err, "HTTP's basic authentication has no place for these.");
		return CDC_USAGE;
	}
	if (code == CURLUE_OK)
		*credential = strdup(text);
	curl_free(text);
	return *credential != NULL ? CDC_OK : cdc_error(err, CDC_RETRY, "out of memory");
}

static CdcStatus
read_origin(HttpParams *params, CURLU *url, CdcError *err)
{
	char *scheme = url_part(url, CURLUPART_SCHEME, 0);
	char *host = url_part(url, CURLUPART_HOST, 0);
	char *port = url_part(url, CURLUPART_PORT, CURLU_NO_DEFAULT_PORT);
	CdcStatus status;

	if (scheme == NULL || host == NULL ||
		asprintf(&params->origin, "%s://%s%s%s", scheme, host, port != NULL ? ":" : "",
				 port != NULL ? port : "") < 0)
		params->origin = NULL;
	free(scheme);
	free(host);
	free(port);
	params->path = url_part(url, CURLUPART_PATH, 0);
	if (params->origin == NULL || params->path == NULL)
	{
		cdc_error(err, CDC_RETRY, "out of memory");
		return CDC_RETRY;
	}
	status = read_credential(&params->user, url, CURLUPART_USER, err);
	if (status == CDC_OK)
		status = read_credential(&params->password, url, CURLUPART_PASSWORD, err);
	return status;
}

static CdcStatus
check_params(const HttpParams *params, CdcError *err)
{
	bool tls = strncmp(params->origin, "https:", 6) == 0;

	if (params->shape == HTTP_SINGLE && params->batch_records > 1)
		return cdc_error(err, CDC_USAGE,
						 "the sink's URI has cdc.batch=single, and cdc.batch-records=%" PRIu64,
						 params->batch_records);
	if (params->secret_file != NULL && params->secret_env != NULL)
		return cdc_error(err, CDC_USAGE,
						 "the sink's URI has both cdc.secret-file and cdc.secret-env");
	if (params->key_file != NULL && params->cert_file == NULL)
		return cdc_error(err, CDC_USAGE, "the sink's URI has cdc.key, but no cdc.cert");
	if (!tls && (params->ca_file != NULL || params->cert_file != NULL))
		return cdc_error(err, CDC_USAGE, "%s in the sink's URI means something for https:// only",
						 params->ca_file != NULL ? "cdc.cafile" : "cdc.cert");
	return CDC_OK;
}

CdcStatus
http_params_parse(HttpParams *params, const char *uri, CdcError *err)
{
	CURLU *url = curl_url();
	char *query = NULL;
	char *fragment = NULL;
	char nothing[] = "";
	CURLUcode code;
	CdcStatus status = CDC_OK;

	params->batch_bytes = 1 << 20;
	params->timeout = 60 * CLOCK_SECOND;
	if (url == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	code = curl_url_set(url, CURLUPART_URL, uri, 0);
	/* libcurl takes one slash or three too, and finds a host where there is none */
	if (strncmp(strchr(uri, ':'), "://", 3) != 0 || strchr(uri, ':')[3] == '/')
		code = CURLUE_NO_HOST;
	if (code != CURLUE_OK)
	{
		status = cdc_error(err, code == CURLUE_OUT_OF_MEMORY ? CDC_RETRY : CDC_USAGE,
						   "the sink's URI is not an http URL: %s", curl_url_strerror(code));
		cdc_error_hint(err, "For example: https://example.com/hooks/cdc?cdc.compress=gzip.");
	}
	if (status == CDC_OK)
		status = read_origin(params, url, err);
	fragment = url_part(url, CURLUPART_FRAGMENT, 0);
	if (status == CDC_OK && fragment != NULL)
		/* not shown: it may be the rest of a password that has a # in it */
		status =
			cdc_error(err, CDC_USAGE,
					  "the sink's URI has a fragment (from \"#\" on), which is never sent; a # "
					  "itself is written %%23");
	query = url_part(url, CURLUPART_QUERY, 0);
	if (status == CDC_OK)
		status = read_query(params, query != NULL ? query : nothing, err);
	if (status == CDC_OK && strcmp(params->query, "?") == 0)
		params->query[0] = '\0';
	if (status == CDC_OK)
		status = check_params(params, err);
	if (params->batch_records == 0)
		params->batch_records = params->shape == HTTP_SINGLE ? 1 : DEFAULT_BATCH_RECORDS;
	free(fragment);
	free(query);
	curl_url_cleanup(url);
	return status;
}

void
http_params_free(HttpParams *params)
{
	free(params->origin);
	free(params->path);
	free(params->query);
	free(params->user);
	free(params->password);
	free(params->ca_file);
	free(params->cert_file);
	free(params->key_file);
	free(params->headers_file);
	free(params->secret_file);
	free(params->secret_env);
	memset(params, 0, sizeof(*params));
}
