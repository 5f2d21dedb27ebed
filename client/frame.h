/*
 * frame.h
 *		A pure reader of framing=frames (plugin/cdc_protocol.h): bytes in, frames out.
 *
 * Knows no socket and keeps no byte: what it yields points into the message that it was given.
 * Every length and offset is checked against the message, and what the protocol does not define is
 * refused: skipping it might lose a record.
 */
#ifndef CDC_FRAME_H
#define CDC_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "relation.h"

/* What all frames of a message share. */
typedef struct MessageHeader
{
	bool transactional;
	bool tombstones; /* deletes are to be followed by tombstones */
	uint32_t timeline;
	uint64_t commit_lsn;
	uint64_t end_lsn;
	int64_t commit_time;
	uint32_t xid;
} MessageHeader;

/* A record, a schema record, a watermark, or the end of a transaction.  Relation frames are taken in by the reader itself. */
typedef struct Frame
{
	uint8_t kind; /* CDC_FRAME_RECORD, CDC_FRAME_SCHEMA, CDC_FRAME_WATERMARK or CDC_FRAME_COMMIT */
	uint8_t
		op; /* CDC_OP_*, of a watermark CDC_WATERMARK_*; 0: a schema record, or none (a commit frame without payload) */
	uint16_t part;
	uint64_t seq;
	const Relation *relation; /* NULL: the record belongs to none */
	const char *payload;
	uint32_t payload_length;
	const char *key; /* NULL: none; of a schema record its version, in quotes, always */
	uint32_t key_length;
	const char *old_key; /* NULL: the key did not change */
	uint32_t old_key_length;
} Frame;

typedef struct FrameReader
{
	RelationTable relations; /* lasts for the session */
	const uint8_t *data;     /* the message being read, borrowed */
	size_t length;
	size_t at;
	MessageHeader message;
} FrameReader;

/* Empties the reader, relations included: at the end of a session. */
extern void frame_reader_reset(FrameReader *reader);

/* Begins a message and reads its header.  CDC_STOP: not this protocol, or broken. */
extern CdcStatus frame_open(FrameReader *reader, const void *data, size_t length,
							CdcError *err) CDC_MUST_CHECK;

/* *found is false at the message's end.  frame points into the message. */
extern CdcStatus frame_next(FrameReader *reader, Frame *frame, bool *found,
							CdcError *err) CDC_MUST_CHECK;

/* Of a schema record: CDC_SCHEMA_VERSION_DIGITS hexadecimal digits, not terminated. */
static inline const char *
frame_schema_version(const Frame *frame)
{
	return frame->key + 1;
}

/* "insert" for CDC_OP_INSERT, as records have it in their member op. */
extern const char *frame_op_name(uint8_t op);

#endif /* CDC_FRAME_H */
