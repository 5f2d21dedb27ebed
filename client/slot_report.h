/*
 * slot_report.h
 *		What there is to say of replication slots, as a table, as lines, and as JSON.
 */
#ifndef CDC_SLOT_REPORT_H
#define CDC_SLOT_REPORT_H

#include <stdio.h>

#include <json-c/json.h>

#include "pgconn.h"

/*
 * Reads the logical slots on an ordinary connection: the one named, or (NULL) all, or all of our
 * plugin's in the database connected to (only_ours).  One row each; *result is the caller's.
 */
extern CdcStatus slot_report_read(PGconn *conn, const char *slot, bool only_ours, PGresult **result,
								  CdcError *err) CDC_MUST_CHECK;

/* slot list: one line a slot under a heading. */
extern void slot_report_table(FILE *out, const PGresult *result);

/* status: a block of lines for one slot. */
extern void slot_report_lines(FILE *out, const PGresult *result, int row);

/* One slot as a JSON object, the caller's; numbers as numbers, LSNs as text, NULL as null. */
extern struct json_object *slot_report_json(const PGresult *result, int row);

/* The value of a column by its JSON name; "" for NULL. */
extern const char *slot_report_value(const PGresult *result, int row, const char *name);

#endif /* CDC_SLOT_REPORT_H */
