/*
 * cdc_outbox.h
 *		Outbox tables: an inserted row holds a record that is to be sent as it is, and says where.
 *
 * The rule (cdc.set_outbox()) names the column with the record, the one with its key, and gives a template
 * of the target in which {column} stands for that column's value.
 */
#ifndef CDC_OUTBOX_H
#define CDC_OUTBOX_H

#include "access/attmap.h"
#include "utils/rel.h"

#include "cdc_message.h"
#include "cdc_settings.h"

typedef struct CdcOutbox CdcOutbox;

/*
 * Reads the rule's definition for a relation, in CurrentMemoryContext, which must live as long as it is
 * used.  Rows have the columns where map says (NULL: the same places).  ERROR if there is no such column,
 * or it cannot be what it is to be.
 */
extern CdcOutbox *cdc_outbox_build(Relation relation, const AttrMap *map, const char *definition,
								   CdcSettings *settings);

/*
 * The message that an inserted row holds, in CurrentMemoryContext.  False if it holds none: a value is
 * NULL or was not logged (missing, or NULL), the target is empty or too long, or the record is not JSON.
 */
extern bool cdc_outbox_read(const CdcOutbox *outbox, const Datum *values, const bool *nulls,
							const bool *missing, CdcMessage *message);

#endif /* CDC_OUTBOX_H */
