/*
 * pgwait.h
 *		Waiting for the answer to a command, but not for ever: a server or a network that falls silent
 *		must not hold up a client that could connect anew.
 */
#ifndef CDC_PGWAIT_H
#define CDC_PGWAIT_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "error.h"

/* Whatever is asked is answered at once by a server that is well. */
#define PGWAIT_TIMEOUT (INT64_C(60) * 1000000)

/*
 * What PQexec() would return for a command that was sent (sent: PQsendQuery()'s result).	 CDC_RETRY:
 * no answer in time, or *interrupted (may be NULL) became nonzero; the connection is then of no more
 * use.  *result is the caller's to PQclear(), and NULL where the connection failed.
 */
extern CdcStatus pgwait_result(PGconn *conn, int sent, const volatile int *interrupted,
							   int64_t timeout, PGresult **result, CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_PGWAIT_H */
