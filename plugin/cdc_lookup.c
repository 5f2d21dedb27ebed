/*
 * cdc_lookup.c
 *		Lookups: the row of a reference table as of the change; see cdc_lookup.h.
 *
 * When may a row that was read before be taken for what the snapshot at hand would give?  Every change
 * of a shadow comes by in the stream, transaction after transaction as they committed, so we know which
 * one changed it last.	 A snapshot that sees that transaction sees all that changed it before, and none
 * that will; so what is kept, and was kept up to date by these changes, holds for it.	A snapshot that
 * does not see it (of a long transaction that began before) reads the table itself, as does the
 * transaction that makes the changes.	Transactions that committed before the stream began never come
 * by; only a transaction that began before that can tell the difference, and it reads the table, too.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "replication/snapbuild.h"
#include "storage/latch.h"
#include "storage/procarray.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/wait_event.h"

#include "cdc_compat.h"
#include "cdc_lookup.h"
#include "cdc_lookup_cache.h"
#include "cdc_lookup_read.h"
#include "cdc_try.h"

/* For a commit to become visible. */
#define MAX_WAIT_MS 10000

/* Of all rows that are kept. */
#define MAX_KEPT_BYTES (32 * 1024 * 1024)

struct CdcLookup
{
	char *name;
	CdcShadow shadow;
	int nkeys;
	CdcLookupKey *keys;    /* of the shadow's own rows */
	MemoryContext context; /* of shadow and keys */
	CdcLookupCache *cache;
	bool complete;              /* the cache has all rows there are */
	bool too_large;             /* it could not take them all */
	bool keys_by_bytes;         /* equal keys have equal bytes */
	bool gone;                  /* the shadow was dropped since */
	TransactionId last_changer; /* of the transactions that came by */
};

struct CdcLookups
{
	MemoryContext context;
	LogicalDecodingContext *ctx;
	List *lookups; /* of CdcLookup *: few */
	TransactionId
		last_changer; /* of any of the extension's tables, known as a lookup's yet or not */
	TransactionId xid;
	bool began_before_us; /* the transaction at hand, before the place where the stream began */
	StringInfoData key;   /* scratch */
};

