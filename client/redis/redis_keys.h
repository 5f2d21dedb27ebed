/*
 * redis_keys.h
 *		What the Redis sink's keys and entries are called.
 *
 * Pure.  All keys of one transaction lie in one slot of a cluster as long as the streams' template
 * has a hash tag ("{{tag}" in it), or names one stream.
 */
#ifndef CDC_REDIS_KEYS_H
#define CDC_REDIS_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "position.h"

/*
 * The key of the hash that holds the position of whoever delivers by this template: the template
 * with {source} filled in and ":cdc-position" behind it, within braces where it names one stream.
 * malloc'd; NULL: out of memory.
 */
extern char *redis_position_key(const char *template, const char *source);

/* The key of the hash that holds schema records: the same, with ":cdc-schemas" behind it. */
extern char *redis_schemas_key(const char *template, const char *source);

/*
 * The key that says whose a stream is, in the stream's own slot.  malloc'd; NULL: out of memory.
 */
extern char *redis_owner_key(const char *stream);

/* An entry's id; ordered as Redis orders them. */
typedef struct RedisEntryId
{
	uint64_t first;  /* incarnation in 8 bits, commit_lsn in 56 */
	uint64_t second; /* seq in 48 bits, part in 16 */
} RedisEntryId;

/*
 * The id made of a record's identity, the same one always.  Both halves stay below 2^63: libraries
 * hold them in signed numbers.  CDC_REFUSED or CDC_STOP where the identity does not fit.
 */
extern CdcStatus redis_entry_id(RedisEntryId *entry, const RecordId *id, uint32_t incarnation,
								CdcError *err) CDC_MUST_CHECK;

/* < 0, 0, > 0, as a comes before, is, or comes after b. */
extern int redis_entry_id_compare(const RedisEntryId *a, const RedisEntryId *b);

/* Reads "123-45"; false if text is none. */
extern bool redis_entry_id_parse(const char *text, RedisEntryId *entry);

/* Decimal digits of value, without a terminator; returns where they end.  At most 20. */
extern char *redis_put_number(char *to, uint64_t value);

#endif /* CDC_REDIS_KEYS_H */
