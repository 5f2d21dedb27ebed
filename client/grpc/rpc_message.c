/*
 * rpc_message.c
 *		What is said over the stream, in bytes.
 */
#include "rpc_message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../plugin/cdc_protocol.h"
#include "cdc_sink.pb-c.h"

#define PROTOCOL_VERSION 1

void
rpc_buffer_free(RpcBuffer *buffer)
{
	free(buffer->data);
	memset(buffer, 0, sizeof(*buffer));
}

static bool
put_batch(RpcBuffer *buffer, const Cdc__V1__Batch *batch)
{
	size_t size = cdc__v1__batch__get_packed_size(batch);

	if (buffer->length + size > buffer->capacity)
	{
		size_t capacity = buffer->capacity > 0 ? buffer->capacity : 4096;
		uint8_t *data;

		while (capacity < buffer->length + size)
			capacity *= 2;
		data = realloc(buffer->data, capacity);
		if (data == NULL)
			return false;
		buffer->data = data;
		buffer->capacity = capacity;
	}
	buffer->length += cdc__v1__batch__pack(batch, buffer->data + buffer->length);
	return true;
}

bool
rpc_put_hello(RpcBuffer *buffer, const Source *source, bool look)
{
	Source copy = *source; /* protobuf-c's strings are not const */
	Cdc__V1__Source said = CDC__V1__SOURCE__INIT;
	Cdc__V1__Hello hello = CDC__V1__HELLO__INIT;
	Cdc__V1__Batch batch = CDC__V1__BATCH__INIT;

	said.system_identifier = copy.system_identifier;
	said.database = copy.database;
	said.slot = copy.slot;
	said.name = copy.name;
	hello.version = PROTOCOL_VERSION;
	hello.source = &said;
	hello.look = look;
	batch.hello = &hello;
	return put_batch(buffer, &batch);
}

static Cdc__V1__Op
op_of(uint8_t op)
{
	switch (op)
	{
		case CDC_OP_INSERT:
			return CDC__V1__OP__OP_INSERT;
		case CDC_OP_UPDATE:
			return CDC__V1__OP__OP_UPDATE;
		case CDC_OP_DELETE:
			return CDC__V1__OP__OP_DELETE;
		case CDC_OP_TRUNCATE:
			return CDC__V1__OP__OP_TRUNCATE;
		case CDC_OP_MESSAGE:
			return CDC__V1__OP__OP_MESSAGE;
		case CDC_OP_BEGIN:
			return CDC__V1__OP__OP_BEGIN;
		case CDC_OP_COMMIT:
			return CDC__V1__OP__OP_COMMIT;
		case CDC_OP_DDL:
			return CDC__V1__OP__OP_DDL;
		case CDC_OP_SNAPSHOT:
			return CDC__V1__OP__OP_SNAPSHOT;
		default:
			return CDC__V1__OP__OP_UNSPECIFIED;
	}
}

/* What protobuf-c only reads, though its structs do not say so. */
static ProtobufCBinaryData
bytes_of(const char *data, uint32_t length)
{
	ProtobufCBinaryData bytes = {.len = data != NULL ? length : 0};

	memcpy(&bytes.data, &data, sizeof(data));
	return bytes;
}

static char *
text_of(const char *text)
{
	char *same;

	memcpy(&same, &text, sizeof(text));
	return same;
}

bool
rpc_put_record(RpcBuffer *buffer, const SinkRecord *record, const char *target)
{
	const Frame *frame = record->frame;
	Cdc__V1__Record said = CDC__V1__RECORD__INIT;
	Cdc__V1__Record *records[] = {&said};
	Cdc__V1__Batch batch = CDC__V1__BATCH__INIT;

	said.commit_lsn = record->id.commit_lsn;
	said.seq = record->id.seq;
	said.part = record->id.part;
	said.op = op_of(frame->op);
	if (frame->relation != NULL)
	{
		said.schema = text_of(frame->relation->schema);
		said.table = text_of(frame->relation->table);
	}
	said.target = text_of(target);
	said.value = bytes_of(frame->payload, frame->payload_length);
	said.key = bytes_of(frame->key, frame->key_length);
	said.old_key = bytes_of(frame->old_key, frame->old_key_length);
	said.commit_time = record->message->commit_time;
	said.xid = record->message->xid;
	batch.records = records;
	batch.n_records = 1;
	return put_batch(buffer, &batch);
}

