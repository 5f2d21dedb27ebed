/*
 * snapshot_ranges.h
 *		What of a table has not been delivered yet: ranges of its key.
 *
 * Pure.  A key is a JSON array of texts as the server gave it, "" for none; keys are compared for being
 * the same only, since what their order is only the server knows.  The list is in the order of the key,
 * and no two ranges overlap.	A range is free, or taken by a chunk that is to deliver it or its beginning;
 * what is not delivered of it becomes free again, and others are not touched by that.
 */
#ifndef CDC_SNAPSHOT_RANGES_H
#define CDC_SNAPSHOT_RANGES_H

#include <stdbool.h>
#include <stdint.h>

#include <json-c/json.h>

typedef struct SnapshotRange
{
	char *after;        /* the last row before it; "": it begins with the table's first */
	char *upto;         /* its last row; "": it ends with the table's last */
	uint64_t chunk;     /* that has taken it; 0: it is free */
	bool cut;           /* only a chunk's end separates it from the one before */
	bool divided;       /* is not worth being divided among workers, or was */
	int max_rows;       /* of it are to be read at a time; 0: any number */
	int attempts;       /* its beginning was read so often in vain */
	int unknown;        /* so many of these because it was not known what had changed */
	int64_t not_before; /* clock.h: a pause */
} SnapshotRange;

typedef struct SnapshotRanges
{
	SnapshotRange *items;
	int count;
	int room;
} SnapshotRanges;

/* Forgets all: nothing is left to be delivered. */
extern void snapshot_ranges_clear(SnapshotRanges *ranges);

/* Appends a free one. */
extern SnapshotRange *snapshot_ranges_add(SnapshotRanges *ranges, const char *after,
										  const char *upto);

/* The first free one whose pause is over, NULL: there is none. */
extern SnapshotRange *snapshot_ranges_free(const SnapshotRanges *ranges, int64_t now);
extern int snapshot_ranges_count_free(const SnapshotRanges *ranges);

/* When a free one's pause is over at the earliest; INT64_MAX: there is none. */
extern int64_t snapshot_ranges_deadline(const SnapshotRanges *ranges);

/* The one that the chunk has taken, NULL: none. */
extern SnapshotRange *snapshot_ranges_find(const SnapshotRanges *ranges, uint64_t chunk);

/* The chunk ends at this row already: the rest of its range is free.  NULL or "": it does not. */
extern void snapshot_ranges_cut(SnapshotRanges *ranges, uint64_t chunk, const char *last);

/* The chunk's range was delivered, or need not be. */
extern void snapshot_ranges_remove(SnapshotRanges *ranges, uint64_t chunk);

/* The chunk's range was delivered up to that row (NULL: not at all), and is free from there on. */
extern SnapshotRange *snapshot_ranges_give_back(SnapshotRanges *ranges, uint64_t chunk,
												const char *after);

/* Removes all that are free. */
extern void snapshot_ranges_remove_free(SnapshotRanges *ranges);

/*
 * What the chunk has taken becomes free, in parts: each of the bounds, in their order within it, is the
 * last row of one, and the last part ends where it ends.
 */
extern void snapshot_ranges_divide(SnapshotRanges *ranges, uint64_t chunk, char *const *bounds,
								   int num_bounds);

/*
 * Copies all, those that adjoin as one; "to" is overwritten.  But the chunk's range (0: none) begins one of
 * its own, and its index is returned, or it is left out (keep: false), and -1 returned.
 */
extern int snapshot_ranges_copy(SnapshotRanges *to, const SnapshotRanges *from, uint64_t chunk,
								bool keep);

/* [[after, upto], ...], null for "". */
extern struct json_object *snapshot_ranges_to_json(const SnapshotRanges *ranges);

/* The reverse, into what is empty; false where it is not one, and nothing is left of it then. */
extern bool snapshot_ranges_from_json(struct json_object *array, SnapshotRanges *ranges);

#endif /* CDC_SNAPSHOT_RANGES_H */
