/*
 * cdc_lookup_reference.h
 *		Tables that are looked up in: what they must be.
 */
#ifndef CDC_LOOKUP_REFERENCE_H
#define CDC_LOOKUP_REFERENCE_H

#include "utils/array.h"
#include "utils/rel.h"

/* A unique index whose key are the columns, in any order, and that can be relied on; InvalidOid: none. */
extern Oid cdc_reference_find_index(Relation relation, const int16 *columns, int ncolumns);

/*
 * The numbers of columns by their names (an array of name), at most max; returns how many.	ERROR where
 * the table has none of a name, or one that is not stored.
 */
extern int cdc_reference_find_columns(Relation relation, ArrayType *names, int16 *attnums, int max);

#endif /* CDC_LOOKUP_REFERENCE_H */
