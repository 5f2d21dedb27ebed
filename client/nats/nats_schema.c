/*
 * nats_schema.c
 *		Schema records beside the records.
 */
#include "nats_schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "../../plugin/cdc_protocol.h"
#include "nats_flow.h"
#include "nats_name.h"

#define SUBJECT_PREFIX "cdc-schemas."
#define SUBJECT_PATTERN SUBJECT_PREFIX ">"

/* A version that comes again so soon is dropped; later it replaces itself. */
#define DUPLICATE_WINDOW_NS (INT64_C(30) * 1000 * 1000 * 1000)

void
nats_schemas_start(NatsSchemas *schemas, NatsLink *link)
{
	schemas->link = link;
}

void
nats_schemas_stop(NatsSchemas *schemas)
{
	natsSubscription_Destroy(schemas->answers);
	natsInbox_Destroy(schemas->inbox);
	free(schemas->subject);
	free(schemas->payload);
	memset(schemas, 0, sizeof(*schemas));
}

static char *
put_token(char *to, const char *text)
{
	for (; *text != '\0'; text++)
		*to++ = nats_subject_allows((unsigned char) *text) ? *text : '_';
	return to;
}

/* malloc'd; NULL: out of memory. */
static char *
make_subject(const NatsConfig *config, const Frame *frame)
{
	const Relation *relation = frame->relation;
	char *subject =
		malloc(sizeof(SUBJECT_PREFIX) + strlen(config->stream) + strlen(relation->schema) +
			   strlen(relation->table) + CDC_SCHEMA_VERSION_DIGITS + 3);
	char *to = subject;

	if (subject == NULL)
		return NULL;
	to = stpcpy(stpcpy(to, SUBJECT_PREFIX), config->stream);
	*to++ = '.';
	to = put_token(to, relation->schema);
	*to++ = '.';
	to = put_token(to, relation->table);
	*to++ = '.';
	memcpy(to, frame_schema_version(frame), CDC_SCHEMA_VERSION_DIGITS);
	to[CDC_SCHEMA_VERSION_DIGITS] = '\0';
	return subject;
}

/* The request that makes the stream, as JetStream's API has it ("STREAM.CREATE"). */
static struct json_object *
stream_config(const NatsConfig *config)
{
	struct json_object *object = json_object_new_object();
	struct json_object *subjects = json_object_new_array();

	json_object_array_add(subjects, json_object_new_string(SUBJECT_PATTERN));
	json_object_object_add(object, "name", json_object_new_string(config->schemas));
	json_object_object_add(object, "subjects", subjects);
	json_object_object_add(object, "retention", json_object_new_string("limits"));
	json_object_object_add(object, "storage", json_object_new_string("file"));
	json_object_object_add(object, "num_replicas", json_object_new_int(config->replicas));
	json_object_object_add(object, "max_consumers", json_object_new_int(-1));
	json_object_object_add(object, "max_msgs", json_object_new_int(-1));
	json_object_object_add(object, "max_bytes", json_object_new_int(-1));
	json_object_object_add(object, "max_msgs_per_subject", json_object_new_int(1));
	json_object_object_add(object, "duplicate_window", json_object_new_int64(DUPLICATE_WINDOW_NS));
	json_object_object_add(object, "allow_direct", json_object_new_boolean(1));
	return object;
}

