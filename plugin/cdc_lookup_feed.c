/*
 * cdc_lookup_feed.c
 *		Keeping the shadow of a lookup what its reference table says, and what a reference must be.
 *
 * Two triggers on the reference do it, both ALWAYS (so that a table which is fed by logical replication
 * is followed, too): one for each row, and one for TRUNCATE.  The latter is also "UPDATE OF columns",
 * which nothing happens at: it is how the catalogs keep which columns are meant, in the order of the
 * shadow's, through renames and dumps, and refuse to drop them or to change their types.
 *
 * A row's trigger does not apply the change it is called for, since triggers of the user's may have made
 * the next one before: it makes the shadow say what the table says now for the keys at hand.  Whoever
 * changes a key's row has it locked until its transaction ends, so nobody else does that at the same time.
 *
 * All happens below SQL, by column numbers: no rights, search_path, rules or plans that could fail a
 * user's statement.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "cdc_compat.h"
#include "cdc_lookup_key.h"

CDC_SQL_FUNCTION(cdc_lookup_feed);
CDC_SQL_FUNCTION(cdc_check_reference);
CDC_SQL_FUNCTION(cdc_can_be_referenced);

/* A shadow, its reference, and how they fit. */
typedef struct Feed
{
	Relation reference;
	Relation shadow;
	int ncolumns;
	const int16 *columns; /* of the reference, in the order of the shadow's */
	int nkeys;
	Oid shadow_index;
	Snapshot snapshot;
	Datum *values; /* a row's, in the order of the shadow's columns */
	bool *nulls;
} Feed;

/*
 * Is it a unique index that a row can be found by for good?  Not one that is partial, deferrable, being built, or compares in another way than its columns' types do.
 */
static bool
identifies_rows(Relation index, TupleDesc desc)
{
	const FormData_pg_index *form = index->rd_index;

	if (!form->indisunique || !form->indimmediate || !form->indisvalid || !form->indislive ||
		index->rd_indextuple == NULL || RelationGetIndexPredicate(index) != NIL ||
		RelationGetIndexExpressions(index) != NIL || index->rd_rel->relam != BTREE_AM_OID)
		return false;
	for (int i = 0; i < form->indnkeyatts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(desc, form->indkey.values[i] - 1);
		Oid family = lookup_type_cache(attr->atttypid, TYPECACHE_BTREE_OPFAMILY)->btree_opf;

		if (!OidIsValid(family) || family != index->rd_opfamily[i] ||
			index->rd_indcollation[i] != attr->attcollation)
			return false;
	}
	return true;
}

static bool
has_key(const FormData_pg_index *form, const int16 *columns, int ncolumns)
{
	if (form->indnkeyatts != ncolumns)
		return false;
	for (int i = 0; i < ncolumns; i++)
	{
		bool there = false;

		for (int j = 0; j < ncolumns; j++)
			there = there || form->indkey.values[i] == columns[j];
		if (!there)
			return false;
	}
	return true;
}

/* An index whose key are the columns, in any order; InvalidOid: there is none. */
static Oid
find_index(Relation relation, const int16 *columns, int ncolumns)
{
	List *indexes = RelationGetIndexList(relation);
	Oid found = InvalidOid;
	ListCell *cell;

	foreach (cell, indexes)
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);

		if (!OidIsValid(found) && has_key(index->rd_index, columns, ncolumns) &&
			identifies_rows(index, RelationGetDescr(relation)))
			found = lfirst_oid(cell);
		index_close(index, NoLock);
	}
	list_free(indexes);
	return found;
}

static int
compare_columns(const void *a, const void *b, void *relation_of_index)
{
	const FormData_pg_index *form = ((Relation) relation_of_index)->rd_index;
	AttrNumber attnums[] = {((const ScanKeyData *) a)->sk_attno,
							((const ScanKeyData *) b)->sk_attno};
	int places[] = {0, 0};

	for (int i = 0; i < lengthof(places); i++)
	{
		while (form->indkey.values[places[i]] != attnums[i])
			places[i]++;
	}
	return places[0] - places[1];
}

