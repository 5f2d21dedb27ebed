/*
 * snapshot_chunk.h
 *		One chunk of existing rows: what changed in the stream while it was read, and what is left of it.
 *
 * Pure: it is given frames of the stream and the server's answer.  Between the two watermarks the stream
 * tells which rows its records are about; when the second one comes those are no longer the chunk's.
 */
#ifndef CDC_SNAPSHOT_CHUNK_H
#define CDC_SNAPSHOT_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "error.h"
#include "frame.h"
#include "snapshot_cursor.h"

/* What is asked with: the columns that snapshot_chunk_arrive() expects, in their order. */
#define SNAPSHOT_CHUNK_COLUMNS                                                                     \
	"high, rows, scanned, pg_catalog.convert_to(pg_catalog.to_json(last)::pg_catalog.text, "       \
	"'UTF8'), done, keys, records"

/* What the second watermark finds. */
typedef enum ChunkVerdict
{
	CHUNK_WHOLE,      /* what is left of it can be delivered */
	CHUNK_PART,       /* the same, up to a row that has to be read again */
	CHUNK_CONFIGURED, /* rules or publications changed: to be read again */
	CHUNK_UNKNOWN,    /* it is not known which of its rows have changed: to be read again */
} ChunkVerdict;

typedef struct SnapshotChunk
{
	uint64_t number; /* 0: none */
	int columns;     /* of the key; 0: none */

	/* the window */
	bool open; /* the first watermark has come */
	bool unknown;
	bool truncated;
	bool too_many;    /* more rows changed than are kept */
	uint8_t *changed; /* CDC_WATERMARK_KEY_SIZE bytes each, and one that says whether partially */
	size_t num_changed;
	size_t room;

	/* the answer; the pointers are into it */
	PGresult *result; /* NULL: it has not come */
	uint64_t high;    /* where the second watermark lies; 0: there was nothing to be read */
	uint32_t rows;
	uint32_t scanned;
	char *last; /* JSON array: the key of the last row looked at; "": there was none */
	bool done;
	const uint8_t *keys;
	size_t keys_length;
	const uint8_t *records;
	size_t records_length;

	/* being delivered */
	bool settled;
	uint8_t *dropped; /* of each row: whether it is not to be delivered */
	uint32_t deliver; /* so many of the first rows count */
	FrameReader *reader;
	Frame frame;
	bool have_frame;
	char *part_last; /* the key of the last row that counts, where not all do */
} SnapshotChunk;

/* Begins the next one. */
extern void snapshot_chunk_begin(SnapshotChunk *chunk, uint64_t number, int columns);

/* Forgets all. */
extern void snapshot_chunk_reset(SnapshotChunk *chunk);

/* A frame of the stream between the watermarks, or the first one itself. */
extern void snapshot_chunk_note(SnapshotChunk *chunk, const Frame *frame);

/* Takes the server's answer over, in binary form.  CDC_STOP: not what is expected. */
extern CdcStatus snapshot_chunk_arrive(SnapshotChunk *chunk, PGresult *result,
									   CdcError *err) CDC_MUST_CHECK;

/*
 * The second watermark has come, and the answer: what is to be delivered.	configured: that is what the
 * watermark says.  reader keeps the relations that its frames name.
 */
extern ChunkVerdict snapshot_chunk_settle(SnapshotChunk *chunk, bool configured);

/*
 * The next record that is to be delivered (or schema record); *found is false at the end.	It stays the same until
 * snapshot_chunk_taken().
 */
extern CdcStatus snapshot_chunk_next(SnapshotChunk *chunk, FrameReader *reader, bool *found,
									 CdcError *err) CDC_MUST_CHECK;
extern void snapshot_chunk_taken(SnapshotChunk *chunk);

#endif /* CDC_SNAPSHOT_CHUNK_H */
