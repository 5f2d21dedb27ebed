/*
 * pgsink_store.h
 *		Records and the position in one database, each batch in one transaction.  Blocking; the flag
 *		that pgsink_store_open() is given ends every wait within a fraction of a second.
 *
 * One row of cdc_positions belongs to each source.	 The fence has two halves: a session-level advisory
 * lock, by which a new client finds the session of an older one and ends it, so that nothing of it is
 * left uncommitted; and the row's epoch, which each opening raises and each commit checks, so that a
 * session which outlived that (behind a pooler, say) cannot commit.
 */
#ifndef CDC_PGSINK_STORE_H
#define CDC_PGSINK_STORE_H

#include <stdbool.h>

#include "error.h"
#include "pgsink_row.h"
#include "pgsink_schema.h"
#include "position.h"

typedef struct PgStore PgStore;

/*
 * Connects, checks the tables, fences other clients of the same source and reads its position;
 * *found is false where there is none.	 Makes nothing: what is missing is made by the first commit.
 * The strings and the flag are borrowed and outlive the store.	 It is the caller's to
 * pgsink_store_close(), on failure too (then it may be NULL).
 */
extern CdcStatus pgsink_store_open(PgStore **store, const char *uri, const char *table,
								   const Source *source, const volatile int *interrupted,
								   Source *stored_source, Position *position, bool *found,
								   CdcError *err) CDC_MUST_CHECK;

/* Reads the position and checks the tables, without fencing or changing anything. */
extern CdcStatus pgsink_store_look(const char *uri, const char *table, const Source *source,
								   const volatile int *interrupted, Source *stored_source,
								   Position *position, bool *found, CdcError *err) CDC_MUST_CHECK;

/* How rows have to look. */
extern const PgRowFormat *pgsink_store_format(const PgStore *store);

/* Whether a relation of the source is one of the sink's own tables: then the stream feeds itself. */
extern bool pgsink_store_is_own(const PgStore *store, const char *schema, const char *table);

/*
 * Stores the rows and schema records (there may be none) and the position, and returns when that is
 * durable.
 * CDC_REFUSED: *refused is the record that the server does not take; nothing was stored.  After any
 * failure the store is to be closed.
 */
extern CdcStatus pgsink_store_commit(PgStore *store, const PgRows *rows, const PgSchemas *schemas,
									 const Position *position, RecordId *refused,
									 CdcError *err) CDC_MUST_CHECK;

/* Takes NULL. */
extern void pgsink_store_close(PgStore *store);

#endif /* CDC_PGSINK_STORE_H */
