/*
 * cdc_sql.c
 *		The extension's functions that are written in C: checks of rules, and previews.
 *
 * What they check is checked by the very code that decodes with the rules.
 */
#include "postgres.h"

#include "access/heaptoast.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"
#include "utils/varlena.h"

#include "cdc_compat.h"
#include "cdc_pipeline.h"
#include "cdc_record.h"
#include "cdc_relation.h"
#include "cdc_rule.h"

CDC_SQL_FUNCTION(cdc_rules_changed);
CDC_SQL_FUNCTION(cdc_caller);
CDC_SQL_FUNCTION(cdc_require_owner);
CDC_SQL_FUNCTION(cdc_require_member);
CDC_SQL_FUNCTION(cdc_normalize_expression);
CDC_SQL_FUNCTION(cdc_check_pipeline);
CDC_SQL_FUNCTION(cdc_check_relation);
CDC_SQL_FUNCTION(cdc_preview);
CDC_SQL_FUNCTION(cdc_split_names);

/* Trigger on the tables of pipelines and rules: those who watch them hear of it, decoders too. */
Datum
cdc_rules_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("cdc.rules_changed() must be called as a trigger"));
	CacheInvalidateRelcache(((TriggerData *) fcinfo->context)->tg_relation);
	PG_RETURN_POINTER(NULL);
}

/* Who calls, whatever SECURITY DEFINER functions are in between. */
Datum
cdc_caller(PG_FUNCTION_ARGS)
{
	PG_RETURN_OID(GetOuterUserId());
}

/*
 * Rights are those of who calls, which must not be lent to the code of others that runs where a server's
 * own commands call it: the expression of an index, say, when a superuser does REINDEX.
 */
static void
refuse_restricted(void)
{
	if (InSecurityRestrictedOperation())
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("cannot change pipelines within a security-restricted operation"));
}

static void
require_table(Oid relid)
{
	char relkind = get_rel_relkind(relid);

	if (relkind == '\0')
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_TABLE),
				errmsg("relation with OID %u does not exist", relid));
	if (relid < FirstNormalObjectId ||
		(relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE))
		ereport(ERROR, errcode(ERRCODE_WRONG_OBJECT_TYPE),
				errmsg(relid < FirstNormalObjectId ? "\"%s\" is a system catalog"
												   : "\"%s\" is not a table",
					   get_rel_name(relid)),
				errhint("Rules are made for tables, whose changes are decoded."));
}

Datum
cdc_require_owner(PG_FUNCTION_ARGS)
{
	Oid relid = PG_GETARG_OID(0);

	refuse_restricted();
	require_table(relid);
	if (!cdc_owns_relation(relid, GetOuterUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(get_rel_relkind(relid)),
					   get_rel_name(relid));
	PG_RETURN_VOID();
}

Datum
cdc_require_member(PG_FUNCTION_ARGS)
{
	Oid role = PG_GETARG_OID(0);

	refuse_restricted();
	if (!has_privs_of_role(GetOuterUserId(), role))
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("must be a member of role \"%s\", which owns the pipeline",
					   GetUserNameFromId(role, false)));
	PG_RETURN_VOID();
}

/* An expression as it is stored: the same under any search_path. */
Datum
cdc_normalize_expression(PG_FUNCTION_ARGS)
{
	CdcSettings settings = {0};
	Relation relation;
	Node *expression;
	text *result;

	require_table(PG_GETARG_OID(0));
	relation = table_open(PG_GETARG_OID(0), AccessShareLock);
	expression = cdc_rule_parse(relation, text_to_cstring(PG_GETARG_TEXT_PP(1)));
	cdc_settings_pin(&settings);
	result = cstring_to_text(cdc_rule_deparse(relation, expression));
	cdc_settings_unpin(&settings);
	table_close(relation, AccessShareLock);
	PG_RETURN_TEXT_P(result);
}

/* A list of identifiers, quoted where they need it, as an array. */
Datum
cdc_split_names(PG_FUNCTION_ARGS)
{
	List *names;
	Datum *elements;
	int count = 0;
	ListCell *cell;

	if (!SplitIdentifierString(text_to_cstring(PG_GETARG_TEXT_PP(0)), ',', &names))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("not a list of identifiers: %s", text_to_cstring(PG_GETARG_TEXT_PP(0))));
	elements = palloc(sizeof(Datum) * Max(list_length(names), 1));
	foreach (cell, names)
		elements[count++] = CStringGetTextDatum(lfirst(cell));
	PG_RETURN_ARRAYTYPE_P(construct_array(elements, count, TEXTOID, -1, false, TYPALIGN_INT));
}

