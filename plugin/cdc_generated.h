/*
 * cdc_generated.h
 *		Virtual generated columns (PostgreSQL 18): their values are not in the tuple, so they are
 *		computed here.
 */
#ifndef CDC_GENERATED_H
#define CDC_GENERATED_H

#include "access/tupdesc.h"
#include "catalog/pg_attribute.h"
#include "utils/rel.h"

typedef struct CdcGenerated CdcGenerated;

/*
 * Prepares a column's expression, in CurrentMemoryContext, which must live as long as it is used; NULL
 * if the column is not a virtual generated one.  Needs a transaction.
 */
extern CdcGenerated *cdc_generated_build(Relation relation, Form_pg_attribute attr);

/* Does the expression use a column that is marked in missing (indexed by attnum - 1)? */
extern bool cdc_generated_lacks_input(const CdcGenerated *generated, const bool *missing);

/*
 * Computes the value from a row's other columns.  The value is in CurrentMemoryContext.	 False if the
 * expression raised an error (1/0): the transaction goes on, and *isnull is true.
 */
extern bool cdc_generated_compute(CdcGenerated *generated, Datum *values, bool *nulls, Datum *value,
								  bool *isnull);

#endif /* CDC_GENERATED_H */
