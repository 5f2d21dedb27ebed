/*
 * kafka_record.c
 *		From a record to messages.
 *
 * A delete is followed by a tombstone (a message with its key and no payload), an update of the key by
 * one for the old key, where they are wanted: a compacted topic then forgets the row.	Both have the
 * record's identity.
 *
 * An update of the key that comes as a delete and an insert (format=debezium) says so in headers, by the names that the
 * Debezium connectors have for them.
 */
#include "kafka/kafka_record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../plugin/cdc_protocol.h"

/* Topic, key, payload, flags, opaque, and six headers at most. */
#define MAX_FIELDS 11

#define DECIMAL_SIZE 21

/* "schema:", two names and a version; names are each of NAMEDATALEN bytes of the server's encoding at most. */
#define SCHEMA_KEY_SIZE 600

static const char lsn_header[] = "cdc-commit-lsn";
static const char seq_header[] = "cdc-seq";
static const char part_header[] = "cdc-part";
static const char op_header[] = "cdc-op";
static const char incarnation_header[] = "cdc-incarnation";
static const char new_key_header[] = "__debezium.newkey";
static const char old_key_header[] = "__debezium.oldkey";

static void
free_topic(void *topic)
{
	rd_kafka_topic_destroy(topic);
}

static const TargetRules target_rules = {.allowed = kafka_topic_byte_is_valid,
										 .free_data = free_topic};

CdcStatus
kafka_records_open(KafkaRecords *records, KafkaProducer *producer, const KafkaConfig *config,
				   const char *source, CdcError *err)
{
	memset(records, 0, sizeof(*records));
	records->producer = producer;
	records->tombstones = config->tombstones;
	return target_names_create(&records->names, config->topic, "the topic in the kafka sink's URI",
							   source, &target_rules, err);
}

void
kafka_records_close(KafkaRecords *records)
{
	target_names_free(records->names);
	records->names = NULL;
}

static CdcStatus
find_topic(KafkaRecords *records, const Frame *frame, rd_kafka_topic_t **topic, CdcError *err)
{
	Target *target;
	CdcStatus status = target_find(records->names, frame, &target, err);

	if (status != CDC_OK)
		return status;
	if (target->data == NULL)
	{
		if (!kafka_topic_is_valid(target->name))
		{
			cdc_error(err, CDC_STOP, "\"%.300s\" cannot be a topic of Kafka", target->name);
			cdc_error_hint(err,
						   "A topic's name is made of up to 249 letters, digits, \".\", \"_\" "
						   "and \"-\": change the topic in the sink's URI, or the rule's target "
						   "(cdc.set_target).");
			return CDC_STOP;
		}
		target->data = rd_kafka_topic_new(records->producer->rk, target->name, NULL);
		if (target->data == NULL)
			return cdc_error(err, CDC_RETRY, "librdkafka could not make topic \"%s\": %s",
							 target->name, rd_kafka_err2str(rd_kafka_last_error()));
	}
	*topic = target->data;
	return CDC_OK;
}

/* Writes a number and returns where it starts; *length is without terminator, of which there is none. */
static const char *
put_decimal(char *text, uint64_t value, size_t *length)
{
	size_t at = DECIMAL_SIZE;

	do
		text[--at] = (char) ('0' + value % 10);
	while ((value /= 10) > 0);
	*length = DECIMAL_SIZE - at;
	return &text[at];
}

static void
put_header(rd_kafka_vu_t *vu, const char *name, const char *value, size_t length)
{
	vu->vtype = RD_KAFKA_VTYPE_HEADER;
	vu->u.header.name = name;
	vu->u.header.val = value;
	vu->u.header.size = (ssize_t) length;
}

/* Key and payload of one message. */
typedef struct Content
{
	const char *key;
	size_t key_length;
	const char *payload;
	size_t payload_length;
	const char *op;
} Content;

static rd_kafka_resp_err_t
send_message(KafkaRecords *records, const SinkRecord *record, rd_kafka_topic_t *topic,
			 const Content *content, void *opaque)
{
	rd_kafka_vu_t vus[MAX_FIELDS];
	size_t count = 0;
	char seq[DECIMAL_SIZE];
	char part[DECIMAL_SIZE];
	char incarnation[DECIMAL_SIZE];
	const char *text;
	size_t length;

	vus[count].vtype = RD_KAFKA_VTYPE_RKT;
	vus[count++].u.rkt = topic;
	vus[count].vtype = RD_KAFKA_VTYPE_KEY;
	vus[count].u.mem.ptr = (void *) content->key;
	vus[count++].u.mem.size = content->key_length;
	vus[count].vtype = RD_KAFKA_VTYPE_VALUE;
	vus[count].u.mem.ptr = (void *) content->payload;
	vus[count++].u.mem.size = content->payload_length;
	vus[count].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
	vus[count++].u.i = RD_KAFKA_MSG_F_COPY;
	vus[count].vtype = RD_KAFKA_VTYPE_OPAQUE;
	vus[count++].u.ptr = opaque;
	if (record->frame->kind != CDC_FRAME_SCHEMA) /* which has no place in the sequence */
	{
		put_header(&vus[count++], lsn_header, records->commit_lsn_text, records->commit_lsn_length);
		text = put_decimal(seq, record->id.seq, &length);
		put_header(&vus[count++], seq_header, text, length);
	}
	if (record->id.part != 0)
	{
		text = put_decimal(part, record->id.part, &length);
		put_header(&vus[count++], part_header, text, length);
	}
	put_header(&vus[count++], op_header, content->op, strlen(content->op));
	if (record->incarnation != 0)
	{
		text = put_decimal(incarnation, record->incarnation, &length);
		put_header(&vus[count++], incarnation_header, text, length);
	}
	if (record->frame->old_key != NULL && record->frame->op != CDC_OP_UPDATE)
		put_header(&vus[count++],
				   record->frame->op == CDC_OP_DELETE ? new_key_header : old_key_header,
				   record->frame->old_key, record->frame->old_key_length);
	return kafka_producer_send(records->producer, vus, count,
							   content->key_length + content->payload_length);
}

