/*
 * cdc_lookup_cache.c
 *		Rows of a shadow by their keys' bytes; see cdc_lookup_cache.h.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/memutils.h"

#include "cdc_lookup_cache.h"

typedef struct KeyBytes
{
	const char *data;
	uint32 len;
} KeyBytes;

typedef struct KnownRow
{
	KeyBytes key;
	uint32 hash;
	char status; /* of the hash table */
	bool found;
	CdcLookupRow row;
} KnownRow;

#define SH_PREFIX rows
#define SH_ELEMENT_TYPE KnownRow
#define SH_KEY_TYPE KeyBytes
#define SH_KEY key
#define SH_HASH_KEY(table, key) hash_bytes((const unsigned char *) (key).data, (key).len)
#define SH_EQUAL(table, a, b) ((a).len == (b).len && memcmp((a).data, (b).data, (a).len) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(table, element) (element)->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct CdcLookupCache
{
	MemoryContext context; /* of the table and the rows */
	rows_hash *rows;
};

static inline KeyBytes
key_of(const StringInfoData *key)
{
	return (KeyBytes){.data = key->data, .len = key->len};
}

CdcLookupCache *
cdc_lookup_cache_create(MemoryContext parent)
{
	CdcLookupCache *cache = MemoryContextAllocZero(parent, sizeof(CdcLookupCache));

	cache->context =
		AllocSetContextCreate(parent, "cdc_decoder lookup rows", ALLOCSET_DEFAULT_SIZES);
	cache->rows = rows_create(cache->context, 64, NULL);
	return cache;
}

void
cdc_lookup_cache_clear(CdcLookupCache *cache)
{
	if (cache->rows->members == 0 && cdc_lookup_cache_size(cache) < 64 * 1024)
		return;
	MemoryContextReset(cache->context);
	cache->rows = rows_create(cache->context, 64, NULL);
}

Size
cdc_lookup_cache_size(const CdcLookupCache *cache)
{
	return MemoryContextMemAllocated(cache->context, false);
}

MemoryContext
cdc_lookup_cache_context(const CdcLookupCache *cache)
{
	return cache->context;
}

bool
cdc_lookup_cache_find(const CdcLookupCache *cache, const StringInfoData *key, bool *found,
					  CdcLookupRow *row)
{
	const KnownRow *known = rows_lookup(cache->rows, key_of(key));

	if (known == NULL)
		return false;
	*found = known->found;
	*row = known->row;
	return true;
}

void
cdc_lookup_cache_put(CdcLookupCache *cache, const StringInfoData *key, const CdcLookupRow *row)
{
	bool exists;
	KnownRow *known = rows_insert(cache->rows, key_of(key), &exists);

	if (!exists)
	{
		char *copy = MemoryContextAlloc(cache->context, Max(key->len, 1));

		memcpy(copy, key->data, key->len);
		known->key.data = copy;
	}
	known->found = row != NULL;
	if (row)
		known->row = *row;
}

void
cdc_lookup_cache_remove(CdcLookupCache *cache, const StringInfoData *key)
{
	/* what it held stays allocated until the cache is cleared, which its size brings about */
	rows_delete(cache->rows, key_of(key));
}
