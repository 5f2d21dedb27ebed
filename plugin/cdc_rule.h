/*
 * cdc_rule.h
 *		The SQL expressions of rules: reading them, and what they may consist of.
 *
 * A rule is checked when it is made and read again where it is used, under the decoding snapshot; both
 * come here.
 */
#ifndef CDC_RULE_H
#define CDC_RULE_H

#include "nodes/primnodes.h"
#include "utils/rel.h"

/*
 * Reads an expression over the relation's columns (Vars of varno 1), in CurrentMemoryContext.	 ERROR if
 * it is not one, or uses what rules may not: subqueries, aggregates, functions that are not ours or
 * PostgreSQL's own, or whose result depends on more than their arguments and pinned settings.
 */
extern Node *cdc_rule_parse(Relation relation, const char *text);

/* The expression as text that is read back the same under any search_path, in CurrentMemoryContext. */
extern char *cdc_rule_deparse(Relation relation, Node *expression);

#endif /* CDC_RULE_H */
