/*
 * frame.c
 *		A pure reader of framing=frames.
 */
#include "frame.h"

#include <inttypes.h>
#include <string.h>

#include "../plugin/cdc_protocol.h"
#include "byteorder.h"

void
frame_reader_reset(FrameReader *reader)
{
	relation_table_clear(&reader->relations);
	reader->data = NULL;
	reader->length = 0;
	reader->at = 0;
}

CdcStatus
frame_open(FrameReader *reader, const void *data, size_t length, CdcError *err)
{
	const uint8_t *at = data;
	MessageHeader *message = &reader->message;

	if (length < 1 || at[CDC_MESSAGE_AT_VERSION] != CDC_PROTOCOL_VERSION)
	{
		cdc_error(err, CDC_STOP,
				  "the server sent protocol version %d; this client reads version %d",
				  length < 1 ? -1 : at[CDC_MESSAGE_AT_VERSION], CDC_PROTOCOL_VERSION);
		cdc_error_hint(err, "Install the cdc_client that belongs to the server's cdc_decoder.");
		return CDC_STOP;
	}
	if (length < CDC_MESSAGE_HEADER_SIZE)
		return cdc_error(err, CDC_STOP, "message of %zu bytes is shorter than its header of %d",
						 length, CDC_MESSAGE_HEADER_SIZE);
	if ((at[CDC_MESSAGE_AT_FLAGS] & ~CDC_MESSAGE_KNOWN_FLAGS) != 0 || at[2] != 0 || at[3] != 0 ||
		get_be32(at + 36) != 0)
	{
		cdc_error(err, CDC_STOP, "message has flags 0x%02x or reserved bytes that are not known",
				  at[CDC_MESSAGE_AT_FLAGS]);
		cdc_error_hint(err, "Install the cdc_client that belongs to the server's cdc_decoder.");
		return CDC_STOP;
	}
	message->transactional = (at[CDC_MESSAGE_AT_FLAGS] & CDC_MESSAGE_TRANSACTIONAL) != 0;
	message->tombstones = (at[CDC_MESSAGE_AT_FLAGS] & CDC_MESSAGE_TOMBSTONES) != 0;
	message->timeline = get_be32(at + CDC_MESSAGE_AT_TIMELINE);
	message->commit_lsn = get_be64(at + CDC_MESSAGE_AT_COMMIT_LSN);
	message->end_lsn = get_be64(at + CDC_MESSAGE_AT_END_LSN);
	message->commit_time = (int64_t) get_be64(at + CDC_MESSAGE_AT_COMMIT_TIME);
	message->xid = get_be32(at + CDC_MESSAGE_AT_XID);
	if (message->commit_lsn == 0 || message->end_lsn < message->commit_lsn)
		return cdc_error(err, CDC_STOP,
						 "message has commit_lsn %" PRIX64 " and end_lsn %" PRIX64
						 ", which no transaction has",
						 message->commit_lsn, message->end_lsn);
	reader->data = at;
	reader->length = length;
	reader->at = CDC_MESSAGE_HEADER_SIZE;
	return CDC_OK;
}

/* A key lies inside the frame behind its header; offset and length are both 0 where there is none. */
static bool
read_key(const uint8_t *frame, uint32_t frame_length, int at, const char **key,
		 uint32_t *key_length)
{
	uint32_t offset = get_be32(frame + at);
	uint32_t length = get_be32(frame + at + 4);

	*key = NULL;
	*key_length = 0;
	if (offset == 0)
		return length == 0;
	if (offset < CDC_FRAME_HEADER_SIZE || offset > frame_length || length > frame_length - offset)
		return false;
	*key = (const char *) frame + offset;
	*key_length = length;
	return true;
}

/* Sinks make names of a version: it is what the protocol says, or nothing. */
static bool
is_version(const char *key, uint32_t length)
{
	if (key == NULL || length != CDC_SCHEMA_VERSION_DIGITS + 2 || key[0] != '"' ||
		key[length - 1] != '"')
		return false;
	for (uint32_t i = 1; i < length - 1; i++)
		if ((key[i] < '0' || key[i] > '9') && (key[i] < 'a' || key[i] > 'f'))
			return false;
	return true;
}

/* As text, for strchr(). */
static const char watermark_ops[] = {
	CDC_WATERMARK_LOW,       CDC_WATERMARK_HIGH,        CDC_WATERMARK_HIGH_VOID,
	CDC_WATERMARK_ROW,       CDC_WATERMARK_PARTIAL_ROW, CDC_WATERMARK_UNKNOWN,
	CDC_WATERMARK_TRUNCATED, CDC_WATERMARK_BACKFILL,    '\0'};