/* A scan by an index has its keys in the order of the index's columns. */
static void
sort_keys(ScanKeyData *keys, int nkeys, Oid index)
{
	Relation relation;

	if (nkeys < 2 || !OidIsValid(index))
		return;
	relation = index_open(index, AccessShareLock);
	qsort_arg(keys, nkeys, sizeof(ScanKeyData), compare_columns, relation);
	index_close(relation, NoLock);
}

/* The rows of a key: of the reference, or of the shadow, whose first columns it is (columns NULL). */
static SysScanDesc
begin_scan(const Feed *feed, Relation relation, Oid index, const int16 *columns,
		   const Datum *key_values)
{
	TupleDesc desc = RelationGetDescr(relation);
	ScanKeyData keys[INDEX_MAX_KEYS];

	for (int i = 0; i < feed->nkeys; i++)
	{
		AttrNumber attnum = columns ? columns[i] : i + 1;
		Form_pg_attribute attr = TupleDescAttr(desc, attnum - 1);
		CdcLookupKey key;

		cdc_lookup_key_init(&key, attr->atttypid, attr->attcollation, attr->atttypid);
		cdc_lookup_key_scan(&key, attnum, key_values[i], &keys[i]);
	}
	sort_keys(keys, feed->nkeys, index);
	return systable_beginscan(relation, index, OidIsValid(index), feed->snapshot, feed->nkeys,
							  keys);
}

static bool
rows_are_identical(TupleDesc desc, const Datum *a, const bool *a_nulls, const Datum *b,
				   const bool *b_nulls)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(desc, i);

		if (a_nulls[i] != b_nulls[i] ||
			(!a_nulls[i] && !datum_image_eq(a[i], b[i], attr->attbyval, attr->attlen)))
			return false;
	}
	return true;
}

/* What the reference says for a key, into feed->values; false: nothing. */
static bool
read_reference(Feed *feed, const Datum *key)
{
	Oid index = find_index(feed->reference, feed->columns, feed->nkeys);
	SysScanDesc scan = begin_scan(feed, feed->reference, index, feed->columns, key);
	HeapTuple tuple = systable_getnext(scan);
	bool found = HeapTupleIsValid(tuple);

	for (int i = 0; found && i < feed->ncolumns; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(RelationGetDescr(feed->shadow), i);
		Datum value = heap_getattr(tuple, feed->columns[i], RelationGetDescr(feed->reference),
								   &feed->nulls[i]);

		if (!feed->nulls[i])
			feed->values[i] = datumCopy(value, attr->attbyval, attr->attlen);
	}
	systable_endscan(scan);
	return found;
}

/*
 * Nearly always a trigger's new row is what the table says now, which spares looking for it: then nobody
 * has updated, deleted or locked this version since.
 */
static bool
read_slot(Feed *feed, TupleTableSlot *slot)
{
	bool to_be_freed;
	HeapTuple tuple;
	bool present;

	if (slot == NULL)
		return false;
	tuple = ExecFetchSlotHeapTuple(slot, false, &to_be_freed);
	present = (tuple->t_data->t_infomask & HEAP_XMAX_INVALID) != 0;
	if (to_be_freed) /* made from the slot's values, so its header tells nothing */
	{
		heap_freetuple(tuple);
		return false;
	}
	for (int i = 0; present && i < feed->ncolumns; i++)
		feed->values[i] = slot_getattr(slot, feed->columns[i], &feed->nulls[i]);
	return present;
}

/* Makes the shadow say what the reference says for a key; after is that key's row, if it is still there. */
static void
sync_key(Feed *feed, const Datum *key, TupleTableSlot *after)
{
	TupleDesc desc = RelationGetDescr(feed->shadow);
	bool wanted = read_slot(feed, after) || read_reference(feed, key);
	SysScanDesc scan = begin_scan(feed, feed->shadow, feed->shadow_index, NULL, key);
	Datum *values = palloc(sizeof(Datum) * desc->natts);
	bool *nulls = palloc(sizeof(bool) * desc->natts);
	HeapTuple tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		heap_deform_tuple(tuple, desc, values, nulls);
		if (wanted && rows_are_identical(desc, values, nulls, feed->values, feed->nulls))
			wanted = false;
		else
			CatalogTupleDelete(feed->shadow, &tuple->t_self);
	}
	systable_endscan(scan);
	if (wanted)
	{
		tuple = heap_form_tuple(desc, feed->values, feed->nulls);
		CatalogTupleInsert(feed->shadow, tuple);
		heap_freetuple(tuple);
	}
}

