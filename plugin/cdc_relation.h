/*
 * cdc_relation.h
 *		What is known of a relation: its names, selected columns, their writers, its key; kept in a
 *		cache and forgotten when the catalogs say so.
 */
#ifndef CDC_RELATION_H
#define CDC_RELATION_H

#include "utils/rel.h"

#include "cdc_generated.h"
#include "cdc_options.h"
#include "cdc_publication.h"
#include "cdc_value.h"

typedef struct CdcColumn
{
	char *label; /* ,"name": */
	int label_len;
	int index;   /* attnum - 1, in the rows of the relation (not of the ancestor it stands under) */
	bool logged; /* in the old row under DEFAULT and USING INDEX: part of the identity's index */
	bool varlena; /* its value may be out of line */
	bool omitted; /* left out of the record being written, for its size */
	CdcType type;
	CdcExpression *generated; /* of a virtual generated column, else NULL */
} CdcColumn;

/* What stands in a record before the commit_lsn, made once per relation and operation. */
typedef struct CdcHead
{
	char *text;
	int len;
} CdcHead;

typedef struct CdcRelation
{
	Oid relid;
	uint32 number;                        /* in frames; from 1 */
	bool announced;                       /* its relation frame has been sent */
	bool selected[CDC_NUM_CHANGE_KINDS];  /* else a change is counted, but not recorded */
	CdcExpression *filters[CDC_TRUNCATE]; /* rows of which it is not true are not; NULL: all are */
	char identity;                        /* pg_class.relreplident */
	int natts;
	int ncolumns;
	CdcColumn *columns; /* selected, in the table's order */
	int nkeys;
	CdcColumn **keys;   /* those of the record's key, if all of them are selected */
	bool has_generated; /* virtual ones among the columns */
	char *schema;       /* UTF-8, as in relation frames */
	char *table;
	CdcHead heads[CDC_NUM_CHANGE_KINDS];
	uint64 replaced; /* bytes of its names that could not be converted to UTF-8 */

	/* the cache's own */
	bool valid;
	uint64 generation;
	MemoryContext context;
} CdcRelation;

typedef struct CdcRelationCache CdcRelationCache;

/*
 * A cache below parent, which is deleted with it.	 options, encoding and settings must outlive it;
 * source is the source's name.  One cache is live per process; the last one made is the one that
 * hears of invalidations, and parent's end unregisters it.
 */
extern CdcRelationCache *cdc_relation_cache_create(MemoryContext parent, const CdcOptions *options,
												   const char *source, CdcEncoding *encoding,
												   CdcSettings *settings);

/*
 * What is known of the relation, which is open; looked up in the catalogs at first use and after a
 * change.	 Valid until the next call.
 */
extern CdcRelation *cdc_relation_get(CdcRelationCache *cache, Relation relation);

#endif /* CDC_RELATION_H */
