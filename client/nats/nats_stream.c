/*
 * nats_stream.c
 *		The two streams of the NATS sink.
 */
#include "nats_stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "nats_error.h"
#include "nats_name.h"

#define POSITION_SUBJECT "cdc-positions."
#define POSITION_PATTERN "cdc-positions.*"

/*
 * The server holds the ids of so long in memory.  What keeps records from being doubled is the
 * sequence; the ids need to cover what is in flight only.  (nats-server's own default is 2
 * minutes: at 100,000 records a second that would be more than a gigabyte.)
 */
#define DUPLICATE_WINDOW_NS (INT64_C(30) * 1000 * 1000 * 1000)

/* Messages of others behind our last one, among which to look for it. */
#define MAX_FOREIGN 10000

/* The member that a position's message has besides those of every position. */
static const char sequence_member[] = "stream_sequence";

/* What the job is about. */
typedef struct OpenJob
{
	NatsStream *stream;
	NatsLink *link;
	const Source *source;
	bool make;
} OpenJob;

char *
nats_position_subject(const NatsConfig *config, char *text)
{
	snprintf(text, NATS_POSITION_SUBJECT_SIZE, POSITION_SUBJECT "%s", config->stream);
	return text;
}

char *
nats_position_text(const Source *source, const Position *position, uint64_t last_sequence)
{
	struct json_object *object = position_to_json(source, position);
	char number[24];
	char *text;

	snprintf(number, sizeof(number), "%" PRIu64, last_sequence);
	json_object_object_add(object, sequence_member, json_object_new_string(number));
	text = strdup(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
															 JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
	return text;
}

/* An error of a question to JetStream: the server's answer, or none. */
static CdcStatus
question_error(NatsLink *link, natsStatus status, jsErrCode code, const char *what,
			   const char *stream, CdcError *err)
{
	char text[900];

	if (code != 0)
	{
		snprintf(text, sizeof(text), "%s: %s stream \"%s\"", link->name, what, stream);
		return nats_stream_error((int) code, text, nats_last_error(), err);
	}
	snprintf(text, sizeof(text), "%s stream \"%s\"", what, stream);
	return nats_link_error(link, status, text, err);
}

/* *info is NULL where there is no such stream and it is not to be made. */
static CdcStatus
find_stream(NatsLink *link, jsStreamConfig *wanted, bool make, jsStreamInfo **info, CdcError *err)
{
	jsErrCode code = 0;
	natsStatus status = js_GetStreamInfo(info, link->js, wanted->Name, NULL, &code);

	if (status == NATS_OK)
		return CDC_OK;
	*info = NULL;
	if (status != NATS_NOT_FOUND)
		return question_error(link, status, code, "looking at", wanted->Name, err);
	if (!make)
		return CDC_OK;
	code = 0;
	status = js_AddStream(info, link->js, wanted, NULL, &code);
	if (status == NATS_OK)
		return CDC_OK;
	*info = NULL;
	return question_error(link, status, code, "making", wanted->Name, err);
}

static CdcStatus
unfit(const char *name, const char *why, const char *hint, CdcError *err)
{
	cdc_error(err, CDC_USAGE, "stream \"%s\" %s", name, why);
	cdc_error_hint(err, "%s", hint);
	return CDC_USAGE;
}

/* What both streams must not be. */
static CdcStatus
check_any(const jsStreamConfig *config, CdcError *err)
{
	static const char name_another[] = "Name another stream in the sink's URI; one that does not "
									   "exist is made as it is needed.";

	if (config->Retention != js_LimitsPolicy)
		return unfit(
			config->Name,
			config->Retention == js_WorkQueuePolicy
				? "has the retention policy \"workqueue\": what was consumed is gone, and "
				  "with it how far it was delivered"
				: "has the retention policy \"interest\": what nobody consumes is gone, "
				  "and with it how far it was delivered",
			"The policy has to be \"limits\".  A work queue can take its messages from the "
			"stream as from a source.",
			err);
	if (config->NoAck)
		return unfit(config->Name, "acknowledges nothing (no_ack)", name_another, err);
	if (config->Mirror != NULL || config->SourcesLen > 0)
		return unfit(config->Name, "takes messages from other streams (mirror, sources)",
					 name_another, err);
	if (config->Sealed)
		return unfit(config->Name, "is sealed", name_another, err);
	return CDC_OK;
}

static CdcStatus
check_positions(const jsStreamConfig *config, CdcError *err)
{
	CdcStatus status = check_any(config, err);

	if (status == CDC_OK && (config->MaxAge > 0 || config->MaxBytes > 0 || config->MaxMsgs > 0))
		return unfit(config->Name,
					 "is to hold the positions, but drops messages by age, bytes or number",
					 "It must have none of these limits: max_age, max_bytes, max_msgs; "
					 "max_msgs_per_subject is 1.",
					 err);
	if (status == CDC_OK && config->Storage != js_FileStorage)
		return unfit(config->Name, "is to hold the positions, but keeps them in memory",
					 "Its storage has to be \"file\".", err);
	return status;
}

static bool
copy_subjects(NatsStream *stream, const jsStreamConfig *config)
{
	stream->subjects = calloc((size_t) config->SubjectsLen + 1, sizeof(*stream->subjects));
	if (stream->subjects == NULL)
		return false;
	for (int i = 0; i < config->SubjectsLen; i++)
	{
		stream->subjects[i] = strdup(config->Subjects[i]);
		if (stream->subjects[i] == NULL)
			return false;
		stream->num_subjects++;
	}
	return true;
}

static CdcStatus
open_records(OpenJob *job, bool make, jsStreamInfo **info, CdcError *err)
{
	const NatsConfig *config = job->link->config;
	NatsStream *stream = job->stream;
	char *pattern = nats_subject_pattern(config->template, job->source->name);
	jsStreamConfig wanted;
	CdcStatus status;

	*info = NULL;
	if (pattern == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	jsStreamConfig_Init(&wanted);
	wanted.Name = config->stream;
	wanted.Subjects = (const char *[]){pattern};
	wanted.SubjectsLen = 1;
	wanted.Storage = js_FileStorage;
	wanted.Replicas = config->replicas;
	wanted.Duplicates = DUPLICATE_WINDOW_NS;
	status = find_stream(job->link, &wanted, make, info, err);
	free(pattern);
	if (status != CDC_OK || *info == NULL)
		return status;
	status = check_any((*info)->Config, err);
	if (status == CDC_OK && !copy_subjects(stream, (*info)->Config))
		status = cdc_error(err, CDC_RETRY, "out of memory");
	stream->last_sequence = (*info)->State.LastSeq;
	stream->max_record = (uint64_t) natsConnection_GetMaxPayload(job->link->nc);
	if ((*info)->Config->MaxMsgSize > 0 &&
		(uint64_t) (*info)->Config->MaxMsgSize < stream->max_record)
		stream->max_record = (uint64_t) (*info)->Config->MaxMsgSize;
	return status;
}

static CdcStatus
open_positions(OpenJob *job, bool *exists, CdcError *err)
{
	jsStreamConfig wanted;
	jsStreamInfo *info = NULL;
	CdcStatus status;

	jsStreamConfig_Init(&wanted);
	wanted.Name = job->link->config->positions;
	wanted.Subjects = (const char *[]){POSITION_PATTERN};
	wanted.SubjectsLen = 1;
	wanted.Storage = js_FileStorage;
	wanted.Replicas = job->link->config->replicas;
	wanted.MaxMsgsPerSubject = 1;
	status = find_stream(job->link, &wanted, job->make, &info, err);
	*exists = status == CDC_OK && info != NULL;
	if (*exists)
		status = check_positions(info->Config, err);
	jsStreamInfo_Destroy(info);
	return status;
}

/* Reads what nats_position_text() wrote. */
static bool
parse_position(NatsStream *stream, const natsMsg *message, uint64_t *sequence)
{
	int length = natsMsg_GetDataLength(message);
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *object =
		tokener == NULL ? NULL : json_tokener_parse_ex(tokener, natsMsg_GetData(message), length);
	struct json_object *member;
	bool good = object != NULL &&
				position_from_json(object, &stream->stored_source, &stream->position) &&
				json_object_object_get_ex(object, sequence_member, &member) &&
				json_object_is_type(member, json_type_string);

	if (good)
		*sequence = strtoull(json_object_get_string(member), NULL, 10);
	json_object_put(object);
	if (tokener != NULL)
		json_tokener_free(tokener);
	return good;
}

/*
 * The last position stored; *sequence: of the last message of the records' stream that belongs to
 * it.
 */
static CdcStatus
read_position(OpenJob *job, uint64_t *sequence, CdcError *err)
{
	const NatsConfig *config = job->link->config;
	NatsStream *stream = job->stream;
	char subject[NATS_POSITION_SUBJECT_SIZE];
	natsMsg *message = NULL;
	jsErrCode code = 0;
	natsStatus status = js_GetLastMsg(&message, job->link->js, config->positions,
									  nats_position_subject(config, subject), NULL, &code);

	if (status == NATS_NOT_FOUND)
		return CDC_OK;
	if (status != NATS_OK)
		return question_error(job->link, status, code, "reading the position from",
							  config->positions, err);
	stream->position_sequence = natsMsg_GetSequence(message);
	stream->found = parse_position(stream, message, sequence);
	if (!stream->found)
	{
		cdc_error(err, CDC_STOP,
				  "the last message of subject \"%s\" in stream \"%s\" is not a position", subject,
				  config->positions);
		cdc_error_hint(err, "Another program has sent it; name another stream for the positions.");
	}
	natsMsg_Destroy(message);
	return stream->found ? CDC_OK : CDC_STOP;
}

/* Reads message sequence; *id is malloc'd, NULL where the message has none, or is *gone. */
static CdcStatus
read_id(OpenJob *job, uint64_t sequence, char **id, bool *gone, CdcError *err)
{
	const char *name = job->link->config->stream;
	natsMsg *message = NULL;
	jsErrCode code = 0;
	natsStatus status = js_GetMsg(&message, job->link->js, name, sequence, NULL, &code);
	const char *value;

	*id = NULL;
	*gone = status == NATS_NOT_FOUND;
	if (*gone)
		return CDC_OK;
	if (status != NATS_OK)
		return question_error(job->link, status, code, "reading the last message of", name, err);
	if (natsMsgHeader_Get(message, "Nats-Msg-Id", &value) == NATS_OK)
	{
		*id = strdup(value);
		if (*id == NULL)
		{
			natsMsg_Destroy(message);
			return cdc_error(err, CDC_RETRY, "out of memory");
		}
	}
	natsMsg_Destroy(message);
	return CDC_OK;
}

/* What was delivered behind the position is gone from the stream, and with it how far that was. */
static CdcStatus
refuse_gone(const NatsConfig *config, uint64_t sequence, uint64_t last, CdcError *err)
{
	cdc_error(err, CDC_STOP,
			  "stream \"%s\" no longer has the messages after %" PRIu64 ", up to %" PRIu64
			  ", that were sent since the position was stored",
			  config->stream, sequence, last);
	cdc_error_hint(
		err,
		"They were purged, or expired before the client was started again, so nothing tells "
		"which records they were.  Where these may come twice, delete the position "
		"(subject \"" POSITION_SUBJECT "%s\" of stream \"%s\"): delivery then begins at "
		"the slot's confirmed position.",
		config->stream, config->positions);
	return CDC_STOP;
}

static CdcStatus
refuse_foreign(const NatsConfig *config, CdcError *err)
{
	cdc_error(err, CDC_STOP, "the last %d messages of stream \"%s\" are not records of this source",
			  MAX_FOREIGN, config->stream);
	cdc_error_hint(err, "Somebody else sends to it, in amounts.  Name a stream in the sink's URI "
						"that is for records only.");
	return CDC_STOP;
}

/*
 * Moves the position on to our last record in the stream, if that is behind it.  Messages of others
 * are passed over.
 */
static CdcStatus
find_last_record(OpenJob *job, const jsStreamState *state, uint64_t sequence, CdcError *err)
{
	const NatsConfig *config = job->link->config;
	NatsStream *stream = job->stream;
	char prefix[NATS_SOURCE_SIZE];
	bool gone = false;
	int looked_at = 0;

	nats_source_prefix(prefix, &stream->stored_source);
	for (uint64_t at = state->LastSeq; at > sequence && !gone; at--)
	{
		uint32_t incarnation;
		RecordId id;
		char *text = NULL;
		CdcStatus status = at < state->FirstSeq ? CDC_OK : read_id(job, at, &text, &gone, err);
		bool ours = text != NULL && nats_message_id_parse(text, prefix, &incarnation, &id);

		free(text);
		if (status != CDC_OK)
			return status;
		if (ours)
		{
			if (incarnation == stream->position.incarnation &&
				record_id_compare(&id, &stream->position.id) > 0)
				stream->position.id = id;
			return CDC_OK;
		}
		gone = gone || at < state->FirstSeq;
		if (++looked_at == MAX_FOREIGN)
			return refuse_foreign(config, err);
	}
	return gone ? refuse_gone(config, sequence, state->LastSeq, err) : CDC_OK;
}

/* A stream that ends before what was delivered has lost it. */
static CdcStatus
check_stream_end(OpenJob *job, const jsStreamState *state, uint64_t sequence, CdcError *err)
{
	if (state->LastSeq >= sequence)
		return CDC_OK;
	cdc_error(err, CDC_STOP,
			  "stream \"%s\" ends at message %" PRIu64
			  ", but records were delivered up to %" PRIu64,
			  job->link->config->stream, state->LastSeq, sequence);
	cdc_error_hint(err,
				   "It was deleted and made anew, restored to an earlier state, or kept in memory "
				   "only: records are missing.  Restore it; or, where they are not needed, delete "
				   "the position (subject \"" POSITION_SUBJECT
				   "%s\" of stream \"%s\"), and the sink "
				   "is taken for new.",
				   job->link->config->stream, job->link->config->positions);
	return CDC_STOP;
}

/* Without a position the stream must not end with a record: then the position was lost. */
static CdcStatus
check_no_position(OpenJob *job, const jsStreamState *state, CdcError *err)
{
	char *id = NULL;
	bool gone;
	CdcStatus status = CDC_OK;

	if (state->LastSeq > 0)
		status = read_id(job, state->LastSeq, &id, &gone, err);
	if (status == CDC_OK && id != NULL && nats_is_message_id(id))
	{
		status =
			cdc_error(err, CDC_STOP,
					  "stream \"%s\" ends with record %s, but stream \"%s\" has no position for it",
					  job->link->config->stream, id, job->link->config->positions);
		cdc_error_hint(
			err, "The position was deleted, or is in another stream (positions=NAME in the "
				 "sink's URI).  Where records may come again, use another stream for them, or "
				 "purge this one.");
	}
	free(id);
	return status;
}

static CdcStatus
open_job(void *arg, CdcError *err)
{
	OpenJob *job = arg;
	jsStreamInfo *info = NULL;
	jsStreamState state = {0};
	uint64_t sequence = 0;
	bool positions_exist = false;
	CdcStatus status = open_positions(job, &positions_exist, err);

	if (status == CDC_OK && positions_exist)
		status = read_position(job, &sequence, err);
	/* a stream that records were delivered to is not made anew as if nothing had happened */
	if (status == CDC_OK)
		status = open_records(job, job->make && sequence == 0, &info, err);
	if (info != NULL)
		state = info->State;
	if (status == CDC_OK && !job->stream->found)
		status = check_no_position(job, &state, err);
	else if (status == CDC_OK)
		status = check_stream_end(job, &state, sequence, err);
	job->stream->stored = job->stream->position;
	if (status == CDC_OK && job->stream->found)
		status = find_last_record(job, &state, sequence, err);
	jsStreamInfo_Destroy(info);
	return status;
}

CdcStatus
nats_stream_open(NatsStream *stream, NatsLink *link, const Source *source, bool make, CdcError *err)
{
	OpenJob job = {.stream = stream, .link = link, .source = source, .make = make};

	return nats_link_run(link, open_job, &job, err);
}

void
nats_stream_free(NatsStream *stream)
{
	for (int i = 0; i < stream->num_subjects; i++)
		free(stream->subjects[i]);
	free(stream->subjects);
	memset(stream, 0, sizeof(*stream));
}

bool
nats_stream_takes(const NatsStream *stream, const char *subject)
{
	for (int i = 0; i < stream->num_subjects; i++)
		if (nats_subject_matches(stream->subjects[i], subject))
			return true;
	return false;
}
