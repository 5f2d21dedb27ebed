/*
 * cdc_members.h
 *		Members that several formats have in their records, by the names of doc/records.md.
 *
 * Each member is written with a comma before it.
 */
#ifndef CDC_MEMBERS_H
#define CDC_MEMBERS_H

#include "cdc_json.h"
#include "cdc_record.h"

/* key, before, after, and as cdc_put_exceptions(); fills in where in the frame the key is. */
extern void cdc_put_row_members(CdcRecorder *recorder, CdcChange *change, bool omitting);

/* The same without key; has_key: the record has one. */
extern void cdc_put_row_images(CdcRecorder *recorder, const CdcChange *change, bool has_key,
							   bool omitting);

/*
 * unchanged (if it is asked for), errors, oversized: the columns that are not, or not truly, in the
 * record, and why.
 */
extern void cdc_put_exceptions(CdcRecorder *recorder, const CdcRelation *relation, bool unchanged,
							   bool omitting);

/* stripped, sqlstate: in place of a row's members, and which error they would have been. */
extern void cdc_put_stripped_members(CdcWriter *writer, int sqlstate);

/* transactional, prefix, content; ddl; target, key, payload. */
extern void cdc_put_message_members(CdcRecorder *recorder, const CdcMessage *message,
									CdcMessageOmission omission);

/* {"id":1} */
extern void cdc_put_row_key(CdcWriter *writer, const CdcRelation *relation, const CdcImage *image);

/* replaced, if anything was: in names that were written before, or in the record's values. */
static inline void
cdc_put_replaced(CdcWriter *writer, uint64 in_names)
{
	uint64 replaced = in_names + writer->encoding->replaced;

	if (unlikely(replaced > 0))
	{
		cdc_put_literal(writer, ",\"replaced\":");
		cdc_put_uint64(writer, replaced);
	}
}

#endif /* CDC_MEMBERS_H */
