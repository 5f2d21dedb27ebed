/*
 * snapshot_cursor.h
 *		How far a snapshot of existing rows has come: the part of a position that says so.
 *
 * A cursor belongs to one chunk and is the same for all positions of it: the row is told by the
 * position's own id, whose seq counts the chunk's rows.	 So a position stays small, and the cursor's text
 * is made only where the position is stored.
 *
 * Cursors live in one list, in the order of their making.  Sinks keep positions for a while, on other
 * threads too, but only read what they point to; what is older than the durable one is of no more use.
 */
#ifndef CDC_SNAPSHOT_CURSOR_H
#define CDC_SNAPSHOT_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

#include "snapshot_ranges.h"

struct RecordId;

typedef enum SnapshotKind
{
	SNAPSHOT_INITIAL,  /* of all that the stream selects; tables in the order of their OIDs */
	SNAPSHOT_BACKFILL, /* of what one request asks for */
} SnapshotKind;

/* Between two chunks.  JSON texts are "" for none. */
typedef struct SnapshotState
{
	SnapshotKind kind;
	int64_t request;       /* of a backfill: its number */
	bool finished;         /* all of it; of a backfill still told, lest it begin again */
	uint32_t relation;     /* OID; those up to it have begun; 0: none */
	bool table_done;       /* and it is through, too */
	char *name;            /* its name, for messages */
	char *key;             /* JSON array: the names of the columns that its rows are ordered by */
	SnapshotRanges ranges; /* of it that are left; none: see table_done */
	uint64_t rows;         /* delivered of the snapshot so far */
	uint64_t bytes;        /* of their records, about */
	uint64_t total_rows;   /* that there are in all, as far as can be told; 0: not known */
	int64_t began;         /* TimestampTz; 0: not known */
} SnapshotState;

typedef struct SnapshotCursor SnapshotCursor;

/* Deep copies: to is overwritten. */
extern void snapshot_state_copy(SnapshotState *to, const SnapshotState *from);
extern void snapshot_state_free(SnapshotState *state); /* leaves it zeroed */

/* The chunk of rows that a cursor is of. */
typedef struct SnapshotCursorChunk
{
	uint64_t commit_lsn; /* of its records */
	uint32_t rows;       /* that count */
	uint64_t bytes;      /* of their records */
	int columns;         /* of the key */
	const uint8_t *keys; /* as cdc.read_chunk() has them */
	size_t keys_length;
	SnapshotRanges ranges; /* what is left while it is delivered */
	int own; /* which of them is its own, and begins behind its last durable row; -1: none */
} SnapshotCursorChunk;

/*
 * A cursor for the records of this chunk (NULL: of none): once the last of them is durable it is as "end"
 * says.	 All is copied.
 */
extern const SnapshotCursor *snapshot_cursor_create(const SnapshotState *end,
													const SnapshotCursorChunk *chunk);

/* The cursor of the last position is durable: frees all that are older.	 Takes NULL. */
extern void snapshot_cursor_release(const SnapshotCursor *durable);

/* Is it of the records of a chunk of which not all are durable yet? */
extern bool snapshot_cursor_has_chunk(uint64_t commit_lsn);

/* What is to be done next, where the position at id is durable. */
extern void snapshot_cursor_state(const SnapshotCursor *cursor, const struct RecordId *id,
								  SnapshotState *state);

/* Is anything left to be delivered of it?  A request's cursor stays when it is through.	 NULL: no. */
extern bool snapshot_cursor_is_unfinished(const SnapshotCursor *cursor, const struct RecordId *id);

/*
 * The same place, for a position with another id: of no chunk.	 NULL for NULL.
 */
extern const SnapshotCursor *snapshot_cursor_carry(const SnapshotCursor *cursor,
												   const struct RecordId *id);

/* As a member of a position's JSON; NULL: nothing is left to be told. */
extern struct json_object *snapshot_cursor_to_json(const SnapshotCursor *cursor,
												   const struct RecordId *id);

/* The reverse; false where it is not one. */
extern bool snapshot_cursor_from_json(struct json_object *object, const SnapshotCursor **cursor);

/* The texts of one row's key, from *at on, as a JSON array; NULL: they do not end within the bytes. */
extern struct json_object *snapshot_key_to_json(const uint8_t *keys, size_t length, size_t *at,
												int columns);

#endif /* CDC_SNAPSHOT_CURSOR_H */
