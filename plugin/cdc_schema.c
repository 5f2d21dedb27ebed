/*
 * cdc_schema.c
 *		Schema records; see cdc_schema.h.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "common/hashfn.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/ruleutils.h"

#include "cdc_compat.h"
#include "cdc_json.h"
#include "cdc_relation.h"
#include "cdc_schema.h"

/* A column's default, or what it is generated from; NULL if there is neither. */
static char *
expression_text(const CdcLabelInput *column)
{
	Node *expression;

	if (column->attr == NULL || !column->attr->atthasdef)
		return NULL;
	expression = build_column_default(column->relation, column->attr->attnum);
	if (expression == NULL)
		return NULL;
	return deparse_expression(expression,
							  deparse_context_for(RelationGetRelationName(column->relation),
												  RelationGetRelid(column->relation)),
							  false, false);
}

/* The column is one of the table's, as it is. */
static bool
is_plain(const CdcColumn *member, const CdcLabelInput *column)
{
	return column->attr != NULL && member->lookup < 0 &&
		   (member->expression == NULL || column->attr->attgenerated != '\0');
}

static void
put_text_member(CdcWriter *writer, const char *label, const char *text)
{
	cdc_put_short(writer, label, strlen(label));
	cdc_put_string(writer, text, strlen(text));
}

static void
put_column(CdcWriter *writer, const CdcColumn *member, const CdcLabelInput *column)
{
	bool plain = is_plain(member, column);
	const char *expression = plain ? expression_text(column) : NULL;
	const char *type = format_type_with_typemod(column->type, column->typmod);

	cdc_put_literal(writer, "{\"name\":");
	cdc_put_bytes(writer, member->name, member->name_len);
	put_text_member(writer, ",\"type\":", type);
	if (column->typmod >= 0)
	{
		cdc_put_literal(writer, ",\"typmod\":");
		cdc_put_int64(writer, column->typmod);
	}
	if (plain && column->attr->attnotnull)
		cdc_put_literal(writer, ",\"not_null\":true");
	if (plain && column->attr->attgenerated != '\0')
		put_text_member(writer, ",\"generated\":", expression ? expression : "");
	else if (expression)
		put_text_member(writer, ",\"default\":", expression);
	if (!plain)
		cdc_put_literal(writer, ",\"computed\":true");
	cdc_put_byte(writer, '}');
}

static const char *
identity_name(char identity)
{
	switch (identity)
	{
		case REPLICA_IDENTITY_NOTHING:
			return "nothing";
		case REPLICA_IDENTITY_FULL:
			return "full";
		case REPLICA_IDENTITY_INDEX:
			return "index";
		default:
			return "default";
	}
}

/* "columns":[...],"key":[...],"replica_identity":"default" */
static void
put_definition(CdcWriter *writer, const CdcRelation *relation, const CdcLabelInput *columns)
{
	cdc_put_literal(writer, "\"columns\":[");
	for (int i = 0; i < relation->ncolumns; i++)
	{
		if (i > 0)
			cdc_put_byte(writer, ',');
		put_column(writer, &relation->columns[i], &columns[i]);
	}
	cdc_put_literal(writer, "],\"key\":[");
	for (int i = 0; i < relation->nkeys; i++)
	{
		if (i > 0)
			cdc_put_byte(writer, ',');
		cdc_put_bytes(writer, relation->keys[i]->name, relation->keys[i]->name_len);
	}
	cdc_put_literal(writer, "]");
	put_text_member(writer, ",\"replica_identity\":", identity_name(relation->identity));
}

void
cdc_schema_build(CdcRelation *relation, const CdcLabelInput *columns, Relation published,
				 CdcEncoding *encoding, CdcSettings *settings)
{
	CdcWriter writer = {.encoding = encoding};
	uint64 replaced = encoding->replaced;
	StringInfoData text;
	uint64 hash;

	cdc_settings_pin(settings); /* names of types and functions depend on search_path */
	initStringInfo(&text);
	cdc_writer_attach(&writer, &text);
	/* whose definition it is counts: two relations may look the same */
	cdc_put_bytes(&writer, relation->schema, strlen(relation->schema) + 1);
	cdc_put_bytes(&writer, relation->table, strlen(relation->table) + 1);
	put_definition(&writer, relation, columns);
	cdc_writer_detach(&writer);
	hash = DatumGetUInt64(hash_any_extended((const unsigned char *) text.data, text.len, 0));
	snprintf(relation->schema_version, sizeof(relation->schema_version), "%08x%08x",
			 (uint32) (hash >> 32), (uint32) hash);

	resetStringInfo(&text);
	cdc_writer_attach(&writer, &text);
	put_text_member(&writer, "\"version\":", relation->schema_version);
	cdc_put_byte(&writer, ',');
	put_definition(&writer, relation, columns);
	cdc_put_byte(&writer, '}');
	cdc_writer_detach(&writer);
	relation->schema_record = text.data;
	encoding->replaced = replaced; /* names are counted where they are members of records */
}
