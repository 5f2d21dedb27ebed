/*
 * snapshot_chunk.c
 *		One chunk of existing rows.
 */
#include "snapshot_chunk.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../plugin/cdc_protocol.h"
#include "byteorder.h"
#include "snapshot_place.h"

/* A changed row: what it is known by, and 1 where its record lacks values. */
#define CHANGED_SIZE (CDC_WATERMARK_KEY_SIZE + 1)

/* 17 MiB.	A transaction that changes more rows than this in a window makes the chunk be read again. */
#define MAX_CHANGED ((size_t) 1 << 20)

/* The columns of SNAPSHOT_CHUNK_COLUMNS. */
enum
{
	COLUMN_ROWS,
	COLUMN_SCANNED,
	COLUMN_LAST,
	COLUMN_DONE,
	COLUMN_KEYS,
	COLUMN_RECORDS,
	COLUMN_PLACES,
	COLUMN_TIMELINE,
	COLUMN_TOOK,
	NUM_COLUMNS,
};

static void *
allocate(void *memory, size_t size)
{
	void *more = realloc(memory, size > 0 ? size : 1);

	if (more == NULL)
		abort();
	return more;
}

void
snapshot_chunk_reset(SnapshotChunk *chunk)
{
	PQclear(chunk->result);
	free(chunk->changed);
	free(chunk->dropped);
	free(chunk->last);
	free(chunk->part_last);
	memset(chunk, 0, sizeof(*chunk));
}

void
snapshot_chunk_begin(SnapshotChunk *chunk, uint64_t number, int columns)
{
	snapshot_chunk_reset(chunk);
	chunk->number = number;
	chunk->columns = columns;
}

static void
note_changed(SnapshotChunk *chunk, const char *key, bool partial)
{
	uint8_t *entry;

	if (chunk->num_changed == MAX_CHANGED)
	{
		chunk->too_many = true;
		return;
	}
	if (chunk->num_changed == chunk->room)
	{
		chunk->room = chunk->room > 0 ? chunk->room * 2 : 64;
		chunk->changed = allocate(chunk->changed, chunk->room * CHANGED_SIZE);
	}
	entry = chunk->changed + chunk->num_changed++ * CHANGED_SIZE;
	memcpy(entry, key, CDC_WATERMARK_KEY_SIZE);
	entry[CDC_WATERMARK_KEY_SIZE] = partial;
}

void
snapshot_chunk_note(SnapshotChunk *chunk, const Frame *frame)
{
	switch (frame->op)
	{
		case CDC_WATERMARK_LOW:
			chunk->open = true;
			break;
		case CDC_WATERMARK_ROW:
		case CDC_WATERMARK_PARTIAL_ROW:
			for (uint32_t at = 0; at + CDC_WATERMARK_KEY_SIZE <= frame->payload_length;
				 at += CDC_WATERMARK_KEY_SIZE)
				note_changed(chunk, frame->payload + at, frame->op == CDC_WATERMARK_PARTIAL_ROW);
			break;
		case CDC_WATERMARK_TRUNCATED:
			/* what is there now was put there in the window, and came in the stream */
			chunk->truncated = true;
			break;
		default:
			chunk->unknown = true;
			break;
	}
}

static char *
get_text(const PGresult *result, int column)
{
	size_t length = (size_t) PQgetlength(result, 0, column);
	char *text = allocate(NULL, length + 1);

	memcpy(text, PQgetvalue(result, 0, column), length);
	text[length] = '\0';
	return text;
}

static const uint8_t *
get_bytes(const PGresult *result, int column, size_t *length)
{
	*length = (size_t) PQgetlength(result, 0, column);
	return (const uint8_t *) PQgetvalue(result, 0, column);
}

static CdcStatus
not_expected(CdcError *err)
{
	cdc_error(err, CDC_STOP, "cdc.read_chunk() did not answer as this client expects");
	cdc_error_hint(err, "Install the cdc_client that belongs to the server's cdc_decoder.");
	return CDC_STOP;
}