static CdcStatus
ask_for_stream(NatsSchemas *schemas, CdcError *err)
{
	const NatsConfig *config = schemas->link->config;
	struct json_object *object = stream_config(config);
	char subject[sizeof("$JS.API.STREAM.CREATE.") + sizeof(config->stream)];
	natsStatus status;

	snprintf(subject, sizeof(subject), "$JS.API.STREAM.CREATE.%s", config->schemas);
	status = natsConnection_PublishRequestString(
		schemas->link->nc, subject, schemas->inbox,
		json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	json_object_put(object);
	schemas->making = true;
	return status == NATS_OK
			   ? CDC_OK
			   : nats_link_error(schemas->link, status, "making the stream of schema records", err);
}

static CdcStatus
publish(NatsSchemas *schemas, CdcError *err)
{
	natsMsg *message = NULL;
	natsStatus status = natsMsg_Create(&message, schemas->subject, schemas->inbox, schemas->payload,
									   (int) schemas->length);

	if (status == NATS_OK)
		status = natsMsgHeader_Set(message, "Nats-Msg-Id", schemas->subject);
	if (status == NATS_OK)
		status = natsConnection_PublishMsg(schemas->link->nc, message);
	natsMsg_Destroy(message);
	schemas->making = false;
	return status == NATS_OK
			   ? CDC_OK
			   : nats_link_error(schemas->link, status, "sending a schema record", err);
}

static CdcStatus
subscribe(NatsSchemas *schemas, CdcError *err)
{
	natsStatus status = natsInbox_Create(&schemas->inbox);

	if (status == NATS_OK)
		status = natsConnection_SubscribeSync(&schemas->answers, schemas->link->nc, schemas->inbox);
	return status == NATS_OK
			   ? CDC_OK
			   : nats_link_error(schemas->link, status, "subscribing to answers", err);
}

/* What is no record cannot be refused as one. */
static CdcStatus
not_refused(CdcStatus status)
{
	return status == CDC_REFUSED ? CDC_STOP : status;
}

CdcStatus
nats_schemas_send(NatsSchemas *schemas, const Frame *frame, int64_t now, CdcError *err)
{
	CdcStatus status = schemas->inbox == NULL ? subscribe(schemas, err) : CDC_OK;

	if (status != CDC_OK)
		return status;
	free(schemas->subject);
	free(schemas->payload);
	schemas->subject = make_subject(schemas->link->config, frame);
	schemas->payload = malloc(frame->payload_length);
	if (schemas->subject == NULL || schemas->payload == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	memcpy(schemas->payload, frame->payload, frame->payload_length);
	schemas->length = frame->payload_length;
	schemas->busy = true;
	schemas->busy_since = now;
	return not_refused(schemas->stream_known ? publish(schemas, err)
											 : ask_for_stream(schemas, err));
}

/* One that is there already, made by another client or by hand, is as good: what it keeps is its owner's. */
static CdcStatus
stream_made(NatsSchemas *schemas, CdcStatus status, int code, int64_t now, CdcError *err)
{
	if (status != CDC_OK && code != JSStreamNameExistErr)
		return status;
	schemas->stream_known = true;
	schemas->busy_since = now;
	return publish(schemas, err);
}

static CdcStatus
no_stream(const NatsSchemas *schemas, CdcError *err)
{
	/* a stream without a leader does not answer either, and will */
	cdc_error(err, CDC_RETRY, "%s: no stream takes subject \"%s\" of a schema record",
			  schemas->link->name, schemas->subject);
	cdc_error_hint(err,
				   "Stream \"%s\" is for them: give it the subject \"" SUBJECT_PATTERN
				   "\", or name another one by schemas=NAME in the sink's URI.",
				   schemas->link->config->schemas);
	return CDC_RETRY;
}

CdcStatus
nats_schemas_receive(NatsSchemas *schemas, int64_t now, CdcError *err)
{
	natsMsg *answer = NULL;
	char what[400];
	uint64_t sequence = 0;
	int waiting = 0;
	int code = 0;
	natsStatus got;
	CdcStatus status;

	if (!schemas->busy ||
		natsSubscription_GetPending(schemas->answers, &waiting, NULL) != NATS_OK || waiting == 0)
		return CDC_OK;
	got = natsSubscription_NextMsg(&answer, schemas->answers, 1);
	if (got == NATS_NO_RESPONDERS && !schemas->making)
		return no_stream(schemas, err);
	if (got != NATS_OK)
		return nats_link_error(schemas->link, got, "reading an answer", err);
	snprintf(what, sizeof(what), "%s stream \"%.256s\" of schema records",
			 schemas->making ? "making" : "sending to", schemas->link->config->schemas);
	status = nats_read_answer(schemas->link, answer, what, schemas->making ? NULL : &sequence,
							  &code, err);
	natsMsg_Destroy(answer);
	if (schemas->making)
		return not_refused(stream_made(schemas, status, code, now, err));
	if (status != CDC_OK)
		return not_refused(status);
	schemas->busy = false;
	schemas->durable_bytes += schemas->length;
	return CDC_OK;
}
