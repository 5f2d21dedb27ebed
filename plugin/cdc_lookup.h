/*
 * cdc_lookup.h
 *		Lookups: the row of a reference table as of the change that is decoded.
 *
 * Beside its reference table each lookup has a shadow (cdc.add_lookup()): a user catalog table with the
 * reference's key (its first columns) and the columns that are wanted, kept up to date in the
 * transactions that change the reference (cdc_lookup_feed.c).	Under the decoding snapshot it says what
 * the reference said then.
 *
 * Rows are kept between changes as long as that is provably what the snapshot at hand would give.
 * Whatever goes wrong in a lookup is an answer (CDC_LOOKUP_FAILED), never an ERROR: a table that was
 * dropped or rewritten since must not stop the stream for good.
 */
#ifndef CDC_LOOKUP_H
#define CDC_LOOKUP_H

#include "access/htup.h"
#include "replication/logical.h"
#include "replication/reorderbuffer.h"
#include "utils/rel.h"

#include "cdc_lookup_key.h"

/* All shadows in use; one per decoding session. */
typedef struct CdcLookups CdcLookups;

/* One shadow. */
typedef struct CdcLookup CdcLookup;

/* A shadow's row: values by attnum - 1, none of them out of line. */
typedef struct CdcLookupRow
{
	Datum *values;
	bool *nulls;
} CdcLookupRow;

/* How a relation uses a shadow: by which of its columns. */
typedef struct CdcLookupUse
{
	CdcLookup *lookup; /* NULL: the shadow does not exist */
	const char *shadow;
	List *names; /* of those columns (char *) */
	int nkeys;
	CdcLookupKey *keys;
	bool logged; /* in the old row under DEFAULT and USING INDEX: by the identity's columns */
} CdcLookupUse;

typedef enum CdcLookupResult
{
	CDC_LOOKUP_FOUND,
	CDC_LOOKUP_NONE, /* no such row, or the key has a NULL */
	CDC_LOOKUP_FAILED,
} CdcLookupResult;

/*
 * An empty registry below parent.	ctx is the session's, NULL where the present state of tables is
 * looked at; it must outlive the registry.
 */
extern CdcLookups *cdc_lookups_create(MemoryContext parent, LogicalDecodingContext *ctx);

/* A transaction is about to be decoded. */
extern void cdc_lookups_begin(CdcLookups *lookups, const ReorderBufferTXN *txn);

/*
 * A change of one of the extension's own tables is decoded, of the transaction that has this toplevel
 * xid.	 Both rows NULL: all may have changed.
 */
extern void cdc_lookups_note_change(CdcLookups *lookups, Relation table, TransactionId xid,
									HeapTuple before, HeapTuple after);

/* Between records: lets go of rows where they take too much memory. */
extern void cdc_lookups_trim(CdcLookups *lookups);

/*
 * The shadow of this name (in schema cdc), whose key are its first nkeys columns; NULL if there is none.
 * What was known of it is forgotten where the catalogs changed, so whoever builds relations asks anew each
 * time.  Its OID, on whose changes that depends, is added to *relids.
 */
extern CdcLookup *cdc_lookup_get(CdcLookups *lookups, const char *name, int nkeys, List **relids);

/* attnum of a shadow's column, and its type; ERROR if it has no such column. */
extern AttrNumber cdc_lookup_column(const CdcLookup *lookup, const char *name, Oid *type);

/* The key's n-th column (from 0) is compared with a value of this type, which has this index in rows. */
extern void cdc_lookup_set_key(CdcLookup *lookup, CdcLookupKey *key, int n, int index, Oid type);

/*
 * The row for the key in values (by the keys' indexes).  *row is valid until the record is written: it is
 * in CurrentMemoryContext, or kept until cdc_lookups_trim() or cdc_lookups_note_change().
 */
extern CdcLookupResult cdc_lookup_find(CdcLookups *lookups, const CdcLookupUse *use,
									   const Datum *values, const bool *nulls, CdcLookupRow *row);

#endif /* CDC_LOOKUP_H */