/*
 * A schema record's key is its relation and version, so that a compacted topic keeps one of each version:
 * records that have it may be read at any time.
 */
static int
list_schema(const Frame *frame, Content *content, char *key, size_t size)
{
	snprintf(key, size, "schema:%s.%s:%.*s", frame->relation->schema, frame->relation->table,
			 CDC_SCHEMA_VERSION_DIGITS, frame_schema_version(frame));
	*content = (Content){key, strlen(key), frame->payload, frame->payload_length, "schema"};
	return 1;
}

/* What is sent of a record: itself, and the tombstones that it asks for. */
static int
list_contents(const KafkaRecords *records, const SinkRecord *record, Content *contents)
{
	const Frame *frame = record->frame;
	int count = 0;

	contents[count++] = (Content){frame->key, frame->key_length, frame->payload,
								  frame->payload_length, frame_op_name(frame->op)};
	if (records->tombstones == KAFKA_TOMBSTONES_OFF ||
		(records->tombstones == KAFKA_TOMBSTONES_AS_TOLD && !record->message->tombstones))
		return count;
	/* without a key it is of no use, but where it is told, that is what readers know */
	if (frame->op == CDC_OP_DELETE && (frame->key != NULL || record->message->tombstones))
		contents[count++] = (Content){frame->key, frame->key_length, NULL, 0, "tombstone"};
	if (frame->op == CDC_OP_UPDATE && frame->old_key != NULL)
		contents[count++] = (Content){frame->old_key, frame->old_key_length, NULL, 0, "tombstone"};
	return count;
}

CdcStatus
kafka_record_send(KafkaRecords *records, const SinkRecord *record, void *opaque, int *messages,
				  bool *full, rd_kafka_resp_err_t *code, CdcError *err)
{
	Content contents[3];
	char key[SCHEMA_KEY_SIZE];
	rd_kafka_topic_t *topic = NULL;
	int count = record->frame->kind == CDC_FRAME_SCHEMA
					? list_schema(record->frame, contents, key, sizeof(key))
					: list_contents(records, record, contents);
	CdcStatus status = find_topic(records, record->frame, &topic, err);

	*messages = 0;
	*full = false;
	*code = RD_KAFKA_RESP_ERR_NO_ERROR;
	if (status != CDC_OK)
		return status;
	if (records->commit_lsn != record->id.commit_lsn || records->commit_lsn_length == 0)
	{
		records->commit_lsn = record->id.commit_lsn;
		records->commit_lsn_length =
			strlen(lsn_format(records->commit_lsn_text, record->id.commit_lsn));
	}
	while (records->sent < count)
	{
		*code = send_message(records, record, topic, &contents[records->sent], opaque);
		*full = *code == RD_KAFKA_RESP_ERR__QUEUE_FULL;
		if (*full)
			*code = RD_KAFKA_RESP_ERR_NO_ERROR;
		else if (*code != RD_KAFKA_RESP_ERR_NO_ERROR)
			snprintf(records->topic, sizeof(records->topic), "%s", rd_kafka_topic_name(topic));
		if (*full || *code != RD_KAFKA_RESP_ERR_NO_ERROR)
			return CDC_OK;
		records->sent++;
		(*messages)++;
	}
	records->sent = 0;
	return CDC_OK;
}

static bool
read_header(const rd_kafka_headers_t *headers, const char *name, char *text, size_t size)
{
	const void *value;
	size_t length;

	if (rd_kafka_header_get_last(headers, name, &value, &length) != RD_KAFKA_RESP_ERR_NO_ERROR ||
		length >= size)
		return false;
	memcpy(text, value, length);
	text[length] = '\0';
	return true;
}

bool
kafka_record_identify(const rd_kafka_message_t *message, RecordId *id)
{
	rd_kafka_headers_t *headers;
	char text[DECIMAL_SIZE + 1];

	memset(id, 0, sizeof(*id));
	if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
		!read_header(headers, lsn_header, text, sizeof(text)) ||
		!lsn_parse(text, &id->commit_lsn) || !read_header(headers, seq_header, text, sizeof(text)))
		return false;
	id->seq = strtoull(text, NULL, 10);
	if (read_header(headers, part_header, text, sizeof(text)))
		id->part = (uint16_t) strtoul(text, NULL, 10);
	return true;
}
