/*
 * cdc_snapshot_list.c
 *		cdc.snapshot_relations(): the tables of which a stream selects the existing rows.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

#include "cdc_compat.h"
#include "cdc_snapshot_scan.h"
#include "cdc_snapshot_session.h"

CDC_SQL_FUNCTION(cdc_snapshot_relations);

/* The function's columns, in their order (sql/cdc_decoder--1.0.sql). */
enum
{
	OUT_RELATION,
	OUT_SCHEMA,
	OUT_NAME,
	OUT_ROWS,
	OUT_BYTES,
	OUT_KEY,
	OUT_HAS_IDENTITY,
	NUM_OUT,
};

/* What of the database is decoded and has rows: no catalogs, no views, nothing temporary or unlogged. */
static List *
all_tables(void)
{
	Relation catalog = table_open(RelationRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	List *relids = NIL;
	HeapTuple tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		if (form->relkind == RELKIND_RELATION && form->oid >= FirstNormalObjectId &&
			form->relpersistence == RELPERSISTENCE_PERMANENT)
			relids = lappend_oid(relids, form->oid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	list_sort(relids, list_oid_cmp);
	return relids;
}

/* A table itself; of a partitioned one, its partitions. */
static List *
tables_of(Oid relid)
{
	List *relids;

	if (get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE)
		return list_make1_oid(relid);
	relids = find_all_inheritors(relid, NoLock, NULL);
	list_sort(relids, list_oid_cmp);
	return relids;
}

static Datum
name_array(List *names)
{
	Datum *elements = palloc(sizeof(Datum) * Max(list_length(names), 1));

	for (int i = 0; i < list_length(names); i++)
		elements[i] = CStringGetTextDatum(list_nth(names, i));
	return PointerGetDatum(
		construct_array(elements, list_length(names), TEXTOID, -1, false, TYPALIGN_INT));
}

static void
put_relation(ReturnSetInfo *result, Relation relation, const CdcRelation *known)
{
	Datum values[NUM_OUT];
	bool nulls[NUM_OUT] = {false};
	CdcScanKey key;

	cdc_scan_key_open(&key, relation);
	values[OUT_RELATION] = ObjectIdGetDatum(RelationGetRelid(relation));
	values[OUT_SCHEMA] = CStringGetTextDatum(get_namespace_name(RelationGetNamespace(relation)));
	values[OUT_NAME] = CStringGetTextDatum(RelationGetRelationName(relation));
	nulls[OUT_ROWS] = relation->rd_rel->reltuples < 0; /* never analyzed */
	values[OUT_ROWS] = Float8GetDatum(relation->rd_rel->reltuples);
	values[OUT_BYTES] = Int64GetDatum((int64) RelationGetNumberOfBlocks(relation) * BLCKSZ);
	nulls[OUT_KEY] = key.index == NULL;
	if (key.index)
		values[OUT_KEY] = name_array(cdc_scan_key_names(&key, relation));
	values[OUT_HAS_IDENTITY] = BoolGetDatum(known->nidentity > 0);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	cdc_scan_key_close(&key);
}

Datum
cdc_snapshot_relations(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	CdcSnapshotSession *session;
	List *relids;
	ListCell *cell;

	if (PG_ARGISNULL(0))
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("options must not be NULL"));
	InitMaterializedSRF(fcinfo, 0);
	session = cdc_snapshot_session_start(PG_GETARG_ARRAYTYPE_P(0));
	cdc_snapshot_session_configure(session);
	relids = PG_ARGISNULL(1) ? all_tables() : tables_of(PG_GETARG_OID(1));
	foreach (cell, relids)
	{
		Relation relation = try_relation_open(lfirst_oid(cell), AccessShareLock);
		const CdcRelation *known;

		CHECK_FOR_INTERRUPTS();
		if (relation == NULL) /* dropped meanwhile */
			continue;
		if (relation->rd_rel->relkind == RELKIND_RELATION &&
			relation->rd_rel->relpersistence == RELPERSISTENCE_PERMANENT)
		{
			known = cdc_relation_get(session->relations, relation);
			if (known->selected[CDC_SNAPSHOT] && known->outbox == NULL)
			{
				cdc_snapshot_require_access(relation);
				put_relation(result, relation, known);
			}
		}
		/* not kept: there may be more tables than a transaction can lock */
		relation_close(relation, AccessShareLock);
	}
	cdc_snapshot_session_end(session);
	return (Datum) 0;
}