bool
rpc_put_schema(RpcBuffer *buffer, const Frame *frame, const char *target)
{
	Cdc__V1__Schema said = CDC__V1__SCHEMA__INIT;
	Cdc__V1__Schema *schemas[] = {&said};
	Cdc__V1__Batch batch = CDC__V1__BATCH__INIT;
	char version[CDC_SCHEMA_VERSION_DIGITS + 1] = "";

	memcpy(version, frame_schema_version(frame), CDC_SCHEMA_VERSION_DIGITS);
	said.schema = text_of(frame->relation->schema);
	said.table = text_of(frame->relation->table);
	said.version = version;
	said.target = text_of(target);
	said.value = bytes_of(frame->payload, frame->payload_length);
	batch.schemas = schemas;
	batch.n_schemas = 1;
	return put_batch(buffer, &batch);
}

bool
rpc_put_position(RpcBuffer *buffer, uint64_t epoch, const Position *position)
{
	Cdc__V1__Position said = CDC__V1__POSITION__INIT;
	Cdc__V1__Batch batch = CDC__V1__BATCH__INIT;

	said.timeline = position->timeline;
	said.timeline_began = position->timeline_began;
	said.incarnation = position->incarnation;
	said.commit_lsn = position->id.commit_lsn;
	said.seq = position->id.seq;
	said.part = position->id.part;
	said.end_lsn = position->end_lsn;
	said.confirmed = position->confirmed;
	said.commit_time = position->commit_time;
	batch.epoch = epoch;
	batch.position = &said;
	return put_batch(buffer, &batch);
}

static bool
read_position(Position *position, const Cdc__V1__Position *said)
{
	position->timeline = said->timeline;
	position->timeline_began = said->timeline_began;
	position->incarnation = said->incarnation;
	position->id.commit_lsn = said->commit_lsn;
	position->id.seq = said->seq;
	position->id.part = (uint16_t) said->part;
	position->end_lsn = said->end_lsn;
	position->confirmed = said->confirmed;
	position->commit_time = said->commit_time;
	position->snapshot = NULL; /* the protocol does not tell it */
	return said->part <= UINT16_MAX;
}

static bool
read_refusal(RpcAck *ack, const Cdc__V1__Refusal *said)
{
	ack->refused.commit_lsn = said->commit_lsn;
	ack->refused.seq = said->seq;
	ack->refused.part = (uint16_t) said->part;
	snprintf(ack->reason, sizeof(ack->reason), "%s", said->reason);
	for (char *at = ack->reason; *at != '\0'; at++)
		if ((unsigned char) *at < 0x20 || *at == 0x7f)
			*at = ' ';
	return said->part <= UINT16_MAX;
}

CdcStatus
rpc_read_ack(RpcAck *ack, const uint8_t *data, size_t length, CdcError *err)
{
	Cdc__V1__Ack *said = cdc__v1__ack__unpack(NULL, length, data);
	bool good = said != NULL;

	memset(ack, 0, sizeof(*ack));
	if (good)
	{
		ack->epoch = said->epoch;
		ack->has_position = said->position != NULL;
		if (said->position != NULL)
			good = read_position(&ack->position, said->position);
		ack->has_window = said->window != NULL;
		if (said->window != NULL)
			ack->window =
				(RpcWindow){said->window->bytes, said->window->records, said->window->paused != 0};
		ack->has_refused = said->refused != NULL;
		if (said->refused != NULL && good)
			good = read_refusal(ack, said->refused);
	}
	cdc__v1__ack__free_unpacked(said, NULL);
	if (good)
		return CDC_OK;
	cdc_error(err, CDC_STOP, "the server sent %zu bytes that are not an Ack of cdc.v1", length);
	cdc_error_hint(err, "Its side of cdc_sink.proto differs from the one of this cdc_client.");
	return CDC_STOP;
}