/* The key's values of a row that was changed; false if one is NULL, which is never looked up. */
static bool
get_key(const Feed *feed, TupleTableSlot *slot, Datum *key)
{
	for (int i = 0; i < feed->nkeys; i++)
	{
		bool isnull;

		key[i] = slot_getattr(slot, feed->columns[i], &isnull);
		if (isnull)
			return false;
	}
	return true;
}

/* Are the first so many of the shadow's columns the same in both rows? */
static bool
slots_are_identical(const Feed *feed, int ncolumns, TupleTableSlot *a, TupleTableSlot *b)
{
	for (int i = 0; i < ncolumns; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(RelationGetDescr(feed->shadow), i);
		bool a_null;
		bool b_null;
		Datum a_value = slot_getattr(a, feed->columns[i], &a_null);
		Datum b_value = slot_getattr(b, feed->columns[i], &b_null);

		if (a_null != b_null ||
			(!a_null && !datum_image_eq(a_value, b_value, attr->attbyval, attr->attlen)))
			return false;
	}
	return true;
}

/*
 * What was done up to here, by us or by others, is to be seen: SnapshotSelf does, since nobody else can
 * change the rows of the keys at hand meanwhile.	It takes no predicate locks, which on pages of the
 * shadow's index would let serializable transactions fail that have nothing to do with one another.
 */
static void
see_what_was_done(Feed *feed)
{
	CommandCounterIncrement(); /* a row that this very command put in could not be deleted */
	feed->snapshot = SnapshotSelf;
}

static void
sync_slot(Feed *feed, TupleTableSlot *slot, bool is_after)
{
	Datum key[INDEX_MAX_KEYS];

	if (slot == NULL || !get_key(feed, slot, key))
		return;
	see_what_was_done(feed);
	sync_key(feed, key, is_after ? slot : NULL);
}

static void
delete_all(Feed *feed)
{
	SysScanDesc scan = systable_beginscan(feed->shadow, InvalidOid, false, feed->snapshot, 0, NULL);
	HeapTuple tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		CHECK_FOR_INTERRUPTS();
		CatalogTupleDelete(feed->shadow, &tuple->t_self);
	}
	systable_endscan(scan);
}

/* The shadow that the triggers name; InvalidOid: it is gone, which decoding says in its records. */
static Oid
find_shadow(const Trigger *trigger)
{
	Oid schema = get_namespace_oid("cdc", true);

	if (trigger->tgnargs != 1)
		ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("cdc.lookup_feed() must be called with the name of a lookup table"));
	return OidIsValid(schema) ? get_relname_relid(trigger->tgargs[0], schema) : InvalidOid;
}

/* The trigger of the same shadow that says which columns. */
static const Trigger *
find_columns(const TriggerDesc *triggers, const Trigger *called)
{
	for (int i = 0; i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (trigger->tgnattr > 0 && trigger->tgfoid == called->tgfoid && trigger->tgnargs == 1 &&
			strcmp(trigger->tgargs[0], called->tgargs[0]) == 0)
			return trigger;
	}
	return NULL;
}

static int
count_keys(Oid index)
{
	HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	int keys;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for index %u", index);
	keys = ((Form_pg_index) GETSTRUCT(tuple))->indnkeyatts;
	ReleaseSysCache(tuple);
	return keys;
}

