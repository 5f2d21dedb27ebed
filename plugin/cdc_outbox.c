/*
 * cdc_outbox.c
 *		Outbox tables; see cdc_outbox.h.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"

#include "cdc_outbox.h"

/* A column, and how its value becomes text. */
typedef struct Source
{
	int index; /* of the value in a row */
	FmgrInfo output;
} Source;

/* What the target consists of: text, then (unless it is the end) a column's value. */
typedef struct Piece
{
	char *text;
	bool has_source;
	Source source;
} Piece;

struct CdcOutbox
{
	Piece *pieces;
	int npieces;
	Source key;
	Source payload;
	CdcSettings *settings; /* pinned while output functions run */
};

static Source
find_source(Relation relation, const AttrMap *map, const char *name, bool must_be_json)
{
	AttrNumber attnum = get_attnum(RelationGetRelid(relation), name);
	Source source;
	Oid type;
	Oid function;
	bool is_varlena;

	if (attnum <= 0)
		ereport(
			ERROR, errcode(ERRCODE_UNDEFINED_COLUMN),
			errmsg("column \"%s\" of relation \"%s\" does not exist", name,
				   RelationGetRelationName(relation)),
			errhint(
				"An outbox names columns of its table: key, payload, and those in braces in the "
				"template of its target."));
	type = getBaseType(TupleDescAttr(RelationGetDescr(relation), attnum - 1)->atttypid);
	if (must_be_json && type != JSONOID && type != JSONBOID && type != TEXTOID)
		ereport(ERROR, errcode(ERRCODE_DATATYPE_MISMATCH),
				errmsg("column \"%s\" of relation \"%s\" cannot hold the records of an outbox",
					   name, RelationGetRelationName(relation)),
				errhint("It must be of type json, jsonb, or text that is JSON."));
	source.index = (map ? map->attnums[attnum - 1] : attnum) - 1;
	getTypeOutputInfo(type, &function, &is_varlena);
	fmgr_info(function, &source.output);
	return source;
}

/* "{{" is a brace itself. */
static void
read_template(CdcOutbox *outbox, Relation relation, const AttrMap *map, const char *template)
{
	StringInfoData text;

	outbox->pieces = palloc0(sizeof(Piece) * (strlen(template) + 1));
	initStringInfo(&text);
	for (const char *at = template;; at++)
	{
		Piece *piece = &outbox->pieces[outbox->npieces];
		const char *end;

		if (*at != '\0' && (*at != '{' || at[1] == '{'))
		{
			appendStringInfoChar(&text, *at);
			at += *at == '{' ? 1 : 0;
			continue;
		}
		piece->text = pstrdup(text.data);
		resetStringInfo(&text);
		outbox->npieces++;
		if (*at == '\0')
			break;
		end = strchr(at, '}');
		if (end == NULL)
			ereport(
				ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("the template of an outbox's target has a brace that is not closed: \"%s\"",
					   template),
				errhint("{column} stands for a column's value; {{ is a brace itself."));
		piece->has_source = true;
		piece->source = find_source(relation, map, pnstrdup(at + 1, end - at - 1), false);
		at = end;
	}
}

CdcOutbox *
cdc_outbox_build(Relation relation, const AttrMap *map, const char *definition,
				 CdcSettings *settings)
{
	CdcOutbox *outbox = palloc0(sizeof(CdcOutbox));
	const char *template = strchr(definition, '\n');
	List *names;

	/* key,payload, then the template on a line of its own */
	if (template == NULL ||
		!SplitIdentifierString(pnstrdup(definition, template - definition), ',', &names) ||
		list_length(names) != 2)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("invalid definition of an outbox: \"%s\"", definition),
				errhint("It is key,payload and, on a second line, the template of the target, as "
						"cdc.set_outbox() writes it."));
	outbox->settings = settings;
	outbox->key = find_source(relation, map, linitial(names), false);
	outbox->payload = find_source(relation, map, lsecond(names), true);
	read_template(outbox, relation, map, template + 1);
	return outbox;
}

/* The column's value as text; NULL if there is none. */
static char *
source_text(const Source *source, const Datum *values, const bool *nulls, const bool *missing)
{
	if (nulls[source->index] || (missing && missing[source->index]))
		return NULL;
	return OutputFunctionCall(unconstify(FmgrInfo *, &source->output), values[source->index]);
}

bool
cdc_outbox_read(const CdcOutbox *outbox, const Datum *values, const bool *nulls,
				const bool *missing, CdcMessage *message)
{
	StringInfoData target;
	const char *key;
	const char *payload;

	cdc_settings_pin(outbox->settings);
	initStringInfo(&target);
	for (int i = 0; i < outbox->npieces; i++)
	{
		const Piece *piece = &outbox->pieces[i];
		const char *text = "";

		appendStringInfoString(&target, piece->text);
		if (piece->has_source)
			text = source_text(&piece->source, values, nulls, missing);
		if (text == NULL)
			return false;
		appendStringInfoString(&target, text);
	}
	key = source_text(&outbox->key, values, nulls, missing);
	payload = source_text(&outbox->payload, values, nulls, missing);
	return key && payload && cdc_message_make_outbox(message, target.data, key, payload);
}
