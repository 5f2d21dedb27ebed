/*
 * pgsink_query.c
 *		Asking the sink's server.
 */
#include "pgsink_query.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "pgsink_error.h"
#include "pgwait.h"

/* A piece of a COPY: libpq copies it into a buffer that would otherwise grow with the batch. */
#define PIECE_SIZE ((size_t) 64 * 1024)

/* How long a wait may last before the flag is looked at again. */
#define SLICE_MS 200

static CdcStatus
lost(PgSession *session, const char *what, CdcError *err)
{
	CdcError copy = *err;
	char place[PGSINK_PLACE_SIZE];

	return cdc_error(err, CDC_RETRY, "%s: %s: %s", pgsink_place(place, session->conn), what,
					 copy.message);
}

/* sent: what PQsendQuery() or its kin returned. */
static CdcStatus
finish(PgSession *session, const char *what, int sent, PGresult **result, CdcError *err)
{
	CdcStatus status =
		pgwait_result(session->conn, sent, session->interrupted, session->timeout, result, err);

	return status == CDC_OK ? CDC_OK : lost(session, what, err);
}

CdcStatus
pgsink_query(PgSession *session, const char *what, const char *sql, int nparams,
			 const char *const *params, PGresult **result, CdcError *err)
{
	PGresult *got = NULL;
	int sent = nparams == 0
				   ? PQsendQuery(session->conn, sql)
				   : PQsendQueryParams(session->conn, sql, nparams, NULL, params, NULL, NULL, 0);
	CdcStatus status = finish(session, what, sent, &got, err);

	if (status == CDC_OK && PQresultStatus(got) != PGRES_TUPLES_OK &&
		PQresultStatus(got) != PGRES_COMMAND_OK)
		status = pgsink_error(session->conn, got, what, err);
	if (status == CDC_OK && result != NULL)
		*result = got;
	else
		PQclear(got);
	return status;
}

CdcStatus
pgsink_begin_copy(PgSession *session, const char *what, const char *sql, CdcError *err)
{
	PGresult *got = NULL;
	CdcStatus status = finish(session, what, PQsendQuery(session->conn, sql), &got, err);

	if (status == CDC_OK && PQresultStatus(got) != PGRES_COPY_IN)
		status = pgsink_error(session->conn, got, what, err);
	PQclear(got);
	return status;
}

/*
 * Until libpq has sent all it holds.  What the server sends meanwhile is read, so that it never waits
 * for us while we wait for it.
 */
static CdcStatus
drain(PgSession *session, CdcError *err)
{
	int left;

	while ((left = PQflush(session->conn)) > 0)
	{
		struct pollfd fd = {.fd = PQsocket(session->conn), .events = POLLIN | POLLOUT};

		if (*session->interrupted != 0)
			return cdc_error(err, CDC_RETRY, "interrupted while sending records");
		if (poll(&fd, 1, SLICE_MS) < 0 && errno != EINTR)
			return cdc_error(err, CDC_RETRY, "poll() failed: %s", strerror(errno));
		if ((fd.revents & (POLLIN | POLLERR | POLLHUP)) != 0 && !PQconsumeInput(session->conn))
			break;
	}
	return left == 0 ? CDC_OK : pgsink_error(session->conn, NULL, "sending records", err);
}

CdcStatus
pgsink_put(PgSession *session, const void *data, size_t length, CdcError *err)
{
	const char *at = data;
	CdcStatus status = CDC_OK;

	while (length > 0 && status == CDC_OK)
	{
		size_t piece = length < PIECE_SIZE ? length : PIECE_SIZE;

		if (PQputCopyData(session->conn, at, (int) piece) <= 0)
			return pgsink_error(session->conn, NULL, "sending records", err);
		at += piece;
		length -= piece;
		status = drain(session, err);
	}
	return status;
}

CdcStatus
pgsink_end_copy(PgSession *session, const char *what, CdcError *err)
{
	PGresult *got = NULL;
	CdcStatus status = finish(session, what, PQputCopyEnd(session->conn, NULL) > 0, &got, err);

	if (status == CDC_OK && PQresultStatus(got) != PGRES_COMMAND_OK)
		status = pgsink_error(session->conn, got, what, err);
	PQclear(got);
	return status;
}
