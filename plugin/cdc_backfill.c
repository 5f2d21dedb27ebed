/*
 * cdc_backfill.c
 *		Requests for existing rows while streaming; see cdc_backfill.h.
 *
 * What is requested is looked at by what will read it (cdc_snapshot_session.h), with the rights of who asks,
 * so that nothing is accepted of which it is known that it cannot be read.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "cdc_backfill.h"
#include "cdc_compat.h"
#include "cdc_rule.h"
#include "cdc_snapshot_session.h"

CDC_SQL_FUNCTION(cdc_require_streamer);
CDC_SQL_FUNCTION(cdc_check_backfill);

/* What of a relation and its partitions there is to be read. */
typedef struct Request
{
	CdcSnapshotSession *session;
	const char *pipeline;
	Oid relid;
	const char *filter; /* NULL: all rows */
	int readable;
	int unlogged;
	int outboxes;
} Request;

/* As cdc.require_member() does (cdc_sql.c): rights are not lent to the code of others. */
static void
refuse_restricted(void)
{
	if (InSecurityRestrictedOperation())
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("cannot request existing rows within a security-restricted operation"));
}

/* The same as what cdc.read_chunk() asks of who reads through a pipeline. */
Datum
cdc_require_streamer(PG_FUNCTION_ARGS)
{
	Oid owner = PG_GETARG_OID(0);

	refuse_restricted();
	if (!has_rolreplication(GetOuterUserId()) &&
		!(OidIsValid(owner) && has_privs_of_role(GetOuterUserId(), owner)))
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("permission denied for existing rows through this pipeline"),
				errhint("They are requested by the pipeline's owner, or by a role with "
						"REPLICATION."));
	PG_RETURN_VOID();
}

Node *
cdc_backfill_filter(Relation relation, const char *text)
{
	Node *filter = cdc_rule_parse(relation, text);

	if (exprType(filter) != BOOLOID)
		ereport(ERROR, errcode(ERRCODE_DATATYPE_MISMATCH),
				errmsg("the filter is not a condition, but of type %s",
					   format_type_be(exprType(filter))),
				errhint("Write what is true of the rows that are wanted, such as id > 1000."));
	return filter;
}

static void
require_kind(Oid relid)
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
				errhint("Existing rows are read of tables, and of the partitions of partitioned "
						"ones."));
}

/* One table, or one part of the relation that is asked for. */
static void
check_table(Request *request, Oid relid)
{
	Relation relation = try_relation_open(relid, AccessShareLock);
	const CdcRelation *known;

	if (relation == NULL) /* dropped meanwhile */
		return;
	if (request->filter)
	{
		cdc_settings_pin(&request->session->settings);
		(void) cdc_backfill_filter(relation, request->filter);
		cdc_settings_unpin(&request->session->settings);
	}
	if (relation->rd_rel->relkind != RELKIND_RELATION)
		;
	else if (relation->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT)
		request->unlogged++;
	else
	{
		known = cdc_relation_get(request->session->relations, relation);
		if (known->outbox)
			request->outboxes++;
		else if (known->selected[CDC_SNAPSHOT])
		{
			cdc_snapshot_require_access(relation);
			cdc_snapshot_require_lookups(relation, known);
			request->readable++;
		}
	}
	relation_close(relation, AccessShareLock);
}

static void
require_readable(const Request *request, int tables)
{
	const char *name = get_rel_name(request->relid);

	if (request->readable > 0)
		return;
	if (request->outboxes > 0)
		ereport(ERROR, errcode(ERRCODE_WRONG_OBJECT_TYPE),
				errmsg("\"%s\" is an outbox table, whose rows are no state", name),
				errhint("Insert what is to be sent again anew."));
	if (request->unlogged > 0)
		ereport(
			ERROR, errcode(ERRCODE_WRONG_OBJECT_TYPE),
			errmsg("\"%s\" is an unlogged or temporary table, whose changes are not decoded", name),
			errhint("ALTER TABLE ... SET LOGGED makes an unlogged table an ordinary one."));
	if (tables == 1 && get_rel_relkind(request->relid) == RELKIND_PARTITIONED_TABLE)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("partitioned table \"%s\" has no partitions", name),
				errhint("There are no rows to be read."));
	ereport(
		ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		errmsg("pipeline \"%s\" does not select the rows of table \"%s\"", request->pipeline, name),
		errhint("Add the table to a publication of the pipeline (ALTER PUBLICATION ... ADD "
				"TABLE) that publishes inserts."));
}

static void
check_request(Request *request)
{
	Datum pair[2] = {CStringGetTextDatum("pipeline"), CStringGetTextDatum(request->pipeline)};
	List *relids;
	ListCell *cell;

	require_kind(request->relid);
	request->session = cdc_snapshot_session_start(
		construct_array(pair, lengthof(pair), TEXTOID, -1, false, TYPALIGN_INT));
	cdc_snapshot_session_configure(request->session);
	relids = find_all_inheritors(request->relid, NoLock, NULL);
	if (get_rel_relkind(request->relid) != RELKIND_PARTITIONED_TABLE)
		relids = list_make1_oid(request->relid);
	foreach (cell, relids)
	{
		CHECK_FOR_INTERRUPTS();
		check_table(request, lfirst_oid(cell));
	}
	require_readable(request, list_length(relids));
	cdc_snapshot_session_end(request->session);
}

/* With the rights of who calls, whatever SECURITY DEFINER functions are in between; an ERROR restores them, too. */
Datum
cdc_check_backfill(PG_FUNCTION_ARGS)
{
	Request request = {0};
	Oid user;
	int security;

	refuse_restricted();
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("pipeline and relation must not be NULL"));
	request.pipeline = NameStr(*PG_GETARG_NAME(0));
	request.relid = PG_GETARG_OID(1);
	request.filter = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(GetOuterUserId(), security);
	check_request(&request);
	SetUserIdAndSecContext(user, security);
	PG_RETURN_VOID();
}
