/*
 * snapshot_divide.h
 *		A large table's range of keys divided, so that several workers can read it.
 *
 * Rows are read by a cursor: where a chunk ends is known when it has come.	 So two workers need two ranges.
 * cdc.key_bounds() says where a range can be divided into about equal parts; it looks at some of the
 * table's pages only.
 */
#ifndef CDC_SNAPSHOT_DIVIDE_H
#define CDC_SNAPSHOT_DIVIDE_H

#include "snapshot_private.h"

/* Is the range, which is about to be read, to be divided first? */
extern bool snapshot_divide_wanted(const Snapshot *snapshot, const SnapshotWork *work,
								   const SnapshotRange *range);

/* The worker asks where. */
extern CdcStatus snapshot_divide_ask(const Snapshot *snapshot, SnapshotWorker *worker,
									 const SnapshotWork *work, const SnapshotRange *range,
									 CdcError *err) CDC_MUST_CHECK;

/* Takes the answer over.  If there is none the range is read as it is. */
extern void snapshot_divide_answer(Snapshot *snapshot, const SnapshotWorker *worker,
								   PGresult *result);

#endif /* CDC_SNAPSHOT_DIVIDE_H */
