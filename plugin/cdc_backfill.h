/*
 * cdc_backfill.h
 *		Requests for existing rows while streaming (cdc.backfill()): what may be asked for.
 */
#ifndef CDC_BACKFILL_H
#define CDC_BACKFILL_H

#include "nodes/nodes.h"
#include "utils/rel.h"

/*
 * A condition on a table's rows, of what expressions of rules may use (cdc_rule.h); ERROR where it is none.
 * In CurrentMemoryContext.
 */
extern Node *cdc_backfill_filter(Relation relation, const char *text);

#endif /* CDC_BACKFILL_H */
