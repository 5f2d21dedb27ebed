/*
 * pgsink_refused.c
 *		Which record of a batch the server does not take.
 *
 * A server tells in the error's context which row it was at, but in its administrator's language, and
 * nothing of deferred constraints.	 So the rows are tried again: of those that are left, the first
 * half; if it is taken, it stays (what follows may depend on it) and the search goes on behind it,
 * else within it.	A batch is sent once more at most.
 */
#include "pgsink_refused.h"

#include <stdio.h>
#include <stdlib.h>

#include "pgsink_open.h"

static const char *const search_what = "looking for the record that was refused";

/* The start of the row that is n rows behind at. */
static const uint8_t *
skip_rows(const uint8_t *at, size_t n)
{
	for (; n > 0; n--)
		at += pgrow_length(at);
	return at;
}

/* Tries rows behind those that were taken.	 CDC_REFUSED leaves the transaction as it was before. */
static CdcStatus
try_rows(PgStore *store, const char *copy_sql, const uint8_t *from, const uint8_t *to,
		 CdcError *err)
{
	PgSession *session = &store->session;
	CdcError ignored;
	CdcStatus status = pgsink_query(session, search_what, "SAVEPOINT rows", 0, NULL, NULL, err);

	if (status == CDC_OK)
		status = pgsink_store_copy(store, copy_sql, from, to, err);
	if (status == CDC_OK)
		return pgsink_query(session, search_what, "RELEASE rows", 0, NULL, NULL, err);
	if (status == CDC_REFUSED &&
		pgsink_query(session, search_what, "ROLLBACK TO rows", 0, NULL, NULL, &ignored) != CDC_OK)
	{
		*err = ignored;
		return CDC_RETRY;
	}
	return status;
}

/*
 * Narrows [*from, *to), which has failed as a whole, down to one row, and tries that.	CDC_OK: it was
 * taken.
 */
static CdcStatus
narrow(PgStore *store, const char *copy_sql, const uint8_t **from, const uint8_t *to, CdcError *err)
{
	size_t count = pgrows_count(*from, to);

	while (count > 1)
	{
		const uint8_t *middle = skip_rows(*from, count / 2);
		CdcStatus status = try_rows(store, copy_sql, *from, middle, err);

		if (status != CDC_OK && status != CDC_REFUSED)
			return status;
		if (status == CDC_OK)
		{
			*from = middle;
			count -= count / 2;
		}
		else
			count /= 2;
	}
	return try_rows(store, copy_sql, *from, skip_rows(*from, 1), err);
}

CdcStatus
pgsink_find_refused(PgStore *store, const PgRows *rows, RecordId *refused, CdcError *err)
{
	const uint8_t *from = rows->data;
	PgSession *session = &store->session;
	CdcError batch_error = *err;
	char *copy_sql;
	CdcStatus status;

	if (asprintf(&copy_sql, PGSINK_COPY_SQL("%s"), store->tables.records) < 0)
		return cdc_error(err, CDC_RETRY, "out of memory");
	/* One by one, so that a deferred constraint is checked where its row is. */
	status = pgsink_query(session, search_what, "ROLLBACK", 0, NULL, NULL, err);
	if (status == CDC_OK)
		status = pgsink_query(session, search_what, "BEGIN", 0, NULL, NULL, err);
	if (status == CDC_OK)
		status =
			pgsink_query(session, search_what, "SET CONSTRAINTS ALL IMMEDIATE", 0, NULL, NULL, err);
	if (status == CDC_OK)
		status = narrow(store, copy_sql, &from, rows->data + rows->used, err);
	free(copy_sql);
	if (status == CDC_OK)
	{
		*err = batch_error;
		cdc_error_detail(err, "Each record of the batch was taken when it was tried by itself.");
		return CDC_RETRY;
	}
	if (status != CDC_REFUSED)
		return status;
	/* The store is closed next, and the transaction ends with it. */
	*refused = pgrow_id(from);
	return CDC_REFUSED;
}
