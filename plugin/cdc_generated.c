/*
 * cdc_generated.c
 *		Virtual generated columns; see cdc_generated.h.
 */
#include "postgres.h"

#include "cdc_compat.h"
#include "cdc_generated.h"

#ifdef CDC_HAVE_VIRTUAL_COLUMNS

#include "rewrite/rewriteHandler.h"

CdcExpression *
cdc_generated_build(Relation relation, Form_pg_attribute attr)
{
	if (attr->attgenerated != ATTRIBUTE_GENERATED_VIRTUAL)
		return NULL;
	return cdc_expression_build(relation, build_generation_expression(relation, attr->attnum),
								NULL);
}

#else

CdcExpression *
cdc_generated_build(Relation relation, Form_pg_attribute attr)
{
	return NULL;
}

#endif
