/*
 * cdc_relation_build.c
 *		How a CdcRelation is made; see cdc_relation_build.h.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "cdc_compat.h"
#include "cdc_format.h"
#include "cdc_generated.h"
#include "cdc_relation_build.h"
#include "cdc_relation_names.h"
#include "cdc_rule.h"
#include "cdc_selector.h"

/* A relation on the way to a CdcRelation. */
typedef struct Build
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
} Build;

/* The rule being followed, for what goes wrong in it. */
typedef struct RuleContext
{
	const Build *build;
	const CdcRule *rule;
} RuleContext;

static void
rule_error_context(void *arg)
{
	const RuleContext *context = arg;

	errcontext("pipeline \"%s\", rule \"%s\" for member \"%s\" of \"%s\".\"%s\"",
			   context->build->builder->pipeline->name, cdc_rule_kind_names[context->rule->kind],
			   context->rule->member,
			   get_namespace_name(RelationGetNamespace(context->build->published)),
			   RelationGetRelationName(context->build->published));
}

static const CdcRule *
find_rule(const Build *build, CdcRuleKind kind, const char *member)
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

/*
 * The rules for the relation as it is published, and those for what it is a partition of: a mask on
 * the whole holds for the parts.  The nearest counts.
 */
static void
collect_rules(Build *build)
{
	Oid relid = RelationGetRelid(build->published);
	List *relids = list_make1_oid(relid);
	ListCell *cell;

	if (build->builder->pipeline == NULL)
		return;
	if (build->published->rd_rel->relispartition)
		relids = list_concat(relids, get_partition_ancestors(relid));
	foreach (cell, relids)
	{
		List *rules = cdc_pipeline_rules(build->builder->pipeline, lfirst_oid(cell));
		ListCell *rule_cell;

		foreach (rule_cell, rules)
		{
			CdcRule *rule = lfirst(rule_cell);

			if (find_rule(build, rule->kind, rule->member) == NULL)
				build->rules = lappend(build->rules, rule);
		}
	}
}

/* The identity's columns (attnum - 1), which old rows have; the primary key's under FULL. */
static Bitmapset *
logged_columns(Relation relation)
{
	Bitmapset *columns = NULL;
	Oid index_oid;
	HeapTuple tuple;
	Form_pg_index index;

	list_free(RelationGetIndexList(relation)); /* fills in rd_pkindex and rd_replidindex */
	index_oid = relation->rd_rel->relreplident == REPLICA_IDENTITY_FULL ? relation->rd_pkindex
																		: relation->rd_replidindex;
	if (!OidIsValid(index_oid))
		return NULL;
	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index_oid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for index %u", index_oid);
	index = (Form_pg_index) GETSTRUCT(tuple);
	/* a deferrable primary key is no key to the WAL, and rd_pkindex has it from 18 on only */
	for (int i = 0; index->indimmediate && i < index->indnkeyatts; i++)
		columns = bms_add_member(columns, index->indkey.values[i] - 1);
	ReleaseSysCache(tuple);
	return columns;
}

static void
build_varlenas(Build *build)
{
	TupleDesc desc = RelationGetDescr(build->relation);
	CdcRelation *built = build->built;

	built->varlenas = palloc(sizeof(CdcVarlena) * Max(desc->natts, 1));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(desc, i);

		if (!attr->attisdropped && attr->attlen == -1)
			built->varlenas[built->nvarlenas++] =
				(CdcVarlena){.index = i, .logged = bms_is_member(i, build->logged)};
	}
}

static void
build_identity(Build *build)
{
	TupleDesc desc = RelationGetDescr(build->relation);
	CdcRelation *built = build->built;
	int index = -1;

	built->identity_columns =
		palloc(sizeof(CdcIdentityColumn) * Max(bms_num_members(build->logged), 1));
	while ((index = bms_next_member(build->logged, index)) >= 0)
	{
		Form_pg_attribute attr = TupleDescAttr(desc, index);

		built->identity_columns[built->nidentity++] =
			(CdcIdentityColumn){.index = index, .length = attr->attlen, .by_value = attr->attbyval};
	}
}

