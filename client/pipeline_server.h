/*
 * pipeline_server.h
 *		A pipeline on the server: asking for it, changing it, and what is wrong with it.
 *
 * Errors of the server are CDC_RETRY where it could not be reached or is busy, else CDC_USAGE: what was
 * asked for is wrong, and asking again does not help.	A stop signal (*interrupted) makes it cancel what
 * it does, and is CDC_STOP.
 */
#ifndef CDC_PIPELINE_SERVER_H
#define CDC_PIPELINE_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "error.h"
#include "pipeline_file.h"

typedef struct PipelineServer
{
	PGconn *conn;
	const volatile int *interrupted;
	PQnoticeReceiver notice; /* what notices of the server go on to */
	int position; /* of the last error in the expression that was refused, in characters; 0: none */
} PipelineServer;

/* Connects, and looks that the extension is there.  pipeline_server_close() in any case. */
extern CdcStatus pipeline_server_open(PipelineServer *server, const char *dbname,
									  const volatile int *interrupted,
									  CdcError *err) CDC_MUST_CHECK;
extern void pipeline_server_close(PipelineServer *server);

/*
 * Asks, however long the answer takes.	 what: what an error is about, put before the server's own words.
 * *result (result may be NULL) is the caller's to PQclear().
 */
extern CdcStatus pipeline_server_ask(PipelineServer *server, const char *what, const char *sql,
									 int nparams, const char *const *params, PGresult **result,
									 CdcError *err) CDC_MUST_CHECK;

/* BEGIN, whatever the session's defaults for transactions are. */
extern CdcStatus pipeline_server_begin(PipelineServer *server, CdcError *err) CDC_MUST_CHECK;
extern CdcStatus pipeline_server_end(PipelineServer *server, bool commit,
									 CdcError *err) CDC_MUST_CHECK;

/*
 * The pipeline as one document of cdc.export_pipeline(), malloc'd; NULL in *document where there is no
 * such pipeline.
 */
extern CdcStatus pipeline_server_read(PipelineServer *server, const char *name, char **document,
									  CdcError *err) CDC_MUST_CHECK;

/*
 * A document as it is written to a file, malloc'd: members in a fixed order, a rule on each line, sorted
 * alike whatever the database's collation.
 */
extern CdcStatus pipeline_server_format(PipelineServer *server, const char *document, char **text,
										CdcError *err) CDC_MUST_CHECK;

/* A member that the file's document has twice is an error: which one would count? */
extern CdcStatus pipeline_server_refuse_twice(PipelineServer *server, const PipelineFile *file,
											  CdcError *err) CDC_MUST_CHECK;

/*
 * Makes the pipeline what the file says, in the transaction that is open.  An error names the rule that
 * it is about, where the server does not say it itself; the transaction is then over.
 */
extern CdcStatus pipeline_server_apply(PipelineServer *server, const PipelineFile *file,
									   CdcError *err) CDC_MUST_CHECK;

/* Rows of (change, what) that lead from one document (NULL: none) to another. */
extern CdcStatus pipeline_server_compare(PipelineServer *server, const char *before,
										 const char *after, PGresult **changes,
										 CdcError *err) CDC_MUST_CHECK;

/* Rows of one column: the records of cdc.preview(). */
extern CdcStatus pipeline_server_preview(PipelineServer *server, const char *name,
										 const char *relation, uint64_t max_rows,
										 PGresult **records, CdcError *err) CDC_MUST_CHECK;

/*
 * What a document selects that is not there: publications that do not exist, and relations that no
 * publication of it publishes (those of its rules, and relation where that is not NULL).  One row of two
 * lists, NULL where there is nothing to say.
 */
extern CdcStatus pipeline_server_unselected(PipelineServer *server, const char *document,
											const char *relation, PGresult **lists,
											CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_PIPELINE_SERVER_H */
