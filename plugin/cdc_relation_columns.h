/*
 * cdc_relation_columns.h
 *		The members of a relation's records: its columns, as rules, privileges and the format have them.
 *
 * cdc_relation_build.c's first step, which fills in what the key and the heads are then made of.
 */
#ifndef CDC_RELATION_COLUMNS_H
#define CDC_RELATION_COLUMNS_H

#include "access/attmap.h"

#include "cdc_format.h"
#include "cdc_relation_build.h"
#include "cdc_rule.h"
#include "cdc_selector.h"

/* A relation on the way to a CdcRelation. */
typedef struct CdcRelationBuild
{
	CdcRelationBuilder *builder;
	CdcRelation *built;
	Relation relation;
	Relation published; /* itself, or the ancestor that it is published as */
	AttrMap *map;       /* attnums of relation by attnum - 1 of published; NULL: the same */
	CdcSelection *selection;
	List *rules;       /* those that hold for it */
	Bitmapset *logged; /* attnum - 1 of the identity's columns; of the primary key's under FULL */
	CdcTypeBuilder types;
	const CdcRecordFormat *format;
	CdcLabelInput *labels; /* what is known of each of its columns, in their order */
} CdcRelationBuild;

/* The rule being followed, for what goes wrong in it. */
typedef struct CdcRuleContext
{
	const CdcRelationBuild *build;
	const CdcRule *rule;
} CdcRuleContext;

/* An ErrorContextCallback that names it; arg is a CdcRuleContext. */
extern void cdc_build_rule_error(void *arg);

/* The rule of that kind for the member; NULL: none. */
extern const CdcRule *cdc_build_find_rule(const CdcRelationBuild *build, CdcRuleKind kind,
										  const char *member);

/* With privileges=enforce: may the role SELECT any column?	 If not, not even a truncation is told. */
extern bool cdc_build_may_read_any(const CdcRelationBuild *build);

/* ERROR where a rule that hides a column no longer finds it. */
extern void cdc_build_check_rules(CdcRelationBuild *build);

/*
 * Makes the members, their labels and lookups, in CurrentMemoryContext; by_attnum gets, for each column of
 * the published relation, the member in its place.	 ERROR where a rule does not fit the relation.
 */
extern void cdc_build_columns(CdcRelationBuild *build, CdcColumn **by_attnum);

#endif /* CDC_RELATION_COLUMNS_H */
