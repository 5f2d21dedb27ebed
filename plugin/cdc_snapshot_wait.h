/*
 * cdc_snapshot_wait.h
 *		Watermarks in the WAL, and a snapshot in which everything before one is visible.
 */
#ifndef CDC_SNAPSHOT_WAIT_H
#define CDC_SNAPSHOT_WAIT_H

#include "access/xlogdefs.h"
#include "utils/snapshot.h"

#include "cdc_snapshot_window.h"

/*
 * Writes a watermark into the WAL, and flushes it: what is not is not decoded, and an idle server flushes
 * late.	Returns where its record starts, *end where it ends.
 */
extern XLogRecPtr cdc_watermark_write(const CdcWatermark *watermark, XLogRecPtr *end);

/*
 * Waits until every transaction whose commit record stands before what this session has written last
 * is visible to snapshots, and takes one, registered with the current resource owner.	The waits are
 * for locks on transactions and can be interrupted; lock_timeout and statement_timeout hold.
 */
extern Snapshot cdc_snapshot_take(void);

/*
 * The same for a standby, whose snapshots see what was replayed: ERROR unless that is all before lsn.	Nobody may wait
 * for it in here: the statement's own snapshot can hold up what is to be replayed.
 */
extern void cdc_snapshot_require_replayed(XLogRecPtr lsn);

/* ERROR unless this server is, or is not, in recovery. */
extern void cdc_snapshot_require_standby(void);
extern void cdc_snapshot_require_primary(void);

#endif /* CDC_SNAPSHOT_WAIT_H */
