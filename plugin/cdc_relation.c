/*
 * cdc_relation.c
 *		What is known of a relation, and the cache of it; see cdc_relation.h.
 */
#include "postgres.h"

#include "access/xlogreader.h"
#include "common/hashfn.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "cdc_compat.h"
#include "cdc_relation.h"
#include "cdc_relation_build.h"

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

/* What outbox records are sent as, by the target they name. */
typedef struct OutboxEntry
{
	const char *name;
	char status;
	CdcRelation *relation;
} OutboxEntry;

#define SH_PREFIX targets
#define SH_ELEMENT_TYPE OutboxEntry
#define SH_KEY_TYPE const char *
#define SH_KEY name
#define SH_HASH_KEY(table, key) hash_bytes((const unsigned char *) (key), strlen(key))
#define SH_EQUAL(table, a, b) (strcmp(a, b) == 0)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct CdcRelationCache
{
	MemoryContext context; /* of the cache and all below; reset when it is emptied */
	CdcRelationBuilder builder;

	entries_hash *entries;
	targets_hash *targets;
	uint32 last_number;
	Size bytes;                    /* of the relations' contexts, and of targets */
	uint64 generation;             /* relations of another one are stale */
	const XLogReaderState *reader; /* of the WAL being decoded; NULL: none is */
	XLogRecPtr changed_at;         /* where the generation last rose for what WAL says */
	bool refreshing;               /* it rises because of ourselves */
	List *related; /* OIDs of relations that others were made from: row types, ancestors, rules */
	CdcRelationListener listener; /* NULL: none */
	void *listener_arg;
	List *named_types; /* hash values of types' OIDs, as invalidations have them */
};

/*
 * Invalidation callbacks cannot be unregistered and there are few places for them, so they are
 * registered once per process and reach the live cache through this: the one piece of static state.
 */
static CdcRelationCache *live_cache = NULL;

static void
start_generation(CdcRelationCache *cache)
{
	cache->generation++;
	if (cache->reader && !cache->refreshing)
		cache->changed_at = cache->reader->EndRecPtr;
}

static void
relation_changed(Datum arg, Oid relid)
{
	CacheEntry *entry;

	if (live_cache == NULL)
		return;
	if (live_cache->listener && !live_cache->refreshing)
		live_cache->listener(live_cache->listener_arg, relid);
	if (!OidIsValid(relid) || list_member_oid(live_cache->related, relid))
	{
		start_generation(live_cache);
		return;
	}
	entry = entries_lookup(live_cache->entries, relid);
	if (entry)
		entry->relation->valid = false;
}

/*
 * Renaming a schema or the database, making a cast to json and changing an enum type change what is known of relations
 * without touching them.
 */
static void
catalog_changed(Datum arg, int cache_id, uint32 hash_value)
{
	if (live_cache)
		start_generation(live_cache);
}

/* What default expressions are printed with, too, but that is rarely asked for. */
static bool
prints_defaults(const CdcRelationCache *cache)
{
	const CdcOptions *options = cache ? cache->builder.options : NULL;

	return options && (options->include_default || options->schemas);
}

static void
printed_changed(Datum arg, int cache_id, uint32 hash_value)
{
	if (prints_defaults(live_cache))
		start_generation(live_cache);
}

/* Every new table has a type of its own, so only those count whose names are in labels. */
static void
type_changed(Datum arg, int cache_id, uint32 hash_value)
{
	if (live_cache == NULL)
		return;
	if (hash_value == 0 ? live_cache->named_types != NIL
						: list_member_oid(live_cache->named_types, hash_value))
		start_generation(live_cache);
	else
		printed_changed(arg, cache_id, hash_value);
}

