/*
 * rpc_status.c
 *		What follows from the status that a gRPC stream ended with.
 */
#include "rpc_status.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <grpc/status.h>

/* Their meanings: https://grpc.github.io/grpc/core/md_doc_statuscodes.html */
static const struct
{
	const char *name;
	CdcStatus meaning;
	const char *hint;
} statuses[] = {
	[GRPC_STATUS_OK] = {"OK", CDC_RETRY, ""},
	[GRPC_STATUS_CANCELLED] = {"CANCELLED", CDC_RETRY, ""},
	[GRPC_STATUS_UNKNOWN] = {"UNKNOWN", CDC_RETRY, ""},
	[GRPC_STATUS_INVALID_ARGUMENT] = {"INVALID_ARGUMENT", CDC_REFUSED,
									  "The server says so of the whole stream.  To refuse one "
									  "record, it answers with Ack.refused (cdc_sink.proto)."},
	[GRPC_STATUS_DEADLINE_EXCEEDED] = {"DEADLINE_EXCEEDED", CDC_RETRY, ""},
	[GRPC_STATUS_NOT_FOUND] = {"NOT_FOUND", CDC_STOP, ""},
	[GRPC_STATUS_ALREADY_EXISTS] = {"ALREADY_EXISTS", CDC_STOP, ""},
	[GRPC_STATUS_PERMISSION_DENIED] = {"PERMISSION_DENIED", CDC_STOP,
									   "See metadata-file, cert and key in the sink's URI."},
	[GRPC_STATUS_RESOURCE_EXHAUSTED] = {"RESOURCE_EXHAUSTED", CDC_RETRY, ""},
	[GRPC_STATUS_FAILED_PRECONDITION] = {"FAILED_PRECONDITION", CDC_STOP, ""},
	[GRPC_STATUS_ABORTED] = {"ABORTED", CDC_RETRY, ""},
	[GRPC_STATUS_OUT_OF_RANGE] = {"OUT_OF_RANGE", CDC_STOP, ""},
	[GRPC_STATUS_UNIMPLEMENTED] = {"UNIMPLEMENTED", CDC_STOP,
								   "Whoever listens there does not implement cdc.v1.CdcSink "
								   "(cdc_sink.proto): see host and port in the sink's URI."},
	[GRPC_STATUS_INTERNAL] = {"INTERNAL", CDC_RETRY, ""},
	[GRPC_STATUS_UNAVAILABLE] = {"UNAVAILABLE", CDC_RETRY, ""},
	[GRPC_STATUS_DATA_LOSS] = {"DATA_LOSS", CDC_STOP, ""},
	[GRPC_STATUS_UNAUTHENTICATED] = {"UNAUTHENTICATED", CDC_STOP,
									 "See metadata-file in the sink's URI: \"authorization: Bearer "
									 "...\", for example."},
};

#define NUM_STATUSES ((int) (sizeof(statuses) / sizeof(statuses[0])))

static bool
is_known(int code)
{
	return code >= 0 && code < NUM_STATUSES;
}

const char *
rpc_status_name(int code)
{
	return is_known(code) ? statuses[code].name : "an unknown status";
}

bool
rpc_status_too_large(int code, const char *text)
{
	/* of gRPC core, Go, Java, .NET, Node, Rust's tonic; a quota has the same code and other words */
	static const char *const phrases[] = {"larger than max", "exceeds maximum",
										  "exceeds the maximum", "too large", "size exceed"};

	if (code != GRPC_STATUS_RESOURCE_EXHAUSTED && code != GRPC_STATUS_OUT_OF_RANGE)
		return false;
	for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
		if (strcasestr(text, phrases[i]) != NULL)
			return true;
	return false;
}

/*
 * Of a connection that was not made, gRPC tells as UNAVAILABLE with OpenSSL's or its own words.  A server
 * without the right certificate is no more trusted a minute later.
 */
static bool
not_trusted(int code, const char *text)
{
	return code == GRPC_STATUS_UNAVAILABLE && (strstr(text, "certificate verify failed") != NULL ||
											   strstr(text, "not in peer certificate") != NULL ||
											   strstr(text, "Hostname Verification") != NULL);
}

CdcStatus
rpc_status_meaning(int code, const char *text, bool answered)
{
	if (!is_known(code))
		return CDC_RETRY;
	if (not_trusted(code, text))
		return CDC_STOP;
	if (rpc_status_too_large(code, text))
		return CDC_REFUSED;
	/* a token that has run out in mid-stream: its file may hold another one now */
	if (code == GRPC_STATUS_UNAUTHENTICATED && answered)
		return CDC_RETRY;
	return statuses[code].meaning;
}

const char *
rpc_status_hint(int code, const char *text)
{
	if (not_trusted(code, text))
		return "Whoever answers has no certificate for this name from an authority that is "
			   "trusted; "
			   "cafile in the sink's URI names another one, authority the name that is to be in "
			   "it.";
	return is_known(code) ? statuses[code].hint : "";
}
