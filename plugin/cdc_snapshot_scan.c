/*
 * cdc_snapshot_scan.c
 *		Rows of a table in the order of its primary key; see cdc_snapshot_scan.h.
 *
 * The index is read by its own interface, not by a query: a plan might change its mind from one chunk to
 * the next and sort the whole table for each.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/heaptoast.h"
#include "access/htup_details.h"
#include "access/nbtree.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_am.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "cdc_compat.h"
#include "cdc_snapshot_scan.h"

/* A btree in its default order of columns that are never null. */
static bool
gives_an_order(Relation index)
{
	const FormData_pg_index *form = index->rd_index;

	if (index->rd_rel->relam != BTREE_AM_OID || !form->indisvalid || !form->indisunique)
		return false;
	for (int i = 0; i < form->indnkeyatts; i++)
	{
		if (form->indkey.values[i] <= 0 || index->rd_indoption[i] != 0)
			return false;
	}
	return true;
}

static Relation
open_order(Relation relation)
{
	List *indexes = RelationGetIndexList(relation);
	Relation found = NULL;
	ListCell *cell;

	foreach (cell, indexes)
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);
		bool is_identity = RelationGetRelid(index) == relation->rd_replidindex;

		if ((index->rd_index->indisprimary || (is_identity && found == NULL)) &&
			gives_an_order(index))
		{
			if (found)
				index_close(found, AccessShareLock);
			found = index;
		}
		else
			index_close(index, AccessShareLock);
	}
	list_free(indexes);
	return found;
}

void
cdc_scan_key_open(CdcScanKey *key, Relation relation)
{
	TupleDesc desc = RelationGetDescr(relation);

	memset(key, 0, sizeof(*key));
	key->index = open_order(relation);
	if (key->index == NULL)
		return;
	key->ncolumns = key->index->rd_index->indnkeyatts;
	for (int i = 0; i < key->ncolumns; i++)
	{
		Oid function;
		bool is_varlena;

		key->attnums[i] = key->index->rd_index->indkey.values[i];
		getTypeOutputInfo(TupleDescAttr(desc, key->attnums[i] - 1)->atttypid, &function,
						  &is_varlena);
		fmgr_info(function, &key->output[i]);
	}
}

void
cdc_scan_key_close(CdcScanKey *key)
{
	if (key->index)
		index_close(key->index, AccessShareLock);
	key->index = NULL;
}

List *
cdc_scan_key_names(const CdcScanKey *key, Relation relation)
{
	List *names = NIL;

	for (int i = 0; i < key->ncolumns; i++)
		names = lappend(
			names,
			NameStr(TupleDescAttr(RelationGetDescr(relation), key->attnums[i] - 1)->attname));
	return names;
}

void
cdc_scan_key_require(const CdcScanKey *key, Relation relation, ArrayType *array)
{
	List *names = cdc_scan_key_names(key, relation);
	Datum *texts;
	bool *nulls;
	int count;
	bool same;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &texts, &nulls, &count);
	same = count == list_length(names);
	for (int i = 0; same && i < count; i++)
		same = !nulls[i] && strcmp(TextDatumGetCString(texts[i]), list_nth(names, i)) == 0;
	if (!same)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("the primary key of table \"%s\" is not the one that its rows were read by "
					   "so far",
					   RelationGetRelationName(relation)),
				errhint("Have the table read anew."));
}

Datum *
cdc_scan_key_values(const CdcScanKey *key, Relation relation, ArrayType *array)
{
	Datum *values = palloc(sizeof(Datum) * Max(key->ncolumns, 1));
	Datum *texts;
	bool *nulls;
	int count;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &texts, &nulls, &count);
	if (count != key->ncolumns)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("a key of \"%s\" has %d values, not %d", RelationGetRelationName(relation),
					   key->ncolumns, count));
	for (int i = 0; i < count; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(RelationGetDescr(relation), key->attnums[i] - 1);
		Oid function;
		Oid parameter;

		if (nulls[i])
			ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					errmsg("values of a key must not be NULL"));
		getTypeInputInfo(attr->atttypid, &function, &parameter);
		/* without the column's modifier, which would round or cut: it is a value of the column */
		values[i] = OidInputFunctionCall(function, TextDatumGetCString(texts[i]), parameter, -1);
	}
	return values;
}

/* The column's comparison function or, for a comparison of rows, that of its order. */
static Oid
find_function(Relation index, int column, StrategyNumber strategy)
{
	Oid family = index->rd_opfamily[column];
	Oid type = index->rd_opcintype[column];
	Oid function = strategy == InvalidStrategy
					   ? get_opfamily_proc(family, type, type, BTORDER_PROC)
					   : get_opcode(get_opfamily_member(family, type, type, strategy));

	if (!OidIsValid(function))
		elog(ERROR, "column %d of index \"%s\" has no function to compare by", column + 1,
			 RelationGetRelationName(index));
	return function;
}

/* (k1, k2) > (v1, v2), as ExecIndexBuildScanKeys() (nodeIndexscan.c) makes it of a row comparison. */
static void
add_bound(CdcScanKey *key, const Datum *values, StrategyNumber strategy)
{
	ScanKey bound = &key->bounds[key->nbounds++];
	Relation index = key->index;
	ScanKey members;

	if (key->ncolumns == 1)
	{
		ScanKeyEntryInitialize(bound, 0, 1, strategy, InvalidOid, index->rd_indcollation[0],
							   find_function(index, 0, strategy), values[0]);
		return;
	}
	members = palloc0(sizeof(ScanKeyData) * key->ncolumns);
	for (int i = 0; i < key->ncolumns; i++)
		ScanKeyEntryInitialize(&members[i],
							   SK_ROW_MEMBER | (i + 1 == key->ncolumns ? SK_ROW_END : 0), i + 1,
							   strategy, InvalidOid, index->rd_indcollation[i],
							   find_function(index, i, InvalidStrategy), values[i]);
	memset(bound, 0, sizeof(*bound));
	bound->sk_flags = SK_ROW_HEADER;
	bound->sk_attno = 1;
	bound->sk_strategy = strategy;
	bound->sk_argument = PointerGetDatum(members);
}

