/*
 * cdc_relation_names.c
 *		What a record that describes its columns is made from; see cdc_relation_names.h.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/rewriteHandler.h"

#include "cdc_relation_names.h"

/* Relations that constants in an expression stand for: '...'::regclass. */
static bool
collect_relations(Node *node, void *context)
{
	List **relids = context;
	const Const *constant = (const Const *) node;

	if (node == NULL)
		return false;
	if (IsA(node, Const) && constant->consttype == REGCLASSOID && !constant->constisnull)
		*relids = list_append_unique_oid(*relids, DatumGetObjectId(constant->constvalue));
	return expression_tree_walker(node, collect_relations, context);
}

void
cdc_relation_collect_names(CdcRelationBuilder *builder, Relation published, Form_pg_attribute attr,
						   Oid type)
{
	/* those of the server itself cannot be renamed */
	while (type >= FirstNormalObjectId)
	{
		builder->named_types = list_append_unique_oid(builder->named_types, type);
		type = cdc_domain_over(type, NULL);
	}
	if ((builder->options->include_default || builder->options->schemas) && attr && attr->atthasdef)
		(void) collect_relations(build_column_default(published, attr->attnum), &builder->related);
}
