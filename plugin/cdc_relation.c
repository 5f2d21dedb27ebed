/*
 * cdc_relation.c
 *		What is known of a relation, and the cache of it; see cdc_relation.h.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_publication.h"
#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "cdc_compat.h"
#include "cdc_json.h"
#include "cdc_relation.h"

/*
 * The cache is emptied when it has grown past this: memory stays bounded whatever the number of
 * relations, and those in use are soon back.
 */
#define CACHE_MAX_BYTES (128 * 1024 * 1024)

typedef struct CacheEntry
{
	Oid relid;
	char status;
	CdcRelation *relation;
} CacheEntry;

#define SH_PREFIX entries
#define SH_ELEMENT_TYPE CacheEntry
#define SH_KEY_TYPE Oid
#define SH_KEY relid
#define SH_HASH_KEY(table, key) murmurhash32(key)
#define SH_EQUAL(table, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct CdcRelationCache
{
	MemoryContext context; /* of the cache and all below; reset when it is emptied */
	const CdcOptions *options;
	const char *source;
	CdcEncoding *encoding;
	CdcSettings *settings;

	entries_hash *entries;
	uint32 last_number;
	Size bytes;        /* of the relations' contexts */
	uint64 generation; /* relations of another one are stale */
	List *row_relids;  /* of composite types that columns are made of */
};

/*
 * Invalidation callbacks cannot be unregistered and there are few places for them, so they are
 * registered once per process and reach the live cache through this: the one piece of static state.
 */
static CdcRelationCache *live_cache = NULL;

static void
relation_changed(Datum arg, Oid relid)
{
	CacheEntry *entry;

	if (live_cache == NULL)
		return;
	if (!OidIsValid(relid) || list_member_oid(live_cache->row_relids, relid))
	{
		live_cache->generation++;
		return;
	}
	entry = entries_lookup(live_cache->entries, relid);
	if (entry)
		entry->relation->valid = false;
}

/*
 * Renaming a schema, making a cast to json and changing an enum type change what is known of relations
 * without touching them.
 */
static void
catalog_changed(Datum arg, int cache_id, uint32 hash_value)
{
	if (live_cache)
		live_cache->generation++;
}

static void
register_callbacks(void)
{
	static bool registered = false;

	if (registered)
		return;
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, catalog_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(CASTSOURCETARGET, catalog_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(ENUMOID, catalog_changed, (Datum) 0);
	registered = true;
}

static void
forget_live_cache(void *cache)
{
	if (live_cache == cache)
		live_cache = NULL;
}

/* Empty, and not heard of by the callbacks while it is half made. */
static void
cache_clear(CdcRelationCache *cache)
{
	live_cache = NULL;
	MemoryContextReset(cache->context);
	cache->entries = entries_create(cache->context, 64, NULL);
	cache->row_relids = NIL;
	cache->last_number = 0;
	cache->bytes = 0;
	live_cache = cache;
}

CdcRelationCache *
cdc_relation_cache_create(MemoryContext parent, const CdcOptions *options, const char *source,
						  CdcEncoding *encoding, CdcSettings *settings)
{
	CdcRelationCache *cache = MemoryContextAllocZero(parent, sizeof(CdcRelationCache));
	MemoryContextCallback *callback = MemoryContextAllocZero(parent, sizeof(*callback));

	cache->context = AllocSetContextCreate(parent, "cdc_decoder relations", ALLOCSET_DEFAULT_SIZES);
	cache->options = options;
	cache->source = source;
	cache->encoding = encoding;
	cache->settings = settings;
	callback->func = forget_live_cache;
	callback->arg = cache;
	MemoryContextRegisterResetCallback(parent, callback);
	register_callbacks();
	cache_clear(cache);
	return cache;
}

static char *
to_utf8(CdcRelationCache *cache, const char *name)
{
	Size len;

	return cdc_encoding_to_utf8(cache->encoding, name, strlen(name), &len);
}

/* The key's columns (attnum - 1): of the replica identity index, of the primary key under FULL. */
static Bitmapset *
key_columns(Relation relation)
{
	Bitmapset *columns = NULL;
	Oid index_oid;
	HeapTuple tuple;
	Form_pg_index index;

	list_free(RelationGetIndexList(relation)); /* fills in rd_pkindex and rd_replidindex */
	index_oid = relation->rd_rel->relreplident == REPLICA_IDENTITY_FULL ? relation->rd_pkindex
																		: relation->rd_replidindex;
	if (!OidIsValid(index_oid))
		return NULL;
	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index_oid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for index %u", index_oid);
	index = (Form_pg_index) GETSTRUCT(tuple);
	for (int i = 0; i < index->indnkeyatts; i++)
		columns = bms_add_member(columns, index->indkey.values[i] - 1);
	ReleaseSysCache(tuple);
	return columns;
}

static bool
column_is_selected(const CdcOptions *options, Form_pg_attribute attr)
{
	if (attr->attisdropped)
		return false;
	if (attr->attgenerated == '\0')
		return true;
	return options->generated_columns == CDC_GENERATED_ALL ||
		   (options->generated_columns == CDC_GENERATED_STORED &&
			attr->attgenerated == ATTRIBUTE_GENERATED_STORED);
}

static void
build_columns(CdcRelationCache *cache, CdcRelation *entry, Relation relation)
{
	TupleDesc desc = RelationGetDescr(relation);
	Bitmapset *keys = key_columns(relation);
	CdcTypeBuilder builder = {.encoding = cache->encoding, .settings = cache->settings};

	builder.options.numeric_as_number = cache->options->numeric == CDC_NUMERIC_NUMBER;
	builder.options.bigint_as_string = cache->options->bigint == CDC_BIGINT_STRING;
	builder.options.binary_as_base64 = cache->options->binary == CDC_BINARY_BASE64;

	entry->natts = desc->natts;
	entry->columns = palloc0(sizeof(CdcColumn) * Max(desc->natts, 1));
	entry->keys = palloc(sizeof(CdcColumn *) * Max(bms_num_members(keys), 1));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(desc, i);
		CdcColumn *column = &entry->columns[entry->ncolumns];

		if (!column_is_selected(cache->options, attr))
			continue;
		entry->ncolumns++;
		column->index = i;
		column->label = cdc_make_label(NameStr(attr->attname), cache->encoding, &column->label_len);
		column->varlena = attr->attlen == -1;
		column->generated = cdc_generated_build(relation, attr);
		if (column->generated)
			entry->has_generated = true;
		cdc_type_build(&column->type, attr->atttypid, &builder);
		column->logged = bms_is_member(i, keys);
		if (column->logged)
			entry->keys[entry->nkeys++] = column;
	}
	/* a key that is not whole is none: a column of it may be generated and not selected */
	if (entry->nkeys != bms_num_members(keys))
		entry->nkeys = 0;
	if (builder.row_relids != NIL)
	{
		MemoryContext caller = MemoryContextSwitchTo(cache->context);

		cache->row_relids = list_concat_unique_oid(cache->row_relids, builder.row_relids);
		MemoryContextSwitchTo(caller);
	}
}

