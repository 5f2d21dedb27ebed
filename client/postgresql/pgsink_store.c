/*
 * pgsink_store.c
 *		Records and the position in one database: the transactions of a batch.
 */
#include "pgsink_store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pgsink_error.h"
#include "pgsink_open.h"
#include "pgsink_refused.h"

static const char *const write_what = "writing records";
static const char *const store_what = "storing the position";

/* The row was deleted, or its epoch raised: whoever did it is now the one to write. */
static CdcStatus
fenced(PgStore *store, CdcError *err)
{
	char place[PGSINK_PLACE_SIZE];

	cdc_error(err, CDC_RETRY, "%s: another client has taken over the sink for source \"%s\"",
			  pgsink_place(place, store->session.conn), store->format.source);
	cdc_error_detail(err,
					 "Its row of %s has another epoch than this client's (%s), or is gone; nothing "
					 "of this batch was stored.",
					 store->tables.positions, store->epoch);
	return CDC_RETRY;
}

/* Whether a command concerned one row. */
static CdcStatus
one_row(PgStore *store, const char *sql, int nparams, const char *const *params, CdcError *err)
{
	PGresult *result = NULL;
	CdcStatus status =
		pgsink_query(&store->session, store_what, sql, nparams, params, &result, err);

	if (status == CDC_OK && strcmp(PQcmdTuples(result), "1") != 0)
		status = fenced(store, err);
	PQclear(result);
	return status;
}

static CdcStatus
end_transaction(PgStore *store, const char *what, CdcError *err)
{
	PGresult *result = NULL;
	CdcStatus status = pgsink_query(&store->session, what, "COMMIT", 0, NULL, &result, err);
	char place[PGSINK_PLACE_SIZE];

	/* Of a transaction that had failed the server makes a rollback without an error. */
	if (status == CDC_OK && strcmp(PQcmdStatus(result), "COMMIT") != 0)
		status = cdc_error(err, CDC_RETRY, "%s: %s: the transaction was rolled back",
						   pgsink_place(place, store->session.conn), what);
	PQclear(result);
	return status;
}

/* What is missing when the first commit comes: the tables, the source's row. */
static CdcStatus
make_ready(PgStore *store, CdcError *err)
{
	const char *params[] = {store->format.source, store->tables.records};
	char *sql = NULL;
	CdcStatus status = pgsink_query(&store->session, store_what, "BEGIN", 0, NULL, NULL, err);

	if (status == CDC_OK)
		status = pgsink_tables_make(&store->tables, &store->session, err);
	if (status == CDC_OK && !store->has_row &&
		asprintf(&sql,
				 "INSERT INTO %s (source, records, epoch, stored) "
				 "VALUES ($1, $2, 1, pg_catalog.now()) ON CONFLICT DO NOTHING",
				 store->tables.positions) < 0)
	{
		sql = NULL;
		status = cdc_error(err, CDC_RETRY, "out of memory");
	}
	if (status == CDC_OK && !store->has_row)
		status = one_row(store, sql, 2, params, err);
	free(sql);
	if (status == CDC_OK)
		status = end_transaction(store, "making the sink's tables", err);
	if (status != CDC_OK)
		return status;
	if (!store->has_row)
		strcpy(store->epoch, "1");
	store->has_row = store->ready = true;
	return CDC_OK;
}

static CdcStatus
store_position(PgStore *store, const Position *position, CdcError *err)
{
	struct json_object *json = position_to_json(&store->source, position);
	const char *params[] = {json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN),
							store->tables.records, store->format.source, store->epoch};
	CdcStatus status = one_row(store, store->update_sql, 4, params, err);

	json_object_put(json);
	return status;
}

CdcStatus
pgsink_store_copy(PgStore *store, const char *sql, const uint8_t *from, const uint8_t *to,
				  CdcError *err)
{
	/* signature, flags and the length of the header's extension; and what ends the rows */
	static const char header[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0";
	static const char trailer[] = "\377\377";
	PgSession *session = &store->session;
	CdcStatus status = pgsink_begin_copy(session, write_what, sql, err);

	if (status == CDC_OK)
		status = pgsink_put(session, header, sizeof(header), err);
	if (status == CDC_OK)
		status = pgsink_put(session, from, (size_t) (to - from), err);
	if (status == CDC_OK)
		status = pgsink_put(session, trailer, sizeof(trailer) - 1, err);
	return status == CDC_OK ? pgsink_end_copy(session, write_what, err) : status;
}

static CdcStatus
commit_batch(PgStore *store, const PgRows *rows, const PgSchemas *schemas, const Position *position,
			 CdcError *err)
{
	CdcStatus status = rows->used > 0
						   ? pgsink_store_copy(store, store->begin_copy_sql, rows->data,
											   rows->data + rows->used, err)
						   : pgsink_query(&store->session, write_what, "BEGIN", 0, NULL, NULL, err);

	if (status == CDC_OK)
		status = pgsink_schemas_write(store, schemas, err);
	if (status == CDC_OK)
		status = store_position(store, position, err);
	return status == CDC_OK ? end_transaction(store, write_what, err) : status;
}

CdcStatus
pgsink_store_commit(PgStore *store, const PgRows *rows, const PgSchemas *schemas,
					const Position *position, RecordId *refused, CdcError *err)
{
	CdcStatus status = store->ready ? CDC_OK : make_ready(store, err);

	if (status == CDC_OK && schemas->used > 0)
		status = pgsink_schemas_prepare(store, err);
	if (status == CDC_OK && rows->used == 0 && schemas->used == 0)
		status = store_position(store, position, err);
	else if (status == CDC_OK)
		status = commit_batch(store, rows, schemas, position, err);
	/* Only a batch's rows can be refused. */
	if (status == CDC_REFUSED)
		status = rows->used > 0 && store->ready ? pgsink_find_refused(store, rows, refused, err)
												: CDC_STOP;
	return status;
}

const PgRowFormat *
pgsink_store_format(const PgStore *store)
{
	return &store->format;
}

static bool
is_schemas(const PgTables *tables, const char *table)
{
	size_t length = strlen(tables->name);

	return strncmp(table, tables->name, length) == 0 &&
		   strcmp(table + length, PGSINK_SCHEMAS_SUFFIX) == 0;
}

bool
pgsink_store_is_own(const PgStore *store, const char *schema, const char *table)
{
	const PgTables *tables = &store->tables;

	if (!store->same_database)
		return false;
	if (strcmp(schema, tables->schema) == 0 &&
		(strcmp(table, tables->name) == 0 || strcmp(table, PGSINK_POSITIONS) == 0 ||
		 is_schemas(tables, table)))
		return true;
	for (int i = 0; i < PQntuples(store->partitions); i++)
		if (strcmp(PQgetvalue(store->partitions, i, 0), schema) == 0 &&
			strcmp(PQgetvalue(store->partitions, i, 1), table) == 0)
			return true;
	return false;
}

void
pgsink_store_close(PgStore *store)
{
	if (store == NULL)
		return;
	PQfinish(store->session.conn);
	PQclear(store->partitions);
	pgsink_tables_free(&store->tables);
	free(store->begin_copy_sql);
	free(store->update_sql);
	free(store->schemas_sql);
	free(store);
}
