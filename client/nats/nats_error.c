/*
 * nats_error.c
 *		What the errors of the NATS library and of JetStream mean.
 */
#include "nats_error.h"

#include <stddef.h>
#include <string.h>

/* Whatever is not listed may pass: most of the library's errors are about the connection. */
static const struct
{
	natsStatus code;
	CdcStatus status;
	const char *hint;
} library_meanings[] = {
	{NATS_CONNECTION_AUTH_FAILED, CDC_USAGE,
	 "Give user and password, or a token, in the sink's URI: nats://user:password@host/, or a file "
	 "by credentials=FILE."},
	{NATS_NOT_PERMITTED, CDC_USAGE, "The user needs the subjects that doc/sink-nats.md lists."},
	{NATS_SECURE_CONNECTION_WANTED, CDC_USAGE, "The server has no TLS: leave tls=on out."},
	{NATS_SECURE_CONNECTION_REQUIRED, CDC_USAGE,
	 "The server wants TLS: tls=on in the sink's URI, and tls-ca=FILE where its certificate is not "
	 "of a known authority."},
	{NATS_SSL_ERROR, CDC_USAGE,
	 "tls-ca=FILE in the sink's URI names the authority of the server's certificate; the host's "
	 "name has to be in it."},
	{NATS_NO_RESPONDERS, CDC_RETRY,
	 "Nobody answers for JetStream: the server may be starting or without a leader; else it was "
	 "started without JetStream (nats-server -js)."},
	{NATS_MAX_PAYLOAD, CDC_REFUSED, "Raise the server's max_payload."},
};

/*
 * JetStream's err_codes, of nats-server's errors.json.  Whatever is not listed ends the stream:
 * nobody has thought about it.
 */
static const struct
{
	int code;
	CdcStatus status;
	const char *hint;
} stream_meanings[] = {
	{JSAccountResourcesExceededErr, CDC_RETRY, "The account's limits are reached."},
	{JSClusterNotAvailErr, CDC_RETRY, ""},
	{JSClusterNotLeaderErr, CDC_RETRY, ""},
	{JSClusterIncompleteErr, CDC_RETRY, ""},
	{JSClusterNoPeersErr, CDC_RETRY, "The cluster has too few servers for that many replicas."},
	{JSClusterNotAssignedErr, CDC_RETRY, ""},
	{JSInsufficientResourcesErr, CDC_RETRY, "The server's limits are reached."},
	{JSMemoryResourcesExceededErr, CDC_RETRY, "The server's memory for streams is used up."},
	{JSStorageResourcesExceededErr, CDC_RETRY, "The server's disk space for streams is used up."},
	{JSStreamStoreFailedErr, CDC_RETRY,
	 "The stream is full and its discard policy is \"new\", or the server's disk is; it goes on "
	 "when "
	 "there is room."},
	{JSStreamOfflineErr, CDC_RETRY, ""},
	{JSStreamWrongLastSequenceErr, CDC_RETRY,
	 "Another client has written to the stream, or to its position."},
	{JSStreamWrongLastMsgIDErr, CDC_RETRY, "Another client has written to the stream."},
	{JSTempStorageFailedErr, CDC_RETRY, ""},
	{JSNotEnabledErr, CDC_USAGE, "Start the server with JetStream: nats-server -js."},
	{JSNotEnabledForAccountErr, CDC_USAGE, "Enable JetStream for the account."},
	{JSNoAccountErr, CDC_USAGE, ""},
	{JSMaximumStreamsLimitErr, CDC_USAGE, "The account may have no more streams."},
	{JSStreamReplicasNotSupportedErr, CDC_USAGE,
	 "The server is not in a cluster: leave replicas out of the sink's URI."},
	{JSStreamSubjectOverlapErr, CDC_USAGE,
	 "Another stream takes these subjects already: name it by stream=NAME, or use other subjects."},
	{JSStreamMaxBytesRequiredErr, CDC_USAGE,
	 "The account wants a limit for each stream: make the stream yourself, with max_bytes."},
	{JSStreamInvalidConfig, CDC_USAGE, ""},
	{JSStreamMessageExceedsMaximumErr, CDC_REFUSED, "Raise the stream's max_msg_size."},
	{JSStreamSealedErr, CDC_STOP, "The stream was sealed; use another one."},
};

const char *
nats_last_error(void)
{
	const char *text = nats_GetLastError(NULL);
	const char *end;

	if (text == NULL)
		return "";
	end = text[0] == '(' ? strstr(text, "): ") : NULL;
	return end != NULL ? end + 3 : text;
}

CdcStatus
nats_library_error(natsStatus code, const char *what, const char *detail, CdcError *err)
{
	CdcStatus status = CDC_RETRY;
	const char *hint = "";

	for (size_t i = 0; i < sizeof(library_meanings) / sizeof(library_meanings[0]); i++)
		if (library_meanings[i].code == code)
		{
			status = library_meanings[i].status;
			hint = library_meanings[i].hint;
		}
	if (detail != NULL && detail[0] != '\0')
		cdc_error(err, status, "%s failed: %s (%s)", what, natsStatus_GetText(code), detail);
	else
		cdc_error(err, status, "%s failed: %s", what, natsStatus_GetText(code));
	cdc_error_hint(err, "%s", hint);
	return status;
}

CdcStatus
nats_stream_error(int code, const char *what, const char *description, CdcError *err)
{
	for (size_t i = 0; i < sizeof(stream_meanings) / sizeof(stream_meanings[0]); i++)
		if (stream_meanings[i].code == code)
		{
			cdc_error(err, stream_meanings[i].status, "%s failed: %s (error %d)", what, description,
					  code);
			cdc_error_hint(err, "%s", stream_meanings[i].hint);
			return stream_meanings[i].status;
		}
	return cdc_error(err, CDC_STOP, "%s failed: %s (error %d)", what, description, code);
}