static void
publication_changed(Datum arg, int cache_id, uint32 hash_value)
{
	if (live_cache == NULL)
		return;
	if (live_cache->builder.publications) /* configured already */
		cdc_publications_invalidate(live_cache->builder.publications);
	start_generation(live_cache);
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
	CacheRegisterSyscacheCallback(TYPEOID, type_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(PROCOID, printed_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(OPEROID, printed_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(DATABASEOID, catalog_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, catalog_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, catalog_changed, (Datum) 0);
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
	cache->targets = targets_create(cache->context, 8, NULL);
	cache->related = NIL;
	cache->named_types = NIL;
	cache->last_number = 0;
	cache->bytes = 0;
	/* what was watched is forgotten, too, and may change unseen from now on */
	cache->generation++;
	if (cache->reader)
		cache->changed_at = cache->reader->EndRecPtr;
	live_cache = cache;
}

CdcRelationCache *
cdc_relation_cache_create(MemoryContext parent, const XLogReaderState *reader,
						  CdcEncoding *encoding, CdcSettings *settings, CdcLookups *lookups)
{
	CdcRelationCache *cache = MemoryContextAllocZero(parent, sizeof(CdcRelationCache));
	MemoryContextCallback *callback = MemoryContextAllocZero(parent, sizeof(*callback));

	cache->context = AllocSetContextCreate(parent, "cdc_decoder relations", ALLOCSET_DEFAULT_SIZES);
	cache->reader = reader;
	cache->builder.encoding = encoding;
	cache->builder.settings = settings;
	cache->builder.lookups = lookups;
	cache->generation = 1; /* 0 is never */
	callback->func = forget_live_cache;
	callback->arg = cache;
	MemoryContextRegisterResetCallback(parent, callback);
	register_callbacks();
	cache_clear(cache);
	return cache;
}

void
cdc_relation_cache_configure(CdcRelationCache *cache, const CdcOptions *options, const char *source,
							 const char *metadata, const CdcPipeline *pipeline,
							 CdcPublications *publications)
{
	cache->builder.options = options;
	cache->builder.source = source;
	cache->builder.metadata = metadata;
	cache->builder.pipeline = pipeline;
	cache->builder.publications = publications;
	cache->generation++;
}

/*
 * A transaction that was under way when something changed is decoded after the one that changed it, but
 * begins with the catalogs as they were before.	What a lock on the table keeps apart (ALTER TABLE) needs
 * no care, but publications, rules, schemas' names and enums' labels change without one.	The server's own
 * caches hold the present state of publications, too, so they are emptied as well.
 */
void
cdc_relation_cache_begin(CdcRelationCache *cache, XLogRecPtr snapshot_lsn)
{
	if (likely(snapshot_lsn >= cache->changed_at))
		return;
	cache->refreshing = true;
	InvalidateSystemCaches();
	cache->refreshing = false;
}

uint64
cdc_relation_cache_generation(const CdcRelationCache *cache)
{
	return cache->generation;
}

XLogRecPtr
cdc_relation_cache_changed_at(const CdcRelationCache *cache)
{
	return cache->changed_at;
}

void
cdc_relation_cache_note_change(CdcRelationCache *cache)
{
	start_generation(cache);
}

void
cdc_relation_cache_listen(CdcRelationCache *cache, CdcRelationListener listener, void *arg)
{
	cache->listener = listener;
	cache->listener_arg = arg;
}

void
cdc_relation_cache_watch(CdcRelationCache *cache, Oid relid)
{
	MemoryContext caller;

	if (list_member_oid(cache->related, relid))
		return;
	caller = MemoryContextSwitchTo(cache->context);
	cache->related = lappend_oid(cache->related, relid);
	MemoryContextSwitchTo(caller);
	/* it may have changed while nobody watched: what transactions under way saw is not known */
	if (cache->reader)
		cache->changed_at = cache->reader->EndRecPtr;
}

static void
build(CdcRelationCache *cache, CdcRelation *entry, Relation relation)
{
	MemoryContext caller;
	uint64 generation = cache->generation;
	ListCell *cell;

	cache->bytes -= entry->bytes;
	MemoryContextReset(entry->context);
	entry->valid = true; /* an invalidation while we look things up makes it false again */
	entry->announced = false;

	caller = MemoryContextSwitchTo(entry->context);
	cache->builder.related = NIL;
	cache->builder.named_types = NIL;
	cdc_relation_build(entry, relation, &cache->builder);
	foreach (cell, cache->builder.related)
		cdc_relation_cache_watch(cache, lfirst_oid(cell));
	MemoryContextSwitchTo(cache->context);
	foreach (cell, cache->builder.named_types)
		cache->named_types = list_append_unique_oid(
			cache->named_types, GetSysCacheHashValue1(TYPEOID, ObjectIdGetDatum(lfirst_oid(cell))));
	MemoryContextSwitchTo(caller);

	entry->generation = generation;
	entry->bytes = MemoryContextMemAllocated(entry->context, true);
	cache->bytes += entry->bytes;
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
	cache->bytes += sizeof(CdcRelation);
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

/* A name as a template that gives just this name (the client's target.h). */
static char *
as_template(const char *name)
{
	StringInfoData template;

	initStringInfo(&template);
	for (const char *at = name; *at != '\0'; at++)
	{
		if (*at == '{')
			appendStringInfoChar(&template, '{');
		appendStringInfoChar(&template, *at);
	}
	return template.data;
}

/* keeping: what was handed out stays valid. */
static CdcRelation *
find_target(CdcRelationCache *cache, const char *target, bool keeping)
{
	OutboxEntry *entry = targets_lookup(cache->targets, target);
	MemoryContext caller;
	CdcRelation *relation;
	bool found;

	if (entry)
		return entry->relation;
	if (!keeping && cache->bytes > CACHE_MAX_BYTES)
		cache_clear(cache);
	caller = MemoryContextSwitchTo(cache->context);
	relation = palloc0(sizeof(CdcRelation));
	relation->number = ++cache->last_number;
	relation->schema = "cdc";
	relation->table = "outbox";
	relation->target = as_template(cdc_encoding_to_utf8(cache->builder.encoding, target));
	targets_insert(cache->targets, pstrdup(target), &found)->relation = relation;
	/* the template, the two names that it was made of, and what an allocation takes beyond that */
	cache->bytes += sizeof(CdcRelation) + 8 * strlen(target) + 512;
	MemoryContextSwitchTo(caller);
	return relation;
}

CdcRelation *
cdc_relation_for_target(CdcRelationCache *cache, const char *target)
{
	return find_target(cache, target, false);
}

CdcRelation *
cdc_relation_for_fixed_target(CdcRelationCache *cache, const char *target)
{
	return find_target(cache, target, true);
}
