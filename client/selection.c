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
selection_publications(const CdcOptions *options)
{
	const char *names = selection_option(options, "publication_names");
	char *list;
	char *name;
	size_t length = 0;

	if (names == NULL)
		return NULL;
	/* a quote in a name becomes two, a comma between names two bytes and two quotes */
	list = malloc(strlen(names) * 5 + 1);
	name = malloc(strlen(names) + 1);
	if (list != NULL)
		list[0] = '\0';
	if (list != NULL && name != NULL)
	{
		for (names += strspn(names, " ,"); *names != '\0'; names += strspn(names, " ,"))
		{
			char *literal;

			names = take_name(names, name);
			literal = pgconn_quote_literal(name);
			length += (size_t) sprintf(list + length, "%s%s", length > 0 ? ", " : "", literal);
			free(literal);
		}
	}
	free(name);
	return list;
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

static CdcStatus
check_publications(PGconn *sql, const char *publications, CdcError *err)
{
	static const char query[] =
		"SELECT pg_catalog.string_agg(pg_catalog.quote_ident(n), ', ') FROM "
		"pg_catalog.unnest(ARRAY[%s]::name[]) n WHERE n NOT IN (SELECT pubname FROM "
		"pg_catalog.pg_publication)";
	size_t size = sizeof(query) + strlen(publications);
	char *text = malloc(size);
	PGresult *result = NULL;
	CdcStatus status;

	if (text == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	snprintf(text, size, query, publications);
	status = pgconn_query(sql, text, &result, err);
	free(text);
	if (status == CDC_OK && !PQgetisnull(result, 0, 0))
		status = refuse("publication", PQgetvalue(result, 0, 0),
						"CREATE PUBLICATION ... FOR TABLE ...", err);
	PQclear(result);
	return status;
}

static CdcStatus
check_pipeline(PGconn *sql, const char *pipeline, CdcError *err)
{
	PGresult *result = NULL;
	CdcStatus status = pgconn_query(
		sql, "SELECT pg_catalog.to_regclass('cdc.pipelines') IS NOT NULL", &result, err);

	if (status == CDC_OK && PQgetvalue(result, 0, 0)[0] != 't')
		status = refuse("pipeline", pipeline,
						"CREATE EXTENSION cdc_decoder; SELECT cdc.create_pipeline('...')", err);
	PQclear(result);
	result = NULL;
	if (status == CDC_OK)
		status = pgconn_query_params(sql, "SELECT FROM cdc.pipelines WHERE pipeline = $1", 1,
									 &pipeline, &result, err);
	if (status == CDC_OK && PQntuples(result) == 0)
		status = refuse("pipeline", pipeline, "SELECT cdc.create_pipeline('...')", err);
	PQclear(result);
	return status;
}

CdcStatus
selection_check(PGconn *sql, const CdcOptions *options, CdcError *err)
{
	const char *pipeline = selection_option(options, "pipeline");
	char *publications = selection_publications(options);
	CdcStatus status = CDC_OK;

	if (publications != NULL && publications[0] != '\0')
		status = check_publications(sql, publications, err);
	if (status == CDC_OK && pipeline != NULL)
		status = check_pipeline(sql, pipeline, err);
	free(publications);
	return status;
}
