/*
 * pgwait.c
 *		Waiting for the answer to a command, but not for ever.
 */
#include "pgwait.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>

#include "clock.h"

/* How long a wait may last before the signal is looked at again. */
#define SLICE_MS 200

static CdcStatus
wait_until_ready(PGconn *conn, const volatile int *interrupted, int64_t deadline, int64_t timeout,
				 CdcError *err)
{
	bool flushed = false;

	while (!flushed || PQisBusy(conn))
	{
		struct pollfd fd = {.fd = PQsocket(conn), .events = POLLIN};
		int64_t now = clock_now();

		flushed = PQflush(conn) <= 0; /* a failure shows in the result */
		if (!flushed)
			fd.events |= POLLOUT;
		else if (!PQisBusy(conn))
			break;
		if (interrupted != NULL && *interrupted != 0)
			return cdc_error(err, CDC_RETRY, "interrupted while waiting for the server's answer");
		if (now >= deadline)
		{
			cdc_error(err, CDC_RETRY, "the server has not answered for %" PRId64 " s",
					  timeout / CLOCK_SECOND);
			return CDC_RETRY;
		}
		if (poll(&fd, 1, clock_timeout_ms(now, deadline, SLICE_MS)) < 0 && errno != EINTR)
			return cdc_error(err, CDC_RETRY, "poll() failed: %s", strerror(errno));
		if ((fd.revents & (POLLIN | POLLERR | POLLHUP)) != 0 && !PQconsumeInput(conn))
			return CDC_OK; /* PQgetResult() has the error */
	}
	return CDC_OK;
}

/* A session in one of these states has no further results; PQexec() too stops there. */
static bool
begins_copy(const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	return status == PGRES_COPY_BOTH || status == PGRES_COPY_IN || status == PGRES_COPY_OUT;
}

CdcStatus
pgwait_result(PGconn *conn, int sent, const volatile int *interrupted, int64_t timeout,
			  PGresult **result, CdcError *err)
{
	int64_t deadline = clock_now() + timeout;
	PGresult *next;

	*result = NULL;
	if (!sent)
		return CDC_OK;
	do
	{
		CdcStatus status = wait_until_ready(conn, interrupted, deadline, timeout, err);

		if (status != CDC_OK)
		{
			PQclear(*result);
			*result = NULL;
			return status;
		}
		next = PQgetResult(conn);
		if (next != NULL)
		{
			PQclear(*result);
			*result = next;
		}
	} while (next != NULL && !begins_copy(next) && PQstatus(conn) != CONNECTION_BAD);
	return CDC_OK;
}
