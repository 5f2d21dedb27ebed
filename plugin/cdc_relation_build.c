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
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "cdc_compat.h"
#include "cdc_relation_build.h"
#include "cdc_relation_columns.h"

/*
 * The rules for the relation as it is published, and those for what it is a partition of: a mask on
 * the whole holds for the parts.  The nearest counts.
 */
static void
collect_rules(CdcRelationBuild *build)
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

			if (cdc_build_find_rule(build, rule->kind, rule->member) == NULL)
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
build_varlenas(CdcRelationBuild *build)
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
build_identity(CdcRelationBuild *build)
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

/* attnum - 1 of the columns of the record's key, in the published relation. */
static Bitmapset *
key_columns(CdcRelationBuild *build)
{
	const CdcRule *rule = cdc_build_find_rule(build, CDC_RULE_KEY, "");
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
build_key(CdcRelationBuild *build, CdcColumn **by_attnum)
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
mark_primary_key(CdcRelationBuild *build, CdcColumn **by_attnum)
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
build_filters(CdcRelationBuild *build)
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
build_outbox(CdcRelationBuild *build)
{
	const CdcRule *rule = cdc_build_find_rule(build, CDC_RULE_OUTBOX, "");
	CdcRuleContext argument = {build, rule};
	ErrorContextCallback context = {error_context_stack, cdc_build_rule_error, &argument};

	if (rule == NULL)
		return;
	error_context_stack = &context;
	build->built->outbox =
		cdc_outbox_build(build->published, build->map, rule->definition, build->types.settings);
	error_context_stack = context.previous;
}

static void
build_heads(CdcRelationBuild *build)
{
	static const char *const ops[CDC_NUM_CHANGE_KINDS] = {
		[CDC_INSERT] = "insert",     [CDC_UPDATE] = "update",     [CDC_DELETE] = "delete",
		[CDC_TRUNCATE] = "truncate", [CDC_SNAPSHOT] = "snapshot",
	};
	CdcEncoding *encoding = build->types.encoding;
	const char *schema = get_namespace_name(RelationGetNamespace(build->published));
	const char *table = RelationGetRelationName(build->published);
	const CdcRule *target = cdc_build_find_rule(build, CDC_RULE_TARGET, "");
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
build_records(CdcRelationBuild *build)
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
	cdc_build_check_rules(build);
	build->logged = logged_columns(build->relation);
	by_attnum =
		palloc0(sizeof(CdcColumn *) * Max(RelationGetNumberOfAttributes(build->published), 1));
	build_varlenas(build);
	build_identity(build);
	build->types.encoding->replaced = 0;
	cdc_build_columns(build, by_attnum);
	build->built->replaced = build->types.encoding->replaced;
	build_key(build, by_attnum);
	mark_primary_key(build, by_attnum);
	build->built->has_identity = build->logged != NULL;
	build_filters(build);
	build_heads(build);
	pfree(by_attnum);
	build_outbox(build);
	delete_rule = cdc_build_find_rule(build, CDC_RULE_DELETE, "");
	build->built->delete_key = delete_rule ? strcmp(delete_rule->definition, "key") == 0
										   : options->delete_records == CDC_DELETE_KEY;
	build->builder->related =
		list_concat_unique_oid(build->builder->related, build->types.row_relids);
}

/* Makes what was selected of the relation under its own name or its ancestor's. */
static void
build_published(CdcRelationBuild *build)
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
	if (cdc_build_may_read_any(build))
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
	CdcRelationBuild build = {
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
