/*
 * http_request.c
 *		One POST at a time over a kept connection.
 */
#include "http_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "options.h"

/* Of an answer so much is read at most; an endpoint that says more has its connection closed. */
#define MAX_ANSWER (1024 * 1024)

/* Where a connection cannot even be made, waiting for the whole of the timeout would tell no more. */
#define CONNECT_TIMEOUT (10 * CLOCK_SECOND)

/* While libcurl has no descriptor to wait for (curl_multi_fdset(3) advises this). */
#define BLIND_WAIT (CLOCK_SECOND / 10)

struct HttpRequest
{
	CURLM *multi;
	CURL *easy;
	struct curl_slist *headers;
	bool running;
	size_t received;
	size_t text_length;
	char text[600];
	char curl_text[CURL_ERROR_SIZE];
};

static size_t
receive_body(char *data, size_t size, size_t count, void *request_arg)
{
	HttpRequest *request = request_arg;
	size_t length = size * count;

	request->received += length;
	if (request->received > MAX_ANSWER)
		return 0; /* ends the transfer; the status has come */
	for (size_t i = 0; i < length && request->text_length < sizeof(request->text) - 1; i++)
	{
		unsigned char c = (unsigned char) data[i];

		/* one line, and nothing that moves a terminal's cursor */
		request->text[request->text_length++] = (char) (c < 0x20 || c == 0x7f ? ' ' : c);
	}
	return length;
}

/* Everything that is the same for each request.  false: libcurl could not take it (out of memory). */
static bool
set_options(HttpRequest *request, const HttpParams *params)
{
	CURL *easy = request->easy;
	int64_t connect = params->timeout < CONNECT_TIMEOUT ? params->timeout : CONNECT_TIMEOUT;
	bool good = curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;

	good = good && curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
	/* one request at a time has nothing of HTTP/2 but its flow control */
	good = good &&
		   curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1) == CURLE_OK;
	good = good && curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK;
	good = good && curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK;
	good = good && curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK;
	good = good &&
		   curl_easy_setopt(easy, CURLOPT_USERAGENT, "cdc_client/" CDC_CLIENT_VERSION) == CURLE_OK;
	good = good &&
		   curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) (params->timeout / 1000)) == CURLE_OK;
	good = good &&
		   curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long) (connect / 1000)) == CURLE_OK;
	/* bodies are large: fewer, larger pieces (the default is 64 KiB) */
	good = good && curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, 512L * 1024) == CURLE_OK;
	good = good && curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive_body) == CURLE_OK;
	good = good && curl_easy_setopt(easy, CURLOPT_WRITEDATA, request) == CURLE_OK;
	good = good && curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->curl_text) == CURLE_OK;
	if (params->user != NULL)
	{
		good = good && curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC) == CURLE_OK;
		good = good && curl_easy_setopt(easy, CURLOPT_USERNAME, params->user) == CURLE_OK;
	}
	if (params->password != NULL)
		good = good && curl_easy_setopt(easy, CURLOPT_PASSWORD, params->password) == CURLE_OK;
	return good;
}

static bool
set_tls_options(HttpRequest *request, const HttpParams *params)
{
	CURL *easy = request->easy;
	bool good = curl_easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2) == CURLE_OK;

	if (params->ca_file != NULL)
		good = good && curl_easy_setopt(easy, CURLOPT_CAINFO, params->ca_file) == CURLE_OK;
	if (params->cert_file != NULL)
		good = good && curl_easy_setopt(easy, CURLOPT_SSLCERT, params->cert_file) == CURLE_OK;
	if (params->key_file != NULL)
		good = good && curl_easy_setopt(easy, CURLOPT_SSLKEY, params->key_file) == CURLE_OK;
	/* of a key that has a passphrase: an error, where OpenSSL would ask the terminal */
	good = good && curl_easy_setopt(easy, CURLOPT_KEYPASSWD, "") == CURLE_OK;
	return good;
}

