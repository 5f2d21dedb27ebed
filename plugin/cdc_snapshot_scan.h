/*
 * cdc_snapshot_scan.h
 *		Rows of a table in the order of its primary key, from a place in it on.
 */
#ifndef CDC_SNAPSHOT_SCAN_H
#define CDC_SNAPSHOT_SCAN_H

#include "access/genam.h"
#include "access/skey.h"
#include "nodes/pg_list.h"
#include "utils/array.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

/* The index that gives a table's rows an order: the primary key's, else the replica identity's. */
typedef struct CdcScanKey
{
	Relation index; /* NULL: the table has none, and can only be read as a whole */
	int ncolumns;
	AttrNumber attnums[INDEX_MAX_KEYS]; /* of the table */
	FmgrInfo output[INDEX_MAX_KEYS];
	/* what is compared with: of a row that comes before the first, and of the last one; 1 or ncolumns */
	int nbounds;
	ScanKeyData bounds[2];
} CdcScanKey;

/* What a scan may read at most, bytes as they are uncompressed; rows or bytes of 0: any number. */
typedef struct CdcScanLimit
{
	int rows;
	Size bytes;
} CdcScanLimit;

/* Opens the index; all is in CurrentMemoryContext. */
extern void cdc_scan_key_open(CdcScanKey *key, Relation relation);
extern void cdc_scan_key_close(CdcScanKey *key);

/* The names of its columns, NIL where there is no key. */
extern List *cdc_scan_key_names(const CdcScanKey *key, Relation relation);

/*
 * ERROR unless these are the names of the key's columns: what was read by another key says nothing about
 * where to go on by this one.
 */
extern void cdc_scan_key_require(const CdcScanKey *key, Relation relation, ArrayType *names);

/* The values of a key in text, one for each column; ERROR where they are not values of these. */
extern Datum *cdc_scan_key_values(const CdcScanKey *key, Relation relation, ArrayType *array);

/* < 0, 0, > 0, as a row with the one key comes before, is, or comes after that with the other. */
extern int cdc_scan_key_compare(const CdcScanKey *key, const Datum *a, const Datum *b);

/*
 * Only rows past "after", and up to "upto" (arrays of text, as the types print them under pinned
 * settings; NULL: no such bound).  ERROR where they are not values of the key's columns.
 */
extern void cdc_scan_key_set_bounds(CdcScanKey *key, Relation relation, ArrayType *after,
									ArrayType *upto);

/*
 * The rows, as HeapTuples with everything inline, in CurrentMemoryContext, in the key's order.	*done: there
 * are no more.
 */
extern List *cdc_scan_rows(CdcScanKey *key, Relation relation, Snapshot snapshot,
						   const CdcScanLimit *limit, bool *done);

/*
 * A row's key, a text in UTF-8 for each of its columns, in CurrentMemoryContext: of the values of all of the
 * table's columns, or of the key's.
 */
extern char **cdc_scan_key_texts(CdcScanKey *key, const Datum *values);
extern char **cdc_scan_key_column_texts(CdcScanKey *key, const Datum *values);

/* These texts as text[], in the database's encoding again. */
extern Datum cdc_scan_key_array(const CdcScanKey *key, char **texts);

#endif /* CDC_SNAPSHOT_SCAN_H */