/* False where the shadow is not one that can be fed: somebody dropped or altered it. */
static bool
prepare_feed(Feed *feed, Oid shadow, const Trigger *columns)
{
	feed->shadow = table_open(shadow, RowExclusiveLock);
	feed->ncolumns = columns->tgnattr;
	feed->columns = columns->tgattr;
	list_free(RelationGetIndexList(feed->shadow)); /* fills in rd_pkindex */
	feed->shadow_index = feed->shadow->rd_pkindex;
	if (!RelationIsUsedAsCatalogTable(feed->shadow) || !OidIsValid(feed->shadow_index) ||
		RelationGetNumberOfAttributes(feed->shadow) != feed->ncolumns)
		return false;
	feed->nkeys = count_keys(feed->shadow_index);
	feed->values = palloc(sizeof(Datum) * feed->ncolumns);
	feed->nulls = palloc(sizeof(bool) * feed->ncolumns);
	return true;
}

static void
feed_row(Feed *feed, const TriggerData *trigger)
{
	TupleTableSlot *before =
		TRIGGER_FIRED_BY_INSERT(trigger->tg_event) ? NULL : trigger->tg_trigslot;
	TupleTableSlot *after = TRIGGER_FIRED_BY_DELETE(trigger->tg_event)   ? NULL
							: TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newslot
																		 : trigger->tg_trigslot;

	if (before && after && slots_are_identical(feed, feed->ncolumns, before, after))
		return;
	if (before && after && slots_are_identical(feed, feed->nkeys, before, after))
		before = NULL;
	sync_slot(feed, before, false);
	sync_slot(feed, after, true);
}

Datum
cdc_lookup_feed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	MemoryContext context;
	MemoryContext caller;
	const Trigger *columns;
	Feed feed = {0};
	Oid shadow;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event))
		ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("cdc.lookup_feed() must be called as an AFTER trigger"));
	if (TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event) &&
		!TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
		return PointerGetDatum(NULL); /* it is there to name columns */
	shadow = find_shadow(trigger->tg_trigger);
	columns = find_columns(trigger->tg_relation->trigdesc, trigger->tg_trigger);
	if (!OidIsValid(shadow) || columns == NULL)
		return PointerGetDatum(NULL);

	context = AllocSetContextCreate(CurrentMemoryContext, "cdc_decoder feed", ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(context);
	feed.reference = trigger->tg_relation;
	if (prepare_feed(&feed, shadow, columns))
	{
		if (TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
			feed_row(&feed, trigger);
		else
		{
			see_what_was_done(&feed);
			delete_all(&feed);
		}
	}
	table_close(feed.shadow, RowExclusiveLock);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return PointerGetDatum(NULL);
}

/* The numbers of columns of a table; ERROR where it has none of a name, or that is not stored. */
static int
find_attnums(Relation relation, ArrayType *names, int16 *attnums, int max)
{
	Datum *elements;
	int count;

	deconstruct_array(names, NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR, &elements, NULL, &count);
	if (count > max)
		ereport(ERROR, errcode(ERRCODE_TOO_MANY_COLUMNS),
				errmsg("a lookup cannot have more than %d columns here", max));
	for (int i = 0; i < count; i++)
	{
		const char *name = NameStr(*DatumGetName(elements[i]));

		attnums[i] = get_attnum(RelationGetRelid(relation), name);
		if (attnums[i] <= 0)
			ereport(ERROR, errcode(ERRCODE_UNDEFINED_COLUMN),
					errmsg("column \"%s\" of relation \"%s\" does not exist", name,
						   RelationGetRelationName(relation)));
		if (!cdc_column_is_stored(TupleDescAttr(RelationGetDescr(relation), attnums[i] - 1)))
			ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("column \"%s\" of relation \"%s\" is a virtual generated column", name,
						   RelationGetRelationName(relation)),
					errhint("A lookup needs columns that are stored."));
	}
	return count;
}

/* A table whose every change its triggers see, and that is there after a crash. */
static void
require_plain_table(Relation reference)
{
	const char *name = RelationGetRelationName(reference);

	if (reference->rd_rel->relkind != RELKIND_RELATION || IsCatalogRelation(reference) ||
		RelationIsUsedAsCatalogTable(reference))
		ereport(ERROR, errcode(ERRCODE_WRONG_OBJECT_TYPE),
				errmsg("\"%s\" cannot be looked up in", name),
				errhint("The reference must be an ordinary table, not partitioned."));
	if (reference->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT)
		ereport(ERROR, errcode(ERRCODE_WRONG_OBJECT_TYPE),
				errmsg("\"%s\" cannot be looked up in, since it is temporary or unlogged", name));
}

