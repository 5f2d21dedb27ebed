/*
 * cdc_record.h
 *		One function per record kind: what a record holds, member by member.
 */
#ifndef CDC_RECORD_H
#define CDC_RECORD_H

#include "cdc_output.h"

/* A row's values: by attnum - 1, then those of expressions. */
typedef struct CdcImage
{
	bool present;
	Datum *values;
	bool *nulls;
	bool *missing;    /* the value was not logged (TOAST) */
	bool any_missing; /* else missing is not even looked at */
} CdcImage;

typedef struct CdcRecorder
{
	const CdcOptions *options;
	CdcOutput *output;
	const CdcTransaction *transaction;
	CdcSettings *settings; /* pinned while expressions run */
	MemoryContext context; /* of the scratch below */

	/* scratch for the row at hand, as many as its relation has columns */
	int nvalues;
	CdcImage before;
	CdcImage after;
	bool *failed; /* an expression raised an error */
	bool any_failed;

	/* the starts of records that belong to no relation */
	CdcHead begin_head;
	CdcHead commit_head;
	CdcHead message_head;
} CdcRecorder;

/*
 * Prepares a recorder; allocates in CurrentMemoryContext, which must outlive it.	 output must be
 * complete but for its transaction.
 */
extern void cdc_recorder_init(CdcRecorder *recorder, CdcOutput *output, CdcSettings *settings);

/* How records open that belong to no relation, from now on; in CurrentMemoryContext. */
extern void cdc_recorder_configure(CdcRecorder *recorder, const char *source, const char *metadata);

/* All records until the next call belong to this transaction. */
extern void cdc_recorder_begin(CdcRecorder *recorder, CdcTransaction *transaction);

/* Reads the rows of a change, NULL where WAL has none, in preparation of its record. */
extern void cdc_recorder_load(CdcRecorder *recorder, const CdcRelation *relation, TupleDesc desc,
							  HeapTuple before, HeapTuple after);

/*
 * Do the row filters let the loaded change through?	An update that crosses the filter becomes an
 * insert or a delete: *kind is changed.
 */
extern bool cdc_recorder_filter(CdcRecorder *recorder, const CdcRelation *relation,
								CdcChangeKind *kind);

/*
 * The records.	 cdc_record_change() records the change that was loaded.  May allocate in
 * CurrentMemoryContext, which the caller resets after each.
 */
extern void cdc_record_change(CdcRecorder *recorder, CdcChangeKind kind, CdcRelation *relation,
							  uint64 seq);
extern void cdc_record_truncate(CdcRecorder *recorder, CdcRelation *relation, uint64 seq);
extern void cdc_record_message(CdcRecorder *recorder, const char *prefix, const char *content,
							   Size content_len, uint64 seq);
extern void cdc_record_begin(CdcRecorder *recorder);

/* seq is one past the last change.	 In frames the transaction's end is told in any case. */
extern void cdc_record_commit(CdcRecorder *recorder, uint64 seq);

#endif /* CDC_RECORD_H */
