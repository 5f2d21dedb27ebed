/*
 * selection.c
 *		What the stream is asked to select by name; see selection.h.
 */
#include "selection.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pgconn.h"
#include "text.h"

const char *
selection_option(const CdcOptions *options, const char *name)
{
	const char *value = NULL;

	for (int i = 0; i < options->num_plugin_options; i++)
	{
		if (strcmp(options->plugin_options[i].name, name) == 0)
			value = options->plugin_options[i].value;
	}
	return value;
}

/*
 * One name from a list separated by commas: folded to lower case where it is not in double quotes.	 Returns
 * where it ends.
 */
static const char *
take_name(const char *names, char *name)
{
	bool quoted = false;

	for (; *names != '\0' && (quoted || (*names != ',' && *names != ' ')); names++)
	{
		if (*names == '"' && quoted && names[1] == '"')
			names++;
		else if (*names == '"')
		{
			quoted = !quoted;
			continue;
		}
		*name++ = quoted ? *names : (char) tolower((unsigned char) *names);
	}
	*name = '\0';
	return names;
}

char *
selection_read_names(const char *names)
{
	/* a quote in a name becomes two, a comma between names two bytes and two quotes */
	char *list = malloc(strlen(names) * 5 + 1);
	char *name = malloc(strlen(names) + 1);
	size_t length = 0;

	if (list == NULL || name == NULL)
		abort();
	list[0] = '\0';
	for (names += strspn(names, " ,"); *names != '\0'; names += strspn(names, " ,"))
	{
		char *literal;

		names = take_name(names, name);
		literal = pgconn_quote_literal(name);
		length += (size_t) sprintf(list + length, "%s%s", length > 0 ? ", " : "", literal);
		free(literal);
	}
	free(name);
	return list;
}

/* Where the pipeline says something about publications, and the options did not. */
static void
take_pipeline(Selection *selection, const PGresult *row, bool take_privileges)
{
	selection->has_pipeline = true;
	selection->by_pipeline = selection->publications == NULL;
	if (selection->publications == NULL && !PQgetisnull(row, 0, 0))
		selection->publications = selection_read_names(PQgetvalue(row, 0, 0));
	if (selection->publications == NULL)
		selection->publications = text_copy(PQgetvalue(row, 0, 1));
	if (take_privileges)
		selection->enforces_privileges = strcmp(PQgetvalue(row, 0, 2), "enforce") == 0;
}

static CdcStatus
read_pipeline(PGconn *sql, bool take_privileges, Selection *selection, CdcError *err)
{
	PGresult *result = NULL;
	CdcStatus status = pgconn_query(
		sql, "SELECT pg_catalog.to_regclass('cdc.pipelines') IS NOT NULL", &result, err);

	selection->has_extension = status == CDC_OK && PQgetvalue(result, 0, 0)[0] == 't';
	PQclear(result);
	if (status != CDC_OK || !selection->has_extension)
		return status;
	status = pgconn_query_params(
		sql,
		"SELECT options->>'publication_names', (SELECT coalesce(pg_catalog.string_agg("
		"pg_catalog.quote_literal(n), ', '), '') FROM pg_catalog.unnest(publications) n), "
		"options->>'privileges' FROM cdc.pipelines WHERE pipeline = $1",
		1, &selection->pipeline, &result, err);
	if (status == CDC_OK && PQntuples(result) > 0)
		take_pipeline(selection, result, take_privileges);
	PQclear(result);
	return status;
}

static CdcStatus
find_missing(PGconn *sql, Selection *selection, CdcError *err)
{
	static const char query[] =
		"SELECT pg_catalog.string_agg(pg_catalog.quote_ident(n), ', '), pg_catalog.string_agg("
		"pg_catalog.format('CREATE PUBLICATION %%I FOR ALL TABLES;', n), ' ') FROM "
		"pg_catalog.unnest(ARRAY[%s]::name[]) n WHERE n NOT IN (SELECT pubname FROM "
		"pg_catalog.pg_publication)";
	PGresult *result = NULL;
	char *text = NULL;
	CdcStatus status;

	if (asprintf(&text, query, selection->publications) < 0)
		abort();
	status = pgconn_query(sql, text, &result, err);
	free(text);
	if (status == CDC_OK && !PQgetisnull(result, 0, 0))
	{
		selection->missing = text_copy(PQgetvalue(result, 0, 0));
		selection->missing_remedy = text_copy(PQgetvalue(result, 0, 1));
	}
	PQclear(result);
	return status;
}

CdcStatus
selection_read(PGconn *sql, const CdcOptions *options, Selection *selection, CdcError *err)
{
	const char *names = selection_option(options, "publication_names");
	const char *privileges = selection_option(options, "privileges");
	CdcStatus status = CDC_OK;

	memset(selection, 0, sizeof(*selection));
	selection->pipeline = selection_option(options, "pipeline");
	selection->enforces_privileges = privileges != NULL && strcmp(privileges, "enforce") == 0;
	if (names != NULL)
		selection->publications = selection_read_names(names);
	if (selection->pipeline != NULL)
		status = read_pipeline(sql, privileges == NULL, selection, err);
	if (selection->publications == NULL)
		selection->publications = text_copy("");
	if (status == CDC_OK && selection->publications[0] != '\0')
		status = find_missing(sql, selection, err);
	if (status != CDC_OK)
		selection_free(selection);
	return status;
}

void
selection_free(Selection *selection)
{
	free(selection->publications);
	free(selection->missing);
	free(selection->missing_remedy);
	memset(selection, 0, sizeof(*selection));
}

static CdcStatus
refuse(const char *what, const char *names, const char *how, CdcError *err)
{
	cdc_error(err, CDC_USAGE, "%s does not exist: %s", what, names);
	snprintf(
		err->detail, sizeof(err->detail),
		"Nothing is selected until it exists, and what was changed before is skipped for good.");
	cdc_error_hint(err,
				   "Correct the name, or make it: %s; or start with --accept=missing, to have "
				   "nothing until it is made.",
				   how);
	return CDC_USAGE;
}

CdcStatus
selection_check(PGconn *sql, const CdcOptions *options, CdcError *err)
{
	Selection selection;
	CdcStatus status = selection_read(sql, options, &selection, err);

	if (status != CDC_OK)
		return status;
	if (selection.pipeline != NULL && !selection.has_extension)
		status = refuse("pipeline", selection.pipeline,
						"CREATE EXTENSION cdc_decoder; SELECT cdc.create_pipeline('...')", err);
	else if (selection.pipeline != NULL && !selection.has_pipeline)
		status = refuse("pipeline", selection.pipeline, "SELECT cdc.create_pipeline('...')", err);
	else if (selection.missing != NULL)
		status = refuse(selection.by_pipeline ? "publication of the pipeline" : "publication",
						selection.missing, "CREATE PUBLICATION ... FOR TABLE ...", err);
	selection_free(&selection);
	return status;
}
