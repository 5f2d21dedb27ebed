/*
 * script_libpq.h
 *		A libpq that answers from a script, for tests that need no server.
 *
 * Include in one .c file of a test: it defines functions of libpq, which then come before the
 * library's.  A command that is sent must be the one that comes next in the script, and is answered
 * with its result; a PGresult is a ScriptResult in disguise.
 */
#ifndef CDC_TEST_SCRIPT_LIBPQ_H
#define CDC_TEST_SCRIPT_LIBPQ_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libpq-fe.h>

#define SCRIPT_MAX_COLUMNS 16

typedef struct ScriptResult
{
	const char *command; /* what the command must contain */
	ExecStatusType status;
	const char *row[SCRIPT_MAX_COLUMNS]; /* one row; NULL after the last column */
	int num_rows;
	const char *const (
		*rows)[SCRIPT_MAX_COLUMNS]; /* where rows differ: all of them, instead of row */
	int unsent;                     /* it cannot even be sent */
	const char *null_mark;          /* a value that stands for NULL */
	const char *sqlstate;           /* of an error */
	const char *message;
	const char *detail;
	const char *hint;
} ScriptResult;

static struct
{
	const ScriptResult *next;    /* what is answered next */
	const ScriptResult *pending; /* what has been asked and not been fetched */
	int version;
	const char *connection_error;
	int needs_password;
	PGTransactionStatusType transaction;
	int socket;           /* 0: none */
	int broken;           /* the connection is bad */
	int silent;           /* no answer has come yet */
	char params[8][1024]; /* of the last command, a NULL as "(null)" */
} script = {.version = 150020, .transaction = PQTRANS_IDLE};

/* Any address will do: nothing looks behind it. */
#define SCRIPT_CONN ((PGconn *) &script)

static const ScriptResult *
script_result(const PGresult *result)
{
	return (const ScriptResult *) result;
}

int
PQsendQuery(PGconn *conn, const char *command)
{
	const ScriptResult *result = script.next;

	(void) conn;
	assert_non_null(result);
	if (result->command == NULL || strstr(command, result->command) == NULL)
		fail_msg("the command \"%s\" was not expected", command);
	script.next++;
	script.pending = result->unsent ? NULL : result;
	return !result->unsent;
}

int
PQsendQueryParams(PGconn *conn, const char *command, int nparams, const Oid *types,
				  const char *const *values, const int *lengths, const int *formats,
				  int result_format)
{
	(void) types;
	(void) lengths;
	(void) formats;
	(void) result_format;
	for (int i = 0; i < nparams && i < 8; i++)
		snprintf(script.params[i], sizeof(script.params[i]), "%s",
				 values[i] != NULL ? values[i] : "(null)");
	return PQsendQuery(conn, command);
}

/* The answer is there at once, and is the only one. */
PGresult *
PQgetResult(PGconn *conn)
{
	const ScriptResult *result = script.pending;

	(void) conn;
	script.pending = NULL;
	return (PGresult *) result;
}

int
PQisBusy(PGconn *conn)
{
	(void) conn;
	return script.silent;
}

int
PQflush(PGconn *conn)
{
	(void) conn;
	return 0;
}

int
PQsocket(const PGconn *conn)
{
	(void) conn;
	return script.socket != 0 ? script.socket : -1;
}

ConnStatusType
PQstatus(const PGconn *conn)
{
	(void) conn;
	return script.broken ? CONNECTION_BAD : CONNECTION_OK;
}

ExecStatusType
PQresultStatus(const PGresult *result)
{
	return result == NULL ? PGRES_FATAL_ERROR : script_result(result)->status;
}

char *
PQresultErrorField(const PGresult *result, int field)
{
	const ScriptResult *answer = script_result(result);

	if (answer == NULL)
		return NULL;
	switch (field)
	{
		case PG_DIAG_SQLSTATE:
			return (char *) answer->sqlstate;
		case PG_DIAG_MESSAGE_PRIMARY:
			return (char *) answer->message;
		case PG_DIAG_MESSAGE_DETAIL:
			return (char *) answer->detail;
		case PG_DIAG_MESSAGE_HINT:
			return (char *) answer->hint;
		default:
			return NULL;
	}
}

char *
PQresultErrorMessage(const PGresult *result)
{
	return (char *) (script_result(result)->message ? script_result(result)->message : "");
}

char *
PQerrorMessage(const PGconn *conn)
{
	(void) conn;
	return (char *) (script.connection_error ? script.connection_error : "");
}

PGTransactionStatusType
PQtransactionStatus(const PGconn *conn)
{
	(void) conn;
	return script.transaction;
}

int
PQconnectionNeedsPassword(const PGconn *conn)
{
	(void) conn;
	return script.needs_password;
}

char *
PQuser(const PGconn *conn)
{
	(void) conn;
	return "the \"user\"";
}

char *
PQdb(const PGconn *conn)
{
	(void) conn;
	return "shop";
}

int
PQserverVersion(const PGconn *conn)
{
	(void) conn;
	return script.version;
}

int
PQntuples(const PGresult *result)
{
	return script_result(result)->num_rows;
}

static const char *const *
script_row(const PGresult *result, int row)
{
	const ScriptResult *answer = script_result(result);

	return answer->rows != NULL ? answer->rows[row] : answer->row;
}

int
PQnfields(const PGresult *result)
{
	const char *const *row = script_row(result, 0);
	int count = 0;

	while (count < SCRIPT_MAX_COLUMNS && row[count] != NULL)
		count++;
	return count;
}

int
PQgetisnull(const PGresult *result, int row, int column)
{
	const ScriptResult *answer = script_result(result);

	return answer->null_mark != NULL &&
		   strcmp(script_row(result, row)[column], answer->null_mark) == 0;
}

char *
PQgetvalue(const PGresult *result, int row, int column)
{
	assert_true(row < PQntuples(result) && column < PQnfields(result));
	return PQgetisnull(result, row, column) ? "" : (char *) script_row(result, row)[column];
}

void
PQclear(PGresult *result)
{
	(void) result;
}

#endif /* CDC_TEST_SCRIPT_LIBPQ_H */
