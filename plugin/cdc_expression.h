/*
 * cdc_expression.h
 *		SQL expressions over a row's columns, planned once and evaluated per row.
 *
 * No snapshot is active in a walsender's callbacks, yet an expression may call an SQL function, which
 * crashes the server without one (round(1.5) is one): so one is pushed around everything here.
 */
#ifndef CDC_EXPRESSION_H
#define CDC_EXPRESSION_H

#include "access/attmap.h"
#include "nodes/primnodes.h"
#include "utils/rel.h"

typedef struct CdcExpression CdcExpression;

/*
 * Prepares an expression whose Vars (varno 1) are columns of relation, in CurrentMemoryContext, which
 * must live as long as it is used.	 Rows will have the columns where map says (attnums of the row by
 * attnum - 1 of relation; NULL: the same places).	Needs a transaction.
 */
extern CdcExpression *cdc_expression_build(Relation relation, Node *node, const AttrMap *map);

/* Are all columns that it uses in this set (of the row's attnum - 1)? */
extern bool cdc_expression_inputs_within(const CdcExpression *expression, const Bitmapset *columns);

/* Does it use a column that is marked in missing (indexed by the row's attnum - 1)? */
extern bool cdc_expression_lacks_input(const CdcExpression *expression, const bool *missing);

/*
 * The value for a row, in CurrentMemoryContext.	What goes wrong in it is an ERROR, with its SQLSTATE but
 * without its text, which may quote values.
 */
extern Datum cdc_expression_eval(CdcExpression *expression, const Datum *values, const bool *nulls,
								 bool *isnull);

/* The same, but if it raises an error the transaction goes on: then false, and *isnull is true. */
extern bool cdc_expression_try(CdcExpression *expression, const Datum *values, const bool *nulls,
							   Datum *value, bool *isnull);

#endif /* CDC_EXPRESSION_H */
