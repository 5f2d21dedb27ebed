/*
 * cdc_head.h
 *		Text that is constant in records of one kind, made once: their starts, and members' labels.
 */
#ifndef CDC_HEAD_H
#define CDC_HEAD_H

#include "catalog/pg_attribute.h"
#include "utils/rel.h"

#include "cdc_options.h"
#include "cdc_settings.h"
#include "cdc_writer.h"

typedef struct CdcHead
{
	char *text; /* padded (cdc_writer.h) */
	int len;
	char *tail; /* for formats that have more to say further on; padded */
	int tail_len;
	uint64 replaced; /* bytes in it that could not be converted to UTF-8 */
} CdcHead;

/* What the start of a record is made from. */
typedef struct CdcHeadInput
{
	const CdcOptions *options;
	const char *op; /* insert, update, ... */
	const char *source;
	const char *metadata; /* "" or ,"name":value... */
	const char *schema;   /* NULL, as table is: the record belongs to no relation */
	const char *table;
	const char *schema_version; /* NULL: not told */
	bool is_schema;             /* of a schema record: what stands before its member "version" */
	const struct CdcRelation *relation;  /* of table, its members made; NULL where there is none */
	const struct CdcLabelInput *columns; /* what its members were made from, in their order */
	CdcEncoding *encoding;
} CdcHeadInput;

/* What the text before a member's value is made from. */
typedef struct CdcLabelInput
{
	const CdcOptions *options;
	const char *member;     /* its name in the record */
	Form_pg_attribute attr; /* the column in whose place it is; NULL: there is none */
	Relation relation;      /* as it is published; of attr */
	Oid type;
	int32 typmod;
	CdcEncoding *encoding;
	CdcSettings *settings;
} CdcLabelInput;

/* In place of which values text stands that is the same in all records. */
typedef enum CdcStandIn
{
	CDC_STAND_IN_UNCHANGED, /* not logged because it did not change */
	CDC_STAND_IN_UNLOGGED,  /* of an old row, of which only the identity's columns were logged */
} CdcStandIn;

#endif /* CDC_HEAD_H */
