/*
 * position.h
 *		How far a sink is, and in which stream: identity of records, positions, their text form.
 *
 * Pure: no I/O, no state.
 */
#ifndef CDC_POSITION_H
#define CDC_POSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

#include "error.h"
#include "snapshot_cursor.h"

/* PostgreSQL's text form of an LSN, "16/B374D848", with its terminator. */
#define LSN_TEXT_SIZE 18

/* Writes lsn into text (LSN_TEXT_SIZE bytes) and returns text. */
extern char *lsn_format(char *text, uint64_t lsn);

/* Reads the whole of text as an LSN; false if it is none. */
extern bool lsn_parse(const char *text, uint64_t *lsn);

/* What identifies a record for good (doc: delivery); ordered as records are delivered. */
typedef struct RecordId
{
	uint64_t commit_lsn;
	uint64_t seq;
	uint16_t part;
} RecordId;

/* < 0, 0, > 0, as a comes before, is, or comes after b. */
extern int record_id_compare(const RecordId *a, const RecordId *b);

/* The stream that a position is about. */
typedef struct Source
{
	char system_identifier[24]; /* decimal text of a uint64 */
	char database[256];
	char slot[80]; /* room behind a slot's name, for what is not the slot's own position */
	char
		name[256]; /* what records call it (option source): no part of what identifies the stream */
} Source;

extern bool source_equal(const Source *a, const Source *b);

/*
 * A position.  id is that of the last durable record, or of the end of the last durable
 * transaction; end_lsn the end of the last wholly durable transaction; confirmed what the server
 * may be told, and is told only once a position that says so is durable in the sink.
 */
typedef struct Position
{
	uint32_t timeline; /* of the WAL that id's commit was read from */
	uint64_t
		timeline_began; /* where; 0: not known.  Of two servers that were promoted to it each has its own */
	uint32_t incarnation; /* raised whenever a divergence is accepted; part of the records' ids */
	RecordId id;
	uint64_t end_lsn;
	uint64_t confirmed;
	int64_t commit_time; /* of id's transaction, microseconds since 2000-01-01 UTC; 0: none yet */
	const struct SnapshotCursor
		*snapshot; /* of existing rows, which is not through; NULL: none.  Lives in its own list */
} Position;

/*
 * Whether a speaks of the stream that b is of: the same incarnation, and at least b's timeline.  Only
 * then can their LSNs be compared.	 A position that was set back is not of the old one's stream.
 */
extern bool position_same_stream(const Position *a, const Position *b);

/* Whether all that needed to be durable for b is durable by a. */
extern bool position_covers(const Position *a, const Position *b);

/* A JSON object with both, LSNs and big numbers as strings; the caller's to json_object_put(). */
extern struct json_object *position_to_json(const Source *source, const Position *position);

/* The reverse.  false where a member is missing, of another type, or out of range. */
extern bool position_from_json(struct json_object *object, Source *source, Position *position);

/* "0/16E2A10 seq 3, confirmed 0/16E2B48": for messages.  Returns text. */
#define POSITION_TEXT_SIZE 160
extern char *position_describe(char *text, const Position *position);

/* A microsecond count since 2000-01-01 as RFC 3339; text holds TIME_TEXT_SIZE bytes. */
#define TIME_TEXT_SIZE 40
extern char *commit_time_format(char *text, int64_t commit_time);

#endif /* CDC_POSITION_H */
