/*
 * cdc_lookup_read.h
 *		Reading a shadow under the snapshot at hand.
 *
 * Under a historic snapshot PostgreSQL finds a user catalog table in its present file, but an index of it
 * where the index was then (RelationInitPhysicalAddr(), utils/cache/relcache.c): after REINDEX, VACUUM
 * FULL or CLUSTER that file is gone.  So the index is pointed to its present file; where there is none
 * (REINDEX CONCURRENTLY makes another index) the heap is scanned.
 */
#ifndef CDC_LOOKUP_READ_H
#define CDC_LOOKUP_READ_H

#include "cdc_lookup.h"

/* A shadow as the catalogs of the snapshot at hand have it. */
typedef struct CdcShadow
{
	Oid relid;
	int natts;
	Oid *types; /* by attnum - 1; InvalidOid: dropped */
	Oid *collations;
	char **names;
	Oid index;         /* its primary key's, where it can be used; set by cdc_shadow_find_index() */
	bool index_looked; /* index has been looked for */
} CdcShadow;

/*
 * Reads a row: scan keys are for the shadow's first nkeys columns.  The row's values are copied into
 * context, none of them out of line.  False: there is none.  ERROR, leaving resources to be released by
 * the subtransaction that this is called in, where the table cannot be read.
 */
extern bool cdc_shadow_read(CdcShadow *shadow, int nkeys, const ScanKeyData *keys, bool use_index,
							MemoryContext context, CdcLookupRow *row);

/*
 * Reads all rows, and hands each to take() until that returns false, or until one is in pieces; then
 * false.	The row's values are in context.
 */
extern bool cdc_shadow_read_all(const CdcShadow *shadow, MemoryContext context,
								bool (*take)(void *arg, const CdcLookupRow *row), void *arg);

/* Was the table dropped since?	Then it cannot be read, now or ever. */
extern bool cdc_shadow_is_gone(const CdcShadow *shadow);

/* The index by which it can be read now; InvalidOid: none. */
extern Oid cdc_shadow_find_index(CdcShadow *shadow, Relation table);

#endif /* CDC_LOOKUP_READ_H */
