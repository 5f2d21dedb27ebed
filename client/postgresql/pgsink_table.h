/*
 * pgsink_table.h
 *		The sink's tables: where they are, whether they are as they must be, and making them.
 *
 * The records' table may be the user's own: more columns, indexes, constraints, triggers, partitions.
 * What the sink writes must find its columns, of the right types, in storage that survives a crash
 * together with the position.  All tables are in one schema.
 */
#ifndef CDC_PGSINK_TABLE_H
#define CDC_PGSINK_TABLE_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "error.h"
#include "pgsink_query.h"

#define PGSINK_POSITIONS "cdc_positions"
#define PGSINK_DEFAULT_TABLE "cdc_records"

typedef struct PgTables
{
	char *schema; /* of both tables, and the name of the records', as they are */
	char *name;
	char *records; /* schema.table, and schema.cdc_positions, as SQL writes them */
	char *positions;
	bool records_exist;
	bool positions_exist;
	bool key_is_jsonb; /* of an existing table; true where it is to be made */
	bool record_is_jsonb;
	char *schemas; /* schema.NAME_schemas; NULL: not looked for */
	bool schemas_exist;
} PgTables;

/*
 * Finds the table that name means (as SQL reads it: NAME or SCHEMA.NAME; without a schema, what the
 * role's search_path finds) and checks what exists.  CDC_USAGE says what is wrong and how to mend it.
 * tables is the caller's to pgsink_tables_free(), on failure too; it must be zeroed.
 */
extern CdcStatus pgsink_tables_find(PgTables *tables, PgSession *session, const char *name,
									CdcError *err) CDC_MUST_CHECK;

/* Makes those that do not exist; in a transaction of the caller's. */
extern CdcStatus pgsink_tables_make(PgTables *tables, PgSession *session,
									CdcError *err) CDC_MUST_CHECK;

/*
 * The table of schema records: finds it, and checks it if it exists; makes it, in a transaction of its
 * own.  Only a stream that has schema records needs it.
 */
#define PGSINK_SCHEMAS_SUFFIX "_schemas"
extern CdcStatus pgsink_tables_find_schemas(PgTables *tables, PgSession *session,
											CdcError *err) CDC_MUST_CHECK;
extern CdcStatus pgsink_tables_make_schemas(PgTables *tables, PgSession *session,
											CdcError *err) CDC_MUST_CHECK;

extern void pgsink_tables_free(PgTables *tables);

/* Schema and name of each partition of the records' table. */
extern CdcStatus pgsink_tables_partitions(const PgTables *tables, PgSession *session,
										  PGresult **names, CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_PGSINK_TABLE_H */
