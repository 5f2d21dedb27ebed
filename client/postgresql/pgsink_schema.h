/*
 * pgsink_schema.h
 *		Schema records on their way to the table beside the records' (NAME_schemas).
 *
 * A row there is named by source, schema, table and version; one that is there already is left as it is,
 * so that a schema record which comes again changes nothing.
 */
#ifndef CDC_PGSINK_SCHEMA_H
#define CDC_PGSINK_SCHEMA_H

#include <stddef.h>

#include "error.h"
#include "frame.h"

typedef struct PgStore PgStore;

/* Schema records gathered for a batch.	A zeroed one is empty; free with pgschemas_free(). */
typedef struct PgSchemas
{
	char *data; /* of each: schema, table, version, record, terminated */
	size_t used;
	size_t size;
} PgSchemas;

/* The bytes that a schema record takes. */
extern size_t pgschemas_size(const Frame *frame);

/* CDC_RETRY: out of memory, nothing appended. */
extern CdcStatus pgschemas_append(PgSchemas *schemas, const Frame *frame,
								  CdcError *err) CDC_MUST_CHECK;
extern void pgschemas_free(PgSchemas *schemas);

/*
 * Writes them in a transaction of the caller's.  Before the first of a session the table has to be
 * prepared (made, if it is missing), outside of any.  Never CDC_REFUSED: they are no records.
 */
extern CdcStatus pgsink_schemas_prepare(PgStore *store, CdcError *err) CDC_MUST_CHECK;
extern CdcStatus pgsink_schemas_write(PgStore *store, const PgSchemas *schemas,
									  CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_PGSINK_SCHEMA_H */
