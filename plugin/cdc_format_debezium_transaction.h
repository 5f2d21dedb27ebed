/*
 * cdc_format_debezium_transaction.h
 *		What records of a transaction have in common, and how many they are; private to format=debezium.
 */
#ifndef CDC_FORMAT_DEBEZIUM_TRANSACTION_H
#define CDC_FORMAT_DEBEZIUM_TRANSACTION_H

#include "cdc_record.h"

/* Text that is the same in all records of a transaction. */
typedef enum DebeziumStamp
{
	STAMP_TIME,   /* 1769903999123, */
	STAMP_COMMIT, /* the commit's LSN, and what leads to the change's */
	STAMP_TIMES,  /* what is behind that: "]","ts_us":...,"ts_ns":... */
	STAMP_XID,    /* 771,"lsn": */
	STAMP_ORIGIN, /* ,"xmin":null,"origin":null,"origin_lsn":null} */
	STAMP_NOW,    /* ,"ts_ms":...,"ts_us":...,"ts_ns":... */
	NUM_DEBEZIUM_STAMPS,
} DebeziumStamp;

extern void cdc_debezium_begin_transaction(CdcRecorder *recorder, CdcTransaction *transaction);

/* The transaction's text of that name. */
extern void cdc_debezium_put_stamp(CdcRecorder *recorder, DebeziumStamp stamp);

/* Since 1970; 0 where WAL has no time. */
extern int64 cdc_debezium_milliseconds(const CdcTransaction *transaction);

/* ,"transaction":...  schema is NULL of a message, which table then stands for. */
extern void cdc_debezium_put_transaction(CdcRecorder *recorder, const char *schema,
										 const char *table, uint64 seq, uint16 part);

/* "771:23994232" */
extern void cdc_debezium_put_transaction_id(CdcRecorder *recorder, XLogRecPtr lsn);

/* The record of the transaction's begin, or of its end. */
extern void cdc_debezium_put_boundary(CdcRecorder *recorder, bool ends);

#endif /* CDC_FORMAT_DEBEZIUM_TRANSACTION_H */
