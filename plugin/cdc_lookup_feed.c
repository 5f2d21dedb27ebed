/*
 * cdc_lookup_feed.c
 *		Keeping the shadow of a lookup what its reference table says.
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
#include "catalog/pg_index.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "cdc_compat.h"
#include "cdc_lookup_key.h"
#include "cdc_lookup_long.h"
#include "cdc_lookup_reference.h"

CDC_SQL_FUNCTION(cdc_lookup_feed);
CDC_SQL_FUNCTION(cdc_lookup_fill);

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
	Datum *values; /* a row's, by the shadow's columns, with room for all of them */
	bool *nulls;
} Feed;

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
tuples_are_identical(HeapTuple a, HeapTuple b)
{
	return a->t_len == b->t_len && memcmp((char *) a->t_data + SizeofHeapTupleHeader,
										  (char *) b->t_data + SizeofHeapTupleHeader,
										  a->t_len - SizeofHeapTupleHeader) == 0;
}

static bool
lists_are_identical(const List *a, const List *b)
{
	ListCell *cell_a;
	ListCell *cell_b;

	if (list_length(a) != list_length(b))
		return false;
	forboth(cell_a, a, cell_b, b)
	{
		if (!tuples_are_identical(lfirst(cell_a), lfirst(cell_b)))
			return false;
	}
	return true;
}

/* What the reference says for a key, into feed->values; false: nothing. */
static bool
read_reference(Feed *feed, const Datum *key)
{
	Oid index = cdc_reference_find_index(feed->reference, feed->columns, feed->nkeys);
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

/* Copies of the tuples that the shadow has for a key, in the order of their parts. */
static List *
read_shadow(Feed *feed, const Datum *key)
{
	SysScanDesc scan = begin_scan(feed, feed->shadow, feed->shadow_index, NULL, key);
	List *tuples = NIL;
	HeapTuple tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		tuples = lappend(tuples, heap_copytuple(tuple));
	systable_endscan(scan);
	return tuples;
}

/* Makes the shadow say what the reference says for a key; after is that key's row, if it is still there. */
static void
sync_key(Feed *feed, const Datum *key, TupleTableSlot *after)
{
	List *present = read_shadow(feed, key);
	List *wanted = NIL;
	ListCell *cell;

	if (read_slot(feed, after) || read_reference(feed, key))
		wanted =
			cdc_lookup_pack(RelationGetDescr(feed->shadow), feed->nkeys, feed->values, feed->nulls);
	if (lists_are_identical(present, wanted))
		return;
	foreach (cell, present)
		CatalogTupleDelete(feed->shadow, &((HeapTuple) lfirst(cell))->t_self);
	foreach (cell, wanted)
		CatalogTupleInsert(feed->shadow, lfirst(cell));
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

static void
make_room(Feed *feed)
{
	int natts = RelationGetNumberOfAttributes(feed->shadow);

	feed->values = palloc(sizeof(Datum) * natts);
	feed->nulls = palloc(sizeof(bool) * natts);
}

/* False where the shadow is not one that can be fed: somebody dropped or altered it. */
static bool
prepare_feed(Feed *feed, Oid shadow, const Trigger *columns)
{
	Size size = sizeof(int16) * columns->tgnattr;

	/* opening a table can make the relcache build the reference anew, whose triggers are then freed */
	feed->ncolumns = columns->tgnattr;
	feed->columns = memcpy(palloc(size), columns->tgattr, size);
	feed->shadow = table_open(shadow, RowExclusiveLock);
	list_free(RelationGetIndexList(feed->shadow)); /* fills in rd_pkindex */
	feed->shadow_index = feed->shadow->rd_pkindex;
	if (!RelationIsUsedAsCatalogTable(feed->shadow) || !OidIsValid(feed->shadow_index) ||
		RelationGetNumberOfAttributes(feed->shadow) != feed->ncolumns + CDC_LOOKUP_EXTRA_COLUMNS)
		return false;
	feed->nkeys = count_keys(feed->shadow_index) - CDC_LOOKUP_EXTRA_KEYS;
	make_room(feed);
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
	/* locked until the transaction ends: REINDEX and VACUUM FULL count on it that nobody has changes pending */
	table_close(feed.shadow, NoLock);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return PointerGetDatum(NULL);
}

/*
 * Puts all rows of the reference into the empty shadow, but for those whose key has a NULL.	They are not
 * decoded as changes, which is work for nothing; and the reorder buffer would open the table for them,
 * which does not work until its creation is visible to others (see cdc_lookups_begin()).
 */
static void
fill(Feed *feed, TableScanDesc scan, TupleTableSlot *slot)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "cdc_decoder feed", ALLOCSET_DEFAULT_SIZES);
	BulkInsertState bulk = GetBulkInsertState();
	CommandId command = GetCurrentCommandId(true);
	Datum key[INDEX_MAX_KEYS];

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		MemoryContext caller = MemoryContextSwitchTo(context);
		ListCell *cell;

		CHECK_FOR_INTERRUPTS();
		if (get_key(feed, slot, key))
		{
			for (int i = 0; i < feed->ncolumns; i++)
				feed->values[i] = slot_getattr(slot, feed->columns[i], &feed->nulls[i]);
			foreach (cell, cdc_lookup_pack(RelationGetDescr(feed->shadow), feed->nkeys,
										   feed->values, feed->nulls))
				heap_insert(feed->shadow, lfirst(cell), command, HEAP_INSERT_NO_LOGICAL, bulk);
		}
		MemoryContextSwitchTo(caller);
		MemoryContextReset(context);
	}
	FreeBulkInsertState(bulk);
	MemoryContextDelete(context);
}

/* cdc_lookup_fill(shadow, reference, columns, keys): the shadow has no index yet. */
Datum
cdc_lookup_fill(PG_FUNCTION_ARGS)
{
	Feed feed = {0};
	int16 columns[MaxHeapAttributeNumber];
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan;
	TupleTableSlot *slot;

	feed.shadow = table_open(PG_GETARG_OID(0), RowExclusiveLock);
	feed.reference = table_open(PG_GETARG_OID(1), AccessShareLock);
	feed.ncolumns = cdc_reference_find_columns(feed.reference, PG_GETARG_ARRAYTYPE_P(2), columns,
											   lengthof(columns));
	feed.columns = columns;
	feed.nkeys = PG_GETARG_INT32(3);
	make_room(&feed);
	slot = table_slot_create(feed.reference, NULL);
	scan = cdc_begin_scan(feed.reference, snapshot);
	fill(&feed, scan, slot);
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
	table_close(feed.reference, NoLock);
	table_close(feed.shadow, NoLock);
	PG_RETURN_VOID();
}