CdcLookups *
cdc_lookups_create(MemoryContext parent, LogicalDecodingContext *ctx)
{
	MemoryContext context =
		AllocSetContextCreate(parent, "cdc_decoder lookups", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	CdcLookups *lookups = palloc0(sizeof(CdcLookups));

	lookups->context = context;
	lookups->ctx = ctx;
	initStringInfo(&lookups->key);
	MemoryContextSwitchTo(caller);
	return lookups;
}

/*
 * A transaction is decoded once its commit is written, which is before other sessions see it.	 A user
 * catalog table that it created cannot be opened until then: PostgreSQL looks for its file as of now
 * ("could not find pg_class entry", RelationInitPhysicalAddr() in utils/cache/relcache.c).	 Only such as
 * changed the catalogs are waited for; and not forever, should the commit wait for us as a synchronous
 * standby.
 */
static void
wait_until_visible(const ReorderBufferTXN *txn)
{
	if (txn->ninvalidations == 0)
		return;
	for (int i = 0; i < MAX_WAIT_MS && TransactionIdIsInProgress(txn->xid); i++)
	{
		(void) WaitLatch(NULL, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 1, PG_WAIT_EXTENSION);
		CHECK_FOR_INTERRUPTS();
	}
}

void
cdc_lookups_begin(CdcLookups *lookups, const ReorderBufferTXN *txn)
{
	wait_until_visible(txn);
	lookups->xid = txn->xid;
	lookups->began_before_us =
		SnapBuildXactNeedsSkip(lookups->ctx->snapshot_builder, txn->base_snapshot_lsn);
}

static void
forget_rows(CdcLookup *lookup)
{
	cdc_lookup_cache_clear(lookup->cache);
	lookup->complete = false;
}

void
cdc_lookups_trim(CdcLookups *lookups)
{
	Size size = 0;
	ListCell *cell;

	foreach (cell, lookups->lookups)
		size += cdc_lookup_cache_size(((CdcLookup *) lfirst(cell))->cache);
	if (likely(size <= MAX_KEPT_BYTES))
		return;
	foreach (cell, lookups->lookups)
		forget_rows(lfirst(cell));
}

static void
make_key(CdcLookups *lookups, const CdcLookupKey *keys, int nkeys, const Datum *values)
{
	resetStringInfo(&lookups->key);
	for (int i = 0; i < nkeys; i++)
		cdc_lookup_key_put(&lookups->key, &keys[i], values[keys[i].index]);
}

/* The key of a row of the shadow's own. */
static void
forget_tuple(CdcLookups *lookups, CdcLookup *lookup, TupleDesc desc, HeapTuple tuple)
{
	Datum *values;
	bool *nulls;

	if (tuple == NULL)
		return;
	values = palloc(sizeof(Datum) * desc->natts);
	nulls = palloc(sizeof(bool) * desc->natts);
	heap_deform_tuple(tuple, desc, values, nulls);
	make_key(lookups, lookup->keys, lookup->nkeys, values);
	cdc_lookup_cache_remove(lookup->cache, &lookups->key);
	pfree(values);
	pfree(nulls);
}

void
cdc_lookups_note_change(CdcLookups *lookups, Relation table, TransactionId xid, HeapTuple before,
						HeapTuple after)
{
	ListCell *cell;

	lookups->last_changer = xid;
	foreach (cell, lookups->lookups)
	{
		CdcLookup *lookup = lfirst(cell);

		if (lookup->shadow.relid != RelationGetRelid(table))
			continue;
		lookup->last_changer = xid;
		lookup->complete = false;
		if (!lookup->keys_by_bytes || (before == NULL && after == NULL))
			forget_rows(lookup);
		else
		{
			forget_tuple(lookups, lookup, RelationGetDescr(table), before);
			forget_tuple(lookups, lookup, RelationGetDescr(table), after);
		}
	}
}

/* Does the snapshot at hand see exactly what the cache was kept up to date with? */
static bool
cache_holds(const CdcLookups *lookups, const CdcLookup *lookup)
{
	Snapshot snapshot;

	if (lookups->ctx == NULL || lookups->began_before_us)
		return false;
	if (!TransactionIdIsValid(lookup->last_changer))
		return true;
	if (lookup->last_changer == lookups->xid)
		return false;
	/* a historic snapshot's xip are the transactions that committed (SnapBuildBuildSnapshot()) */
	snapshot = GetTransactionSnapshot();
	return TransactionIdPrecedes(lookup->last_changer, snapshot->xmin) ||
		   (TransactionIdPrecedes(lookup->last_changer, snapshot->xmax) &&
			bsearch(&lookup->last_changer, snapshot->xip, snapshot->xcnt, sizeof(TransactionId),
					xidComparator) != NULL);
}

static int
count_columns(Oid relid)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	int columns;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	columns = ((Form_pg_class) GETSTRUCT(tuple))->relnatts;
	ReleaseSysCache(tuple);
	return columns;
}

/* The shadow as the catalogs have it, without opening it: it may have been dropped since. */
static void
describe(CdcLookup *lookup, Oid relid, int nkeys)
{
	CdcShadow *shadow = &lookup->shadow;
	int natts = count_columns(relid);
	MemoryContext caller;

	MemoryContextReset(lookup->context);
	caller = MemoryContextSwitchTo(lookup->context);
	shadow->relid = relid;
	shadow->natts = natts;
	shadow->types = palloc0(sizeof(Oid) * natts);
	shadow->collations = palloc0(sizeof(Oid) * natts);
	shadow->names = palloc0(sizeof(char *) * natts);
	shadow->index_looked = false;
	lookup->too_large = false;
	for (int i = 0; i < natts; i++)
	{
		HeapTuple tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(i + 1));
		Form_pg_attribute attr;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for attribute %d of relation %u", i + 1, relid);
		attr = (Form_pg_attribute) GETSTRUCT(tuple);
		shadow->types[i] = attr->attisdropped ? InvalidOid : attr->atttypid;
		shadow->collations[i] = attr->attcollation;
		shadow->names[i] = pstrdup(NameStr(attr->attname));
		ReleaseSysCache(tuple);
	}
	lookup->nkeys = nkeys;
	lookup->keys = palloc0(sizeof(CdcLookupKey) * nkeys);
	for (int i = 0; i < nkeys; i++)
		cdc_lookup_set_key(lookup, &lookup->keys[i], i, i, shadow->types[i]);
	MemoryContextSwitchTo(caller);
}