/* With privileges=enforce: may the role that streams SELECT the column? */
static bool
may_read(const Build *build, AttrNumber attnum)
{
	Oid relid = RelationGetRelid(build->published);

	return build->builder->options->privileges == CDC_PRIVILEGES_IGNORE ||
		   pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK ||
		   pg_attribute_aclcheck(relid, attnum, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
}

/* Any column of it?  If not, not even that it was truncated is told. */
static bool
may_read_any(const Build *build)
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
column_is_selected(const Build *build, Form_pg_attribute attr)
{
	const Bitmapset *published = build->selection->columns;
	int generated = build->builder->options->generated_columns;

	if (attr->attisdropped || (published && !bms_is_member(attr->attnum, published)) ||
		find_rule(build, CDC_RULE_DROP, NameStr(attr->attname)) || !may_read(build, attr->attnum))
		return false;
	if (attr->attgenerated == '\0')
		return true;
	return generated == CDC_GENERATED_ALL ||
		   (generated == CDC_GENERATED_STORED && attr->attgenerated == ATTRIBUTE_GENERATED_STORED);
}

static CdcColumn *
add_column(Build *build, const char *member)
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
finish_column(Build *build, CdcColumn *column, const char *member, Form_pg_attribute attr, Oid type,
			  int32 typmod)
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
set_expression(Build *build, CdcColumn *column, CdcExpression *expression)
{
	column->expression = expression;
	column->index = build->built->nvalues++;
	column->logged = cdc_expression_inputs_within(expression, build->logged);
	build->built->is_computed = true;
}

/* attr: the column that the member replaces, or NULL. */
static void
set_rule(Build *build, CdcColumn *column, const char *member, const CdcRule *rule,
		 Form_pg_attribute attr)
{
	RuleContext argument = {build, rule};
	ErrorContextCallback context = {error_context_stack, rule_error_context, &argument};
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
build_column(Build *build, Form_pg_attribute attr)
{
	const char *name = NameStr(attr->attname);
	const CdcRule *rename = find_rule(build, CDC_RULE_RENAME, name);
	const CdcRule *replace = find_rule(build, CDC_RULE_COLUMN, name);
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
build_lookup_use(Build *build, const char *shadow, List *names)
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
set_lookup(Build *build, CdcColumn *column, const CdcRule *rule)
{
	RuleContext argument = {build, rule};
	ErrorContextCallback context = {error_context_stack, rule_error_context, &argument};
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
names_column(const Build *build, const char *member)
{
	AttrNumber attnum = get_attnum(RelationGetRelid(build->published), member);

	return attnum > 0 &&
		   column_is_selected(build, TupleDescAttr(RelationGetDescr(build->published), attnum - 1));
}

/*
 * A rule that hides a column which is no longer there would hide nothing: the column may have got another
 * name.
 */
static void
require_hidden_columns(Build *build)
{
	ListCell *cell;

	foreach (cell, build->rules)
	{
		const CdcRule *rule = lfirst(cell);
		RuleContext argument = {build, rule};
		ErrorContextCallback context = {error_context_stack, rule_error_context, &argument};

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
keep_column(Build *build)
{
	CdcColumn *column = &build->built->columns[build->built->ncolumns - 1];

	if (column->type.write)
		return true;
	memset(column, 0, sizeof(*column));
	build->built->ncolumns--;
	return false;
}

/* The members; by_attnum gets, for each column of the published relation, the one in its place. */
static void
build_columns(Build *build, CdcColumn **by_attnum)
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

/* attnum - 1 of the columns of the record's key, in the published relation. */
static Bitmapset *
key_columns(Build *build)
{
	const CdcRule *rule = find_rule(build, CDC_RULE_KEY, "");
	Bitmapset *columns = NULL;
	List *names;
	ListCell *cell;

	if (rule)
	{
		if (!SplitIdentifierString(pstrdup(rule->definition), ',', &names))
			elog(ERROR, "invalid list of key columns \"%s\"", rule->definition);
		foreach (cell, names)
		{
			AttrNumber attnum = get_attnum(RelationGetRelid(build->published), lfirst(cell));

			if (attnum <= 0)
				ereport(ERROR, errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("column \"%s\" of the key does not exist", (char *) lfirst(cell)));
			columns = bms_add_member(columns, attnum - 1);
		}
		return columns;
	}
	if (build->map == NULL)
		return build->logged;
	for (int i = 0; i < build->map->maplen; i++)
	{
		if (build->map->attnums[i] > 0 && bms_is_member(build->map->attnums[i] - 1, build->logged))
			columns = bms_add_member(columns, i);
	}
	return columns;
}

/* A key that is not whole is none: a column of it may be dropped, or generated and not selected. */
static void
build_key(Build *build, CdcColumn **by_attnum)
{
	CdcRelation *built = build->built;
	Bitmapset *columns = key_columns(build);
	int attno = -1;

	built->keys = palloc(sizeof(CdcColumn *) * Max(bms_num_members(columns), 1));
	while ((attno = bms_next_member(columns, attno)) >= 0)
	{
		CdcColumn *column = by_attnum[attno];

		if (column == NULL || (!column->logged && built->identity != REPLICA_IDENTITY_FULL))
		{
			built->nkeys = 0;
			return;
		}
		built->keys[built->nkeys++] = column;
	}
}

/* As the server of this version has the primary key, to which one that is deferrable may not count. */
static void
mark_primary_key(Build *build, CdcColumn **by_attnum)
{
	HeapTuple tuple;
	Form_pg_index index;

	list_free(RelationGetIndexList(build->published)); /* fills in rd_pkindex */
	if (!OidIsValid(build->published->rd_pkindex))
		return;
	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(build->published->rd_pkindex));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for index %u", build->published->rd_pkindex);
	index = (Form_pg_index) GETSTRUCT(tuple);
	for (int i = 0; i < index->indnkeyatts; i++)
	{
		CdcColumn *column = by_attnum[index->indkey.values[i] - 1];

		if (column)
			column->primary = true;
	}
	ReleaseSysCache(tuple);
}

static void
build_filters(Build *build)
{
	for (int kind = CDC_INSERT; kind < CDC_TRUNCATE; kind++)
	{
		List *filters = build->selection->filters[kind];

		if (filters != NIL)
			build->built->filters[kind] =
				cdc_expression_build(build->published, (Node *) make_orclause(filters), build->map);
	}
}

static void
build_outbox(Build *build)
{
	const CdcRule *rule = find_rule(build, CDC_RULE_OUTBOX, "");
	RuleContext argument = {build, rule};
	ErrorContextCallback context = {error_context_stack, rule_error_context, &argument};

	if (rule == NULL)
		return;
	error_context_stack = &context;
	build->built->outbox =
		cdc_outbox_build(build->published, build->map, rule->definition, build->types.settings);
	error_context_stack = context.previous;
}

static void
build_heads(Build *build)
{
	static const char *const ops[CDC_NUM_CHANGE_KINDS] = {
		[CDC_INSERT] = "insert",     [CDC_UPDATE] = "update",     [CDC_DELETE] = "delete",
		[CDC_TRUNCATE] = "truncate", [CDC_SNAPSHOT] = "snapshot",
	};
	CdcEncoding *encoding = build->types.encoding;
	const char *schema = get_namespace_name(RelationGetNamespace(build->published));
	const char *table = RelationGetRelationName(build->published);
	const CdcRule *target = find_rule(build, CDC_RULE_TARGET, "");
	CdcHeadInput input = {.options = build->builder->options,
						  .source = build->builder->source,
						  .metadata = build->builder->metadata,
						  .schema = schema,
						  .table = table,
						  .relation = build->built,
						  .columns = build->labels,
						  .encoding = encoding};

	build->built->schema = cdc_encoding_to_utf8(encoding, schema);
	build->built->table = cdc_encoding_to_utf8(encoding, table);
	if (target)
		build->built->target = cdc_encoding_to_utf8(encoding, target->definition);
	else if (build->format->make_target)
		build->built->target = build->format->make_target(&input);
	else
		build->built->target = "";
	if (build->format->make_key_head)
		build->built->key_head = build->format->make_key_head(&input, &build->built->key_head_len);
	else
		build->built->key_head = NULL;
	if (build->builder->options->schemas)
	{
		cdc_schema_build(build->built, build->labels, build->published, encoding,
						 build->types.settings);
		input.op = "schema";
		input.is_schema = true;
		build->built->schema_head = build->format->make_head(&input);
		input.is_schema = false;
		input.schema_version = build->built->schema_version;
	}
	for (int kind = 0; kind < CDC_NUM_CHANGE_KINDS; kind++)
	{
		input.op = ops[kind];
		build->built->heads[kind] = build->format->make_head(&input);
	}
}

static void
build_records(Build *build)
{
	const CdcOptions *options = build->builder->options;
	const CdcRule *delete_rule;
	CdcColumn **by_attnum;

	build->format = cdc_format(options);
	build->types.dialect = build->format->build_type;
	build->types.format_options = options;
	build->types.encoding = build->builder->encoding;
	build->types.settings = build->builder->settings;
	build->types.options.numeric_as_number = options->numeric == CDC_NUMERIC_NUMBER;
	build->types.options.bigint_as_string = options->bigint == CDC_BIGINT_STRING;
	build->types.options.binary_as_base64 = options->binary == CDC_BINARY_BASE64;

	collect_rules(build);
	require_hidden_columns(build);
	build->logged = logged_columns(build->relation);
	by_attnum =
		palloc0(sizeof(CdcColumn *) * Max(RelationGetNumberOfAttributes(build->published), 1));
	build_varlenas(build);
	build_identity(build);
	build->types.encoding->replaced = 0;
	build_columns(build, by_attnum);
	build->built->replaced = build->types.encoding->replaced;
	build_key(build, by_attnum);
	mark_primary_key(build, by_attnum);
	build->built->has_identity = build->logged != NULL;
	build_filters(build);
	build_heads(build);
	pfree(by_attnum);
	build_outbox(build);
	delete_rule = find_rule(build, CDC_RULE_DELETE, "");
	build->built->delete_key = delete_rule ? strcmp(delete_rule->definition, "key") == 0
										   : options->delete_records == CDC_DELETE_KEY;
	build->builder->related =
		list_concat_unique_oid(build->builder->related, build->types.row_relids);
}

/* Makes what was selected of the relation under its own name or its ancestor's. */
static void
build_published(Build *build)
{
	Oid publish_as = build->selection->publish_as;

	build->published = build->relation;
	if (publish_as != RelationGetRelid(build->relation))
	{
		build->published = RelationIdGetRelation(publish_as);
		if (!RelationIsValid(build->published))
			elog(ERROR, "could not open relation with OID %u", publish_as);
		build->map = cdc_attrmap_by_name(RelationGetDescr(build->relation),
										 RelationGetDescr(build->published));
	}
	cdc_selector_apply(build->builder->options, build->published, build->selection);
	memcpy(build->built->selected, build->selection->kinds, sizeof(build->built->selected));
	if (may_read_any(build))
		build_records(build);
	else
		memset(build->built->selected, false, sizeof(build->built->selected));
	if (build->published != build->relation)
		RelationClose(build->published);
}

bool
cdc_relation_is_own(Relation relation)
{
	return RelationIsUsedAsCatalogTable(relation) &&
		   RelationGetNamespace(relation) == get_namespace_oid("cdc", true);
}

void
cdc_relation_build(CdcRelation *built, Relation relation, CdcRelationBuilder *builder)
{
	CdcSelection selection;
	Build build = {
		.builder = builder, .built = built, .relation = relation, .selection = &selection};

	built->identity = relation->rd_rel->relreplident;
	built->natts = built->nvalues = RelationGetNumberOfAttributes(relation);
	built->nvarlenas = built->nidentity = built->ncolumns = built->nkeys = 0;
	built->is_computed = false;
	built->outbox = NULL;
	built->schema_record = NULL;
	built->nlookups = 0;
	memset(built->filters, 0, sizeof(built->filters));

	if (cdc_relation_is_own(relation))
	{
		memset(built->selected, false, sizeof(built->selected));
		return;
	}
	/* what an ancestor is part of, its partitions are part of */
	if (relation->rd_rel->relispartition)
		builder->related = list_concat_unique_oid(
			builder->related, get_partition_ancestors(RelationGetRelid(relation)));
	cdc_publications_select(builder->publications, relation, &selection);
	if (builder->options->partition_root && relation->rd_rel->relispartition &&
		cdc_publications_select_all(builder->publications))
		selection.publish_as = llast_oid(get_partition_ancestors(RelationGetRelid(relation)));
	/* where an ancestor stands for a partition, the partition's own truncation is not told */
	if (selection.publish_as != RelationGetRelid(relation))
		selection.kinds[CDC_TRUNCATE] = false;
	memcpy(built->selected, selection.kinds, sizeof(built->selected));
	if (built->selected[CDC_INSERT] || built->selected[CDC_UPDATE] || built->selected[CDC_DELETE] ||
		built->selected[CDC_TRUNCATE])
		build_published(&build);
}
