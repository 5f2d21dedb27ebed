/*
 * backfill_server.h
 *		What the server is asked about requests for existing rows, and its answers.
 *
 * The functions are the extension's: cdc.pending_backfills() and cdc.report_backfill().
 */
#ifndef CDC_BACKFILL_SERVER_H
#define CDC_BACKFILL_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "error.h"

typedef struct BackfillRequest
{
	int64_t number;
	uint32_t relation; /* OID, of a partitioned table for its partitions */
	char *name;        /* as it was called when it was requested */
	char *filter;      /* SQL; NULL: all rows */
	bool cancelled;
} BackfillRequest;

/* Whose requests are asked for. */
typedef struct BackfillStream
{
	const char *pipeline;
	const char *slot;
	uint64_t start_lsn; /* requests that were made before are not this stream's, if it is new */
} BackfillStream;

/* What there is to be done, by number. */
typedef struct BackfillNews
{
	int64_t
		known; /* the last number of the pipeline, of a request or a cancellation, that is visible */
	int64_t
		given; /* the last number that was given away: a request may be on its way to be visible */
	int num_requests;
	BackfillRequest *requests;
} BackfillNews;

/* How far a request is. */
typedef struct BackfillReport
{
	int64_t number;
	const char *state; /* running, done, failed, cancelled */
	uint64_t rows;
	char reading[200]; /* table; "": none */
	char message[1024];
} BackfillReport;

/*
 * Makes a connection fit for asking.	 *possible: the database has the extension, by whose functions it is
 * done, and not only functions of the same names; on a standby it is not.
 */
extern CdcStatus backfill_server_check(PGconn *conn, bool *possible, CdcError *err) CDC_MUST_CHECK;

/* Sends the question; "also": a request to be told of in any case, 0: none. */
extern CdcStatus backfill_server_ask_news(PGconn *conn, const BackfillStream *stream, int64_t also,
										  CdcError *err) CDC_MUST_CHECK;

/* Reads the answer; on CDC_OK the caller backfill_news_free()s it. */
extern CdcStatus backfill_server_read_news(const PGresult *result, BackfillNews *news,
										   CdcError *err) CDC_MUST_CHECK;
extern void backfill_news_free(BackfillNews *news);

/*
 * Which of its requests has the number; is the next one, in the order of numbers, behind those that are done; is
 * one of these, which the server takes for one that is not.	-1: none.	A zeroed request is none.
 */
extern int backfill_news_find(const BackfillNews *news, int64_t number);
extern int backfill_news_next(const BackfillNews *news, int64_t done);
extern int backfill_news_untold(const BackfillNews *news, int64_t done);
extern void backfill_request_free(BackfillRequest *request);

/* Sends a report; the answer is a row of one value: whether the request was cancelled. */
extern CdcStatus backfill_server_report(PGconn *conn, const BackfillStream *stream,
										const BackfillReport *report, CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_BACKFILL_SERVER_H */
