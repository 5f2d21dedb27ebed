/*
 * cdc_output.h
 *		Gathers finished records into replication messages, as lines or as frames.
 *
 * A record is written straight into the message that will be sent.	 A message ends when it has
 * batch_bytes, and at the latest with its transaction, so that nothing is ever held back.
 */
#ifndef CDC_OUTPUT_H
#define CDC_OUTPUT_H

#include "cdc_compat.h"
#include "cdc_options.h"
#include "cdc_relation.h"
#include "cdc_writer.h"

/* What is constant in a transaction, or belongs to one message outside of any. */
typedef struct CdcTransaction
{
	XLogRecPtr commit_lsn;
	XLogRecPtr end_lsn;
	TimestampTz commit_time; /* 0 for a message outside transactions */
	TransactionId xid;
	CdcOriginId origin;    /* of the replication; 0: made here */
	XLogRecPtr origin_lsn; /* of the commit there */
	bool transactional;
	/* the same as text: 0/16E2A10","seq":  and  ,"xid":771,"ts":"...Z" */
	char identity[40 + CDC_PADDING];
	int identity_len;
	int lsn_at; /* where in the stamp commit_lsn is, if it is there */
	char stamp[80 + CDC_PADDING];
	int stamp_len;
} CdcTransaction;

/* Which record is being written, and where in it its keys lie: for the frame's header. */
typedef struct CdcFrame
{
	char kind; /* CDC_FRAME_* */
	char op;   /* CDC_OP_* */
	uint16 part;
	uint64 seq;
	CdcRelation *relation; /* NULL: none */
	Size start;            /* the frame's offset in the message; all others count from there */
	Size payload_end;
	Size key;
	Size key_len;
	Size old_key;
	Size old_key_len;
} CdcFrame;

typedef struct CdcOutput CdcOutput;

/*
 * Where messages go: each is built in the StringInfo that open() hands out, and is whole when send() is
 * called.
 */
typedef struct CdcOutputOps
{
	StringInfo (*open)(CdcOutput *output);
	void (*send)(CdcOutput *output, StringInfo message);
	TimeLineID (*timeline)(const CdcOutput *output);
} CdcOutputOps;

/* To the consumer of a decoding session: target is its LogicalDecodingContext. */
extern const CdcOutputOps cdc_output_to_consumer;

struct CdcOutput
{
	const CdcOutputOps *ops;
	void *target; /* of the ops' own */
	const CdcOptions *options;
	const CdcTransaction *transaction;
	CdcWriter writer;
	bool open;          /* a message is being built */
	bool sent;          /* anything of the transaction has been written */
	Size message_start; /* where our bytes begin: the walsender's header comes first */
};

/* A transaction begins (or the unit that a message outside transactions is). */
extern void cdc_output_begin(CdcOutput *output, const CdcTransaction *transaction);

/*
 * Starts a record: opens a message if there is none, announces frame->relation if need be.	 The caller
 * then writes the record through output->writer, fills in the frame's key offsets, and ends it.
 */
extern void cdc_output_start_record(CdcOutput *output, CdcFrame *frame);

/* The payload ends here; what is written after it (an old key) belongs to the frame only. */
extern void cdc_output_end_payload(CdcOutput *output, CdcFrame *frame);
extern void cdc_output_end_record(CdcOutput *output, CdcFrame *frame);

/* Are there frames, in which keys may be pointed to? */
static inline bool
cdc_output_has_frames(const CdcOutput *output)
{
	return output->options->framing == CDC_FRAMING_FRAMES;
}

/* The transaction ends: sends what is left. */
extern void cdc_output_finish(CdcOutput *output);

#endif /* CDC_OUTPUT_H */
