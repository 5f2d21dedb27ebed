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
	"(chunk).rows, (chunk).scanned, "                                                              \
	"pg_catalog.convert_to(pg_catalog.to_json((chunk).last)::pg_catalog.text, 'UTF8'), "           \
	"(chunk).done, (chunk).keys, (chunk).records, (chunk).places, (chunk).timeline, (chunk).took"

/* What the second watermark finds. */
typedef enum ChunkVerdict
{
	CHUNK_WHOLE,      /* what is left of it can be delivered */
	CHUNK_PART,       /* the same, up to a row that has to be read again */
	CHUNK_CONFIGURED, /* rules or publications changed: to be read again */
	CHUNK_MISPLACED,  /* its records have no room for the watermark's LSN: to be read again */
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
	bool complete;    /* it has, and where the second watermark lies is known */
	uint64_t high;    /* that */
	uint32_t rows;
	uint32_t scanned;
	char *last; /* JSON array: the key of the last row looked at; "": there was none */
	bool done;
	const uint8_t *keys;
	size_t keys_length;
	uint8_t *records;
	size_t records_length;
	const uint8_t *places; /* snapshot_place.h */
	size_t places_length;
	uint32_t timeline; /* of what was read */
	int64_t took;      /* microseconds, for the server to read it */

	/* being delivered */
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

/* The server has written the second watermark there. */
extern void snapshot_chunk_complete(SnapshotChunk *chunk, uint64_t high);

/*
 * The second watermark has come, which is this message, and the answer: what is to be delivered.
 * configured: that is what the watermark says.	 CDC_STOP: the answer is not what is expected; CDC_RETRY: it
 * comes from a server whose WAL is no longer the stream's.
 */
extern CdcStatus snapshot_chunk_settle(SnapshotChunk *chunk, const MessageHeader *watermark,
									   bool configured, ChunkVerdict *verdict,
									   CdcError *err) CDC_MUST_CHECK;

/*
 * The next record that is to be delivered (or schema record); *found is false at the end.	It stays the same until
 * snapshot_chunk_taken().
 */
extern CdcStatus snapshot_chunk_next(SnapshotChunk *chunk, FrameReader *reader, bool *found,
									 CdcError *err) CDC_MUST_CHECK;
extern void snapshot_chunk_taken(SnapshotChunk *chunk);

#endif /* CDC_SNAPSHOT_CHUNK_H */
