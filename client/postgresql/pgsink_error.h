/*
 * pgsink_error.h
 *		What a failure of the sink's server means for the stream.
 */
#ifndef CDC_PGSINK_ERROR_H
#define CDC_PGSINK_ERROR_H

#include <libpq-fe.h>

#include "error.h"

/*
 * Fills err from a failed result (NULL: from the connection) with where and what failed, and returns
 * what its SQLSTATE stands for in the table of pgsink_error.c.  CDC_REFUSED is said of what was being
 * written: which record it is has yet to be found.
 */
extern CdcStatus pgsink_error(PGconn *conn, const PGresult *result, const char *what,
							  CdcError *err);

/* Says of an error of pgconn_open() that it is the sink's connection. */
extern void pgsink_connect_error(CdcError *err);

/* "PostgreSQL sink HOST:PORT/DATABASE", for messages; returns text. */
#define PGSINK_PLACE_SIZE 320
extern char *pgsink_place(char *text, PGconn *conn);

#endif /* CDC_PGSINK_ERROR_H */
