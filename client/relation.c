/*
 * relation.c
 *		What relation numbers stand for.
 */
#include "relation.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "byteorder.h"

/* Over all tables: a sink may hold what it made of a relation longer than a session lasts. */
static uint64_t last_serial;

void
relation_table_clear(RelationTable *table)
{
	for (uint32_t i = 0; i < table->size; i++)
		free(table->relations[i]);
	free(table->relations);
	table->relations = NULL;
	table->size = 0;
}

const Relation *
relation_find(const RelationTable *table, uint32_t number)
{
	return number < table->size ? table->relations[number] : NULL;
}

/* Makes room for number; the array doubles, so it is never twice as large as the numbers need. */
static CdcStatus
reserve(RelationTable *table, uint32_t number, CdcError *err)
{
	uint32_t size = table->size > 0 ? table->size : 64;
	Relation **relations;

	while (size <= number)
		size *= 2;
	if (size == table->size)
		return CDC_OK;
	relations = realloc(table->relations, size * sizeof(*relations));
	if (relations == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory for %" PRIu32 " relations", size);
	memset(relations + table->size, 0, (size - table->size) * sizeof(*relations));
	table->relations = relations;
	table->size = size;
	return CDC_OK;
}

/* Splits the payload into three names; false if lengths do not add up or a name holds a NUL. */
static bool
split_names(const uint8_t *payload, uint32_t length, const uint8_t *names[3], uint16_t lengths[3])
{
	uint32_t at = 0;

	for (int i = 0; i < 3; i++)
	{
		if (length - at < 2)
			return false;
		lengths[i] = get_be16(payload + at);
		at += 2;
		if (length - at < lengths[i] || memchr(payload + at, '\0', lengths[i]) != NULL)
			return false;
		names[i] = payload + at;
		at += lengths[i];
	}
	return at == length;
}

/* Announced again as it was, as each chunk of a snapshot does: what was derived from it stays. */
static bool
is_known(const Relation *relation, const uint8_t *names[3], const uint16_t lengths[3])
{
	const char *known[3];

	if (relation == NULL)
		return false;
	known[0] = relation->schema;
	known[1] = relation->table;
	known[2] = relation->target;
	for (int i = 0; i < 3; i++)
		if (strlen(known[i]) != lengths[i] || memcmp(known[i], names[i], lengths[i]) != 0)
			return false;
	return true;
}

CdcStatus
relation_announce(RelationTable *table, uint32_t number, const uint8_t *payload, uint32_t length,
				  CdcError *err)
{
	const uint8_t *names[3];
	uint16_t lengths[3];
	const char **fields[3];
	Relation *relation;
	char *text;

	if (number == 0 || number > RELATION_MAX_NUMBER)
		return cdc_error(err, CDC_STOP,
						 "the server announced relation number %" PRIu32 "; 1 to %u is allowed",
						 number, RELATION_MAX_NUMBER);
	if (!split_names(payload, length, names, lengths))
		return cdc_error(err, CDC_STOP,
						 "the announcement of relation number %" PRIu32
						 " is broken: lengths of its names do not match its %" PRIu32 " bytes",
						 number, length);
	if (reserve(table, number, err) != CDC_OK)
		/* untested: an allocation fails */
		return CDC_RETRY;
	if (is_known(table->relations[number], names, lengths))
		return CDC_OK;
	relation = malloc(sizeof(*relation) + lengths[0] + lengths[1] + lengths[2] + 3);
	if (relation == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory for relation number %" PRIu32, number);
	text = (char *) (relation + 1);
	fields[0] = &relation->schema;
	fields[1] = &relation->table;
	fields[2] = &relation->target;
	for (int i = 0; i < 3; i++)
	{
		memcpy(text, names[i], lengths[i]);
		text[lengths[i]] = '\0';
		*fields[i] = text;
		text += lengths[i] + 1;
	}
	relation->serial = ++last_serial;
	free(table->relations[number]);
	table->relations[number] = relation;
	return CDC_OK;
}