static bool
kind_and_op_known(uint8_t kind, uint8_t op, uint32_t payload_length)
{
	switch (kind)
	{
		case CDC_FRAME_RELATION:
			return op == 0;
		case CDC_FRAME_RECORD:
			return op == CDC_OP_INSERT || op == CDC_OP_UPDATE || op == CDC_OP_DELETE ||
				   op == CDC_OP_TRUNCATE || op == CDC_OP_MESSAGE || op == CDC_OP_BEGIN ||
				   op == CDC_OP_DDL || op == CDC_OP_SNAPSHOT;
		case CDC_FRAME_SCHEMA:
			return op == 0 && payload_length > 0;
		case CDC_FRAME_WATERMARK:
			return payload_length % CDC_WATERMARK_KEY_SIZE == 0 && op != 0 &&
				   strchr(watermark_ops, op) != NULL;
		case CDC_FRAME_COMMIT:
			return payload_length == 0 ? op == 0 || op == CDC_OP_COMMIT : op == CDC_OP_COMMIT;
		default:
			return false;
	}
}

/* Reads the frame that starts at the reader's place; its length has been checked. */
static CdcStatus
read_frame(FrameReader *reader, const uint8_t *data, uint32_t length, Frame *frame, CdcError *err)
{
	uint32_t number = get_be32(data + CDC_FRAME_AT_RELATION);

	frame->kind = data[CDC_FRAME_AT_KIND];
	frame->op = data[CDC_FRAME_AT_OP];
	frame->part = get_be16(data + CDC_FRAME_AT_PART);
	frame->seq = get_be64(data + CDC_FRAME_AT_SEQ);
	frame->payload = (const char *) data + CDC_FRAME_HEADER_SIZE;
	frame->payload_length = get_be32(data + CDC_FRAME_AT_PAYLOAD_LENGTH);
	frame->relation = NULL;
	if (frame->payload_length > length - CDC_FRAME_HEADER_SIZE)
		return cdc_error(err, CDC_STOP,
						 "frame of %" PRIu32 " bytes says that its payload has %" PRIu32, length,
						 frame->payload_length);
	if (!kind_and_op_known(frame->kind, frame->op, frame->payload_length))
	{
		cdc_error(err, CDC_STOP, "frame of kind 0x%02x with op 0x%02x is not known", frame->kind,
				  frame->op);
		cdc_error_hint(err, "Install the cdc_client that belongs to the server's cdc_decoder.");
		return CDC_STOP;
	}
	if (!read_key(data, length, CDC_FRAME_AT_KEY_OFFSET, &frame->key, &frame->key_length) ||
		!read_key(data, length, CDC_FRAME_AT_OLD_KEY_OFFSET, &frame->old_key,
				  &frame->old_key_length))
		return cdc_error(err, CDC_STOP, "frame's key lies outside of its %" PRIu32 " bytes",
						 length);
	if (frame->kind == CDC_FRAME_SCHEMA &&
		(number == 0 || !is_version(frame->key, frame->key_length)))
	{
		cdc_error(err, CDC_STOP, "schema record has no relation, or a key that is not a version");
		cdc_error_hint(err, "Install the cdc_decoder that belongs to this cdc_client.");
		return CDC_STOP;
	}
	if (frame->kind == CDC_FRAME_RELATION)
		return relation_announce(&reader->relations, number, (const uint8_t *) frame->payload,
								 frame->payload_length, err);
	if (number != 0)
	{
		frame->relation = relation_find(&reader->relations, number);
		if (frame->relation == NULL)
			return cdc_error(err, CDC_STOP,
							 "record names relation number %" PRIu32 ", which was not announced",
							 number);
	}
	return CDC_OK;
}

CdcStatus
frame_next(FrameReader *reader, Frame *frame, bool *found, CdcError *err)
{
	*found = false;
	while (reader->at < reader->length)
	{
		const uint8_t *data = reader->data + reader->at;
		size_t left = reader->length - reader->at;
		uint32_t length;
		CdcStatus status;

		if (left < CDC_FRAME_HEADER_SIZE)
			return cdc_error(err, CDC_STOP,
							 "message ends with %zu bytes that are too few for a frame", left);
		length = get_be32(data + CDC_FRAME_AT_LENGTH);
		if (length < CDC_FRAME_HEADER_SIZE || length > left)
			return cdc_error(err, CDC_STOP,
							 "frame says that it has %" PRIu32 " bytes; %d to %zu are possible",
							 length, CDC_FRAME_HEADER_SIZE, left);
		status = read_frame(reader, data, length, frame, err);
		if (status != CDC_OK)
			return status;
		reader->at += length;
		if (frame->kind != CDC_FRAME_RELATION)
		{
			*found = true;
			return CDC_OK;
		}
	}
	return CDC_OK;
}

const char *
frame_op_name(uint8_t op)
{
	switch (op)
	{
		case CDC_OP_INSERT:
			return "insert";
		case CDC_OP_UPDATE:
			return "update";
		case CDC_OP_DELETE:
			return "delete";
		case CDC_OP_TRUNCATE:
			return "truncate";
		case CDC_OP_MESSAGE:
			return "message";
		case CDC_OP_BEGIN:
			return "begin";
		case CDC_OP_COMMIT:
			return "commit";
		case CDC_OP_DDL:
			return "ddl";
		case CDC_OP_SNAPSHOT:
			return "snapshot";
		default:
			return "other";
	}
}
