/*
 * nats_stream.h
 *		The two streams of the NATS sink: the records', and the positions'.
 *
 * The records' stream holds nothing but records, each with its identity as Nats-Msg-Id; it has one
 * source.  How far that is stands in the positions' stream, under the subject
 * "cdc-positions.STREAM", of which only the last message is kept: a position, and the sequence of
 * the last message that belonged to it.  What was delivered behind that is read from the records'
 * stream itself.
 */
#ifndef CDC_NATS_STREAM_H
#define CDC_NATS_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "nats_link.h"
#include "position.h"

#define NATS_POSITION_SUBJECT_SIZE 300

/* What was found when the sink was opened. */
typedef struct NatsStream
{
	char **subjects; /* that the records' stream takes */
	int num_subjects;
	uint64_t max_record;        /* bytes of a message, headers included */
	uint64_t last_sequence;     /* of the records' stream */
	uint64_t position_sequence; /* of the last position's message; 0: none */
	bool found;
	Source stored_source;
	Position stored;   /* as it stands in the positions' stream */
	Position position; /* moved on to the last record in the records' stream */
} NatsStream;

/* "cdc-positions.STREAM".  Returns text. */
extern char *nats_position_subject(const NatsConfig *config, char *text);

/* What a position's message holds.  malloc'd; NULL: out of memory. */
extern char *nats_position_text(const Source *source, const Position *position,
								uint64_t last_sequence);

/*
 * Makes the streams where they are missing (and make is set), checks them, and finds where source
 * is.  Zeroed before; nats_stream_free() on failure too.  CDC_USAGE: a stream is not fit for
 * records or positions. CDC_STOP: it has lost records or position, or is full of somebody else's
 * messages.
 */
extern CdcStatus nats_stream_open(NatsStream *stream, NatsLink *link, const Source *source,
								  bool make, CdcError *err) CDC_MUST_CHECK;
extern void nats_stream_free(NatsStream *stream);

/* Whether the records' stream takes messages to subject. */
extern bool nats_stream_takes(const NatsStream *stream, const char *subject);

#endif /* CDC_NATS_STREAM_H */
