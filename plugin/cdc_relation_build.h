/*
 * cdc_relation_build.h
 *		How a CdcRelation is made: from the catalogs, the publications, the options and the rules.
 */
#ifndef CDC_RELATION_BUILD_H
#define CDC_RELATION_BUILD_H

#include "cdc_pipeline.h"
#include "cdc_publication.h"
#include "cdc_relation.h"

/* What all relations are made with. */
typedef struct CdcRelationBuilder
{
	const CdcOptions *options;
	const char *source;          /* name of this source */
	const char *metadata;        /* constant members of every record, as text; "": none */
	const CdcPipeline *pipeline; /* NULL: none asked for */
	CdcPublications *publications;
	CdcEncoding *encoding;
	CdcSettings *settings;
	CdcLookups *lookups;
	List *related;     /* out: OIDs of other relations whose changes make the result stale */
	List *named_types; /* out: and of types */
} CdcRelationBuilder;

/*
 * Fills in all of *built but what the cache keeps for itself, in CurrentMemoryContext, which must live
 * as long as it is used.  Needs a transaction.	 ERROR where a rule no longer fits the relation.
 */
extern void cdc_relation_build(CdcRelation *built, Relation relation, CdcRelationBuilder *builder);

/* Is it one of the extension's own tables, which are no part of what is captured?  Needs a transaction. */
extern bool cdc_relation_is_own(Relation relation);

#endif /* CDC_RELATION_BUILD_H */
