/*
 * snapshot_plan.h
 *		What the server is asked for a snapshot: the tables there are, and their chunks.
 */
#ifndef CDC_SNAPSHOT_PLAN_H
#define CDC_SNAPSHOT_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "error.h"
#include "options.h"

typedef struct SnapshotTable
{
	uint32_t relation; /* OID */
	char *name;        /* schema.table */
	char *key;         /* JSON array of the key's columns; "": it has none */
	int columns;       /* of the key */
	double rows;       /* estimated; < 0: unknown */
	double bytes;
} SnapshotTable;

/* The tables in the order of their OIDs. */
typedef struct SnapshotPlan
{
	char *options; /* the plugin's, as a JSON array of names and values */
	int num_tables;
	SnapshotTable *tables;
	double estimated_rows; /* of all whose number is known */
} SnapshotPlan;

/*
 * Can rows be read here?  It takes the extension, and a primary.  Where it is required, CDC_STOP says what
 * is missing; else *possible does, and a line in the log.
 */
extern CdcStatus snapshot_plan_check(PGconn *conn, bool required, bool *possible,
									 CdcError *err) CDC_MUST_CHECK;

/* What the role or the database says about timeouts holds where rows are read: pgconn_open() turned it off. */
extern CdcStatus snapshot_plan_prepare(PGconn *conn, CdcError *err) CDC_MUST_CHECK;

/* On failure too the plan is the caller's to snapshot_plan_free(). */
extern CdcStatus snapshot_plan_read(SnapshotPlan *plan, PGconn *conn, const CdcOptions *options,
									CdcError *err) CDC_MUST_CHECK;

/*
 * The same in two steps, with no wait in between, for one relation and its partitions (0: for all that is
 * selected): the question is sent; then the answer, a row for each table, is taken, which stays the caller's.
 */
extern CdcStatus snapshot_plan_send(SnapshotPlan *plan, PGconn *conn, const CdcOptions *options,
									uint32_t relation, CdcError *err) CDC_MUST_CHECK;
extern void snapshot_plan_take(SnapshotPlan *plan, const PGresult *result);

/*
 * For who did not ask for existing rows: false where a table is larger than max_bytes and has no key by which
 * it could be read in parts, with a line in the log.	 It would stop the stream, maybe hours later.
 */
extern bool snapshot_plan_fits(const SnapshotPlan *plan, double max_bytes);
extern void snapshot_plan_free(SnapshotPlan *plan);

/* The table of that OID, or the one that follows (past: always that); num_tables: there is none. */
extern int snapshot_plan_find(const SnapshotPlan *plan, uint32_t relation, bool past);

/* A JSON array as text[]; "n": the parameter. */
#define SNAPSHOT_ARRAY_OF(n)                                                                       \
	"CASE WHEN $" n "::pg_catalog.json IS NOT NULL THEN "                                          \
	"ARRAY(SELECT pg_catalog.json_array_elements_text($" n "::pg_catalog.json)) END"

/* A chunk, as cdc.read_chunk() has its arguments. */
typedef struct SnapshotAsk
{
	const SnapshotTable *table;
	const char *key;    /* JSON array, that the bounds are of; "": it has none */
	const char *after;  /* JSON array; "": from the first row on */
	const char *upto;   /* the same; "": to the last row */
	const char *filter; /* NULL: all rows */
	int max_rows;
	int max_bytes;
	const char *watermark; /* NULL: a standby is asked, which is to have replayed this: */
	const char *behind;    /* LSN */
} SnapshotAsk;

/* What the chunk's watermarks are to say. */
#define SNAPSHOT_WATERMARK_SIZE 80
extern void snapshot_plan_watermark(char *watermark, const char *token, int worker,
									uint64_t number);

/* Has one of a chunk's watermarks written; the answer says where it begins and ends. */
extern CdcStatus snapshot_plan_mark(PGconn *conn, uint32_t relation, const char *watermark,
									bool high, CdcError *err) CDC_MUST_CHECK;
extern uint64_t snapshot_plan_mark_begins(const PGresult *result);
extern const char *snapshot_plan_mark_ends(const PGresult *result);

/* Has a standby replayed all that is before the LSN? */
extern CdcStatus snapshot_plan_ask_replayed(PGconn *conn, const char *behind,
											CdcError *err) CDC_MUST_CHECK;

/* CDC_RETRY: it is no standby any more, and will not. */
extern CdcStatus snapshot_plan_replayed(const PGresult *result, bool *replayed,
										CdcError *err) CDC_MUST_CHECK;

/* Sends the question; the answer is SNAPSHOT_CHUNK_COLUMNS in binary form. */
extern CdcStatus snapshot_plan_ask(const SnapshotPlan *plan, PGconn *conn, const SnapshotAsk *ask,
								   CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_SNAPSHOT_PLAN_H */