void
cdc_scan_key_set_bounds(CdcScanKey *key, Relation relation, ArrayType *after, ArrayType *upto)
{
	if (key->index == NULL && (after || upto))
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("table \"%s\" no longer has a primary key that its rows could be read by",
					   RelationGetRelationName(relation)),
				errhint("Make one, or have the table read anew."));
	if (after)
		add_bound(key, cdc_scan_key_values(key, relation, after), BTGreaterStrategyNumber);
	if (upto)
		add_bound(key, cdc_scan_key_values(key, relation, upto), BTLessEqualStrategyNumber);
}

int
cdc_scan_key_compare(const CdcScanKey *key, const Datum *a, const Datum *b)
{
	int32 order = 0;

	for (int i = 0; i < key->ncolumns && order == 0; i++)
		order = DatumGetInt32(FunctionCall2Coll(index_getprocinfo(key->index, i + 1, BTORDER_PROC),
												key->index->rd_indcollation[i], a[i], b[i]));
	return order;
}

/* What the row's values take beyond their stored size once they are decompressed, as a record has them. */
static Size
compressed_away(TupleTableSlot *slot)
{
	TupleDesc desc = slot->tts_tupleDescriptor;
	Size bytes = 0;

	slot_getallattrs(slot);
	for (int i = 0; i < desc->natts; i++)
	{
		Datum value = slot->tts_values[i];
		Size stored;
		Size raw;

		if (TupleDescAttr(desc, i)->attlen != -1 || slot->tts_isnull[i])
			continue;
		stored = toast_datum_size(value);
		raw = toast_raw_datum_size(value);
		if (raw > stored)
			bytes += raw - stored;
	}
	return bytes;
}

/* False: the limit is reached. */
static bool
take_row(List **rows, Size *bytes, TupleTableSlot *slot, const CdcScanLimit *limit)
{
	HeapTuple tuple = ExecCopySlotHeapTuple(slot);

	/* a decoded row has its values at hand, too */
	if (HeapTupleHasExternal(tuple))
	{
		HeapTuple flat = toast_flatten_tuple(tuple, slot->tts_tupleDescriptor);

		heap_freetuple(tuple);
		tuple = flat;
	}
	*rows = lappend(*rows, tuple);
	*bytes += tuple->t_len + compressed_away(slot);
	return (limit->rows == 0 || list_length(*rows) < limit->rows) &&
		   (limit->bytes == 0 || *bytes < limit->bytes);
}

static List *
scan_index(CdcScanKey *key, Relation relation, Snapshot snapshot, const CdcScanLimit *limit,
		   bool *done)
{
	TupleTableSlot *slot = table_slot_create(relation, NULL);
	IndexScanDesc scan = cdc_index_beginscan(relation, key->index, snapshot, key->nbounds);
	List *rows = NIL;
	Size bytes = 0;
	bool more = true;

	index_rescan(scan, key->bounds, key->nbounds, NULL, 0);
	while (more && index_getnext_slot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		more = take_row(&rows, &bytes, slot, limit);
	}
	*done = more;
	index_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	return rows;
}

static List *
scan_table(Relation relation, Snapshot snapshot, const CdcScanLimit *limit, bool *done)
{
	TupleTableSlot *slot = table_slot_create(relation, NULL);
	TableScanDesc scan = cdc_begin_scan(relation, snapshot);
	List *rows = NIL;
	Size bytes = 0;
	bool more = true;

	while (more && table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		more = take_row(&rows, &bytes, slot, limit);
	}
	*done = more;
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	return rows;
}

List *
cdc_scan_rows(CdcScanKey *key, Relation relation, Snapshot snapshot, const CdcScanLimit *limit,
			  bool *done)
{
	return key->index ? scan_index(key, relation, snapshot, limit, done)
					  : scan_table(relation, snapshot, limit, done);
}

char **
cdc_scan_key_column_texts(CdcScanKey *key, const Datum *values)
{
	char **texts = palloc(sizeof(char *) * Max(key->ncolumns, 1));

	for (int i = 0; i < key->ncolumns; i++)
	{
		char *text = OutputFunctionCall(&key->output[i], values[i]);

		texts[i] = pg_server_to_any(text, strlen(text), PG_UTF8);
	}
	return texts;
}

char **
cdc_scan_key_texts(CdcScanKey *key, const Datum *values)
{
	Datum columns[INDEX_MAX_KEYS] = {0};

	for (int i = 0; i < key->ncolumns; i++)
		columns[i] = values[key->attnums[i] - 1];
	return cdc_scan_key_column_texts(key, columns);
}

Datum
cdc_scan_key_array(const CdcScanKey *key, char **texts)
{
	Datum *elements = palloc(sizeof(Datum) * Max(key->ncolumns, 1));

	for (int i = 0; i < key->ncolumns; i++)
	{
		/* back from UTF-8: it is converted again on its way to the client */
		char *text = pg_any_to_server(texts[i], strlen(texts[i]), PG_UTF8);

		elements[i] = CStringGetTextDatum(text);
	}
	return PointerGetDatum(
		construct_array(elements, key->ncolumns, TEXTOID, -1, false, TYPALIGN_INT));
}
