/*
 * message_builder.h
 *		Messages of framing=frames for the tests, made byte by byte: good ones, to be spoilt.
 */
#ifndef CDC_MESSAGE_BUILDER_H
#define CDC_MESSAGE_BUILDER_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#include "../../plugin/cdc_protocol.h"

typedef struct Builder
{
	uint8_t bytes[8192];
	size_t length;
	size_t frame; /* where the last frame begins */
} Builder;

static inline void
put16(uint8_t *at, uint16_t value)
{
	value = htobe16(value);
	memcpy(at, &value, sizeof(value));
}

static inline void
put32(uint8_t *at, uint32_t value)
{
	value = htobe32(value);
	memcpy(at, &value, sizeof(value));
}

static inline void
put64(uint8_t *at, uint64_t value)
{
	value = htobe64(value);
	memcpy(at, &value, sizeof(value));
}

static inline void
build_message(Builder *builder, uint64_t commit_lsn, uint64_t end_lsn)
{
	memset(builder, 0, sizeof(*builder));
	builder->bytes[CDC_MESSAGE_AT_VERSION] = CDC_PROTOCOL_VERSION;
	builder->bytes[CDC_MESSAGE_AT_FLAGS] = CDC_MESSAGE_TRANSACTIONAL;
	put32(builder->bytes + CDC_MESSAGE_AT_TIMELINE, 3);
	put64(builder->bytes + CDC_MESSAGE_AT_COMMIT_LSN, commit_lsn);
	put64(builder->bytes + CDC_MESSAGE_AT_END_LSN, end_lsn);
	put64(builder->bytes + CDC_MESSAGE_AT_COMMIT_TIME, (uint64_t) INT64_C(-5));
	put32(builder->bytes + CDC_MESSAGE_AT_XID, 771);
	builder->length = CDC_MESSAGE_HEADER_SIZE;
}

/* A frame with its payload, and behind it tail (what key offsets may point to). */
static inline void
build_frame(Builder *builder, char kind, char op, uint64_t seq, uint16_t part, uint32_t relation,
			const void *payload, uint32_t payload_length, const char *tail)
{
	uint8_t *at = builder->bytes + builder->length;
	uint32_t length = CDC_FRAME_HEADER_SIZE + payload_length + (uint32_t) strlen(tail);

	builder->frame = builder->length;
	put32(at + CDC_FRAME_AT_LENGTH, length);
	at[CDC_FRAME_AT_KIND] = (uint8_t) kind;
	at[CDC_FRAME_AT_OP] = (uint8_t) op;
	put16(at + CDC_FRAME_AT_PART, part);
	put64(at + CDC_FRAME_AT_SEQ, seq);
	put32(at + CDC_FRAME_AT_RELATION, relation);
	put32(at + CDC_FRAME_AT_PAYLOAD_LENGTH, payload_length);
	memcpy(at + CDC_FRAME_HEADER_SIZE, payload, payload_length);
	memcpy(at + CDC_FRAME_HEADER_SIZE + payload_length, tail, strlen(tail));
	builder->length += length;
}

static inline void
build_record(Builder *builder, uint64_t seq, uint32_t relation, const char *payload)
{
	build_frame(builder, CDC_FRAME_RECORD, CDC_OP_INSERT, seq, 0, relation, payload,
				(uint32_t) strlen(payload), "");
}

static inline void
build_commit(Builder *builder, uint64_t seq)
{
	build_frame(builder, CDC_FRAME_COMMIT, 0, seq, 0, 0, "", 0, "");
}

static inline void
build_relation(Builder *builder, uint32_t number, const char *schema, const char *table,
			   const char *target)
{
	const char *names[3] = {schema, table, target};
	uint8_t payload[1024];
	uint32_t at = 0;

	for (int i = 0; i < 3; i++)
	{
		put16(payload + at, (uint16_t) strlen(names[i]));
		memcpy(payload + at + 2, names[i], strlen(names[i]));
		at += 2 + (uint32_t) strlen(names[i]);
	}
	build_frame(builder, CDC_FRAME_RELATION, 0, 0, 0, number, payload, at, "");
}

#endif /* CDC_MESSAGE_BUILDER_H */