static void
build_heads(CdcRelationCache *cache, CdcRelation *entry, Relation relation)
{
	static const char *const ops[CDC_NUM_CHANGE_KINDS] = {
		[CDC_INSERT] = "insert",
		[CDC_UPDATE] = "update",
		[CDC_DELETE] = "delete",
		[CDC_TRUNCATE] = "truncate",
	};
	const char *schema = get_namespace_name(RelationGetNamespace(relation));
	const char *table = RelationGetRelationName(relation);

	entry->schema = to_utf8(cache, schema);
	entry->table = to_utf8(cache, table);
	for (int kind = 0; kind < CDC_NUM_CHANGE_KINDS; kind++)
	{
		StringInfoData text;
		CdcWriter writer = {.encoding = cache->encoding};

		initStringInfo(&text);
		cdc_writer_attach(&writer, &text);
		cdc_put_literal(&writer, "{\"op\":");
		cdc_put_string(&writer, ops[kind], strlen(ops[kind]));
		cdc_put_literal(&writer, ",\"source\":");
		cdc_put_string(&writer, cache->source, strlen(cache->source));
		cdc_put_literal(&writer, ",\"schema\":");
		cdc_put_string(&writer, schema, strlen(schema));
		cdc_put_literal(&writer, ",\"table\":");
		cdc_put_string(&writer, table, strlen(table));
		cdc_put_literal(&writer, ",\"commit_lsn\":\"");
		cdc_writer_detach(&writer);
		/* heads live as long as the entry: without the room that is left over */
		entry->heads[kind].text = pnstrdup(text.data, text.len);
		entry->heads[kind].len = text.len;
		pfree(text.data);
	}
}

static void
build(CdcRelationCache *cache, CdcRelation *entry, Relation relation)
{
	MemoryContext caller;
	uint64 replaced_before = cache->encoding->replaced;
	uint64 generation = cache->generation;

	cache->bytes -= MemoryContextMemAllocated(entry->context, true);
	MemoryContextReset(entry->context);
	entry->valid = true; /* an invalidation while we look things up makes it false again */
	entry->announced = false;
	/* not of what is no table: a materialized view's contents are written by REFRESH, in part only */
	entry->selected = is_publishable_relation(relation);
	entry->identity = relation->rd_rel->relreplident;
	entry->ncolumns = 0;
	entry->nkeys = 0;
	entry->has_generated = false;

	caller = MemoryContextSwitchTo(entry->context);
	build_columns(cache, entry, relation);
	build_heads(cache, entry, relation);
	MemoryContextSwitchTo(caller);

	entry->generation = generation;
	entry->replaced = cache->encoding->replaced - replaced_before;
	cache->encoding->replaced = replaced_before;
	cache->bytes += MemoryContextMemAllocated(entry->context, true);
}

static CdcRelation *
add_entry(CdcRelationCache *cache, Oid relid)
{
	CdcRelation *relation = MemoryContextAllocZero(cache->context, sizeof(CdcRelation));
	bool found;

	relation->relid = relid;
	relation->number = ++cache->last_number;
	relation->context =
		AllocSetContextCreate(cache->context, "cdc_decoder relation", ALLOCSET_SMALL_SIZES);
	cache->bytes += MemoryContextMemAllocated(relation->context, true) + sizeof(CdcRelation);
	entries_insert(cache->entries, relid, &found)->relation = relation;
	return relation;
}

CdcRelation *
cdc_relation_get(CdcRelationCache *cache, Relation relation)
{
	Oid relid = RelationGetRelid(relation);
	CacheEntry *entry = entries_lookup(cache->entries, relid);
	CdcRelation *known;

	if (likely(entry != NULL))
	{
		known = entry->relation;
		if (likely(known->valid && known->generation == cache->generation))
			return known;
	}
	else
	{
		if (cache->bytes > CACHE_MAX_BYTES)
			cache_clear(cache);
		known = add_entry(cache, relid);
	}
	build(cache, known, relation);
	return known;
}