static CdcLookup *
add_lookup(CdcLookups *lookups, const char *name)
{
	MemoryContext caller = MemoryContextSwitchTo(lookups->context);
	CdcLookup *lookup = palloc0(sizeof(CdcLookup));

	lookup->name = pstrdup(name);
	lookup->context =
		AllocSetContextCreate(lookups->context, "cdc_decoder lookup", ALLOCSET_SMALL_SIZES);
	lookup->cache = cdc_lookup_cache_create(lookups->context);
	lookups->lookups = lappend(lookups->lookups, lookup);
	MemoryContextSwitchTo(caller);
	return lookup;
}

CdcLookup *
cdc_lookup_get(CdcLookups *lookups, const char *name, int nkeys, List **relids)
{
	Oid schema = get_namespace_oid("cdc", true);
	Oid relid = OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
	CdcLookup *lookup = NULL;
	ListCell *cell;

	if (!OidIsValid(relid))
		return NULL;
	foreach (cell, lookups->lookups)
	{
		CdcLookup *known = lfirst(cell);

		if (strcmp(known->name, name) == 0)
			lookup = known;
	}
	if (lookup == NULL)
		lookup = add_lookup(lookups, name);
	if (lookup->shadow.relid != relid)
	{
		forget_rows(lookup);
		/* changes of it may have come by before anything was known to look up in it */
		lookup->last_changer = lookups->last_changer;
		lookup->keys_by_bytes = true;
		lookup->gone = false;
	}
	if (nkeys > count_columns(relid))
		elog(ERROR, "lookup table \"%s\" has no %d key columns", name, nkeys);
	describe(lookup, relid, nkeys);
	*relids = list_append_unique_oid(*relids, relid);
	return lookup;
}

AttrNumber
cdc_lookup_column(const CdcLookup *lookup, const char *name, Oid *type)
{
	const CdcShadow *shadow = &lookup->shadow;

	for (int i = 0; i < shadow->natts; i++)
	{
		if (OidIsValid(shadow->types[i]) && strcmp(shadow->names[i], name) == 0)
		{
			*type = shadow->types[i];
			return i + 1;
		}
	}
	ereport(ERROR, errcode(ERRCODE_UNDEFINED_COLUMN),
			errmsg("lookup table \"%s\" has no column \"%s\"", lookup->name, name));
}

void
cdc_lookup_set_key(CdcLookup *lookup, CdcLookupKey *key, int n, int index, Oid type)
{
	const CdcShadow *shadow = &lookup->shadow;

	key->index = index;
	if (!cdc_lookup_key_init(key, shadow->types[n], shadow->collations[n], type))
	{
		lookup->keys_by_bytes = false;
		forget_rows(lookup);
	}
}

/* Reading a row, as cdc_try() wants it. */
typedef struct Reading
{
	CdcLookup *lookup;
	const CdcLookupUse *use;
	const ScanKeyData *keys;
	bool use_index;
	MemoryContext context;
	bool found;
	CdcLookupRow *row;
} Reading;

static void
read_row(void *arg)
{
	Reading *reading = arg;

	reading->found = cdc_shadow_read(&reading->lookup->shadow, reading->use->nkeys, reading->keys,
									 reading->use_index, reading->context, reading->row);
}

/* Reading all rows into the cache. */
typedef struct Loading
{
	CdcLookups *lookups;
	CdcLookup *lookup;
} Loading;

