/*
 * cdc_jsonb.c
 *		jsonb -> JSON text, straight from its stored form.
 *
 * JsonbToCString() goes through an iterator, escapes byte by byte and adds spaces: it was 38 % of
 * the time of decoding documents.	The stored form is public (utils/jsonb.h).
 */
#include "postgres.h"

#include "cdc_json.h"
#include "cdc_jsonb.h"
#include "cdc_numeric.h"

/* Documents nested deeper than this take their levels from the memory context. */
#define LEVELS_ON_STACK 32

typedef struct Level
{
	const JEntry *entries; /* of an object: all keys, then all values */
	const char *data;      /* what the entries' offsets count from */
	uint32 count;          /* elements, or pairs */
	uint32 next;
	uint32 key_offset;
	uint32 value_offset;
	bool object;
} Level;

static void
open_level(CdcWriter *writer, Level *level, const JsonbContainer *container)
{
	level->object = JsonContainerIsObject(container);
	level->count = JsonContainerSize(container);
	level->entries = container->children;
	level->data = (const char *) &container->children[level->count * (level->object ? 2 : 1)];
	level->next = 0;
	level->key_offset = 0;
	level->value_offset = level->object ? getJsonbOffset(container, level->count) : 0;
	cdc_put_byte(writer, level->object ? '{' : '[');
}

static inline uint32
entry_length(JEntry entry, uint32 offset)
{
	return JBE_HAS_OFF(entry) ? JBE_OFFLENFLD(entry) - offset : JBE_OFFLENFLD(entry);
}

/* Writes the level's next value, or returns the container that it is.  spaced: as jsonb_out() does it. */
static inline const JsonbContainer *
put_next(CdcWriter *writer, Level *level, bool spaced)
{
	uint32 offset = level->value_offset;
	JEntry entry;

	if (level->next > 0)
	{
		cdc_put_byte(writer, ',');
		if (spaced)
			cdc_put_byte(writer, ' ');
	}
	if (level->object)
	{
		uint32 key_length = entry_length(level->entries[level->next], level->key_offset);

		cdc_put_string(writer, level->data + level->key_offset, key_length);
		cdc_put_byte(writer, ':');
		if (spaced)
			cdc_put_byte(writer, ' ');
		level->key_offset += key_length;
		entry = level->entries[level->count + level->next];
	}
	else
		entry = level->entries[level->next];
	level->next++;
	level->value_offset += entry_length(entry, offset);

	if (JBE_ISSTRING(entry))
		cdc_put_string(writer, level->data + offset, level->value_offset - offset);
	else if (JBE_ISNUMERIC(entry))
		cdc_put_numeric(writer, level->data + INTALIGN(offset), false);
	else if (JBE_ISBOOL_TRUE(entry))
		cdc_put_literal(writer, "true");
	else if (JBE_ISBOOL_FALSE(entry))
		cdc_put_literal(writer, "false");
	else if (JBE_ISNULL(entry))
		cdc_put_literal(writer, "null");
	else
		return (const JsonbContainer *) (level->data + INTALIGN(offset));
	return NULL;
}

static inline void
put_jsonb(CdcWriter *writer, const Jsonb *jsonb, bool spaced)
{
	const JsonbContainer *root = &jsonb->root;
	Level on_stack[LEVELS_ON_STACK];
	Level *levels = on_stack;
	int allocated = LEVELS_ON_STACK;
	int depth = 0;

	if (JsonContainerIsScalar(root))
	{
		/* a scalar is stored as an array of one element (utils/jsonb.h, JB_FSCALAR) */
		Level scalar = {
			.entries = root->children, .data = (const char *) &root->children[1], .count = 1};

		(void) put_next(writer, &scalar, spaced);
		return;
	}
	open_level(writer, &levels[0], root);
	for (;;)
	{
		Level *level = &levels[depth];
		const JsonbContainer *child;

		if (level->next == level->count)
		{
			cdc_put_byte(writer, level->object ? '}' : ']');
			if (depth-- == 0)
				break;
			continue;
		}
		child = put_next(writer, level, spaced);
		if (child == NULL)
			continue;
		if (++depth == allocated)
		{
			Level *more = palloc(sizeof(Level) * allocated * 2);

			memcpy(more, levels, allocated * sizeof(Level));
			if (levels != on_stack)
				pfree(levels);
			levels = more;
			allocated *= 2;
		}
		open_level(writer, &levels[depth], child);
	}
	if (levels != on_stack)
		pfree(levels);
}

void
cdc_put_jsonb(CdcWriter *writer, const Jsonb *jsonb)
{
	put_jsonb(writer, jsonb, false);
}

void
cdc_put_jsonb_spaced(CdcWriter *writer, const Jsonb *jsonb)
{
	put_jsonb(writer, jsonb, true);
}
