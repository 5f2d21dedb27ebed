/*
 * source_name.c
 *		What records call the source.
 */
#include "source_name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "selection.h"

/* Empty where there is no such pipeline, or it leaves the name to the plugin. */
static CdcStatus
read_pipeline_option(PGconn *conn, const char *pipeline, char *name, size_t size, CdcError *err)
{
	PGresult *result = NULL;
	char query[320];
	char *literal;
	CdcStatus status = pgconn_query(
		conn, "SELECT pg_catalog.to_regclass('cdc.pipelines') IS NOT NULL", &result, err);
	bool installed = status == CDC_OK && PQgetvalue(result, 0, 0)[0] == 't';

	PQclear(result);
	if (!installed)
		return status;
	result = NULL;
	/* a walsender takes no parameters */
	literal = pgconn_quote_literal(pipeline);
	snprintf(query, sizeof(query),
			 "SELECT options->>'source' FROM cdc.pipelines WHERE pipeline = %.200s "
			 "AND options->>'source' IS NOT NULL",
			 literal);
	free(literal);
	status = pgconn_query(conn, query, &result, err);
	if (status == CDC_OK && PQntuples(result) == 1)
		snprintf(name, size, "%s", PQgetvalue(result, 0, 0));
	PQclear(result);
	return status;
}

CdcStatus
source_name_read(PGconn *conn, const CdcOptions *options, const char *database, char *name,
				 size_t size, CdcError *err)
{
	const char *given = selection_option(options, "source");
	const char *pipeline = selection_option(options, "pipeline");
	CdcStatus status = CDC_OK;

	name[0] = '\0';
	if (given == NULL && pipeline != NULL)
		status = read_pipeline_option(conn, pipeline, name, size, err);
	if (status == CDC_OK && name[0] == '\0')
		snprintf(name, size, "%s", given != NULL ? given : database);
	return status;
}

CdcStatus
source_fill(PGconn *conn, const CdcOptions *options, const ServerIdentity *identity, Source *source,
			CdcError *err)
{
	memset(source, 0, sizeof(*source));
	snprintf(source->system_identifier, sizeof(source->system_identifier), "%s",
			 identity->system_identifier);
	snprintf(source->database, sizeof(source->database), "%s", identity->database);
	snprintf(source->slot, sizeof(source->slot), "%s", options->slot);
	return source_name_read(conn, options, identity->database, source->name, sizeof(source->name),
							err);
}
