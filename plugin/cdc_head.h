/*
 * cdc_head.h
 *		The starts of records, up to the commit_lsn: constant text, made once.
 */
#ifndef CDC_HEAD_H
#define CDC_HEAD_H

#include "cdc_writer.h"

typedef struct CdcHead
{
	char *text; /* padded (cdc_writer.h) */
	int len;
	uint64 replaced; /* bytes in it that could not be converted to UTF-8 */
} CdcHead;

/*
 * {"op":...,"source":...,"schema":...,"table":...,"commit_lsn":" in CurrentMemoryContext.	metadata is
 * "" or ,"name":value...; schema and table are NULL where the record belongs to no relation.
 */
extern CdcHead cdc_head_make(const char *op, const char *source, const char *metadata,
							 const char *schema, const char *table, CdcEncoding *encoding);

#endif /* CDC_HEAD_H */