/* What decoding needs, but for a consumer: records go where ops puts them. */
typedef struct Session
{
	MemoryContext context;
	CdcOptions options;
	CdcEncoding encoding;
	CdcSettings settings;
	CdcOutput output;
	CdcRecorder recorder;
	CdcRelationCache *relations;
	CdcTransaction transaction;
	StringInfoData message;
	Tuplestorestate *records;
	TupleDesc record_desc;
	uint64 seq;
} Session;

static StringInfo
open_preview(CdcOutput *output)
{
	Session *session = output->target;

	resetStringInfo(&session->message);
	return &session->message;
}

static void
send_preview(CdcOutput *output, StringInfo message)
{
	Session *session = output->target;
	Datum value = PointerGetDatum(cstring_to_text_with_len(message->data, message->len));
	bool isnull = false;

	tuplestore_putvalues(session->records, session->record_desc, &value, &isnull);
}

static TimeLineID
preview_timeline(const CdcOutput *output)
{
	return 0; /* previews are lines, which have none */
}

static const CdcOutputOps preview_ops = {open_preview, send_preview, preview_timeline};

/* In the catalogs' present state. */
static Session *
start_session(const char *pipeline_name)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "cdc_decoder session", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	Session *session = palloc0(sizeof(Session));
	CdcPublications *publications;
	CdcLookups *lookups;
	CdcPipeline *pipeline;
	Oid tables[2];

	pipeline = cdc_pipeline_read(pipeline_name, tables);
	if (pipeline == NULL || pipeline->dropped)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("pipeline \"%s\" does not exist", pipeline_name),
				errhint("Make it with cdc.create_pipeline(); the view cdc.pipelines lists those "
						"there are."));
	session->context = context;
	cdc_options_read(&session->options, pipeline->options, NIL);
	session->options.pipeline = pipeline->name;
	session->options.batch_bytes = 0;
	if (session->options.source == NULL)
		session->options.source = get_database_name(MyDatabaseId);
	cdc_encoding_init(&session->encoding);
	session->encoding.escape = session->encoding.convert;
	initStringInfo(&session->message);
	session->output.ops = &preview_ops;
	session->output.target = session;
	session->output.options = &session->options;
	session->output.writer.encoding = &session->encoding;
	lookups = cdc_lookups_create(context, NULL);
	cdc_recorder_init(&session->recorder, &session->output, &session->settings, lookups);
	cdc_recorder_configure(&session->recorder, session->options.source, pipeline->metadata);
	session->relations =
		cdc_relation_cache_create(context, NULL, &session->encoding, &session->settings, lookups);
	/* a preview shows what a table's rows would look like, whatever is published now */
	publications = cdc_publications_create(context);
	cdc_relation_cache_configure(session->relations, &session->options, session->options.source,
								 pipeline->metadata, pipeline, publications);
	MemoryContextSwitchTo(caller);
	return session;
}

static void
end_session(Session *session)
{
	cdc_settings_unpin(&session->settings);
	MemoryContextDelete(session->context);
}

/* Its options are read as they will be when decoding. */
Datum
cdc_check_pipeline(PG_FUNCTION_ARGS)
{
	end_session(start_session(NameStr(*PG_GETARG_NAME(0))));
	PG_RETURN_VOID();
}

static void
check_members_differ(const CdcRelation *relation)
{
	for (int i = 0; i < relation->ncolumns; i++)
	{
		const CdcColumn *a = &relation->columns[i];

		for (int j = 0; j < i; j++)
		{
			const CdcColumn *b = &relation->columns[j];

			if (strcmp(a->member, b->member) == 0)
				ereport(ERROR, errcode(ERRCODE_DUPLICATE_COLUMN),
						errmsg("two members of \"%s\".\"%s\" would have the name \"%s\"",
							   relation->schema, relation->table, a->member),
						errhint("Choose another name, or drop the column that has it."));
		}
	}
}

