/*
 * http_send.c
 *		One batch on its way.
 *
 * One request is under way at a time: with more, one that fails and is sent again would come behind its
 * successors.  A request covers records[from .. from + count) of the batch.  Where one of them makes the
 * endpoint refuse them all, halves of what is suspect are sent until the record is alone.
 */
#include "http_send.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "http_answer.h"
#include "http_body.h"
#include "http_headers.h"
#include "http_request.h"

/* So long a failing request is repeated in place, before the loop is told (which says so in the log). */
#define IN_PLACE (2 * CLOCK_SECOND)
#define MAX_PAUSE (1 * CLOCK_SECOND)

/* An endpoint that wants more than that is asked again after it. */
#define MAX_RETRY_AFTER (3600 * CLOCK_SECOND)

#define MAX_REDIRECTS 5

typedef enum SendState
{
	SEND_IDLE,    /* no batch */
	SEND_PREPARE, /* compressing, signing */
	SEND_RUNNING, /* the request is under way */
	SEND_PAUSE,   /* until resume_at */
} SendState;

struct HttpSend
{
	const HttpParams *params;
	uint64_t limit;
	HttpBatch *batch;
	uint32_t from;
	uint32_t count;
	uint32_t suspects; /* records from from on that were refused together; 0: none are suspect */
	SendState state;
	int64_t resume_at;
	Retry retry;
	char *redirected; /* URL in place of the batch's, or NULL */
	int redirects;

	/* from open to close */
	Source source;
	HttpRequest *request;
	HttpBody *body;
	struct curl_slist *users_headers;
};

