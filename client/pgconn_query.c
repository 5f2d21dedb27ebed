/*
 * pgconn_query.c
 *		Asking on a connection, and quoting for it.
 */
#include "pgconn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pgwait.h"

/* What a failed command is called in its error: its text, cut. */
static CdcStatus
take_result(PGconn *conn, const char *sql, PGresult *got, PGresult **result, CdcError *err)
{
	ExecStatusType state = PQresultStatus(got);
	CdcStatus status = CDC_OK;

	if (state != PGRES_TUPLES_OK && state != PGRES_COMMAND_OK)
	{
		char what[128];

		snprintf(what, sizeof(what), "%.*s%s", (int) strcspn(sql, "\n"), sql,
				 strlen(sql) >= sizeof(what) ? " ..." : "");
		status = pgconn_error(conn, got, what, err);
	}
	if (status == CDC_OK && result != NULL)
		*result = got;
	else
		PQclear(got);
	return status;
}

/* sent: what PQsendQuery() or its kin returned. */
static CdcStatus
finish_query(PGconn *conn, const char *sql, int sent, PGresult **result, CdcError *err)
{
	PGresult *got;
	CdcStatus status;

	if (result != NULL)
		*result = NULL;
	status = pgwait_result(conn, sent, NULL, PGWAIT_TIMEOUT, &got, err);
	return status == CDC_OK ? take_result(conn, sql, got, result, err) : status;
}

CdcStatus
pgconn_query(PGconn *conn, const char *sql, PGresult **result, CdcError *err)
{
	return finish_query(conn, sql, PQsendQuery(conn, sql), result, err);
}

CdcStatus
pgconn_query_params(PGconn *conn, const char *sql, int nparams, const char *const *params,
					PGresult **result, CdcError *err)
{
	int sent = PQsendQueryParams(conn, sql, nparams, NULL, params, NULL, NULL, 0);

	return finish_query(conn, sql, sent, result, err);
}

CdcStatus
pgconn_identify(PGconn *conn, ServerIdentity *identity, CdcError *err)
{
	PGresult *result;
	CdcStatus status = pgconn_query(conn, "IDENTIFY_SYSTEM", &result, err);
	unsigned high;
	unsigned low;

	memset(identity, 0, sizeof(*identity));
	if (status != CDC_OK)
		return status;
	if (PQntuples(result) != 1 || PQnfields(result) < 4 || PQgetisnull(result, 0, 3) ||
		sscanf(PQgetvalue(result, 0, 2), "%X/%X", &high, &low) != 2)
		status = cdc_error(err, CDC_STOP,
						   "IDENTIFY_SYSTEM did not answer as a PostgreSQL walsender "
						   "of a database does");
	else
	{
		snprintf(identity->system_identifier, sizeof(identity->system_identifier), "%s",
				 PQgetvalue(result, 0, 0));
		identity->timeline = (uint32_t) strtoul(PQgetvalue(result, 0, 1), NULL, 10);
		identity->wal_end = ((uint64_t) high << 32) | low;
		snprintf(identity->database, sizeof(identity->database), "%s", PQgetvalue(result, 0, 3));
		identity->version = PQserverVersion(conn);
	}
	PQclear(result);
	return status;
}

static char *
quote(const char *text, char mark)
{
	char *quoted = malloc(2 * strlen(text) + 3);
	char *to = quoted;

	if (quoted == NULL)
		abort();
	*to++ = mark;
	for (; *text != '\0'; text++)
	{
		if (*text == mark)
			*to++ = mark;
		*to++ = *text;
	}
	*to++ = mark;
	*to = '\0';
	return quoted;
}

char *
pgconn_quote_identifier(const char *name)
{
	return quote(name, '"');
}

char *
pgconn_quote_literal(const char *value)
{
	return quote(value, '\'');
}