static void
check_lookups(const CdcRelation *relation)
{
	for (int i = 0; i < relation->nlookups; i++)
	{
		if (relation->lookups[i].lookup == NULL)
			ereport(ERROR, errcode(ERRCODE_UNDEFINED_TABLE),
					errmsg("lookup table cdc.\"%s\" does not exist", relation->lookups[i].shadow),
					errhint("Remove the rule with cdc.remove_rule(), and make it again with "
							"cdc.add_lookup()."));
	}
}

/* A key that was asked for must be one that every record can have. */
static void
check_key(const CdcPipeline *pipeline, const CdcRelation *known, Oid relid)
{
	ListCell *cell;

	foreach (cell, cdc_pipeline_rules(pipeline, relid))
	{
		const CdcRule *rule = lfirst(cell);

		if (rule->kind == CDC_RULE_KEY && known->nkeys == 0)
			ereport(ERROR, errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
					errmsg("columns %s cannot be the key of \"%s\".\"%s\"", rule->definition,
						   known->schema, known->table),
					errdetail("The old row as the replica identity logs it does not have them all, "
							  "or one of them is dropped by a rule."),
					errhint("Choose columns of the replica identity, or set another one by "
							"ALTER TABLE ... REPLICA IDENTITY."));
	}
}

/* The rules for a relation fit it, and one another. */
Datum
cdc_check_relation(PG_FUNCTION_ARGS)
{
	Session *session = start_session(NameStr(*PG_GETARG_NAME(0)));
	Oid relid = PG_GETARG_OID(1);
	Relation relation = table_open(relid, AccessShareLock);
	Oid tables[2];
	const CdcRelation *known = cdc_relation_get(session->relations, relation);

	check_members_differ(known);
	check_lookups(known);
	check_key(cdc_pipeline_read(NameStr(*PG_GETARG_NAME(0)), tables), known, relid);
	table_close(relation, AccessShareLock);
	end_session(session);
	PG_RETURN_VOID();
}

/* Up to max_rows rows of one table that has storage; returns how many there were. */
static int
preview_table(Session *session, Relation relation, int max_rows)
{
	TableScanDesc scan = cdc_begin_scan(relation, GetActiveSnapshot());
	TupleTableSlot *slot = table_slot_create(relation, NULL);
	CdcRelation *known = cdc_relation_get(session->relations, relation);
	MemoryContext row_context =
		AllocSetContextCreate(session->context, "cdc_decoder row", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(row_context);
	TupleDesc desc = RelationGetDescr(relation);
	int rows = 0;

	while (rows < max_rows && table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		HeapTuple tuple = ExecFetchSlotHeapTuple(slot, false, NULL);

		CHECK_FOR_INTERRUPTS();
		/* a decoded row has its values at hand, too */
		if (HeapTupleHasExternal(tuple))
			tuple = toast_flatten_tuple(tuple, desc);
		cdc_rows_load(&session->recorder.rows, known, desc, NULL, tuple);
		cdc_record_change(&session->recorder, CDC_SNAPSHOT, known, ++session->seq);
		rows++;
		MemoryContextReset(row_context);
	}
	MemoryContextSwitchTo(caller);
	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
	return rows;
}

/* The rows of a table, or of its partitions. */
static void
preview_rows(Session *session, Oid relid, int max_rows)
{
	List *relids = get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE
					   ? find_all_inheritors(relid, AccessShareLock, NULL)
					   : list_make1_oid(relid);
	ListCell *cell;

	foreach (cell, relids)
	{
		Relation relation = table_open(lfirst_oid(cell), AccessShareLock);

		if (relation->rd_rel->relkind == RELKIND_RELATION)
			max_rows -= preview_table(session, relation, max_rows);
		table_close(relation, AccessShareLock);
	}
}

/* What a table's present rows look like under a pipeline. */
Datum
cdc_preview(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid relid = PG_GETARG_OID(1);
	int max_rows = PG_GETARG_INT32(2);
	Session *session;

	if (max_rows < 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("max_rows must not be negative"));
	DirectFunctionCall1(cdc_require_owner, ObjectIdGetDatum(relid));
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	session = start_session(NameStr(*PG_GETARG_NAME(0)));
	session->records = result->setResult;
	session->record_desc = result->setDesc;
	session->transaction.commit_lsn = session->transaction.end_lsn = GetXLogInsertRecPtr();
	session->transaction.transactional = true;
	cdc_recorder_begin(&session->recorder, &session->transaction);

	preview_rows(session, relid, max_rows);
	end_session(session);
	return (Datum) 0;
}