CdcStatus
snapshot_chunk_arrive(SnapshotChunk *chunk, PGresult *result, CdcError *err)
{
	static const int sizes[NUM_COLUMNS] = {[COLUMN_ROWS] = 4,
										   [COLUMN_SCANNED] = 4,
										   [COLUMN_DONE] = 1,
										   [COLUMN_TIMELINE] = 4,
										   [COLUMN_TOOK] = 4};
	size_t length;
	bool good = PQntuples(result) == 1 && PQnfields(result) == NUM_COLUMNS;

	chunk->result = result;
	for (int i = 0; good && i < NUM_COLUMNS; i++)
		good = sizes[i] == 0 || PQgetlength(result, 0, i) == sizes[i];
	if (!good)
		return not_expected(err);
	chunk->rows = get_be32(get_bytes(result, COLUMN_ROWS, &length));
	chunk->scanned = get_be32(get_bytes(result, COLUMN_SCANNED, &length));
	chunk->last = get_text(result, COLUMN_LAST);
	chunk->done = *get_bytes(result, COLUMN_DONE, &length) != 0;
	chunk->keys = get_bytes(result, COLUMN_KEYS, &chunk->keys_length);
	/* not const: what the records are known by is written into them, and nobody else sees this result */
	chunk->records = (uint8_t *) PQgetvalue(result, 0, COLUMN_RECORDS);
	chunk->records_length = (size_t) PQgetlength(result, 0, COLUMN_RECORDS);
	chunk->places = get_bytes(result, COLUMN_PLACES, &chunk->places_length);
	chunk->timeline = get_be32(get_bytes(result, COLUMN_TIMELINE, &length));
	chunk->took = get_be32(get_bytes(result, COLUMN_TOOK, &length));
	return CDC_OK;
}

void
snapshot_chunk_complete(SnapshotChunk *chunk, uint64_t high)
{
	chunk->high = high;
	chunk->complete = true;
}

static int
compare_changed(const void *a, const void *b)
{
	return memcmp(a, b, CDC_WATERMARK_KEY_SIZE);
}

/* A row may have changed several times, and one of these records lack values. */
static bool
any_partial(const SnapshotChunk *chunk, const uint8_t *found)
{
	const uint8_t *first = chunk->changed;
	const uint8_t *end = first + chunk->num_changed * CHANGED_SIZE;
	const uint8_t *at = found;

	while (at > first && compare_changed(at - CHANGED_SIZE, found) == 0)
		at -= CHANGED_SIZE;
	for (; at < end && compare_changed(at, found) == 0; at += CHANGED_SIZE)
		if (at[CDC_WATERMARK_KEY_SIZE] != 0)
			return true;
	return false;
}

/* *at: behind the key that is there. */
static bool
skip_key(const SnapshotChunk *chunk, size_t *at)
{
	for (int i = 0; i < chunk->columns; i++)
	{
		uint32_t length;

		if (chunk->keys_length - *at < 4)
			return false;
		length = get_be32(chunk->keys + *at);
		*at += 4;
		if (chunk->keys_length - *at < length)
			return false;
		*at += length;
	}
	return true;
}

/* at: where the key is that the row before has. */
static void
note_part_last(SnapshotChunk *chunk, size_t at)
{
	struct json_object *key =
		snapshot_key_to_json(chunk->keys, chunk->keys_length, &at, chunk->columns);

	free(chunk->part_last);
	chunk->part_last =
		key != NULL ? strdup(json_object_to_json_string_ext(key, JSON_C_TO_STRING_PLAIN)) : NULL;
	json_object_put(key);
}

