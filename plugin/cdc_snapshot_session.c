/*
 * cdc_snapshot_session.c
 *		What encoding takes outside of decoding; see cdc_snapshot_session.h.
 */
#include "postgres.h"

#include <limits.h>

#include "access/relation.h"
#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/value.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rls.h"

#include "cdc_compat.h"
#include "cdc_pipeline.h"
#include "cdc_snapshot_session.h"

static StringInfo
open_message(CdcOutput *output)
{
	CdcSnapshotSession *session = output->target;

	return &session->message;
}

static void
keep_message(CdcOutput *output, StringInfo message)
{
}

static TimeLineID
present_timeline(const CdcOutput *output)
{
	TimeLineID timeline;

	if (!RecoveryInProgress())
		return GetWALInsertionTimeLine();
	(void) GetXLogReplayRecPtr(&timeline);
	return timeline;
}

static const CdcOutputOps output_ops = {open_message, keep_message, present_timeline};

static List *
read_option_array(ArrayType *array)
{
	List *elements = NIL;
	Datum *texts;
	bool *nulls;
	int count;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &texts, &nulls, &count);
	if (count % 2 != 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("options must be pairs of a name and a value"),
				errhint("For example: ARRAY['publication_names', 'orders', 'format', 'cdc']."));
	for (int i = 0; i < count; i += 2)
	{
		if (nulls[i])
			ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					errmsg("the name of an option must not be NULL"));
		elements = lappend(
			elements,
			makeDefElem(
				TextDatumGetCString(texts[i]),
				nulls[i + 1] ? NULL : (Node *) makeString(TextDatumGetCString(texts[i + 1])), -1));
	}
	return elements;
}

static CdcPipeline *
find_pipeline(const char *name)
{
	Oid tables[2];
	CdcPipeline *pipeline = cdc_pipeline_read(name, tables);

	if (pipeline == NULL || pipeline->dropped)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("pipeline \"%s\" does not exist", name),
				errhint("Make it with cdc.create_pipeline(); the view cdc.pipelines lists those "
						"there are."));
	return pipeline;
}

/* What rules make of a table is shown to those whose rules they are (see cdc.export_pipeline(), too). */
static void
require_pipeline_access(const CdcPipeline *pipeline)
{
	if (!has_rolreplication(GetUserId()) && !has_privs_of_role(GetUserId(), pipeline->owner))
		ereport(
			ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			errmsg("permission denied for pipeline %s", pipeline->name),
			errhint("Existing rows are read through a pipeline by a role with REPLICATION, or by "
					"the pipeline's owner."));
}

void
cdc_snapshot_session_configure(CdcSnapshotSession *session)
{
	MemoryContext caller = MemoryContextSwitchTo(session->context);
	CdcOptions *options = &session->options;
	CdcPipeline *pipeline = NULL;
	CdcPublications *publications;
	const char *metadata;

	/*
	 * A transaction is visible to snapshots a moment before it has told others which of their caches it
	 * made stale (CommitTransaction(), xact.c), and there is no waiting for that.
	 */
	InvalidateSystemCaches();
	if (options->pipeline)
	{
		pipeline = find_pipeline(options->pipeline);
		require_pipeline_access(pipeline);
		cdc_options_read(options, pipeline->options, session->elements);
	}
	publications = cdc_publications_create(session->context);
	options->framing = CDC_FRAMING_FRAMES;
	options->batch_bytes = INT_MAX;
	if (options->source == NULL)
		options->source = get_database_name(MyDatabaseId);
	metadata = pipeline ? pipeline->metadata : "";
	cdc_publications_set_names(publications, options->publication_names == NIL && pipeline
												 ? pipeline->publications
												 : options->publication_names);
	cdc_recorder_init(&session->recorder, &session->output, &session->settings, session->lookups);
	cdc_recorder_configure(&session->recorder, options->source, metadata);
	session->relations = cdc_relation_cache_create(session->context, NULL, &session->encoding,
												   &session->settings, session->lookups);
	cdc_relation_cache_configure(session->relations, options, options->source, metadata, pipeline,
								 publications);
	MemoryContextSwitchTo(caller);
}

CdcSnapshotSession *
cdc_snapshot_session_start(ArrayType *options)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "cdc_decoder snapshot", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	CdcSnapshotSession *session = palloc0(sizeof(CdcSnapshotSession));

	session->context = context;
	cdc_encoding_init(&session->encoding);
	initStringInfo(&session->message);
	appendStringInfoSpaces(&session->message, VARHDRSZ);
	initStringInfo(&session->places);
	session->output.ops = &output_ops;
	session->output.target = session;
	session->output.options = &session->options;
	session->output.writer.encoding = &session->encoding;
	session->output.writer.places = &session->places;
	session->lookups = cdc_lookups_create(context, NULL);
	session->elements = read_option_array(options);
	cdc_options_read(&session->options, NIL, session->elements);
	MemoryContextSwitchTo(caller);
	return session;
}

void
cdc_snapshot_session_end(CdcSnapshotSession *session)
{
	cdc_settings_unpin(&session->settings);
	MemoryContextDelete(session->context);
}

/*
 * A role with REPLICATION may read all that is written to the table from now on, and may copy the whole
 * server; so it may read its rows.  Policies are for those who read by SELECT.
 */
void
cdc_snapshot_require_access(Relation relation)
{
	Oid relid = RelationGetRelid(relation);

	if (has_rolreplication(GetUserId()))
		return;
	if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("permission denied for table %s", RelationGetRelationName(relation)),
				errhint("Existing rows are read by a role with REPLICATION, or one that may SELECT "
						"from the table."));
	if (check_enable_rls(relid, InvalidOid, true) == RLS_ENABLED)
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("row-level security policies hold for table %s",
					   RelationGetRelationName(relation)),
				errhint("Existing rows are read by a role with REPLICATION or BYPASSRLS, or the "
						"table's owner."));
}

Relation
cdc_snapshot_open_relation(Oid relid)
{
	Relation relation = try_relation_open(relid, AccessShareLock);

	if (relation == NULL)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_TABLE),
				errmsg("relation with OID %u does not exist", relid));
	if (relation->rd_rel->relkind != RELKIND_RELATION ||
		relation->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT)
		ereport(ERROR, errcode(ERRCODE_WRONG_OBJECT_TYPE),
				errmsg("\"%s\" is not a table whose changes are decoded",
					   RelationGetRelationName(relation)),
				errhint("Rows are read of ordinary tables and of partitions, each by itself."));
	cdc_snapshot_require_access(relation);
	return relation;
}

/* As for cdc.preview(): whoever owns the table made the rules for it, and could read there. */
void
cdc_snapshot_require_lookups(Relation relation, const CdcRelation *known)
{
	if (known->nlookups > 0 && !has_rolreplication(GetUserId()) &&
		!cdc_owns_relation(RelationGetRelid(relation), GetUserId()))
		ereport(
			ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			errmsg("permission denied for what is looked up for table %s",
				   RelationGetRelationName(relation)),
			errhint("Existing rows of a table with lookups are read by a role with REPLICATION, "
					"or by an owner of the table."));
}
