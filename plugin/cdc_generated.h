/*
 * cdc_generated.h
 *		Virtual generated columns (PostgreSQL 18): their values are not in the tuple, so they are
 *		computed.
 */
#ifndef CDC_GENERATED_H
#define CDC_GENERATED_H

#include "catalog/pg_attribute.h"
#include "utils/rel.h"

#include "cdc_expression.h"

/*
 * The expression of a column, in CurrentMemoryContext; NULL if it is not a virtual generated one.	Needs
 * a transaction.
 */
extern CdcExpression *cdc_generated_build(Relation relation, Form_pg_attribute attr);

#endif /* CDC_GENERATED_H */