CdcStatus
http_request_open(HttpRequest **result, const HttpParams *params, CdcError *err)
{
	HttpRequest *request = calloc(1, sizeof(*request));

	*result = NULL;
	if (request == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	request->multi = curl_multi_init();
	request->easy = curl_easy_init();
	if (request->multi == NULL || request->easy == NULL || !set_options(request, params) ||
		!set_tls_options(request, params))
	{
		http_request_close(request);
		return cdc_error(err, CDC_RETRY, "libcurl could not be set up: out of memory");
	}
	*result = request;
	return CDC_OK;
}

void
http_request_abort(HttpRequest *request)
{
	if (request->running)
		curl_multi_remove_handle(request->multi, request->easy);
	request->running = false;
	/* libcurl must not keep what is freed, not even unused */
	curl_easy_setopt(request->easy, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(request->headers);
	request->headers = NULL;
}

void
http_request_close(HttpRequest *request)
{
	if (request == NULL)
		return;
	if (request->easy != NULL)
		http_request_abort(request);
	curl_easy_cleanup(request->easy);
	curl_multi_cleanup(request->multi);
	free(request);
}

CdcStatus
http_request_start(HttpRequest *request, const char *url, struct curl_slist *headers,
				   const char *body, size_t length, CdcError *err)
{
	CURL *easy = request->easy;

	request->headers = headers;
	request->received = request->text_length = 0;
	request->curl_text[0] = '\0';
	if (curl_easy_setopt(easy, CURLOPT_URL, url) != CURLE_OK ||
		curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers) != CURLE_OK ||
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body) != CURLE_OK ||
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) length) != CURLE_OK ||
		curl_multi_add_handle(request->multi, easy) != CURLM_OK)
	{
		http_request_abort(request);
		return cdc_error(err, CDC_RETRY, "libcurl could not take a request: out of memory");
	}
	request->running = true;
	return CDC_OK;
}

static void
read_answer(HttpRequest *request, CURLcode code, HttpAnswer *answer)
{
	curl_off_t retry_after = 0;
	char *location = NULL;

	curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &answer->status);
	curl_easy_getinfo(request->easy, CURLINFO_RETRY_AFTER, &retry_after);
	curl_easy_getinfo(request->easy, CURLINFO_REDIRECT_URL, &location);
	answer->curl_code = (int) code;
	if (code == CURLE_WRITE_ERROR && request->received > MAX_ANSWER && answer->status != 0)
		answer->curl_code = CURLE_OK; /* all that counts has been said */
	answer->retry_after = retry_after * CLOCK_SECOND;
	answer->location = location;
	request->text[request->text_length] = '\0';
	answer->text = request->text;
	if (answer->curl_code != CURLE_OK)
		answer->text =
			request->curl_text[0] != '\0' ? request->curl_text : curl_easy_strerror(code);
}

bool
http_request_poll(HttpRequest *request, HttpAnswer *answer)
{
	CURLMsg *message;
	int running;
	int queued;
	CURLMcode code = curl_multi_perform(request->multi, &running);

	while ((message = curl_multi_info_read(request->multi, &queued)) != NULL)
		if (message->msg == CURLMSG_DONE)
		{
			read_answer(request, message->data.result, answer);
			http_request_abort(request);
			return true;
		}
	if (code == CURLM_OK)
		return false;
	*answer = (HttpAnswer){.curl_code = CURLE_OUT_OF_MEMORY, .text = curl_multi_strerror(code)};
	http_request_abort(request);
	return true;
}

void
http_request_wait(HttpRequest *request, int64_t now, SinkWait *wait)
{
	fd_set sets[3];
	int max_fd = -1;
	long timeout = -1;

	for (int i = 0; i < 3; i++)
		FD_ZERO(&sets[i]);
	curl_multi_fdset(request->multi, &sets[0], &sets[1], &sets[2], &max_fd);
	for (int fd = 0; fd <= max_fd && wait->num_fds < SINK_MAX_FDS; fd++)
	{
		short events = 0;

		if (FD_ISSET(fd, &sets[0]))
			events |= POLLIN;
		if (FD_ISSET(fd, &sets[1]))
			events |= POLLOUT;
		if (FD_ISSET(fd, &sets[2]))
			events |= POLLPRI;
		if (events != 0)
			wait->fds[wait->num_fds++] = (struct pollfd){.fd = fd, .events = events};
	}
	curl_multi_timeout(request->multi, &timeout);
	if (timeout >= 0)
		wait->deadline = now + timeout * 1000;
	if (max_fd < 0 && (timeout < 0 || timeout * 1000 > BLIND_WAIT))
		wait->deadline = now + BLIND_WAIT;
}