/* Is the table still one that its shadow can follow, by a key of these columns? */
Datum
cdc_can_be_referenced(PG_FUNCTION_ARGS)
{
	Relation reference = relation_open(PG_GETARG_OID(0), AccessShareLock);
	int16 keys[INDEX_MAX_KEYS];
	int nkeys = find_attnums(reference, PG_GETARG_ARRAYTYPE_P(1), keys, lengthof(keys));
	bool can;

	require_plain_table(reference);
	can = OidIsValid(find_index(reference, keys, nkeys));
	relation_close(reference, NoLock);
	PG_RETURN_BOOL(can);
}

/* What a lookup shows, who makes it must be able to read. */
static void
require_select(Relation reference, const int16 *columns, int ncolumns)
{
	Oid relid = RelationGetRelid(reference);
	Oid role = GetOuterUserId();

	if (pg_class_aclcheck(relid, role, ACL_SELECT) != ACLCHECK_OK)
	{
		for (int i = 0; i < ncolumns; i++)
		{
			if (pg_attribute_aclcheck(relid, columns[i], role, ACL_SELECT) != ACLCHECK_OK)
				aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, RelationGetRelationName(reference));
		}
	}
	if (check_enable_rls(relid, role, true) == RLS_ENABLED)
		ereport(
			ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			errmsg("row-level security of \"%s\" applies to role \"%s\"",
				   RelationGetRelationName(reference), GetUserNameFromId(role, false)),
			errhint("A lookup shows all rows: it is made by the table's owner, or by a role with "
					"BYPASSRLS."));
}

/*
 * cdc_check_reference(relation, columns, reference, reference_columns, wanted): can relation look up by its
 * columns in the reference, by its columns, those that are wanted?
 */
Datum
cdc_check_reference(PG_FUNCTION_ARGS)
{
	Relation relation = table_open(PG_GETARG_OID(0), AccessShareLock);
	Relation reference = relation_open(PG_GETARG_OID(2), AccessShareLock);
	int16 by[INDEX_MAX_KEYS];
	int16 keys[INDEX_MAX_KEYS];
	int16 wanted[MaxHeapAttributeNumber];
	int nby;
	int nkeys;
	int nwanted;

	require_plain_table(reference);
	if (find_inheritance_children(RelationGetRelid(reference), AccessShareLock) != NIL)
		ereport(ERROR, errcode(ERRCODE_WRONG_OBJECT_TYPE),
				errmsg("\"%s\" cannot be looked up in, since other tables inherit from it",
					   RelationGetRelationName(reference)));
	nby = find_attnums(relation, PG_GETARG_ARRAYTYPE_P(1), by, lengthof(by));
	nkeys = find_attnums(reference, PG_GETARG_ARRAYTYPE_P(3), keys, lengthof(keys));
	nwanted = find_attnums(reference, PG_GETARG_ARRAYTYPE_P(4), wanted, lengthof(wanted));
	if (nby != nkeys || nkeys == 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("columns and reference_columns must be of the same number, at least one"));
	require_select(reference, keys, nkeys);
	require_select(reference, wanted, nwanted);
	if (!OidIsValid(find_index(reference, keys, nkeys)))
		ereport(ERROR, errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
				errmsg("reference_columns are not the key of \"%s\"",
					   RelationGetRelationName(reference)),
				errhint("There must be a primary key or unique index with just these columns, not "
						"partial and not deferrable, so that at most one row is found."));
	for (int i = 0; i < nkeys; i++)
	{
		Form_pg_attribute key = TupleDescAttr(RelationGetDescr(reference), keys[i] - 1);
		CdcLookupKey ignored;

		cdc_lookup_key_init(&ignored, key->atttypid, key->attcollation,
							TupleDescAttr(RelationGetDescr(relation), by[i] - 1)->atttypid);
	}
	relation_close(reference, NoLock);
	table_close(relation, NoLock);
	PG_RETURN_VOID();
}
