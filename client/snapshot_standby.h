/*
 * snapshot_standby.h
 *		Existing rows that are read on a standby (--snapshot-from), between watermarks on the primary.
 *
 * A worker then has two connections: rows are read on the one, which has to have replayed a chunk's first
 * watermark before; both watermarks are written on the other, the marker.
 */
#ifndef CDC_SNAPSHOT_STANDBY_H
#define CDC_SNAPSHOT_STANDBY_H

#include "snapshot_private.h"

/*
 * Connects the worker, whose connection leads to the primary, to the standby.  CDC_STOP: what is there is not
 * one of the same database cluster.	 Where it is the very server that the stream comes from, as after a
 * failover, rows are read there by the one connection, and the log says so.
 */
extern CdcStatus snapshot_standby_open(const Session *session, SnapshotWorker *worker,
									   CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_SNAPSHOT_STANDBY_H */
