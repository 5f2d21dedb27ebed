/*
 * cdc_lookup_long.h
 *		Rows of a shadow that do not fit into a page.
 *
 * PostgreSQL keeps old rows of a user catalog table for as long as a slot may decode by them, but not what
 * is out of line: its TOAST table is an ordinary one, whose old rows go with the next pruning, and which is
 * not to be found any more after VACUUM FULL.  So nothing of a shadow is out of line.	What is too long
 * is cut into pieces, which are rows of the shadow with the same key.
 *
 * A shadow's last two columns are for that.  "part" is 0 for the row itself, whose "chunk" is NULL where it
 * is whole; else chunk says which columns are missing, which are NULL in it, and how long their values are.
 * The pieces have part 1, 2, ..., and their chunks, one behind the other, are these values' bytes.
 */
#ifndef CDC_LOOKUP_LONG_H
#define CDC_LOOKUP_LONG_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "nodes/pg_list.h"

#include "cdc_lookup.h"

/* A shadow has so many columns besides those of the reference, and so many in its key. */
#define CDC_LOOKUP_EXTRA_COLUMNS 2
#define CDC_LOOKUP_EXTRA_KEYS 1

/*
 * The tuples that hold a row: first the row itself, then its pieces.  values and nulls are by attnum - 1,
 * with room for all columns; those that are too long are NULL afterwards.	Made in CurrentMemoryContext.
 */
extern List *cdc_lookup_pack(TupleDesc desc, int nkeys, Datum *values, bool *nulls);

/* One of a row's pieces. */
typedef struct CdcLookupPiece
{
	int part;
	struct varlena *chunk;
} CdcLookupPiece;

/* The part that a tuple of a shadow is. */
extern int cdc_lookup_part(HeapTuple tuple, TupleDesc desc);

/* Is it the row itself that is whole? */
extern bool cdc_lookup_is_whole(HeapTuple tuple, TupleDesc desc);

/* A piece's copy, in CurrentMemoryContext. */
extern CdcLookupPiece *cdc_lookup_copy_piece(HeapTuple tuple, TupleDesc desc);

/*
 * Fills in what a row lacks that is not whole, from its pieces (CdcLookupPiece *) in any order.	 The values
 * are made in CurrentMemoryContext.	ERROR if the pieces are not all there.
 */
extern void cdc_lookup_unpack(TupleDesc desc, CdcLookupRow *row, List *pieces);

#endif /* CDC_LOOKUP_LONG_H */