/* Marks the rows that changed; ends at one that has to be read again. */
static ChunkVerdict
drop_changed(SnapshotChunk *chunk)
{
	size_t last = 0;
	size_t at = 0;

	qsort(chunk->changed, chunk->num_changed, CHANGED_SIZE, compare_changed);
	for (uint32_t row = 0; row < chunk->rows; row++)
	{
		const uint8_t *found;

		if (chunk->keys_length - at < CDC_WATERMARK_KEY_SIZE)
			break;
		found = bsearch(chunk->keys + at, chunk->changed, chunk->num_changed, CHANGED_SIZE,
						compare_changed);
		if (found != NULL && any_partial(chunk, found))
		{
			/* without a key there is no place to go on from */
			chunk->deliver = chunk->columns > 0 ? row : 0;
			if (chunk->deliver > 0)
				note_part_last(chunk, last);
			return CHUNK_PART;
		}
		chunk->dropped[row] = found != NULL;
		at += CDC_WATERMARK_KEY_SIZE;
		last = at;
		if (!skip_key(chunk, &at))
			break;
	}
	return CHUNK_WHOLE;
}

/* What changed in the window decides. */
static ChunkVerdict
judge(SnapshotChunk *chunk)
{
	if (chunk->too_many)
		return CHUNK_UNKNOWN;
	chunk->deliver = chunk->rows;
	chunk->dropped = allocate(chunk->dropped, chunk->rows);
	memset(chunk->dropped, chunk->truncated ? 1 : 0, chunk->rows);
	if (chunk->truncated)
		return CHUNK_WHOLE;
	if (chunk->unknown)
		return CHUNK_UNKNOWN;
	return chunk->num_changed > 0 ? drop_changed(chunk) : CHUNK_WHOLE;
}

CdcStatus
snapshot_chunk_settle(SnapshotChunk *chunk, const MessageHeader *watermark, bool configured,
					  ChunkVerdict *verdict, CdcError *err)
{
	PlaceResult placed;

	if (chunk->timeline != watermark->timeline)
	{
		cdc_error(err, CDC_RETRY,
				  "existing rows were read on timeline %" PRIu32
				  ", but the stream is on timeline %" PRIu32,
				  chunk->timeline, watermark->timeline);
		cdc_error_hint(err, "--snapshot-from must lead to a standby of the server that the stream "
							"comes from.");
		return CDC_RETRY;
	}
	*verdict = configured ? CHUNK_CONFIGURED : judge(chunk);
	if ((*verdict != CHUNK_WHOLE && *verdict != CHUNK_PART) || chunk->records_length == 0)
		return CDC_OK;
	placed = snapshot_place(chunk->records, chunk->records_length, chunk->places,
							chunk->places_length, watermark->commit_lsn, watermark->end_lsn);
	if (placed == PLACE_MALFORMED)
		return not_expected(err);
	if (placed == PLACE_OTHER_WIDTH)
		*verdict = CHUNK_MISPLACED;
	return CDC_OK;
}

CdcStatus
snapshot_chunk_next(SnapshotChunk *chunk, FrameReader *reader, bool *found, CdcError *err)
{
	*found = chunk->have_frame;
	if (chunk->have_frame)
		return CDC_OK;
	if (chunk->reader == NULL && chunk->records_length > 0)
	{
		CdcStatus status = frame_open(reader, chunk->records, chunk->records_length, err);

		if (status != CDC_OK)
			return status;
	}
	chunk->reader = reader;
	while (chunk->records_length > 0)
	{
		CdcStatus status = frame_next(reader, &chunk->frame, found, err);

		if (status != CDC_OK || !*found)
			return status;
		if (chunk->frame.kind == CDC_FRAME_RECORD)
		{
			uint64_t row = chunk->frame.seq;

			if (row == 0 || row > chunk->rows)
				return cdc_error(err, CDC_STOP, "the server sent a chunk with a row out of order");
			if (row > chunk->deliver)
			{
				*found = false;
				return CDC_OK;
			}
			if (chunk->dropped[row - 1] != 0)
				continue;
		}
		chunk->have_frame = true;
		return CDC_OK;
	}
	*found = false;
	return CDC_OK;
}

void
snapshot_chunk_taken(SnapshotChunk *chunk)
{
	chunk->have_frame = false;
}
