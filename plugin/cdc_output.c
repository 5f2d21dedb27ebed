/*
 * cdc_output.c
 *		Gathers finished records into replication messages; see cdc_output.h and, for the bytes of
 *		frames, cdc_protocol.h.
 */
#include "postgres.h"

#include "port/pg_bswap.h"
#include "replication/output_plugin.h"
#include "utils/memutils.h"

#include "cdc_output.h"
#include "cdc_protocol.h"

/* A buffer that one huge record has grown beyond this is given back after it was sent. */
#define BUFFER_KEPT (16 * 1024 * 1024)

static inline void
store16(char *at, uint16 value)
{
	value = pg_hton16(value);
	memcpy(at, &value, sizeof(value));
}

static inline void
store32(char *at, uint32 value)
{
	value = pg_hton32(value);
	memcpy(at, &value, sizeof(value));
}

static inline void
store64(char *at, uint64 value)
{
	value = pg_hton64(value);
	memcpy(at, &value, sizeof(value));
}

static void
put_message_header(CdcOutput *output)
{
	const CdcTransaction *transaction = output->transaction;
	char *header = cdc_writer_reserve(&output->writer, CDC_MESSAGE_HEADER_SIZE);

	memset(header, 0, CDC_MESSAGE_HEADER_SIZE);
	header[CDC_MESSAGE_AT_VERSION] = CDC_PROTOCOL_VERSION;
	if (transaction->transactional)
		header[CDC_MESSAGE_AT_FLAGS] |= CDC_MESSAGE_TRANSACTIONAL;
	if (output->options->tombstones)
		header[CDC_MESSAGE_AT_FLAGS] |= CDC_MESSAGE_TOMBSTONES;
	store32(header + CDC_MESSAGE_AT_TIMELINE, output->ops->timeline(output));
	store64(header + CDC_MESSAGE_AT_COMMIT_LSN, transaction->commit_lsn);
	store64(header + CDC_MESSAGE_AT_END_LSN, transaction->end_lsn);
	store64(header + CDC_MESSAGE_AT_COMMIT_TIME, transaction->commit_time);
	store32(header + CDC_MESSAGE_AT_XID, transaction->xid);
	output->writer.cur += CDC_MESSAGE_HEADER_SIZE;
}

/*
 * Straight into the core's buffer.	 It stays ours until OutputPluginWrite(): what the core sends in
 * between (keepalives, progress) goes through another.
 */
static StringInfo
open_for_consumer(CdcOutput *output)
{
	LogicalDecodingContext *ctx = output->target;

	OutputPluginPrepareWrite(ctx, true);
	return ctx->out;
}

static void
send_to_consumer(CdcOutput *output, StringInfo message)
{
	OutputPluginWrite(output->target, true);
	if (message->maxlen > BUFFER_KEPT)
	{
		resetStringInfo(message);
		message->maxlen = BUFFER_KEPT;
		message->data = repalloc(message->data, BUFFER_KEPT);
	}
}

static TimeLineID
timeline_of_consumer(const CdcOutput *output)
{
	return cdc_reader_timeline(((LogicalDecodingContext *) output->target)->reader);
}

const CdcOutputOps cdc_output_to_consumer = {open_for_consumer, send_to_consumer,
											 timeline_of_consumer};

static void
open_message(CdcOutput *output)
{
	cdc_writer_attach(&output->writer, output->ops->open(output));
	output->message_start = cdc_writer_offset(&output->writer);
	output->open = true;
	if (cdc_output_has_frames(output))
		put_message_header(output);
}

static void
send_message(CdcOutput *output)
{
	StringInfo message = output->writer.message;

	cdc_writer_detach(&output->writer);
	output->open = false;
	output->ops->send(output, message);
}

static void
put_frame_header(CdcOutput *output, const CdcFrame *frame)
{
	CdcWriter *writer = &output->writer;
	char *header = writer->message->data + frame->start;
	Size payload = frame->start + CDC_FRAME_HEADER_SIZE;

	store32(header + CDC_FRAME_AT_LENGTH, cdc_writer_offset(writer) - frame->start);
	header[CDC_FRAME_AT_KIND] = frame->kind;
	header[CDC_FRAME_AT_OP] = frame->op;
	store16(header + CDC_FRAME_AT_PART, frame->part);
	store64(header + CDC_FRAME_AT_SEQ, frame->seq);
	store32(header + CDC_FRAME_AT_RELATION, frame->relation ? frame->relation->number : 0);
	store32(header + CDC_FRAME_AT_PAYLOAD_LENGTH, frame->payload_end - payload);
	store32(header + CDC_FRAME_AT_KEY_OFFSET, frame->key_len ? frame->key - frame->start : 0);
	store32(header + CDC_FRAME_AT_KEY_LENGTH, frame->key_len);
	store32(header + CDC_FRAME_AT_OLD_KEY_OFFSET,
			frame->old_key_len ? frame->old_key - frame->start : 0);
	store32(header + CDC_FRAME_AT_OLD_KEY_LENGTH, frame->old_key_len);
}

/* Leaves room for the header, which is filled in at the frame's end. */
static void
start_frame(CdcOutput *output, CdcFrame *frame)
{
	CdcWriter *writer = &output->writer;

	frame->start = cdc_writer_offset(writer);
	cdc_writer_reserve(writer, CDC_FRAME_HEADER_SIZE);
	writer->cur += CDC_FRAME_HEADER_SIZE;
}

static void
put_counted_string(CdcWriter *writer, const char *text)
{
	Size len = strlen(text);

	Assert(len <= PG_UINT16_MAX);
	store16(cdc_writer_reserve(writer, sizeof(uint16)), len);
	writer->cur += sizeof(uint16);
	cdc_put_short(writer, text, len);
}

static void
announce_relation(CdcOutput *output, CdcRelation *relation)
{
	CdcFrame frame = {.kind = CDC_FRAME_RELATION, .relation = relation};

	start_frame(output, &frame);
	put_counted_string(&output->writer, relation->schema);
	put_counted_string(&output->writer, relation->table);
	put_counted_string(&output->writer, relation->target);
	frame.payload_end = cdc_writer_offset(&output->writer);
	put_frame_header(output, &frame);
	relation->announced = true;
}

void
cdc_output_begin(CdcOutput *output, const CdcTransaction *transaction)
{
	/* a message that an ERROR left unfinished went with its context */
	output->open = false;
	output->sent = false;
	output->transaction = transaction;
}

void
cdc_output_start_record(CdcOutput *output, CdcFrame *frame)
{
	CdcWriter *writer = &output->writer;

	if (!output->open)
		open_message(output);
	else if (!cdc_output_has_frames(output))
		cdc_put_byte(writer, '\n');
	if (cdc_output_has_frames(output))
	{
		/* the bound of the record before no longer holds */
		cdc_writer_start_record(writer, MaxAllocSize);
		if (frame->relation && !frame->relation->announced)
			announce_relation(output, frame->relation);
		start_frame(output, frame);
	}
	output->sent = true;
	cdc_writer_start_record(writer, output->options->max_record_bytes);
}

void
cdc_output_end_payload(CdcOutput *output, CdcFrame *frame)
{
	frame->payload_end = cdc_writer_offset(&output->writer);
}

void
cdc_output_end_record(CdcOutput *output, CdcFrame *frame)
{
	if (cdc_output_has_frames(output))
		put_frame_header(output, frame);
	if (cdc_writer_offset(&output->writer) - output->message_start >=
		(Size) output->options->batch_bytes)
		send_message(output);
}

void
cdc_output_finish(CdcOutput *output)
{
	if (output->open)
		send_message(output);
}
