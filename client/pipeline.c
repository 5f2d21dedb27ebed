/*
 * pipeline.c
 *		The subcommands pipeline apply, export and preview; see pipeline.h.
 */
#include "pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "pipeline_file.h"
#include "pipeline_server.h"
#include "selection.h"

/* Somebody else's changes in the same moment are rare; so often in a row they are a fault. */
#define MAX_ATTEMPTS 5

/* What one attempt to apply a file has found. */
typedef struct Attempt
{
	char *before; /* documents; NULL: there was no such pipeline */
	char *after;
	PGresult *changes;
	PGresult *unselected;
} Attempt;

static void
free_attempt(Attempt *attempt)
{
	free(attempt->before);
	free(attempt->after);
	PQclear(attempt->changes);
	PQclear(attempt->unselected);
	memset(attempt, 0, sizeof(*attempt));
}

static int
finish(CdcStatus status, const CdcError *err)
{
	if (status != CDC_OK)
		log_error(LOG_ERROR, err);
	return (int) status;
}

/* Opens file and server; the document is looked at before anything is changed. */
static CdcStatus
open_both(const CdcOptions *options, const volatile int *interrupted, PipelineFile *file,
		  PipelineServer *server, CdcError *err)
{
	CdcStatus status;

	memset(server, 0, sizeof(*server));
	status = pipeline_file_read(options->file, file, err);
	if (status == CDC_OK)
		status = pipeline_server_open(server, options->dbname, interrupted, err);
	if (status == CDC_OK)
		status = pipeline_server_refuse_twice(server, file, err);
	return status;
}

/* Leaves the transaction in which the pipeline is what the file says open. */
static CdcStatus
try_apply(PipelineServer *server, const PipelineFile *file, const char *relation, Attempt *attempt,
		  CdcError *err)
{
	CdcStatus status = pipeline_server_read(server, file->name, &attempt->before, err);

	if (status == CDC_OK)
		status = pipeline_server_begin(server, err);
	if (status == CDC_OK)
		status = pipeline_server_apply(server, file, err);
	if (status == CDC_OK)
		status = pipeline_server_read(server, file->name, &attempt->after, err);
	if (status == CDC_OK)
		status = pipeline_server_compare(server, attempt->before, attempt->after, &attempt->changes,
										 err);
	if (status == CDC_OK)
		status =
			pipeline_server_unselected(server, attempt->after, relation, &attempt->unselected, err);
	return status;
}

static void
warn_unselected(const PipelineFile *file, const PGresult *lists)
{
	CdcError warning;

	if (!PQgetisnull(lists, 0, 0))
	{
		(void) cdc_error(&warning, CDC_OK, "publications of pipeline \"%s\" that do not exist: %s",
						 file->name, PQgetvalue(lists, 0, 0));
		cdc_error_hint(&warning,
					   "They select nothing until they are made: CREATE PUBLICATION ... FOR TABLE "
					   "...; or correct the names.");
		log_error(LOG_WARNING, &warning);
	}
	if (!PQgetisnull(lists, 0, 1))
	{
		(void) cdc_error(
			&warning, CDC_OK,
			"no publication of pipeline \"%s\" has these tables, so no stream does: %s", file->name,
			PQgetvalue(lists, 0, 1));
		cdc_error_hint(&warning, "ALTER PUBLICATION ... ADD TABLE ...; or leave their rules out.");
		log_error(LOG_WARNING, &warning);
	}
}

static void
put_changes(const PipelineFile *file, const Attempt *attempt, bool dry_run)
{
	int count = PQntuples(attempt->changes);

	if (attempt->before == NULL)
		printf("added   pipeline %s\n", file->name);
	for (int row = 0; row < count; row++)
		printf("%-7s %s\n", PQgetvalue(attempt->changes, row, 0),
			   PQgetvalue(attempt->changes, row, 1));
	if (attempt->before != NULL && count == 0)
		puts("nothing to do");
	else if (dry_run)
		puts("dry run: nothing was changed");
}

/*
 * Where nothing is to be done nothing is written: the attempt is taken back.  That is right only if the
 * pipeline still is what was read before the attempt, and not what somebody else has made of it since;
 * if it is not, *again.
 */
