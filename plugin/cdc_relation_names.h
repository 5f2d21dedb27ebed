/*
 * cdc_relation_names.h
 *		What a record that describes its columns is made from beside the relation itself.
 */
#ifndef CDC_RELATION_NAMES_H
#define CDC_RELATION_NAMES_H

#include "cdc_relation_build.h"

/*
 * The types that a column's description names, and the relations (sequences) that its default expression
 * does: when one of them is renamed, what is known of the relation is stale.  They go into the builder's
 * lists.  attr may be NULL: the member is computed.  Needs a transaction.
 */
extern void cdc_relation_collect_names(CdcRelationBuilder *builder, Relation published,
									   Form_pg_attribute attr, Oid type);

#endif /* CDC_RELATION_NAMES_H */
