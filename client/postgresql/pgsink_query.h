/*
 * pgsink_query.h
 *		Asking the sink's server: commands that a flag can interrupt, failures as pgsink_error.c has
 *		them.
 */
#ifndef CDC_PGSINK_QUERY_H
#define CDC_PGSINK_QUERY_H

#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "error.h"

/* A connection (non-blocking), and the flag that ends every wait on it. */
typedef struct PgSession
{
	PGconn *conn;
	const volatile int *interrupted;
	int64_t timeout; /* microseconds that an answer may take */
} PgSession;

/* However long the server takes: another session may hold a lock. */
#define PGSINK_FOREVER (INT64_MAX / 4)

/*
 * Runs one command and expects tuples or success; what names it in errors.	 *result (may be NULL) is
 * the caller's to PQclear() on CDC_OK.	 params may be NULL where nparams is 0.
 */
extern CdcStatus pgsink_query(PgSession *session, const char *what, const char *sql, int nparams,
							  const char *const *params, PGresult **result,
							  CdcError *err) CDC_MUST_CHECK;

/* Begins a COPY: after CDC_OK the connection takes its data. */
extern CdcStatus pgsink_begin_copy(PgSession *session, const char *what, const char *sql,
								   CdcError *err) CDC_MUST_CHECK;

/* One piece of a COPY's data; what the server says of it comes with pgsink_end_copy(). */
extern CdcStatus pgsink_put(PgSession *session, const void *data, size_t length,
							CdcError *err) CDC_MUST_CHECK;
extern CdcStatus pgsink_end_copy(PgSession *session, const char *what,
								 CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_PGSINK_QUERY_H */
