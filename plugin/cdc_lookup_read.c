/*
 * cdc_lookup_read.c
 *		Reading a shadow under the snapshot at hand; see cdc_lookup_read.h.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "cdc_compat.h"
#include "cdc_lookup_long.h"
#include "cdc_lookup_read.h"

/* Where a relation's file is now, whatever snapshot is at hand; false: there is no such relation. */
static bool
find_present_file(Oid relid, CdcRelationFile *file)
{
	Relation pg_class = table_open(RelationRelationId, AccessShareLock);
	Snapshot snapshot = RegisterSnapshot(GetNonHistoricCatalogSnapshot(RelationRelationId));
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;
	bool found;

	ScanKeyInit(&key, Anum_pg_class_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(pg_class, ClassOidIndexId, true, snapshot, 1, &key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		*file = cdc_relation_file(OidIsValid(form->reltablespace) ? form->reltablespace
																  : MyDatabaseTableSpace,
								  MyDatabaseId, form->relfilenode);
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(pg_class, AccessShareLock);
	return found;
}

bool
cdc_shadow_is_gone(const CdcShadow *shadow)
{
	CdcRelationFile ignored;

	return !find_present_file(shadow->relid, &ignored);
}

/*
 * Lets the relation cache find an index in its present file, as it does with the table itself.	Whatever
 * made that file (REINDEX, VACUUM FULL, CLUSTER) put all rows into it that a slot may still see: those of a
 * user catalog table are kept until then.	 False: there is no such index any more.
 */
static bool
point_to_present_file(Oid index)
{
	CdcRelationFile file;
	Relation relation;

	if (!find_present_file(index, &file))
		return false;
	relation = index_open(index, AccessShareLock);
	if (memcmp(cdc_relation_file_of(relation), &file, sizeof(file)) != 0)
	{
		RelationCloseSmgr(relation);
		*cdc_relation_file_of(relation) = file;
		if (relation->rd_amcache) /* what was read of the file, such as its root */
			pfree(relation->rd_amcache);
		relation->rd_amcache = NULL;
	}
	index_close(relation, AccessShareLock);
	return true;
}

Oid
cdc_shadow_find_index(CdcShadow *shadow, Relation table)
{
	Oid index;

	if (shadow->index_looked)
		return shadow->index;
	list_free(RelationGetIndexList(table)); /* fills in rd_pkindex */
	index = table->rd_pkindex;
	if (OidIsValid(index) && HistoricSnapshotActive() && !point_to_present_file(index))
		index = InvalidOid;
	shadow->index = index;
	shadow->index_looked = true;
	return index;
}

/* The table as it is must be the one that shadow describes. */
static Relation
open_shadow(const CdcShadow *shadow)
{
	Relation table = table_open(shadow->relid, AccessShareLock);
	TupleDesc desc = RelationGetDescr(table);

	if (desc->natts != shadow->natts)
		elog(ERROR, "lookup table \"%s\" has %d columns instead of %d",
			 RelationGetRelationName(table), desc->natts, shadow->natts);
	return table;
}

static void
copy_row(HeapTuple tuple, TupleDesc desc, MemoryContext context, CdcLookupRow *row)
{
	MemoryContext caller = MemoryContextSwitchTo(context);

	row->values = palloc(sizeof(Datum) * desc->natts);
	row->nulls = palloc(sizeof(bool) * desc->natts);
	heap_deform_tuple(tuple, desc, row->values, row->nulls);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(desc, i);

		if (row->nulls[i] || attr->attbyval)
			continue;
		if (attr->attlen == -1 && VARATT_IS_EXTERNAL(DatumGetPointer(row->values[i])))
			row->values[i] = PointerGetDatum(
				detoast_external_attr((struct varlena *) DatumGetPointer(row->values[i])));
		else
			row->values[i] = datumCopy(row->values[i], false, attr->attlen);
	}
	MemoryContextSwitchTo(caller);
}

static void
put_together(TupleDesc desc, CdcLookupRow *row, List *pieces, MemoryContext context)
{
	MemoryContext caller = MemoryContextSwitchTo(context);

	cdc_lookup_unpack(desc, row, pieces);
	MemoryContextSwitchTo(caller);
}

bool
cdc_shadow_read(CdcShadow *shadow, int nkeys, const ScanKeyData *keys, bool use_index,
				MemoryContext context, CdcLookupRow *row)
{
	Relation table = open_shadow(shadow);
	Oid index = use_index ? cdc_shadow_find_index(shadow, table) : InvalidOid;
	TupleDesc desc = RelationGetDescr(table);
	ScanKeyData scan_keys[INDEX_MAX_KEYS];
	List *pieces = NIL;
	bool found = false;
	bool whole = false;
	SysScanDesc scan;
	HeapTuple tuple;

	memcpy(scan_keys, keys, sizeof(ScanKeyData) * nkeys); /* the scan writes into them */
	scan = systable_beginscan(table, index, OidIsValid(index), NULL, nkeys, scan_keys);
	while (!whole && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (cdc_lookup_part(tuple, desc) > 0)
		{
			pieces = lappend(pieces, cdc_lookup_copy_piece(tuple, desc));
			continue;
		}
		found = true;
		whole = cdc_lookup_is_whole(tuple, desc);
		copy_row(tuple, desc, context, row);
	}
	if (found && !whole)
		put_together(desc, row, pieces, context);
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	return found;
}

bool
cdc_shadow_read_all(const CdcShadow *shadow, MemoryContext context,
					bool (*take)(void *arg, const CdcLookupRow *row), void *arg)
{
	Relation table = open_shadow(shadow);
	SysScanDesc scan = systable_beginscan(table, InvalidOid, false, NULL, 0, NULL);
	HeapTuple tuple;
	bool go_on = true;

	while (go_on && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		CdcLookupRow row;

		if (cdc_lookup_part(tuple, RelationGetDescr(table)) > 0)
			continue;
		go_on = cdc_lookup_is_whole(tuple, RelationGetDescr(table));
		if (!go_on)
			break;
		copy_row(tuple, RelationGetDescr(table), context, &row);
		go_on = take(arg, &row);
	}
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	return go_on;
}
