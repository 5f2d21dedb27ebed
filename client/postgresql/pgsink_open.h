/*
 * pgsink_open.h
 *		What a store is made of: shared by the files that open it (pgsink_open.c), write to it
 *		(pgsink_store.c) and search it (pgsink_refused.c), and by nobody else.
 */
#ifndef CDC_PGSINK_OPEN_H
#define CDC_PGSINK_OPEN_H

#include "pgsink_query.h"
#include "pgsink_store.h"
#include "pgsink_table.h"

struct PgStore
{
	PgSession session;
	Source source;
	PgTables tables;
	PgRowFormat format;
	bool ready;           /* both tables are there, and the source's row */
	bool has_row;         /* of cdc_positions */
	char epoch[24];       /* of that row, as this client has set it; as SQL writes it */
	char *begin_copy_sql; /* BEGIN and COPY */
	char *update_sql;     /* of the row: position, table, source, epoch */
	char *schemas_sql;    /* of a schema record; NULL: its table is not prepared */
	bool same_database;   /* the sink's is the source's */
	PGresult *partitions; /* of the records' table then, when it was opened; else NULL */
};

#define PGSINK_COPY_SQL(table) "COPY " table " (" PGSINK_COLUMNS ") FROM STDIN (FORMAT binary)"

/* Sends the rows from one start to another by a command that begins a COPY. */
extern CdcStatus pgsink_store_copy(PgStore *store, const char *sql, const uint8_t *from,
								   const uint8_t *to, CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_PGSINK_OPEN_H */
