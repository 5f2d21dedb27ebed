/*
 * cdc_rows.h
 *		The old and new row of a change: what WAL has of them, what row filters say, and what
 *		expressions make of them.
 */
#ifndef CDC_ROWS_H
#define CDC_ROWS_H

#include "access/htup.h"
#include "access/xlogdefs.h"

#include "cdc_relation.h"

/* A row's values: by attnum - 1, then those of expressions. */
typedef struct CdcImage
{
	bool present;
	Datum *values;
	bool *nulls;
	bool *missing;    /* the value was not logged (TOAST) */
	bool any_missing; /* else missing is not even looked at */
} CdcImage;

/* Scratch for the rows at hand, as many values as their relation has. */
typedef struct CdcRows
{
	const CdcOptions *options;
	CdcSettings *settings; /* pinned while expressions run */
	CdcLookups *lookups;
	MemoryContext context; /* of the arrays */
	int nvalues;
	CdcImage before;
	CdcImage after;
	bool *failed; /* an expression or a lookup raised an error */
	bool any_failed;
} CdcRows;

static inline bool
cdc_is_missing(const CdcImage *image, int index)
{
	return unlikely(image->any_missing) && image->missing[index];
}

/* Reads the rows of a change, NULL where WAL has none. */
extern void cdc_rows_load(CdcRows *rows, const CdcRelation *relation, TupleDesc desc,
						  HeapTuple before, HeapTuple after);

/*
 * Do the row filters let the loaded change through?	An update that crosses the filter becomes an
 * insert or a delete: *kind is changed.
 */
extern bool cdc_rows_filter(CdcRows *rows, const CdcRelation *relation, CdcChangeKind *kind);

/*
 * Evaluates the relation's expressions and lookups for the rows; values are in CurrentMemoryContext.	commit_lsn and
 * seq are for the ERROR where one fails and must not.
 */
extern void cdc_rows_compute(CdcRows *rows, const CdcRelation *relation, XLogRecPtr commit_lsn,
							 uint64 seq);

#endif /* CDC_ROWS_H */
