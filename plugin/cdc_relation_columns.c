/*
 * cdc_relation_columns.c
 *		The members of a relation's records; see cdc_relation_columns.h.
 */
#include "postgres.h"

#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"

#include "cdc_compat.h"
#include "cdc_generated.h"
#include "cdc_relation_columns.h"
#include "cdc_relation_names.h"

void
cdc_build_rule_error(void *arg)
{
	const CdcRuleContext *context = arg;

	errcontext("pipeline \"%s\", rule \"%s\" for member \"%s\" of \"%s\".\"%s\"",
			   context->build->builder->pipeline->name, cdc_rule_kind_names[context->rule->kind],
			   context->rule->member,
			   get_namespace_name(RelationGetNamespace(context->build->published)),
			   RelationGetRelationName(context->build->published));
}

const CdcRule *
cdc_build_find_rule(const CdcRelationBuild *build, CdcRuleKind kind, const char *member)
{
	ListCell *cell;

	foreach (cell, build->rules)
	{
		const CdcRule *rule = lfirst(cell);

		if (rule->kind == kind && strcmp(rule->member, member) == 0)
			return rule;
	}
	return NULL;
}

/* With privileges=enforce: may the role that streams SELECT the column? */
static bool
may_read(const CdcRelationBuild *build, AttrNumber attnum)
{
	Oid relid = RelationGetRelid(build->published);

	return build->builder->options->privileges == CDC_PRIVILEGES_IGNORE ||
		   pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK ||
		   pg_attribute_aclcheck(relid, attnum, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
}

/* Any column of it?  If not, not even that it was truncated is told. */
bool
cdc_build_may_read_any(const CdcRelationBuild *build)
{
	TupleDesc desc = RelationGetDescr(build->published);

	if (build->builder->options->privileges == CDC_PRIVILEGES_IGNORE ||
		pg_class_aclcheck(RelationGetRelid(build->published), GetUserId(), ACL_SELECT) ==
			ACLCHECK_OK)
		return true;
	for (int i = 0; i < desc->natts; i++)
	{
		if (!TupleDescAttr(desc, i)->attisdropped && may_read(build, i + 1))
			return true;
	}
	return false;
}

/*
 * A generated column goes by its option, but if the publications have a column list it must be in that,
 * too: it may be made from columns that were meant to stay.
 */
static bool
column_is_selected(const CdcRelationBuild *build, Form_pg_attribute attr)
{
	const Bitmapset *published = build->selection->columns;
	int generated = build->builder->options->generated_columns;

	if (attr->attisdropped || (published && !bms_is_member(attr->attnum, published)) ||
		cdc_build_find_rule(build, CDC_RULE_DROP, NameStr(attr->attname)) ||
		!may_read(build, attr->attnum))
		return false;
	if (attr->attgenerated == '\0')
		return true;
	return generated == CDC_GENERATED_ALL ||
		   (generated == CDC_GENERATED_STORED && attr->attgenerated == ATTRIBUTE_GENERATED_STORED);
}

static CdcColumn *
add_column(CdcRelationBuild *build, const char *member)
{
	CdcColumn *column = &build->built->columns[build->built->ncolumns++];
	CdcEncoding *encoding = build->types.encoding;
	uint64 replaced = encoding->replaced;

	column->member = cdc_encoding_to_utf8(encoding, member);
	encoding->replaced = replaced; /* what could not be converted is counted in the label */
	column->lookup = -1;
	return column;
}

/* How the member's value is written; attr is the column in whose place it is, or NULL. */
static void
finish_column(CdcRelationBuild *build, CdcColumn *column, const char *member,
			  Form_pg_attribute attr, Oid type, int32 typmod)
{
	CdcEncoding *encoding = build->types.encoding;
	CdcLabelInput input = {.options = build->builder->options,
						   .member = member,
						   .attr = attr,
						   .relation = build->published,
						   .type = type,
						   .typmod = typmod,
						   .encoding = encoding,
						   .settings = build->types.settings};
	uint64 replaced = encoding->replaced;

	build->labels[column - build->built->columns] = input;
	if (build->format->names_types || build->builder->options->schemas)
		cdc_relation_collect_names(build->builder, build->published, attr, type);
	column->name = cdc_make_name(member, encoding, &column->name_len);
	encoding->replaced = replaced; /* counted in the label */
	column->label = build->format->make_label(&input, &column->label_len);
	if (build->format->make_tail)
		column->tail = build->format->make_tail(&input, &column->tail_len);
	if (build->format->make_stand_in)
	{
		column->unchanged =
			build->format->make_stand_in(&input, CDC_STAND_IN_UNCHANGED, &column->unchanged_len);
		column->unlogged =
			build->format->make_stand_in(&input, CDC_STAND_IN_UNLOGGED, &column->unlogged_len);
	}
	cdc_type_build(&column->type, type, typmod, &build->types);
}

/* The member gets the value of an expression, which has its place behind the row's columns. */
static void
set_expression(CdcRelationBuild *build, CdcColumn *column, CdcExpression *expression)
{
	column->expression = expression;
	column->index = build->built->nvalues++;
	column->logged = cdc_expression_inputs_within(expression, build->logged);
	build->built->is_computed = true;
}

/* attr: the column that the member replaces, or NULL. */
static void
set_rule(CdcRelationBuild *build, CdcColumn *column, const char *member, const CdcRule *rule,
		 Form_pg_attribute attr)
{
	CdcRuleContext argument = {build, rule};
	ErrorContextCallback context = {error_context_stack, cdc_build_rule_error, &argument};
	Node *node;

	error_context_stack = &context;
	cdc_settings_pin(build->types.settings);
	node = cdc_rule_parse(build->published, rule->definition);
	set_expression(build, column, cdc_expression_build(build->published, node, build->map));
	finish_column(build, column, member, attr, exprType(node), exprTypmod(node));
	column->must_not_fail =
		build->builder->options->on_expression_error == CDC_EXPRESSION_ERROR_STOP;
	error_context_stack = context.previous;
}

/* A column of the table, as a member: as it is, renamed, or replaced. */
static void
build_column(CdcRelationBuild *build, Form_pg_attribute attr)
{
	const char *name = NameStr(attr->attname);
	const CdcRule *rename = cdc_build_find_rule(build, CDC_RULE_RENAME, name);
	const CdcRule *replace = cdc_build_find_rule(build, CDC_RULE_COLUMN, name);
	int index = (build->map ? build->map->attnums[attr->attnum - 1] : attr->attnum) - 1;
	const char *member = rename ? rename->definition : name;
	CdcColumn *column = add_column(build, member);
	CdcExpression *generated;

	if (replace)
	{
		set_rule(build, column, member, replace, attr);
		return;
	}
	generated = cdc_generated_build(build->relation,
									TupleDescAttr(RelationGetDescr(build->relation), index));
	if (generated)
		set_expression(build, column, generated);
	else
	{
		column->index = index;
		column->logged = bms_is_member(index, build->logged);
	}
	finish_column(build, column, member, attr, attr->atttypid, attr->atttypmod);
}

static bool
equal_names(const List *a, const List *b)
{
	if (list_length(a) != list_length(b))
		return false;
	for (int i = 0; i < list_length(a); i++)
	{
		if (strcmp(list_nth(a, i), list_nth(b, i)) != 0)
			return false;
	}
	return true;
}

/* The columns that a relation looks up by, as the row's values have them. */
static CdcLookupUse *
build_lookup_use(CdcRelationBuild *build, const char *shadow, List *names)
{
	CdcLookupUse *use = &build->built->lookups[build->built->nlookups++];
	ListCell *cell;

	use->lookup = cdc_lookup_get(build->builder->lookups, shadow, list_length(names),
								 &build->builder->related);
	use->shadow = pstrdup(shadow);
	use->names = names;
	use->nkeys = 0;
	use->keys = palloc0(sizeof(CdcLookupKey) * list_length(names));
	use->logged = true;
	foreach (cell, names)
	{
		AttrNumber attnum = get_attnum(RelationGetRelid(build->published), lfirst(cell));
		int index;

		if (attnum <= 0)
			ereport(
				ERROR, errcode(ERRCODE_UNDEFINED_COLUMN),
				errmsg("column \"%s\" of relation \"%s\" does not exist", (char *) lfirst(cell),
					   RelationGetRelationName(build->published)),
				errdetail("A rule looks up by it."),
				errhint("Remove the rule with cdc.remove_rule() before the column is dropped or "
						"renamed, in the same transaction."));
		index = (build->map ? build->map->attnums[attnum - 1] : attnum) - 1;
		if (use->lookup)
			cdc_lookup_set_key(
				use->lookup, &use->keys[use->nkeys], use->nkeys, index,
				TupleDescAttr(RelationGetDescr(build->published), attnum - 1)->atttypid);
		use->keys[use->nkeys++].index = index;
		use->logged = use->logged && bms_is_member(index, build->logged);
	}
	return use;
}

/* The member gets a value of the row that is looked up: definition is shadow,column,by-column,... */
static void
set_lookup(CdcRelationBuild *build, CdcColumn *column, const CdcRule *rule)
{
	CdcRuleContext argument = {build, rule};
	ErrorContextCallback context = {error_context_stack, cdc_build_rule_error, &argument};
	CdcRelation *built = build->built;
	Oid type = TEXTOID; /* where there is none, all that is written is null */
	List *names;
	const char *shadow;
	const char *value;

	error_context_stack = &context;
	if (!SplitIdentifierString(pstrdup(rule->definition), ',', &names) || list_length(names) < 3)
		elog(ERROR, "invalid definition of a lookup: \"%s\"", rule->definition);
	shadow = linitial(names);
	value = lsecond(names);
	names = list_copy_tail(names, 2);
	column->lookup = 0;
	while (column->lookup < built->nlookups &&
		   !(strcmp(built->lookups[column->lookup].shadow, shadow) == 0 &&
			 equal_names(built->lookups[column->lookup].names, names)))
		column->lookup++;
	if (column->lookup == built->nlookups)
		build_lookup_use(build, shadow, names);
	if (built->lookups[column->lookup].lookup)
		column->lookup_attnum =
			cdc_lookup_column(built->lookups[column->lookup].lookup, value, &type);
	column->index = built->nvalues++;
	column->logged = built->lookups[column->lookup].logged;
	built->is_computed = true;
	finish_column(build, column, rule->member, NULL, type, -1);
	error_context_stack = context.previous;
}

/* Is it the name of a column, which was then built in the column's place? */
static bool
names_column(const CdcRelationBuild *build, const char *member)
{
	AttrNumber attnum = get_attnum(RelationGetRelid(build->published), member);

	return attnum > 0 &&
		   column_is_selected(build, TupleDescAttr(RelationGetDescr(build->published), attnum - 1));
}

/*
 * A rule that hides a column which is no longer there would hide nothing: the column may have got another
 * name.
 */
void
cdc_build_check_rules(CdcRelationBuild *build)
{
	ListCell *cell;

	foreach (cell, build->rules)
	{
		const CdcRule *rule = lfirst(cell);
		CdcRuleContext argument = {build, rule};
		ErrorContextCallback context = {error_context_stack, cdc_build_rule_error, &argument};

		if (rule->kind != CDC_RULE_DROP && rule->kind != CDC_RULE_RENAME && !rule->replaces)
			continue;
		error_context_stack = &context;
		if (get_attnum(RelationGetRelid(build->published), rule->member) <= 0)
			ereport(
				ERROR, errcode(ERRCODE_UNDEFINED_COLUMN),
				errmsg("column \"%s\" of relation \"%s\" does not exist", rule->member,
					   RelationGetRelationName(build->published)),
				errdetail("A rule drops, renames or replaces it."),
				errhint("Remove the rule with cdc.remove_rule() before the column is dropped or "
						"renamed, in the same transaction."));
		error_context_stack = context.previous;
	}
}

/* The member just built, unless the format does not tell its type: then there is none. */
static bool
keep_column(CdcRelationBuild *build)
{
	CdcColumn *column = &build->built->columns[build->built->ncolumns - 1];

	if (column->type.write)
		return true;
	memset(column, 0, sizeof(*column));
	build->built->ncolumns--;
	return false;
}

/* The members; by_attnum gets, for each column of the published relation, the one in its place. */
void
cdc_build_columns(CdcRelationBuild *build, CdcColumn **by_attnum)
{
	TupleDesc desc = RelationGetDescr(build->published);
	ListCell *cell;

	build->built->columns =
		palloc0(sizeof(CdcColumn) * Max(desc->natts + list_length(build->rules), 1));
	build->labels =
		palloc0(sizeof(CdcLabelInput) * Max(desc->natts + list_length(build->rules), 1));
	build->built->lookups = palloc(sizeof(CdcLookupUse) * Max(list_length(build->rules), 1));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(desc, i);

		if (!column_is_selected(build, attr))
			continue;
		by_attnum[i] = &build->built->columns[build->built->ncolumns];
		build_column(build, attr);
		if (!keep_column(build))
			by_attnum[i] = NULL;
	}
	foreach (cell, build->rules)
	{
		const CdcRule *rule = lfirst(cell);

		if (rule->kind == CDC_RULE_COLUMN && !names_column(build, rule->member))
			set_rule(build, add_column(build, rule->member), rule->member, rule, NULL);
		else if (rule->kind == CDC_RULE_LOOKUP)
			set_lookup(build, add_column(build, rule->member), rule);
		else
			continue;
		(void) keep_column(build);
	}
}
