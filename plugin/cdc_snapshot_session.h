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
	List *elements;        /* of DefElem: the options as they were given */
	CdcOptions options;
	CdcEncoding encoding;
	CdcSettings settings;
	CdcOutput output;
	CdcRecorder recorder;
	CdcRelationCache *relations;
	CdcLookups *lookups;
	CdcTransaction transaction; /* what the records have in common; filled in by who writes them */
	StringInfoData message;     /* frames, behind room for a varlena's header */
	StringInfoData places;      /* of CdcPlace: where they have the transaction's LSN */
} CdcSnapshotSession;

/*
 * Begins a session below CurrentMemoryContext, for which the catalogs have not been asked yet.	options:
 * name, value, name, value ... as START_REPLICATION has them; an option that the plugin would refuse is an
 * ERROR.  Whatever framing and batch_bytes say, records are frames, in one message.
 */
extern CdcSnapshotSession *cdc_snapshot_session_start(ArrayType *options);

/*
 * Takes rules, publications and what else the catalogs say as they are now: all that is visible to a
 * snapshot that was taken before.	Needed once, before records are made.  ERROR unless the caller may see
 * what the pipeline's rules make of rows.
 */
extern void cdc_snapshot_session_configure(CdcSnapshotSession *session);
extern void cdc_snapshot_session_end(CdcSnapshotSession *session);

/* ERROR unless the caller may have what the table holds: by SELECT, or since they may replicate. */
extern void cdc_snapshot_require_access(Relation relation);

/*
 * The table of that OID, locked (ACCESS SHARE, for the caller to keep) and its rows for the caller to have;
 * ERROR unless it is there and its changes are decoded.
 */
extern Relation cdc_snapshot_open_relation(Oid relid);

/* ERROR unless the caller may have what rules look up for it elsewhere, too. */
extern void cdc_snapshot_require_lookups(Relation relation, const CdcRelation *known);

#endif /* CDC_SNAPSHOT_SESSION_H */
