/*
 * cdc_record.h
 *		One function per record kind: what a record holds, member by member.
 */
#ifndef CDC_RECORD_H
#define CDC_RECORD_H

#include "cdc_output.h"
#include "cdc_rows.h"

typedef struct CdcRecorder
{
	const CdcOptions *options;
	CdcOutput *output;
	const CdcTransaction *transaction;
	CdcRows rows; /* those of the change at hand */

	/* the starts of records that belong to no relation */
	CdcHead begin_head;
	CdcHead commit_head;
	CdcHead message_head;
} CdcRecorder;

/*
 * Prepares a recorder; allocates in CurrentMemoryContext, which must outlive it.	 output must be
 * complete but for its transaction.
 */
extern void cdc_recorder_init(CdcRecorder *recorder, CdcOutput *output, CdcSettings *settings,
							  CdcLookups *lookups);

/* How records open that belong to no relation, from now on; in CurrentMemoryContext. */
extern void cdc_recorder_configure(CdcRecorder *recorder, const char *source, const char *metadata);

/* All records until the next call belong to this transaction. */
extern void cdc_recorder_begin(CdcRecorder *recorder, CdcTransaction *transaction);

/*
 * The records.	 cdc_record_change() records the change whose rows were loaded.  May allocate in
 * CurrentMemoryContext, which the caller resets after each.
 */
extern void cdc_record_change(CdcRecorder *recorder, CdcChangeKind kind, CdcRelation *relation,
							  uint64 seq);
/* The same without anything of the rows; and, if the record would have been an ERROR, its SQLSTATE. */
extern void cdc_record_stripped(CdcRecorder *recorder, CdcChangeKind kind, CdcRelation *relation,
								uint64 seq);
extern void cdc_record_truncate(CdcRecorder *recorder, CdcRelation *relation, uint64 seq);
extern void cdc_record_message(CdcRecorder *recorder, const char *prefix, const char *content,
							   Size content_len, uint64 seq);
extern void cdc_record_begin(CdcRecorder *recorder);

/* seq is one past the last change.	 In frames the transaction's end is told in any case. */
extern void cdc_record_commit(CdcRecorder *recorder, uint64 seq);

#endif /* CDC_RECORD_H */
