/*
 * cdc_lookup_cache.h
 *		Rows of a shadow by their keys' bytes, kept in memory.
 *
 * Knows neither tables nor snapshots: whoever puts a row in says that it may be taken for the truth.
 */
#ifndef CDC_LOOKUP_CACHE_H
#define CDC_LOOKUP_CACHE_H

#include "lib/stringinfo.h"

#include "cdc_lookup.h"

typedef struct CdcLookupCache CdcLookupCache;

/* An empty cache in a context of its own below parent. */
extern CdcLookupCache *cdc_lookup_cache_create(MemoryContext parent);

/* Forgets all. */
extern void cdc_lookup_cache_clear(CdcLookupCache *cache);

/* Memory that it holds. */
extern Size cdc_lookup_cache_size(const CdcLookupCache *cache);

/*
 * Is anything known of the key?  Then *found says whether there is a row, and *row is it, the cache's own.
 */
extern bool cdc_lookup_cache_find(const CdcLookupCache *cache, const StringInfoData *key,
								  bool *found, CdcLookupRow *row);

/* Remembers a row (NULL: there is none), which is the caller's to have made in this context. */
extern MemoryContext cdc_lookup_cache_context(const CdcLookupCache *cache);
extern void cdc_lookup_cache_put(CdcLookupCache *cache, const StringInfoData *key,
								 const CdcLookupRow *row);

/* Forgets one key, if it is known. */
extern void cdc_lookup_cache_remove(CdcLookupCache *cache, const StringInfoData *key);

#endif /* CDC_LOOKUP_CACHE_H */
