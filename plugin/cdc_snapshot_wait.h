/*
 * cdc_snapshot_wait.h
 *		Watermarks in the WAL, and a snapshot in which everything before one is visible.
 */
#ifndef CDC_SNAPSHOT_WAIT_H
#define CDC_SNAPSHOT_WAIT_H

#include "access/xlogdefs.h"
#include "utils/snapshot.h"

/* Writes a logical message outside transactions; returns where its record starts, *end where it ends. */
extern XLogRecPtr cdc_watermark_write(const char *content, XLogRecPtr *end);

/*
 * Waits until every transaction whose commit record stands before what this session has written last
 * is visible to snapshots, and takes one, registered with the current resource owner.	The waits are
 * for locks on transactions and can be interrupted; lock_timeout and statement_timeout hold.
 */
extern Snapshot cdc_snapshot_take(void);

#endif /* CDC_SNAPSHOT_WAIT_H */
