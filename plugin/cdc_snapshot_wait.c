/*
 * cdc_snapshot_wait.c
 *		Watermarks, and a snapshot in which everything before one is visible; see cdc_snapshot_wait.h.
 *
 * A transaction commits in this order (RecordTransactionCommit() and CommitTransaction(), xact.c):
 *
 *		1. its commit record is inserted into WAL and flushed;
 *		2. its commit is noted in pg_xact (CLOG);
 *		3. it waits for synchronous standbys, if there are any;
 *		4. it leaves the array of running transactions; only now do new snapshots see it;
 *		5. its locks are released, that on its own id among them.
 *
 * Logical decoding sends it from 1 on.	 So a snapshot that is taken after a watermark may well not see
 * a transaction whose commit record precedes it, and whose changes were streamed before the watermark
 * came by: the chunk's older row would then overwrite the newer one, with nothing between the two
 * watermarks to say so.  Between 1 and 4 there can be any time: step 3 lasts as long as a standby does
 * not answer.
 *
 * Step 1 to 2 is a critical section that delays checkpoints for the very same reason, and is waited for
 * as CreateCheckPoint() (xlog.c) does: after that, whoever has a commit record before the watermark is
 * committed in pg_xact.  Those of them that are still among the running transactions are waited for by
 * the lock on their id.  What runs then and is not committed in pg_xact has no commit record before the
 * watermark, so one round is enough.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "miscadmin.h"
#include "replication/message.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

#include "cdc_compat.h"
#include "cdc_snapshot_wait.h"

/* A commit's critical section lasts as long as a flush of WAL. */
#define COMMIT_POLL_MS 1

XLogRecPtr
cdc_watermark_write(const CdcWatermark *watermark, XLogRecPtr *end)
{
	char *content = cdc_watermark_format(watermark);
	XLogRecPtr start;

	*end = cdc_log_message(CDC_WATERMARK_PREFIX, content, strlen(content));
	start = ProcLastRecPtr;
	XLogFlush(*end);
	pfree(content);
	return start;
}

/* Until step 2 of all that are in between now. */
static void
wait_for_commit_records(void)
{
	int count;
	VirtualTransactionId *delaying = GetVirtualXIDsDelayingChkpt(&count, DELAY_CHKPT_START);

	while (count > 0 && HaveVirtualXIDsDelayingChkpt(delaying, count, DELAY_CHKPT_START))
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, COMMIT_POLL_MS,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	pfree(delaying);
}

/* Not the snapshot's xip: that has no transaction whose id is past the last one that has ended. */
static TransactionId *
running_transactions(int *count)
{
	RunningTransactions running = GetRunningTransactionData();
	TransactionId *xids;

	/* both were taken for us; nothing may be allocated while they are held that could fail */
	LWLockRelease(ProcArrayLock);
	LWLockRelease(XidGenLock);
	/* the data is this process's own */
	*count = running->xcnt;
	xids = palloc(sizeof(TransactionId) * Max(*count, 1));
	memcpy(xids, running->xids, sizeof(TransactionId) * *count);
	return xids;
}

Snapshot
cdc_snapshot_take(void)
{
	TransactionId *xids;
	int count;

	wait_for_commit_records();
	xids = running_transactions(&count);
	for (int i = 0; i < count; i++)
	{
		if (TransactionIdDidCommit(xids[i]))
			XactLockTableWait(xids[i], NULL, NULL, XLTW_None);
	}
	pfree(xids);
	return RegisterSnapshot(GetLatestSnapshot());
}

/*
 * A commit is noted in pg_xact, and leaves the array of running transactions, while its record is replayed
 * (xact_redo_commit(), xact.c); only then has that been replayed.
 */
void
cdc_snapshot_require_replayed(XLogRecPtr lsn)
{
	XLogRecPtr replayed = GetXLogReplayRecPtr(NULL);

	cdc_snapshot_require_standby();
	if (replayed < lsn)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("the standby has replayed WAL up to %X/%X, not yet to %X/%X",
					   LSN_FORMAT_ARGS(replayed), LSN_FORMAT_ARGS(lsn)),
				errhint("Look at pg_last_wal_replay_lsn() first."));
}

void
cdc_snapshot_require_standby(void)
{
	if (!RecoveryInProgress())
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("the server is not a standby, or no longer"),
				errhint("Where watermarks can be written, cdc.read_chunk() does it."));
}

void
cdc_snapshot_require_primary(void)
{
	if (RecoveryInProgress())
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("watermarks cannot be written on a standby"),
				errdetail("They go into the WAL, before and after each chunk of existing rows."),
				errhint("Let the stream connect to the primary; cdc_client's --snapshot-from has a "
						"standby read the rows."));
}
