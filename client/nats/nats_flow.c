/*
 * nats_flow.c
 *		Records on their way to JetStream.
 */
#include "nats_flow.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "clock.h"
#include "nats_error.h"

/* An acknowledgement per so many messages or bytes: enough to keep the window moving. */
#define ACKNOWLEDGE_MESSAGES 128
#define ACKNOWLEDGE_BYTES (128 * 1024)

/* Messages that have to go well one by one before they are sent in runs again. */
#define CAREFUL_MESSAGES (2 * NATS_MAX_IN_FLIGHT)

/* What a large record made larger is given back. */
#define KEEP_SIZE (1024 * 1024)

CdcStatus
nats_flow_start(NatsFlow *flow, NatsLink *link, const Source *source, uint64_t last_sequence,
				CdcError *err)
{
	NatsFlow fresh = {.link = link,
					  .careful = flow->careful,
					  .careful_left = flow->careful_left,
					  .next_sequence = last_sequence + 1,
					  .durable_sequence = last_sequence};
	natsStatus status;

	*flow = fresh;
	nats_source_prefix(flow->prefix, source);
	flow->prefix_length = strlen(flow->prefix);
	flow->ring = malloc(NATS_MAX_IN_FLIGHT * sizeof(*flow->ring));
	if (flow->ring == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	status = natsInbox_Create(&flow->inbox);
	if (status == NATS_OK)
		status = natsConnection_SubscribeSync(&flow->answers, link->nc, flow->inbox);
	if (status != NATS_OK)
		return nats_link_error(link, status, "subscribing to answers", err);
	return CDC_OK;
}

void
nats_flow_stop(NatsFlow *flow)
{
	natsSubscription_Destroy(flow->answers);
	natsInbox_Destroy(flow->inbox);
	free(flow->ring);
	free(flow->held);
	flow->answers = NULL;
	flow->inbox = NULL;
	flow->ring = NULL;
	flow->held = NULL;
	flow->held_size = 0;
	flow->holding = false;
	flow->count = 0;
}

bool
nats_flow_is_full(const NatsFlow *flow)
{
	return flow->count == NATS_MAX_IN_FLIGHT ||
		   natsConnection_Buffered(flow->link->nc) > NATS_MAX_BUFFERED;
}

static NatsInFlight *
last_in_flight(NatsFlow *flow)
{
	return &flow->ring[(flow->first + flow->count - 1) % NATS_MAX_IN_FLIGHT];
}

static natsStatus
set_headers(NatsFlow *flow, natsMsg *message)
{
	char sequence[24];
	natsStatus status = natsMsgHeader_Set(message, "Nats-Msg-Id", flow->held_id);

	snprintf(sequence, sizeof(sequence), "%" PRIu64, flow->next_sequence - 2);
	if (status == NATS_OK)
		status = natsMsgHeader_Set(message, "Nats-Expected-Last-Sequence", sequence);
	/* The first of a chain follows what was read from the stream: that sequence is enough. */
	if (status == NATS_OK && flow->last_id[0] != '\0')
		status = natsMsgHeader_Set(message, "Nats-Expected-Last-Msg-Id", flow->last_id);
	return status;
}

/* Sends the message that is held back. */
static CdcStatus
send_held(NatsFlow *flow, bool acknowledge, CdcError *err)
{
	natsMsg *message = NULL;
	natsStatus status =
		natsMsg_Create(&message, flow->held, acknowledge ? flow->inbox : NULL,
					   flow->held + flow->held_subject_length + 1, (int) flow->held_length);

	if (status == NATS_OK)
		status = set_headers(flow, message);
	if (status == NATS_OK)
		status = natsConnection_PublishMsg(flow->link->nc, message);
	natsMsg_Destroy(message);
	if (status != NATS_OK)
		return nats_link_error(flow->link, status, "sending a record", err);
	flow->holding = false;
	memcpy(flow->last_id, flow->held_id, sizeof(flow->last_id));
	flow->unacknowledged = acknowledge ? 0 : flow->unacknowledged + 1;
	flow->unacknowledged_bytes = acknowledge ? 0 : flow->unacknowledged_bytes + flow->held_length;
	return CDC_OK;
}

/* Sends it while another one is known to follow. */
static CdcStatus
send_followed(NatsFlow *flow, CdcError *err)
{
	return send_held(flow,
					 flow->careful || flow->unacknowledged + 1 >= ACKNOWLEDGE_MESSAGES ||
						 flow->unacknowledged_bytes + flow->held_length >= ACKNOWLEDGE_BYTES,
					 err);
}

CdcStatus
nats_flow_push(NatsFlow *flow, CdcError *err)
{
	return flow->holding ? send_held(flow, true, err) : CDC_OK;
}

static CdcStatus
hold(NatsFlow *flow, const char *subject, const SinkRecord *record, CdcError *err)
{
	size_t subject_length = strlen(subject);
	size_t length = record->frame->payload_length;
	size_t size = subject_length + 1 + length;

	if (size > flow->held_size || flow->held_size > KEEP_SIZE)
	{
		free(flow->held);
		flow->held_size = size < 4096 ? 4096 : size + size / 2;
		flow->held = malloc(flow->held_size);
		if (flow->held == NULL)
		{
			flow->held_size = 0;
			return cdc_error(err, CDC_RETRY, "out of memory");
		}
	}
	memcpy(flow->held, subject, subject_length + 1);
	memcpy(flow->held + subject_length + 1, record->frame->payload, length);
	flow->held_subject_length = subject_length;
	flow->held_length = length;
	nats_message_id(flow->held_id, flow->prefix, flow->prefix_length, record->incarnation,
					&record->id);
	flow->holding = true;
	return CDC_OK;
}

CdcStatus
nats_flow_add(NatsFlow *flow, const char *subject, const SinkRecord *record, const Position *after,
			  CdcError *err)
{
	CdcStatus status = flow->holding ? send_followed(flow, err) : CDC_OK;

	if (status == CDC_OK)
		status = hold(flow, subject, record, err);
	if (status != CDC_OK)
		return status;
	if (flow->count == 0)
		flow->last_sign = clock_now();
	flow->count++;
	flow->bytes += record->frame->payload_length;
	*last_in_flight(flow) = (NatsInFlight){
		.sequence = flow->next_sequence++, .id = record->id, .after = *after, .bytes = flow->bytes};
	return CDC_OK;
}

void
nats_flow_set(NatsFlow *flow, const Position *after)
{
	if (flow->count > 0)
		last_in_flight(flow)->after = *after;
	else
		flow->durable = *after;
}

/* The message's sequence is the stream's last: so are all before it in the stream. */
static CdcStatus
note_durable(NatsFlow *flow, uint64_t sequence, CdcError *err)
{
	if (flow->count == 0 || sequence < flow->ring[flow->first].sequence ||
		sequence > last_in_flight(flow)->sequence)
		return cdc_error(err, CDC_RETRY,
						 "%s: a record was acknowledged as message %" PRIu64
						 " of stream \"%s\", which is none of those in flight",
						 flow->link->name, sequence, flow->link->config->stream);
	while (flow->count > 0 && flow->ring[flow->first].sequence <= sequence)
	{
		const NatsInFlight *done = &flow->ring[flow->first];

		flow->durable = done->after;
		flow->durable_sequence = done->sequence;
		flow->durable_bytes = done->bytes;
		flow->first = (flow->first + 1) % NATS_MAX_IN_FLIGHT;
		flow->count--;
		if (flow->careful && --flow->careful_left <= 0)
			flow->careful = false;
	}
	return CDC_OK;
}

/*
 * What an answer says: {"stream":"cdc","seq":7} or {"error":{"err_code":10071,"description":...}}.
 */
static CdcStatus
read_answer_object(struct json_object *object, const char *what, uint64_t *sequence, int *code,
				   CdcError *err)
{
	struct json_object *error;
	struct json_object *member;
	const char *description = "";

	if (json_object_object_get_ex(object, "error", &error))
	{
		if (json_object_object_get_ex(error, "err_code", &member))
			*code = json_object_get_int(member);
		if (json_object_object_get_ex(error, "description", &member))
			description = json_object_get_string(member);
		return nats_stream_error(*code, what, description, err);
	}
	if (sequence == NULL)
		return object != NULL ? CDC_OK
							  : cdc_error(err, CDC_RETRY, "%s: the answer is no JSON", what);
	if (!json_object_object_get_ex(object, "seq", &member) ||
		!json_object_is_type(member, json_type_int))
		return cdc_error(err, CDC_RETRY, "%s: the answer has no sequence", what);
	*sequence = (uint64_t) json_object_get_int64(member);
	return CDC_OK;
}

CdcStatus
nats_read_answer(NatsLink *link, natsMsg *answer, const char *what, uint64_t *sequence, int *code,
				 CdcError *err)
{
	struct json_tokener *tokener;
	struct json_object *object;
	CdcStatus status;
	int ignored = 0;

	code = code != NULL ? code : &ignored;
	*code = 0;
	if (natsMsg_IsNoResponders(answer))
		return nats_link_error(link, NATS_NO_RESPONDERS, what, err);
	tokener = json_tokener_new();
	if (tokener == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	object = json_tokener_parse_ex(tokener, natsMsg_GetData(answer), natsMsg_GetDataLength(answer));
	status = read_answer_object(object, what, sequence, code, err);
	json_object_put(object);
	json_tokener_free(tokener);
	return status;
}

/*
 * A refusal of one message among several that wait tells only where the chain broke.  The same
 * records are sent again, each with an answer of its own.
 */
static CdcStatus
judge_refusal(NatsFlow *flow, CdcStatus status, RecordId *refused, CdcError *err)
{
	bool of_the_first = flow->careful || flow->count <= 1;

	if (of_the_first && status == CDC_REFUSED && flow->count > 0)
		*refused = flow->ring[flow->first].id;
	if (of_the_first)
		return status;
	flow->careful = true;
	flow->careful_left = CAREFUL_MESSAGES;
	cdc_error_hint(err, "The records since the last one acknowledged are sent again one by one.");
	return CDC_RETRY;
}

CdcStatus
nats_flow_receive(NatsFlow *flow, RecordId *refused, CdcError *err)
{
	char what[600];
	int waiting = 0;

	while (natsSubscription_GetPending(flow->answers, &waiting, NULL) == NATS_OK && waiting > 0)
	{
		natsMsg *answer = NULL;
		natsStatus got = natsSubscription_NextMsg(&answer, flow->answers, 1);
		uint64_t sequence = 0;
		int code;
		CdcStatus status;

		if (got != NATS_OK)
			return nats_link_error(flow->link, got, "reading an answer", err);
		snprintf(what, sizeof(what), "sending to stream \"%s\"", flow->link->config->stream);
		status = nats_read_answer(flow->link, answer, what, &sequence, &code, err);
		natsMsg_Destroy(answer);
		if (code != 0)
			return judge_refusal(flow, status, refused, err);
		if (status == CDC_OK)
			status = note_durable(flow, sequence, err);
		if (status != CDC_OK)
			return status;
		flow->last_sign = clock_now();
	}
	return CDC_OK;
}
