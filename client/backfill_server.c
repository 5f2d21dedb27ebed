/*
 * backfill_server.c
 *		What the server is asked about requests for existing rows.
 */
#include "backfill_server.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "pgconn.h"
#include "position.h"
#include "text.h"

/*
 * A table that stays locked holds up its own request only so long at a time, and a standby that does not answer
 * none: what is written here may be lost with the server.
 */
#define SETTINGS                                                                                   \
	"SELECT pg_catalog.set_config('lock_timeout', '5s', false), "                                  \
	"pg_catalog.set_config('synchronous_commit', 'local', false)"

CdcStatus
backfill_server_check(PGconn *conn, bool *possible, CdcError *err)
{
	/* functions of that name that are not the extension's would run with what our role may do */
	static const char sql[] =
		"SELECT NOT pg_catalog.pg_is_in_recovery() AND (SELECT pg_catalog.count(*) = 3 "
		"FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid "
		"WHERE e.extname = 'cdc_decoder' AND d.deptype = 'e' "
		"AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass "
		"AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid IN ("
		"pg_catalog.to_regprocedure('cdc.snapshot_relations(text[], oid)'), "
		"pg_catalog.to_regprocedure('cdc.pending_backfills(name, name, pg_lsn, bigint)'), "
		"pg_catalog.to_regprocedure('cdc.report_backfill(bigint, name, text, bigint, text, "
		"text)')))";
	PGresult *result;
	CdcStatus status = pgconn_query(conn, sql, &result, err);

	*possible = false;
	if (status != CDC_OK)
		return status;
	*possible = PQgetvalue(result, 0, 0)[0] == 't';
	PQclear(result);
	return pgconn_query(conn, SETTINGS, NULL, err);
}

CdcStatus
backfill_server_ask_news(PGconn *conn, const BackfillStream *stream, int64_t also, CdcError *err)
{
	static const char sql[] =
		"SELECT known, given, requests FROM cdc.pending_backfills($1::pg_catalog.name, "
		"$2::pg_catalog.name, $3::pg_catalog.pg_lsn, $4::pg_catalog.int8)";
	char lsn[LSN_TEXT_SIZE];
	char number[24];
	const char *params[] = {stream->pipeline, stream->slot, lsn_format(lsn, stream->start_lsn),
							number};

	snprintf(number, sizeof(number), "%" PRId64, also);
	if (!PQsendQueryParams(conn, sql, 4, NULL, params, NULL, NULL, 0))
		return pgconn_error(conn, NULL, "asking for requested rows", err);
	return CDC_OK;
}

static const char *
get_text(struct json_object *object, const char *name)
{
	struct json_object *member;

	return json_object_object_get_ex(object, name, &member) ? json_object_get_string(member) : NULL;
}

static int64_t
get_number(struct json_object *object, const char *name)
{
	struct json_object *member;

	return json_object_object_get_ex(object, name, &member) ? json_object_get_int64(member) : 0;
}

static void
read_request(struct json_object *object, BackfillRequest *request)
{
	const char *filter = get_text(object, "filter");
	struct json_object *member;

	request->number = get_number(object, "id");
	request->relation = (uint32_t) get_number(object, "relation");
	request->name = text_copy(get_text(object, "name"));
	request->filter = filter != NULL ? text_copy(filter) : NULL;
	request->cancelled =
		json_object_object_get_ex(object, "cancelled", &member) && json_object_get_boolean(member);
}

CdcStatus
backfill_server_read_news(const PGresult *result, BackfillNews *news, CdcError *err)
{
	struct json_object *list = PQntuples(result) == 1 && PQnfields(result) == 3
								   ? json_tokener_parse(PQgetvalue(result, 0, 2))
								   : NULL;

	memset(news, 0, sizeof(*news));
	if (!json_object_is_type(list, json_type_array))
	{
		json_object_put(list);
		cdc_error(err, CDC_STOP, "cdc.pending_backfills() did not answer as expected");
		cdc_error_hint(err, "Install the cdc_decoder that belongs to this cdc_client.");
		return CDC_STOP;
	}
	news->known = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
	news->given = strtoll(PQgetvalue(result, 0, 1), NULL, 10);
	news->num_requests = (int) json_object_array_length(list);
	news->requests = calloc((size_t) news->num_requests + 1, sizeof(*news->requests));
	if (news->requests == NULL)
		abort();
	for (int i = 0; i < news->num_requests; i++)
		read_request(json_object_array_get_idx(list, (size_t) i), &news->requests[i]);
	json_object_put(list);
	return CDC_OK;
}

void
backfill_request_free(BackfillRequest *request)
{
	free(request->name);
	free(request->filter);
	memset(request, 0, sizeof(*request));
}

int
backfill_news_find(const BackfillNews *news, int64_t number)
{
	for (int i = 0; i < news->num_requests; i++)
		if (news->requests[i].number == number)
			return i;
	return -1;
}

int
backfill_news_next(const BackfillNews *news, int64_t done)
{
	int next = -1;

	for (int i = 0; i < news->num_requests; i++)
	{
		int64_t number = news->requests[i].number;

		if (number > done && (next < 0 || number < news->requests[next].number))
			next = i;
	}
	return next;
}

int
backfill_news_untold(const BackfillNews *news, int64_t done)
{
	for (int i = 0; i < news->num_requests; i++)
		if (news->requests[i].number != 0 && news->requests[i].number <= done)
			return i;
	return -1;
}

void
backfill_news_free(BackfillNews *news)
{
	for (int i = 0; i < news->num_requests; i++)
		backfill_request_free(&news->requests[i]);
	free(news->requests);
	memset(news, 0, sizeof(*news));
}

CdcStatus
backfill_server_report(PGconn *conn, const BackfillStream *stream, const BackfillReport *report,
					   CdcError *err)
{
	static const char sql[] =
		"SELECT cdc.report_backfill($1::pg_catalog.int8, $2::pg_catalog.name, "
		"$3::pg_catalog.text, $4::pg_catalog.int8, $5::pg_catalog.text, $6::pg_catalog.text)";
	char number[24];
	char rows[24];
	const char *params[] = {number,
							stream->slot,
							report->state,
							rows,
							report->reading[0] != '\0' ? report->reading : NULL,
							report->message[0] != '\0' ? report->message : NULL};

	snprintf(number, sizeof(number), "%" PRId64, report->number);
	snprintf(rows, sizeof(rows), "%" PRIu64, report->rows);
	if (!PQsendQueryParams(conn, sql, 6, NULL, params, NULL, NULL, 0))
		return pgconn_error(conn, NULL, "reporting on requested rows", err);
	return CDC_OK;
}
