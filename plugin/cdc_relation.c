/*
 * cdc_relation.c
 *		What is known of a relation, and the cache of it; see cdc_relation.h.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "common/hashfn.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
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
	Size bytes; /* of the relations' contexts */
	CdcPublications *publications;
	uint64 generation; /* relations of another one are stale */
	List *related;     /* OIDs of relations that others were made from: row types, ancestors */
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
	if (!OidIsValid(relid) || list_member_oid(live_cache->related, relid))
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
publication_changed(Datum arg, int cache_id, uint32 hash_value)
{
	if (live_cache == NULL)
		return;
	cdc_publications_invalidate(live_cache->publications);
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
	CacheRegisterSyscacheCallback(PUBLICATIONOID, publication_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(PUBLICATIONRELMAP, publication_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(PUBLICATIONNAMESPACEMAP, publication_changed, (Datum) 0);
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
	cache->related = NIL;
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
	cache->publications = cdc_publications_create(parent, options->publication_names);
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
	return cdc_encoding_to_utf8(cache->encoding, name);
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
	/* a deferrable primary key is no key to the WAL, and rd_pkindex has it from 18 on only */
	for (int i = 0; index->indimmediate && i < index->indnkeyatts; i++)
		columns = bms_add_member(columns, index->indkey.values[i] - 1);
	ReleaseSysCache(tuple);
	return columns;
}

/*
 * A generated column goes by its option, but if the publications have a column list it must be in that,
 * too: it may be made from columns that were meant to stay.
 */
static bool
column_is_selected(const CdcOptions *options, const Bitmapset *published, Form_pg_attribute attr)
{
	if (attr->attisdropped || (published && !bms_is_member(attr->attnum, published)))
		return false;
	if (attr->attgenerated == '\0')
		return true;
	return options->generated_columns == CDC_GENERATED_ALL ||
		   (options->generated_columns == CDC_GENERATED_STORED &&
			attr->attgenerated == ATTRIBUTE_GENERATED_STORED);
}

/* A relation, and the one it is published as: itself or an ancestor. */
typedef struct Source
{
	Relation relation;
	Relation published;
	AttrMap *map; /* attnums of relation by attnum - 1 of published; NULL: the same */
	CdcSelection *selection;
} Source;

static void
build_column(CdcRelation *entry, const Source *source, Form_pg_attribute attr,
			 const Bitmapset *keys, CdcTypeBuilder *builder)
{
	CdcColumn *column = &entry->columns[entry->ncolumns++];
	Form_pg_attribute own;

	column->index = (source->map ? source->map->attnums[attr->attnum - 1] : attr->attnum) - 1;
	own = TupleDescAttr(RelationGetDescr(source->relation), column->index);
	column->label = cdc_make_label(NameStr(attr->attname), builder->encoding, &column->label_len);
	column->varlena = own->attlen == -1;
	column->generated = cdc_generated_build(source->relation, own);
	if (column->generated)
		entry->has_generated = true;
	cdc_type_build(&column->type, attr->atttypid, builder);
	column->logged = bms_is_member(column->index, keys);
	if (column->logged)
		entry->keys[entry->nkeys++] = column;
}

static void
build_columns(CdcRelationCache *cache, CdcRelation *entry, const Source *source,
			  CdcTypeBuilder *builder)
{
	TupleDesc desc = RelationGetDescr(source->published);
	Bitmapset *keys = key_columns(source->relation);

	entry->columns = palloc0(sizeof(CdcColumn) * Max(desc->natts, 1));
	entry->keys = palloc(sizeof(CdcColumn *) * Max(bms_num_members(keys), 1));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(desc, i);

		if (column_is_selected(cache->options, source->selection->columns, attr))
			build_column(entry, source, attr, keys, builder);
	}
	/* a key that is not whole is none: a column of it may not be selected */
	if (entry->nkeys != bms_num_members(keys))
		entry->nkeys = 0;
}

static void
build_filters(CdcRelation *entry, const Source *source)
{
	for (int kind = CDC_INSERT; kind < CDC_TRUNCATE; kind++)
	{
		List *filters = source->selection->filters[kind];

		if (filters != NIL)
			entry->filters[kind] = cdc_expression_build(
				source->published, (Node *) make_orclause(filters), source->map);
	}
}

/* Changes of these relations are changes of the entry, too. */
static void
remember_related(CdcRelationCache *cache, List *relids)
{
	MemoryContext caller = MemoryContextSwitchTo(cache->context);

	cache->related = list_concat_unique_oid(cache->related, relids);
	MemoryContextSwitchTo(caller);
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

/* What its records consist of, in CurrentMemoryContext. */
static void
build_records(CdcRelationCache *cache, CdcRelation *entry, Relation relation,
			  CdcSelection *selection)
{
	Source source = {.relation = relation, .published = relation, .selection = selection};
	CdcTypeBuilder builder = {.encoding = cache->encoding, .settings = cache->settings};

	builder.options.numeric_as_number = cache->options->numeric == CDC_NUMERIC_NUMBER;
	builder.options.bigint_as_string = cache->options->bigint == CDC_BIGINT_STRING;
	builder.options.binary_as_base64 = cache->options->binary == CDC_BINARY_BASE64;

	if (selection->publish_as != RelationGetRelid(relation))
	{
		source.published = RelationIdGetRelation(selection->publish_as);
		if (!RelationIsValid(source.published))
			elog(ERROR, "could not open relation with OID %u", selection->publish_as);
		source.map =
			cdc_attrmap_by_name(RelationGetDescr(relation), RelationGetDescr(source.published));
		builder.row_relids = lappend_oid(builder.row_relids, selection->publish_as);
	}
	build_columns(cache, entry, &source, &builder);
	build_filters(entry, &source);
	build_heads(cache, entry, source.published);
	if (source.published != relation)
		RelationClose(source.published);
	remember_related(cache, builder.row_relids);
}

static void
build(CdcRelationCache *cache, CdcRelation *entry, Relation relation)
{
	MemoryContext caller;
	uint64 replaced_before = cache->encoding->replaced;
	uint64 generation = cache->generation;
	CdcSelection selection;

	cache->bytes -= MemoryContextMemAllocated(entry->context, true);
	MemoryContextReset(entry->context);
	entry->valid = true; /* an invalidation while we look things up makes it false again */
	entry->announced = false;
	entry->identity = relation->rd_rel->relreplident;
	entry->natts = RelationGetNumberOfAttributes(relation);
	entry->ncolumns = 0;
	entry->nkeys = 0;
	entry->has_generated = false;
	memset(entry->filters, 0, sizeof(entry->filters));

	caller = MemoryContextSwitchTo(entry->context);
	cdc_publications_select(cache->publications, relation, &selection);
	/* the truncation of a partition is told as little as its name, where an ancestor stands for it */
	if (selection.publish_as != RelationGetRelid(relation))
		selection.kinds[CDC_TRUNCATE] = false;
	memcpy(entry->selected, selection.kinds, sizeof(entry->selected));
	if (entry->selected[CDC_INSERT] || entry->selected[CDC_UPDATE] || entry->selected[CDC_DELETE] ||
		entry->selected[CDC_TRUNCATE])
		build_records(cache, entry, relation, &selection);
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
