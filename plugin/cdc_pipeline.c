/*
 * cdc_pipeline.c
 *		Pipelines and their rules, as the extension's tables hold them; see cdc_pipeline.h.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "commands/comment.h"
#include "nodes/makefuncs.h"
#include "nodes/value.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "cdc_json.h"
#include "cdc_jsonb.h"
#include "cdc_pipeline.h"

/* The columns of cdc.pipeline and cdc.rule, in their order (sql/cdc_decoder--1.0.sql). */
enum
{
	PIPELINE_NAME,
	PIPELINE_PUBLICATIONS,
	PIPELINE_OPTIONS,
	PIPELINE_METADATA,
	PIPELINE_DROPPED,
	PIPELINE_OWNER
};
enum
{
	RULE_PIPELINE,
	RULE_RELATION,
	RULE_KIND,
	RULE_MEMBER,
	RULE_DEFINITION,
	RULE_REPLACES
};

const char *const cdc_rule_kind_names[CDC_NUM_RULE_KINDS] = {
	[CDC_RULE_COLUMN] = "column", [CDC_RULE_DROP] = "drop",     [CDC_RULE_RENAME] = "rename",
	[CDC_RULE_LOOKUP] = "lookup", [CDC_RULE_KEY] = "key",       [CDC_RULE_TARGET] = "target",
	[CDC_RULE_DELETE] = "delete", [CDC_RULE_OUTBOX] = "outbox",
};

/* A string, number, true or false of a jsonb document, as options are written. */
static char *
option_text(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			return pnstrdup(value->val.string.val, value->val.string.len);
		case jbvNumeric:
			return DatumGetCString(
				DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
		case jbvBool:
			return pstrdup(value->val.boolean ? "on" : "off");
		default:
			ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("an option's value must be a string, a number, true or false"));
	}
}

static List *
read_options(Jsonb *options)
{
	JsonbIterator *iterator = JsonbIteratorInit(&options->root);
	JsonbIteratorToken token;
	JsonbValue value;
	List *elements = NIL;
	char *name = NULL;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = pnstrdup(value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE)
			elements =
				lappend(elements, makeDefElem(name, (Node *) makeString(option_text(&value)), -1));
	}
	return elements;
}

/* {"region":"eu"} as ,"region":"eu" */
static char *
read_metadata(Jsonb *metadata)
{
	CdcEncoding encoding;
	CdcWriter writer = {.encoding = &encoding};
	StringInfoData text;

	cdc_encoding_init(&encoding);
	initStringInfo(&text);
	cdc_writer_attach(&writer, &text);
	cdc_put_jsonb(&writer, metadata);
	cdc_writer_detach(&writer);
	if (text.len <= 2)
		return pstrdup("");
	text.data[0] = ',';
	text.data[text.len - 1] = '\0';
	return text.data;
}

static List *
read_names(ArrayType *array)
{
	List *names = NIL;
	Datum *elements;
	int count;

	deconstruct_array(array, NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR, &elements, NULL, &count);
	for (int i = 0; i < count; i++)
		names = lappend(names, pstrdup(NameStr(*DatumGetName(elements[i]))));
	return names;
}

static CdcPipeline *
read_pipeline_row(Relation table, const char *name)
{
	SysScanDesc scan = systable_beginscan(table, InvalidOid, false, NULL, 0, NULL);
	int natts = RelationGetNumberOfAttributes(table);
	Datum *values = palloc(sizeof(Datum) * natts);
	bool *nulls = palloc(sizeof(bool) * natts);
	CdcPipeline *pipeline = NULL;
	HeapTuple tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		heap_deform_tuple(tuple, RelationGetDescr(table), values, nulls);
		if (strcmp(NameStr(*DatumGetName(values[PIPELINE_NAME])), name) != 0)
			continue;
		pipeline = palloc0(sizeof(CdcPipeline));
		pipeline->name = pstrdup(name);
		pipeline->dropped = DatumGetBool(values[PIPELINE_DROPPED]);
		pipeline->owner = DatumGetObjectId(values[PIPELINE_OWNER]);
		pipeline->publications = read_names(DatumGetArrayTypePCopy(values[PIPELINE_PUBLICATIONS]));
		pipeline->options = read_options(DatumGetJsonbPCopy(values[PIPELINE_OPTIONS]));
		pipeline->metadata = read_metadata(DatumGetJsonbPCopy(values[PIPELINE_METADATA]));
		break;
	}
	systable_endscan(scan);
	return pipeline;
}

