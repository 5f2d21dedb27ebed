/*
 * cdc_snapshot_session.h
 *		What encoding takes outside of decoding: a stream's options, pipeline and publications, in the
 *		catalogs' present state, with an output into memory.
 */
#ifndef CDC_SNAPSHOT_SESSION_H
#define CDC_SNAPSHOT_SESSION_H

#include "utils/array.h"

#include "cdc_record.h"

typedef struct CdcSnapshotSession
{
	MemoryContext context; /* of all of it */
	CdcOptions options;
	CdcEncoding encoding;
	CdcSettings settings;
	CdcOutput output;
	CdcRecorder recorder;
	CdcRelationCache *relations;
	CdcTransaction transaction; /* what the records have in common; filled in by who writes them */
	StringInfoData message;     /* frames, behind room for a varlena's header */
} CdcSnapshotSession;

/*
 * Begins a session below CurrentMemoryContext.	options: name, value, name, value ... as
 * START_REPLICATION has them; an option that the plugin would refuse is an ERROR.  Whatever framing and
 * batch_bytes say, records are frames, in one message.
 */
extern CdcSnapshotSession *cdc_snapshot_session_start(ArrayType *options);
extern void cdc_snapshot_session_end(CdcSnapshotSession *session);

/* ERROR unless the caller may have what the table holds: by SELECT, or since they may replicate. */
extern void cdc_snapshot_require_access(Relation relation);

#endif /* CDC_SNAPSHOT_SESSION_H */