static bool
keep_row(void *arg, const CdcLookupRow *row)
{
	Loading *loading = arg;
	CdcLookup *lookup = loading->lookup;

	make_key(loading->lookups, lookup->keys, lookup->nkeys, row->values);
	cdc_lookup_cache_put(lookup->cache, &loading->lookups->key, row);
	return cdc_lookup_cache_size(lookup->cache) < MAX_KEPT_BYTES / 2;
}

static void
load_rows(void *arg)
{
	Loading *loading = arg;
	CdcLookup *lookup = loading->lookup;

	lookup->complete = cdc_shadow_read_all(&lookup->shadow, cdc_lookup_cache_context(lookup->cache),
										   keep_row, loading);
}

/* By the index while that can be read, else by the heap. */
static CdcLookupResult
read_table(CdcLookup *lookup, const CdcLookupUse *use, const Datum *values, MemoryContext context,
		   CdcLookupRow *row)
{
	ScanKeyData keys[INDEX_MAX_KEYS];
	Reading reading = {.lookup = lookup,
					   .use = use,
					   .keys = keys,
					   .use_index = true,
					   .context = context,
					   .row = row};

	for (int i = 0; i < use->nkeys; i++)
	{
		const CdcLookupKey *key = &use->keys[i];

		cdc_lookup_key_scan(key, i + 1, values[key->index], &keys[i]);
	}
	for (int tries = 0; tries < 3; tries++)
	{
		if (cdc_try(read_row, &reading, NULL))
			return reading.found ? CDC_LOOKUP_FOUND : CDC_LOOKUP_NONE;
		/* each try to open what is gone takes time, and memory of the relation cache for good */
		lookup->gone = cdc_shadow_is_gone(&lookup->shadow);
		if (lookup->gone)
			break;
		/* the index may have got another file since it was looked for; then by the heap */
		lookup->shadow.index = InvalidOid;
		lookup->shadow.index_looked = tries > 0;
	}
	return CDC_LOOKUP_FAILED;
}

/*
 * Without an index a table is read once, if it is small enough to be kept, instead of for each row.	 What
 * is kept already stays where it is: the record at hand may hold rows of it.
 */
static bool
load_table(CdcLookups *lookups, CdcLookup *lookup)
{
	Loading loading = {lookups, lookup};

	if (!lookup->keys_by_bytes || lookup->too_large || !lookup->shadow.index_looked ||
		OidIsValid(lookup->shadow.index))
		return false;
	if (!cdc_try(load_rows, &loading, NULL))
		lookup->complete = false;
	lookup->too_large = !lookup->complete;
	return lookup->complete;
}

CdcLookupResult
cdc_lookup_find(CdcLookups *lookups, const CdcLookupUse *use, const Datum *values,
				const bool *nulls, CdcLookupRow *row)
{
	CdcLookup *lookup = use->lookup;
	CdcLookupResult result;
	bool keep;
	bool found;

	if (lookup == NULL || lookup->gone)
		return CDC_LOOKUP_FAILED;
	for (int i = 0; i < use->nkeys; i++)
	{
		if (nulls[use->keys[i].index])
			return CDC_LOOKUP_NONE;
	}
	keep = cache_holds(lookups, lookup);
	if (keep)
	{
		make_key(lookups, use->keys, use->nkeys, values);
		if (cdc_lookup_cache_find(lookup->cache, &lookups->key, &found, row))
			return found ? CDC_LOOKUP_FOUND : CDC_LOOKUP_NONE;
		if (lookup->complete)
			return CDC_LOOKUP_NONE;
		if (load_table(lookups, lookup))
			return cdc_lookup_find(lookups, use, values, nulls, row);
		make_key(lookups, use->keys, use->nkeys, values);
	}
	result = read_table(lookup, use, values,
						keep ? cdc_lookup_cache_context(lookup->cache) : CurrentMemoryContext, row);
	if (keep && result != CDC_LOOKUP_FAILED)
		cdc_lookup_cache_put(lookup->cache, &lookups->key, result == CDC_LOOKUP_FOUND ? row : NULL);
	return result;
}
