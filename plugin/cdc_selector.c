/*
 * cdc_selector.c
 *		Selection by names that options list; see cdc_selector.h.
 *
 * The rules are those of wal2json: a backslash takes the next character for itself, also a separator;
 * *.table and schema.* stand for any schema and any table; what is filtered is filtered even if it is
 * added, too.
 */
#include "postgres.h"

#include <ctype.h>
#include <limits.h>

#include "utils/lsyscache.h"

#include "cdc_selector.h"

/* A table that is named; NULL: any. */
typedef struct CdcTableName
{
	char *schema;
	char *name;
} CdcTableName;

static inline bool
is_space(char c)
{
	return isspace((unsigned char) c);
}

/* The end of what begins at text: at a separator or white space that no backslash precedes. */
static const char *
end_of_item(const char *text, const char *separators)
{
	while (*text != '\0' && strchr(separators, *text) == NULL && !is_space(*text))
	{
		if (*text == '\\' && text[1] != '\0')
			text++;
		text++;
	}
	return text;
}

bool
cdc_selector_parse_words(const char *text, List **words)
{
	*words = NIL;
	while (is_space(*text))
		text++;
	while (*text != '\0')
	{
		const char *end = end_of_item(text, ",");

		if (end == text)
			return false;
		*words = lappend(*words, pnstrdup(text, end - text));
		while (is_space(*end))
			end++;
		if (*end == '\0')
			return true;
		if (*end != ',')
			return false;
		text = end + 1;
		while (is_space(*text))
			text++;
		if (*text == '\0')
			return false;
	}
	return true;
}

/* A copy without the backslashes that protect characters; NULL for a lone asterisk. */
static char *
unescape_name(const char *text, Size len)
{
	char *name = palloc(len + 1);
	char *out = name;

	if (len == 1 && *text == '*')
		return NULL;
	for (const char *in = text; in < text + len; in++)
	{
		if (*in == '\\' && in + 1 < text + len)
			in++;
		*out++ = *in;
	}
	*out = '\0';
	return name;
}

bool
cdc_selector_parse_tables(const char *text, List **tables)
{
	List *words;
	ListCell *cell;

	*tables = NIL;
	if (!cdc_selector_parse_words(text, &words))
		return false;
	foreach (cell, words)
	{
		const char *word = lfirst(cell);
		const char *point = end_of_item(word, ".");
		CdcTableName *table = palloc(sizeof(CdcTableName));

		if (*point != '.' || point == word || point[1] == '\0')
			return false;
		table->schema = unescape_name(word, point - word);
		table->name = unescape_name(point + 1, strlen(point + 1));
		*tables = lappend(*tables, table);
	}
	return true;
}

bool
cdc_selector_parse_oids(const char *text, List **oids)
{
	List *words;
	ListCell *cell;

	*oids = NIL;
	if (!cdc_selector_parse_words(text, &words))
		return false;
	foreach (cell, words)
	{
		const char *word = lfirst(cell);
		char *end;
		unsigned long oid;

		errno = 0;
		oid = strtoul(word, &end, 10);
		if (!isdigit((unsigned char) *word) || *end != '\0' || errno != 0 || oid > OID_MAX)
			return false;
		*oids = lappend_oid(*oids, (Oid) oid);
	}
	return true;
}

bool
cdc_selector_parse_actions(const char *text, int *actions)
{
	static const char *const names[] = {
		[CDC_INSERT] = "insert",
		[CDC_UPDATE] = "update",
		[CDC_DELETE] = "delete",
		[CDC_TRUNCATE] = "truncate",
	};
	List *words;
	ListCell *cell;

	*actions = 0;
	if (!cdc_selector_parse_words(text, &words))
		return false;
	foreach (cell, words)
	{
		int kind = 0;

		while (kind < lengthof(names) && strcmp(names[kind], lfirst(cell)) != 0)
			kind++;
		if (kind == lengthof(names))
			return false;
		*actions |= 1 << kind;
	}
	return true;
}

static bool
names_table(const List *tables, const char *schema, const char *name)
{
	ListCell *cell;

	foreach (cell, tables)
	{
		const CdcTableName *table = lfirst(cell);

		if ((table->schema == NULL || strcmp(table->schema, schema) == 0) &&
			(table->name == NULL || strcmp(table->name, name) == 0))
			return true;
	}
	return false;
}

static bool
names_word(const List *words, const char *wanted)
{
	ListCell *cell;

	foreach (cell, words)
	{
		if (strcmp(lfirst(cell), wanted) == 0)
			return true;
	}
	return false;
}

void
cdc_selector_apply(const CdcOptions *options, Relation published, CdcSelection *selection)
{
	const char *schema = get_namespace_name(RelationGetNamespace(published));
	const char *name = RelationGetRelationName(published);

	if (names_table(options->filter_tables, schema, name) ||
		(options->add_tables != NIL && !names_table(options->add_tables, schema, name)))
		memset(selection->kinds, false, sizeof(selection->kinds));
	for (int kind = 0; kind < CDC_NUM_CHANGE_KINDS; kind++)
	{
		if ((options->actions & (1 << (kind == CDC_SNAPSHOT ? CDC_INSERT : kind))) == 0)
			selection->kinds[kind] = false;
	}
}

bool
cdc_selector_wants_message(const CdcOptions *options, const char *prefix)
{
	return !names_word(options->filter_msg_prefixes, prefix) &&
		   (options->add_msg_prefixes == NIL || names_word(options->add_msg_prefixes, prefix));
}

bool
cdc_selector_wants_origin(const CdcOptions *options, Oid origin)
{
	if (likely(origin == InvalidOid))
		return true;
	return options->origin == CDC_ORIGIN_ANY && !list_member_oid(options->filter_origins, origin);
}