static CdcRuleKind
rule_kind(const char *name)
{
	for (int kind = 0; kind < CDC_NUM_RULE_KINDS; kind++)
	{
		if (strcmp(cdc_rule_kind_names[kind], name) == 0)
			return kind;
	}
	elog(ERROR, "unknown kind of rule \"%s\"", name);
}

/* In the server's C collation: an order that depends on no locale. */
static int
compare_rules(const ListCell *a, const ListCell *b)
{
	const CdcRule *x = lfirst(a);
	const CdcRule *y = lfirst(b);

	if (x->relation != y->relation)
		return x->relation < y->relation ? -1 : 1;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return strcmp(x->member, y->member);
}

static List *
read_rule_rows(Relation table, const char *name)
{
	SysScanDesc scan = systable_beginscan(table, InvalidOid, false, NULL, 0, NULL);
	int natts = RelationGetNumberOfAttributes(table);
	Datum *values = palloc(sizeof(Datum) * natts);
	bool *nulls = palloc(sizeof(bool) * natts);
	List *rules = NIL;
	HeapTuple tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		CdcRule *rule;

		heap_deform_tuple(tuple, RelationGetDescr(table), values, nulls);
		if (strcmp(NameStr(*DatumGetName(values[RULE_PIPELINE])), name) != 0)
			continue;
		rule = palloc(sizeof(CdcRule));
		rule->relation = DatumGetObjectId(values[RULE_RELATION]);
		rule->kind = rule_kind(TextDatumGetCString(values[RULE_KIND]));
		rule->member = TextDatumGetCString(values[RULE_MEMBER]);
		rule->definition = TextDatumGetCString(values[RULE_DEFINITION]);
		rule->replaces = DatumGetBool(values[RULE_REPLACES]);
		rules = lappend(rules, rule);
	}
	systable_endscan(scan);
	list_sort(rules, compare_rules);
	return rules;
}

/*
 * DROP EXTENSION leaves the schema behind, with the comment that CREATE EXTENSION gave it.  Changes after
 * it must not be taken for changes before the pipeline was made.
 */
static CdcPipeline *
pipeline_without_extension(const char *name, Oid schema)
{
	CdcPipeline *pipeline;

	if (!OidIsValid(schema) || GetComment(schema, NamespaceRelationId, 0) == NULL)
		return NULL;
	pipeline = palloc0(sizeof(CdcPipeline));
	pipeline->name = pstrdup(name);
	pipeline->dropped = true;
	return pipeline;
}

/*
 * A user catalog table that was dropped since cannot be opened for an older snapshot: the server looks
 * for its present file.
 */
static Relation
open_table(Oid relid, const char *name)
{
	MemoryContext caller = CurrentMemoryContext;
	Relation volatile table = NULL;
	ErrorData *error;

	PG_TRY();
	{
		table = table_open(relid, AccessShareLock);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		if (error->sqlerrcode != ERRCODE_INTERNAL_ERROR || !HistoricSnapshotActive())
			PG_RE_THROW();
		FlushErrorState();
		ereport(
			ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
			errmsg("the rules of pipeline \"%s\" cannot be read for this place in the WAL", name),
			errdetail("The extension cdc_decoder was dropped since: %s.", error->message),
			errhint("Start the stream without option \"pipeline\", where changes may be sent as "
					"they are, or advance the slot with pg_replication_slot_advance()."));
	}
	PG_END_TRY();
	return table;
}

CdcPipeline *
cdc_pipeline_read(const char *name, Oid tables[2])
{
	Oid schema = get_namespace_oid("cdc", true);
	CdcPipeline *pipeline;
	Relation table;

	tables[0] = OidIsValid(schema) ? get_relname_relid("pipeline", schema) : InvalidOid;
	tables[1] = OidIsValid(schema) ? get_relname_relid("rule", schema) : InvalidOid;
	if (!OidIsValid(tables[0]) || !OidIsValid(tables[1]))
		return pipeline_without_extension(name, schema);
	table = open_table(tables[0], name);
	pipeline = read_pipeline_row(table, name);
	table_close(table, AccessShareLock);
	if (pipeline == NULL)
		return NULL;
	table = open_table(tables[1], name);
	pipeline->rules = read_rule_rows(table, name);
	table_close(table, AccessShareLock);
	return pipeline;
}

List *
cdc_pipeline_rules(const CdcPipeline *pipeline, Oid relation)
{
	List *rules = NIL;
	ListCell *cell;

	foreach (cell, pipeline->rules)
	{
		CdcRule *rule = lfirst(cell);

		if (rule->relation == relation)
			rules = lappend(rules, rule);
	}
	return rules;
}
