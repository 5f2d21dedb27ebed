/*
 * pgsink_schema.c
 *		Schema records on their way to the table beside the records'.
 */
#include "pgsink_schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../plugin/cdc_protocol.h"
#include "pgsink_open.h"

static const char *const schemas_what = "writing schema records";

/* A definition that differs (another format, say) takes the place of the one before. */
#define SCHEMAS_SQL                                                                                \
	"INSERT INTO %s AS s (source, schema, \"table\", version, record) VALUES ($1, $2, $3, $4, "    \
	"$5) "                                                                                         \
	"ON CONFLICT (source, schema, \"table\", version) DO UPDATE SET record = EXCLUDED.record "     \
	"WHERE s.record::text IS DISTINCT FROM EXCLUDED.record::text"

size_t
pgschemas_size(const Frame *frame)
{
	return strlen(frame->relation->schema) + strlen(frame->relation->table) +
		   CDC_SCHEMA_VERSION_DIGITS + frame->payload_length + 4;
}

static char *
put_text(char *to, const char *text, size_t length)
{
	memcpy(to, text, length);
	to[length] = '\0';
	return to + length + 1;
}

CdcStatus
pgschemas_append(PgSchemas *schemas, const Frame *frame, CdcError *err)
{
	size_t wanted = schemas->used + pgschemas_size(frame);
	char *to;

	if (wanted > schemas->size)
	{
		char *data = realloc(schemas->data, wanted);

		if (data == NULL)
			return cdc_error(err, CDC_RETRY, "out of memory for a schema record");
		schemas->data = data;
		schemas->size = wanted;
	}
	to = schemas->data + schemas->used;
	to = put_text(to, frame->relation->schema, strlen(frame->relation->schema));
	to = put_text(to, frame->relation->table, strlen(frame->relation->table));
	to = put_text(to, frame_schema_version(frame), CDC_SCHEMA_VERSION_DIGITS);
	put_text(to, frame->payload, frame->payload_length);
	schemas->used = wanted;
	return CDC_OK;
}

void
pgschemas_free(PgSchemas *schemas)
{
	free(schemas->data);
	memset(schemas, 0, sizeof(*schemas));
}

CdcStatus
pgsink_schemas_prepare(PgStore *store, CdcError *err)
{
	CdcStatus status;

	if (store->schemas_sql != NULL)
		return CDC_OK;
	status = pgsink_tables_find_schemas(&store->tables, &store->session, err);
	if (status == CDC_OK && !store->tables.schemas_exist)
		status = pgsink_tables_make_schemas(&store->tables, &store->session, err);
	if (status == CDC_OK && asprintf(&store->schemas_sql, SCHEMAS_SQL, store->tables.schemas) < 0)
	{
		store->schemas_sql = NULL;
		status = cdc_error(err, CDC_RETRY, "out of memory");
	}
	return status;
}

CdcStatus
pgsink_schemas_write(PgStore *store, const PgSchemas *schemas, CdcError *err)
{
	const char *end = schemas->data + schemas->used;
	CdcStatus status = CDC_OK;

	for (const char *at = schemas->data; status == CDC_OK && at < end;)
	{
		const char *params[5] = {store->format.source};

		for (int i = 1; i < 5; i++)
		{
			params[i] = at;
			at += strlen(at) + 1;
		}
		status =
			pgsink_query(&store->session, schemas_what, store->schemas_sql, 5, params, NULL, err);
	}
	if (status != CDC_REFUSED)
		return status;
	cdc_error_hint(err,
				   "A constraint or trigger of table %s does not take a schema record, which "
				   "--on-error cannot divert: it is no record.  Mend the table; or stream "
				   "without schema records: --option=schemas=off.",
				   store->tables.schemas);
	return CDC_STOP;
}
