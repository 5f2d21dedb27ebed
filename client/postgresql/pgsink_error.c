/*
 * pgsink_error.c
 *		What a failure of the sink's server means for the stream.
 *
 * The user's table may have constraints and triggers of its own, so a record can be refused for
 * reasons that only its owner knows; codes: PostgreSQL's documentation, appendix "Error Codes".
 */
#include "pgsink_error.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* The first prefix that matches counts.	doc/sink-postgresql.md says the same in words. */
static const struct
{
	const char *prefix;
	CdcStatus status;
	const char *hint; /* NULL: the server's own, if it has one */
} verdicts[] = {
	{"08", CDC_RETRY, NULL},
	{"0A", CDC_USAGE, NULL},    /* row security, a foreign table */
	{"22P03", CDC_RETRY, NULL}, /* a column's type was changed: looked at when the sink is opened */
	{"22P04", CDC_RETRY, NULL},
	{"22", CDC_REFUSED, NULL}, /* \u0000 and the like */
	{"23505", CDC_STOP,
	 "The table holds records behind the position that is stored beside it: the position was set "
	 "back, or restored, without the records.  Delete those records (they are delivered again), or "
	 "set the position to the last of them: cdc_client offsets set."},
	{"23", CDC_REFUSED, NULL}, /* constraints of the table's owner */
	{"25006", CDC_RETRY,
	 "The server is a standby, or set to read only.  With several hosts in the sink's URI, "
	 "target_session_attrs=read-write finds the one that is not."},
	{"25", CDC_RETRY, NULL},
	{"28", CDC_USAGE, NULL},   /* authentication */
	{"38", CDC_REFUSED, NULL}, /* functions of a trigger */
	{"39", CDC_REFUSED, NULL},
	{"3D", CDC_USAGE, NULL},    /* no such database */
	{"3F", CDC_USAGE, NULL},    /* no such schema */
	{"40", CDC_RETRY, NULL},    /* deadlock */
	{"42P01", CDC_RETRY, NULL}, /* dropped meanwhile: looked at when the sink is opened */
	{"42703", CDC_RETRY, NULL},
	{"42501", CDC_USAGE,
	 "The role needs USAGE on the schema, INSERT on the table of records, and SELECT, INSERT and "
	 "UPDATE on cdc_positions; to make them, CREATE on the schema."},
	{"42", CDC_USAGE, NULL},
	{"53", CDC_RETRY, NULL},    /* disk full, out of memory, too many connections */
	{"54", CDC_REFUSED, NULL},  /* a limit of PostgreSQL: too large, too deep */
	{"57P04", CDC_USAGE, NULL}, /* database dropped */
	{"57", CDC_RETRY, NULL},    /* shutdown, crash, starting up, cancelled */
	{"P0", CDC_REFUSED, NULL},  /* raised by a trigger */
	{"XX001", CDC_STOP, NULL},  /* corrupted */
	{"XX002", CDC_STOP, NULL},
	{"", CDC_RETRY, NULL},
};

char *
pgsink_place(char *text, PGconn *conn)
{
	const char *host = PQhost(conn);
	const char *port = PQport(conn);
	const char *db = PQdb(conn);

	snprintf(text, PGSINK_PLACE_SIZE, "PostgreSQL sink %s:%s/%s", host != NULL ? host : "",
			 port != NULL ? port : "", db != NULL ? db : "");
	return text;
}

CdcStatus
pgsink_error(PGconn *conn, const PGresult *result, const char *what, CdcError *err)
{
	const char *sqlstate = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
	const char *detail = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL) : NULL;
	const char *hint = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_HINT) : NULL;
	char place[PGSINK_PLACE_SIZE];
	size_t i = 0;

	pgsink_place(place, conn);
	if (sqlstate == NULL)
	{
		/* No answer of the server's, then: the connection broke, or ran out of memory. */
		const char *text = result ? PQresultErrorMessage(result) : "";

		if (*text == '\0')
			text = PQerrorMessage(conn);
		/* The first line says it; the others are guesses of libpq's at why. */
		return cdc_error(err, CDC_RETRY, "%s: %s: %.*s", place, what,
						 *text != '\0' ? (int) strcspn(text, "\n") : INT_MAX,
						 *text != '\0' ? text : "the connection was lost");
	}
	while (strncmp(verdicts[i].prefix, sqlstate, strlen(verdicts[i].prefix)) != 0)
		i++;
	cdc_error(err, verdicts[i].status, "%s: %s: %s", place, what,
			  PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
	snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", sqlstate);
	if (detail != NULL)
		cdc_error_detail(err, "%s", detail);
	if (verdicts[i].hint != NULL)
		hint = verdicts[i].hint;
	if (hint != NULL)
		cdc_error_hint(err, "%s", hint);
	return verdicts[i].status;
}

/* pgconn.c speaks of the option that its connections mostly come from. */
static void
replace_option(char *text)
{
	static const char from[] = "--dbname";
	static const char to[] = "--sink";
	char *at;

	while ((at = strstr(text, from)) != NULL)
	{
		memcpy(at, to, sizeof(to) - 1);
		memmove(at + sizeof(to) - 1, at + sizeof(from) - 1, strlen(at + sizeof(from) - 1) + 1);
	}
}

void
pgsink_connect_error(CdcError *err)
{
	CdcError copy = *err;

	cdc_error(err, CDC_RETRY, "PostgreSQL sink: %s", copy.message);
	memcpy(err->sqlstate, copy.sqlstate, sizeof(err->sqlstate));
	replace_option(copy.hint);
	cdc_error_detail(err, "%s", copy.detail);
	cdc_error_hint(err, "%s", copy.hint);
}
