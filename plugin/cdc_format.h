/*
 * cdc_format.h
 *		What a record looks like: one set of writers per option "format".
 *
 * A format writes finished text through output->writer into a record that cdc_record.c has started and
 * will end.  It is asked again for the same record where the first try was too long.  What is constant
 * is made once: heads and labels, in CurrentMemoryContext, with the relation or the configuration.
 * Nothing of it is looked up, parsed or allocated per record.
 */
#ifndef CDC_FORMAT_H
#define CDC_FORMAT_H

#include "cdc_record.h"

typedef struct CdcRecordFormat
{
	bool
		tells_ddl; /* put_message() writes CDC_MESSAGE_DDL; else it is a plain message, on request */
	bool tells_outbox; /* and CDC_MESSAGE_OUTBOX, in lines; else it is a plain message */

	bool
		names_types; /* labels and tails have names of types in them, and maybe default expressions */

	/* An update that changes the key is told as a delete and an insert: parts 0 and 1 of it. */
	bool splits_key_changes;

	CdcHead (*make_head)(const CdcHeadInput *input);

	/* The text before a key in the frame, and where a record is sent unless a rule says so.  NULL: none has such. */
	char *(*make_key_head)(const CdcHeadInput *input, int *len);
	char *(*make_target)(const CdcHeadInput *input);

	/* The text before a member's value, and that behind it (NULL: none has such), padded. */
	char *(*make_label)(const CdcLabelInput *input, int *len);
	char *(*make_tail)(const CdcLabelInput *input, int *len);

	/* What stands in place of a value, padded (NULL: nothing does, the member is left out). */
	char *(*make_stand_in)(const CdcLabelInput *input, CdcStandIn what, int *len);

	/*
	 * How values of a type, which may be a domain, are written, where it is another way than our own
	 * (cdc_value.h); false: as ours.  NULL: all are.
	 */
	bool (*build_type)(CdcType *type, Oid type_oid, int32 typmod, CdcTypeBuilder *builder);

	/* A transaction begins, or a message outside of any: what its records have in common. */
	void (*begin_transaction)(CdcRecorder *recorder, CdcTransaction *transaction);

	/* The rows are recorder->rows.	 omitting: columns that are marked as omitted are left out. */
	void (*put_change)(CdcRecorder *recorder, CdcChange *change, bool omitting);

	/*
	 * The key of a row, as it stands in the frame; it has one (cdc_key_is_known()).  key_behind: put_change
	 * writes none of its own into the record, so that in frames it follows behind.
	 */
	void (*put_key)(CdcWriter *writer, const CdcRelation *relation, const CdcImage *image);
	bool key_behind;

	/* The change without its row, and the SQLSTATE (0: none) of what stands in its way. */
	void (*put_stripped)(CdcRecorder *recorder, CdcChange *change, int sqlstate);
	void (*put_truncate)(CdcRecorder *recorder, CdcChange *change);
	void (*put_message)(CdcRecorder *recorder, const CdcMessage *message, uint64 seq,
						CdcMessageOmission omission);
	void (*put_begin)(CdcRecorder *recorder, const CdcFrame *frame);
	void (*put_commit)(CdcRecorder *recorder, const CdcFrame *frame);

	/* The key of a record that belongs to no relation, behind its payload; message: where it is one.  NULL: none. */
	void (*put_head_key)(CdcRecorder *recorder, CdcHeadKind kind, const CdcMessage *message);
} CdcRecordFormat;

/* The one that the options ask for. */
extern const CdcRecordFormat *cdc_format(const CdcOptions *options);

/* The formats, each in its file. */
extern const CdcRecordFormat cdc_format_cdc;
extern const CdcRecordFormat cdc_format_cloudevents;
extern const CdcRecordFormat cdc_format_debezium;
extern const CdcRecordFormat cdc_format_wal2json;

#endif /* CDC_FORMAT_H */
