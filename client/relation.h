/*
 * relation.h
 *		What relation numbers stand for: the table that relation frames fill, one per session.
 */
#ifndef CDC_RELATION_H
#define CDC_RELATION_H

#include <stdint.h>

#include "error.h"

/*
 * One relation as announced.  Strings end with a NUL.  Valid until the same number is announced
 * again or the table is emptied: a sink that keeps what it derived from the names keeps it under
 * serial, which no other announcement of this process has.
 */
typedef struct Relation
{
	uint64_t serial;
	const char *schema;
	const char *table;
	const char *target; /* "": the sink names the target itself */
} Relation;

/* Numbers are small and dense by contract; a larger one is a broken stream. */
#define RELATION_MAX_NUMBER (1U << 20)

typedef struct RelationTable
{
	Relation **relations; /* by number */
	uint32_t size;
} RelationTable;

/* A zeroed table is an empty one. */
extern void relation_table_clear(RelationTable *table);

/* NULL where the number has not been announced. */
extern const Relation *relation_find(const RelationTable *table, uint32_t number);

/* Reads the payload of a relation frame.  CDC_STOP where it is not what the protocol allows. */
extern CdcStatus relation_announce(RelationTable *table, uint32_t number, const uint8_t *payload,
								   uint32_t length, CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_RELATION_H */
