/*
 * cdc_record.h
 *		One function per record kind: from a change to a record in the output.
 *
 * What a record looks like is its format's (cdc_format.h).  Here is what all formats share: the frame
 * around it, its keys, its bound, expressions and lookups that are evaluated for it.
 */
#ifndef CDC_RECORD_H
#define CDC_RECORD_H

#include "cdc_message.h"
#include "cdc_output.h"
#include "cdc_rows.h"

struct CdcRecordFormat;

/* A change of a row, or a truncation, on its way into a record. */
typedef struct CdcChange
{
	CdcChangeKind kind;
	CdcRelation *relation;
	CdcFrame frame;   /* the writer of the record fills in where its key is */
	bool key_omitted; /* the record was too long with a column of it */
} CdcChange;

/* What of a message is left out because the record would be too long. */
typedef enum CdcMessageOmission
{
	CDC_OMIT_NOTHING,
	CDC_OMIT_CONTENT,
	CDC_OMIT_PREFIX_TOO,
} CdcMessageOmission;

/* Records that belong to no relation. */
typedef enum CdcHeadKind
{
	CDC_HEAD_BEGIN,
	CDC_HEAD_COMMIT,
	CDC_HEAD_MESSAGE,
	CDC_HEAD_DDL,
	CDC_HEAD_OUTBOX,
	CDC_NUM_HEADS,
} CdcHeadKind;

typedef struct CdcRecorder
{
	const CdcOptions *options;
	CdcOutput *output;
	const CdcTransaction *transaction;
	CdcRows rows;          /* those of the change at hand */
	XLogRecPtr change_lsn; /* where it lies in WAL, or the message; its caller sets it */

	const struct CdcRecordFormat *format;
	StringInfoData scratch; /* of a format's, for one record */
	CdcWriter scratch_writer;
	CdcHead heads[CDC_NUM_HEADS];       /* the starts of records that belong to no relation */
	const char *targets[CDC_NUM_HEADS]; /* and where they are sent; NULL: named by the sink */
	const char *metadata;               /* of the pipeline: "" or ,"name":value... */
	void *state;                        /* of the format's own, for as long as the recorder is */
} CdcRecorder;

/*
 * Prepares a recorder; allocates in CurrentMemoryContext, which must outlive it.	 output must be
 * complete but for its transaction.
 */
extern void cdc_recorder_init(CdcRecorder *recorder, CdcOutput *output, CdcSettings *settings,
							  CdcLookups *lookups);

/* The options were read: how records are written from now on; in CurrentMemoryContext. */
extern void cdc_recorder_configure(CdcRecorder *recorder, const char *source, const char *metadata);

/* All records until the next call belong to this transaction. */
extern void cdc_recorder_begin(CdcRecorder *recorder, CdcTransaction *transaction);

/* Is the change, whose rows were loaded, one that is to be told? */
extern bool cdc_record_wants_change(CdcRecorder *recorder, CdcChangeKind kind,
									const CdcRelation *relation);

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

/* Those that belong to no relation: target is what stands for recorder->targets[...], NULL if that is. */
extern void cdc_record_message(CdcRecorder *recorder, CdcRelation *target,
							   const CdcMessage *message, uint64 seq);

/* An outbox message's content itself is the record, where there are frames to tell its target and key. */
extern void cdc_record_outbox(CdcRecorder *recorder, CdcRelation *target, CdcMessage *message,
							  uint64 seq);
extern void cdc_record_begin(CdcRecorder *recorder, CdcRelation *target);

/* seq is one past the last change.	 In frames the transaction's end is told in any case. */
extern void cdc_record_commit(CdcRecorder *recorder, CdcRelation *target, uint64 seq);

/* Of what the head that a message's record begins with is. */
extern CdcHeadKind cdc_message_head(const CdcMessage *message);

/* Are all values of the key at hand, so that the record can have it? */
extern bool cdc_key_is_known(const CdcRelation *relation, const CdcImage *image);

#endif /* CDC_RECORD_H */