CdcStatus
http_send_create(HttpSend **result, const HttpParams *params, CdcError *err)
{
	HttpSend *send = calloc(1, sizeof(*send));

	*result = send;
	if (send == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	send->params = params;
	send->limit = params->batch_bytes;
	retry_start(&send->retry, IN_PLACE, (uint64_t) clock_now() ^ ((uint64_t) getpid() << 32));
	return CDC_OK;
}

void
http_send_free(HttpSend *send)
{
	if (send == NULL)
		return;
	http_send_close(send);
	http_send_drop(send);
	free(send);
}

void
http_send_close(HttpSend *send)
{
	http_request_close(send->request);
	http_body_free(send->body);
	curl_slist_free_all(send->users_headers);
	send->request = NULL;
	send->body = NULL;
	send->users_headers = NULL;
}

/* The batch's own URL is asked again: a redirection holds for one request. */
static void
forget_redirection(HttpSend *send)
{
	send->redirects = 0;
	free(send->redirected);
	send->redirected = NULL;
}

void
http_send_drop(HttpSend *send)
{
	send->batch = NULL;
	send->state = SEND_IDLE;
	send->from = send->count = send->suspects = 0;
	forget_redirection(send);
}

/* Makes the request's body of the records that it covers. */
static CdcStatus
begin_body(HttpSend *send, CdcError *err)
{
	size_t length;
	const char *data = http_batch_body(send->batch, send->from, send->count, &length);

	forget_redirection(send);
	send->state = SEND_PREPARE;
	return http_body_begin(send->body, data, length, err);
}

CdcStatus
http_send_open(HttpSend *send, const Source *source, CdcError *err)
{
	char *secret = NULL;
	size_t length = 0;
	CdcStatus status = CDC_OK;

	send->source = *source;
	retry_progress(&send->retry);
	if (send->params->headers_file != NULL)
		status = http_headers_read(send->params->headers_file, &send->users_headers, err);
	if (status == CDC_OK)
		status = http_secret_read(send->params, &secret, &length, err);
	if (status == CDC_OK)
		status = http_body_create(&send->body, send->params->coding, secret, length, err);
	if (secret != NULL)
		explicit_bzero(secret, length);
	free(secret);
	if (status == CDC_OK)
		status = http_request_open(&send->request, send->params, err);
	if (status != CDC_OK || send->state == SEND_IDLE)
		return status;
	status = begin_body(send, err);
	/* the endpoint has asked for a time that is not over */
	if (status == CDC_OK && send->resume_at > clock_now())
		send->state = SEND_PAUSE;
	return status;
}

void
http_send_begin(HttpSend *send, HttpBatch *batch)
{
	send->batch = batch;
	send->from = send->suspects = 0;
	send->count = batch->num_records; /* what is gathered keeps to the limit */
	send->resume_at = 0;
	send->state = SEND_PAUSE; /* that is over */
}

/* Which request is spoken of: "POST https://host/path (records 0/16E2A10-3-0 to 0/16E2A10-9-0)". */
static void
describe_request(const HttpSend *send, char *text, size_t size)
{
	const char *url = send->redirected != NULL ? send->redirected : send->batch->url;
	char first[HTTP_RECORD_TEXT_SIZE];
	char last[HTTP_RECORD_TEXT_SIZE];

	/* without the query, which may hold a key */
	snprintf(text, size, "POST %.*s (%s %s%s%s)", (int) strcspn(url, "?"), url,
			 send->count == 1 ? "record" : "records",
			 http_record_text(first, &send->batch->records[send->from].id),
			 send->count == 1 ? "" : " to ",
			 send->count == 1
				 ? ""
				 : http_record_text(last, &send->batch->records[send->from + send->count - 1].id));
}

static CdcStatus
answer_error(const HttpSend *send, CdcStatus status, const HttpAnswer *answer, CdcError *err)
{
	char request[600];

	describe_request(send, request, sizeof(request));
	if (answer->curl_code != 0)
		cdc_error(err, status, "%s failed: %s", request, answer->text);
	else
		cdc_error(err, status, "%s was answered with %ld%s%s", request, answer->status,
				  answer->text[0] != '\0' ? ": " : "", answer->text);
	if (answer->curl_code == 0 && status != CDC_RETRY)
		cdc_error_hint(err, "%s", http_answer_hint(answer->status));
	else if (answer->curl_code != 0)
		cdc_error_hint(err, "%s", http_answer_failure_hint(answer->curl_code));
	return status;
}

/* Pauses, then the same again; CDC_RETRY once that has gone on for a while. */
static CdcStatus
try_again(HttpSend *send, const HttpAnswer *answer, int64_t now, CdcError *err)
{
	int64_t pause;
	bool in_place = retry_failed(&send->retry, now, MAX_PAUSE, &pause);

	if (answer->retry_after > 0)
	{
		pause = answer->retry_after < MAX_RETRY_AFTER ? answer->retry_after : MAX_RETRY_AFTER;
		in_place = pause <= IN_PLACE && in_place;
	}
	send->resume_at = now + pause;
	send->state = SEND_PAUSE;
	if (in_place)
		return CDC_OK;
	answer_error(send, CDC_RETRY, answer, err);
	if (answer->retry_after > 0)
		cdc_error_detail(err, "It asks to be left alone for %lld s, which the client does.",
						 (long long) (answer->retry_after / CLOCK_SECOND));
	return CDC_RETRY;
}

/* The number of records from the next one on that one request may have. */
static uint32_t
count_within_limit(const HttpSend *send)
{
	const HttpBatch *batch = send->batch;
	size_t start = batch->records[send->from].start;
	uint32_t count = 1;

	while (send->from + count < batch->num_records)
	{
		const BatchRecord *next = &batch->records[send->from + count];

		if (next->start + next->length + 2 - start > send->limit)
			break;
		count++;
	}
	return count;
}

/* Where a request goes on after the records before it were taken, or fewer are to be sent. */
static CdcStatus
go_on(HttpSend *send, CdcError *err)
{
	if (send->from == send->batch->num_records)
	{
		http_send_drop(send);
		return CDC_OK;
	}
	send->count = count_within_limit(send);
	if (send->suspects > 0 && send->count > (send->suspects + 1) / 2)
		send->count = (send->suspects + 1) / 2;
	return begin_body(send, err);
}

static CdcStatus
records_taken(HttpSend *send, CdcError *err)
{
	retry_progress(&send->retry);
	send->suspects = send->suspects > send->count ? send->suspects - send->count : 0;
	send->from += send->count;
	return go_on(send, err);
}

static CdcStatus
records_refused(HttpSend *send, const HttpAnswer *answer, bool too_large, CdcError *err)
{
	size_t length;

	retry_progress(&send->retry);
	if (send->count == 1 && batch_record_is_schema(&send->batch->records[send->from]))
	{
		answer_error(send, CDC_STOP, answer, err);
		cdc_error_hint(err, "It is a schema record, which --on-error cannot divert: it is no "
							"record.  Let the endpoint take it; or stream without them: "
							"--option=schemas=off.");
		return CDC_STOP;
	}
	if (send->count == 1)
		return answer_error(send, CDC_REFUSED, answer, err);
	if (too_large)
	{
		/* holds for what is gathered from now on, too */
		http_batch_body(send->batch, send->from, send->count, &length);
		send->limit = length / 2;
	}
	else
		send->suspects = send->count;
	return go_on(send, err);
}

/*
 * A redirection that keeps method and body (307, 308) is followed where it leads to the same host, or
 * from http to https of it: elsewhere it would take credentials and records to whoever it names.
 */
static CdcStatus
follow(HttpSend *send, const HttpAnswer *answer, CdcError *err)
{
	const char *origin = send->params->origin;
	const char *host = strstr(origin, "://") + 3;
	const char *location = answer->location != NULL ? answer->location : "";
	size_t host_length = strcspn(host, ":");
	bool same = strncmp(location, origin, strlen(origin)) == 0 &&
				strchr("/?", location[strlen(origin)]) != NULL;

	if (host[0] == '[') /* an IPv6 address */
		host_length = strcspn(host, "]") + 1;
	if (!same && strncmp(origin, "http://", 7) == 0 && strncmp(location, "https://", 8) == 0)
		same = strncmp(location + 8, host, host_length) == 0 &&
			   strchr(":/?", location[8 + host_length]) != NULL;
	if (!same || send->redirects == MAX_REDIRECTS)
	{
		answer_error(send, CDC_STOP, answer, err);
		cdc_error_detail(err, "It redirects to %.*s.", (int) strcspn(location, "?"), location);
		cdc_error_hint(err, same
								? "It has redirected too often."
								: "To another host no redirection is followed: put the new address "
								  "into the sink's URI.");
		return CDC_STOP;
	}
	send->redirects++;
	free(send->redirected);
	send->redirected = strdup(location);
	if (send->redirected == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	send->state = SEND_PREPARE;
	return http_body_resign(send->body, err);
}

static CdcStatus
take_answer(HttpSend *send, const HttpAnswer *answer, int64_t now, CdcError *err)
{
	if (answer->curl_code != 0)
	{
		CdcStatus status = http_answer_failure(answer->curl_code);

		return status == CDC_RETRY ? try_again(send, answer, now, err)
								   : answer_error(send, status, answer, err);
	}
	switch (http_answer_verdict(answer->status))
	{
		case HTTP_TAKEN:
			return records_taken(send, err);
		case HTTP_AGAIN:
			return try_again(send, answer, now, err);
		case HTTP_REDIRECT:
			return follow(send, answer, err);
		case HTTP_TOO_LARGE:
			return records_refused(send, answer, true, err);
		case HTTP_POISON:
			return records_refused(send, answer, false, err);
		case HTTP_WRONG:
			break;
	}
	answer_error(send, CDC_STOP, answer, err);
	if (answer->location != NULL)
		cdc_error_detail(err, "It redirects to %.*s.", (int) strcspn(answer->location, "?"),
						 answer->location);
	return CDC_STOP;
}

/* A step of preparing; starts the request after the last one. */
static CdcStatus
prepare(HttpSend *send, CdcError *err)
{
	HttpAbout about = {.params = send->params,
					   .source = &send->source,
					   .batch = send->batch,
					   .from = send->from,
					   .count = send->count};
	struct curl_slist *headers;
	const char *data;
	size_t length;
	bool done;
	CdcStatus status = http_body_step(send->body, &done, err);

	if (status != CDC_OK || !done)
		return status;
	about.signature = http_body_signature(send->body);
	headers = http_headers_make(&about, send->users_headers);
	if (headers == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	data = http_body_data(send->body, &length);
	send->state = SEND_RUNNING;
	return http_request_start(send->request,
							  send->redirected != NULL ? send->redirected : send->batch->url,
							  headers, data, length, err);
}

CdcStatus
http_send_poll(HttpSend *send, int64_t now, uint32_t *taken, CdcError *err)
{
	HttpAnswer answer = {0};
	const HttpBatch *batch = send->batch;
	CdcStatus status = CDC_OK;

	*taken = 0;
	if (batch == NULL)
		return CDC_OK;
	if (send->state == SEND_PAUSE && now >= send->resume_at)
	{
		/* a first request's body is made here, a repeated one's is there and only signed anew */
		forget_redirection(send);
		status = send->resume_at == 0 ? begin_body(send, err) : http_body_resign(send->body, err);
		send->state = SEND_PREPARE;
	}
	if (status == CDC_OK && send->state == SEND_PREPARE)
		status = prepare(send, err);
	if (status == CDC_OK && send->state == SEND_RUNNING &&
		http_request_poll(send->request, &answer))
		status = take_answer(send, &answer, now, err);
	*taken = send->state == SEND_IDLE ? batch->num_records : send->from;
	return status;
}

void
http_send_wait(HttpSend *send, int64_t now, SinkWait *wait)
{
	switch (send->state)
	{
		case SEND_IDLE:
			break;
		case SEND_PREPARE:
			wait->deadline = now;
			break;
		case SEND_RUNNING:
			http_request_wait(send->request, now, wait);
			break;
		case SEND_PAUSE:
			wait->deadline = send->resume_at > now ? send->resume_at : now;
			break;
	}
}

uint64_t
http_send_limit(const HttpSend *send)
{
	return send->limit;
}