static CdcStatus
take_back(PipelineServer *server, const PipelineFile *file, const Attempt *attempt, bool *again,
		  CdcError *err)
{
	char *now = NULL;
	CdcStatus status = pipeline_server_end(server, false, err);

	if (status == CDC_OK)
		status = pipeline_server_read(server, file->name, &now, err);
	*again = status == CDC_OK && (now == NULL || strcmp(now, attempt->after) != 0);
	free(now);
	return status;
}

static CdcStatus
apply(PipelineServer *server, const PipelineFile *file, bool dry_run, Attempt *attempt,
	  CdcError *err)
{
	for (int i = 0; i < MAX_ATTEMPTS; i++)
	{
		bool again = false;
		CdcStatus status = try_apply(server, file, NULL, attempt, err);

		if (status != CDC_OK)
			return status;
		if (dry_run)
			return pipeline_server_end(server, false, err);
		if (attempt->before == NULL || PQntuples(attempt->changes) > 0)
			return pipeline_server_end(server, true, err);
		status = take_back(server, file, attempt, &again, err);
		if (status != CDC_OK || !again)
			return status;
		free_attempt(attempt);
	}
	return cdc_error(err, CDC_RETRY, "pipeline \"%s\": somebody else changes it again and again",
					 file->name);
}

int
pipeline_apply_main(const CdcOptions *options, const volatile int *interrupted)
{
	Attempt attempt = {0};
	PipelineServer server;
	PipelineFile file;
	CdcError err;
	CdcStatus status = open_both(options, interrupted, &file, &server, &err);

	if (status == CDC_OK)
		status = apply(&server, &file, options->dry_run, &attempt, &err);
	if (status == CDC_OK)
	{
		put_changes(&file, &attempt, options->dry_run);
		warn_unselected(&file, attempt.unselected);
	}
	free_attempt(&attempt);
	pipeline_server_close(&server);
	pipeline_file_free(&file);
	return finish(status, &err);
}

/* Before anything is made ready for it. */
static CdcStatus
check_relation(PipelineServer *server, const char *relation, CdcError *err)
{
	return pipeline_server_ask(server, "--relation", "SELECT $1::regclass", 1, &relation, NULL,
							   err);
}

int
pipeline_preview_main(const CdcOptions *options, const volatile int *interrupted)
{
	Attempt attempt = {0};
	PGresult *records = NULL;
	PipelineServer server;
	PipelineFile file;
	CdcError err;
	CdcStatus status = open_both(options, interrupted, &file, &server, &err);

	if (status == CDC_OK)
		status = check_relation(&server, options->relation, &err);
	if (status == CDC_OK)
		status = try_apply(&server, &file, options->relation, &attempt, &err);
	if (status == CDC_OK)
		status = pipeline_server_preview(&server, file.name, options->relation, options->max_rows,
										 &records, &err);
	if (status == CDC_OK)
		status = pipeline_server_end(&server, false, &err);
	if (status == CDC_OK)
	{
		for (int row = 0; row < PQntuples(records); row++)
			puts(PQgetvalue(records, row, 0));
		warn_unselected(&file, attempt.unselected);
		if (PQntuples(records) == 0)
			log_line(LOG_WARNING, "%s has no rows to show", options->relation);
	}
	PQclear(records);
	free_attempt(&attempt);
	pipeline_server_close(&server);
	pipeline_file_free(&file);
	return finish(status, &err);
}

static CdcStatus export(const CdcOptions *options, PipelineServer *server, const char *name,
						CdcError *err)
{
	char *document = NULL;
	char *text = NULL;
	CdcStatus status = pipeline_server_read(server, name, &document, err);

	if (status == CDC_OK && document == NULL)
	{
		status = cdc_error(err, CDC_USAGE, "pipeline \"%s\" does not exist", name);
		cdc_error_hint(err, "SELECT * FROM cdc.pipelines shows those there are.");
	}
	if (status == CDC_OK)
		status = pipeline_server_format(server, document, &text, err);
	if (status == CDC_OK)
		status = pipeline_file_write(options->file, text, err);
	free(text);
	free(document);
	return status;
}

int
pipeline_export_main(const CdcOptions *options, const volatile int *interrupted)
{
	PipelineServer server;
	CdcError err;
	CdcStatus status = pipeline_server_open(&server, options->dbname, interrupted, &err);

	if (status == CDC_OK)
		status = export(options, &server, selection_option(options, "pipeline"), &err);
	pipeline_server_close(&server);
	return finish(status, &err);
}
