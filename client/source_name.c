/*
 * source_name.c
 *		What records call the source.
 */
#include "source_name.h"

#include <stdio.h>

#include "pgconn.h"
#include "selection.h"

/* Empty where there is no such pipeline, or it leaves the name to the plugin. */
static CdcStatus
read_pipeline_option(PGconn *sql, const char *pipeline, char *name, size_t size, CdcError *err)
{
	PGresult *result = NULL;
	CdcStatus status = pgconn_query(
		sql, "SELECT pg_catalog.to_regclass('cdc.pipelines') IS NOT NULL", &result, err);
	bool installed = status == CDC_OK && PQgetvalue(result, 0, 0)[0] == 't';

	PQclear(result);
	if (!installed)
		return status;
	result = NULL;
	status = pgconn_query_params(sql,
								 "SELECT options->>'source' FROM cdc.pipelines WHERE pipeline = $1 "
								 "AND options->>'source' IS NOT NULL",
								 1, &pipeline, &result, err);
	if (status == CDC_OK && PQntuples(result) == 1)
		snprintf(name, size, "%s", PQgetvalue(result, 0, 0));
	PQclear(result);
	return status;
}

CdcStatus
source_name_read(PGconn *sql, const CdcOptions *options, const char *database, char *name,
				 size_t size, CdcError *err)
{
	const char *given = selection_option(options, "source");
	const char *pipeline = selection_option(options, "pipeline");
	CdcStatus status = CDC_OK;

	name[0] = '\0';
	if (given == NULL && pipeline != NULL)
		status = read_pipeline_option(sql, pipeline, name, size, err);
	if (status == CDC_OK && name[0] == '\0')
		snprintf(name, size, "%s", given != NULL ? given : database);
	return status;
}
