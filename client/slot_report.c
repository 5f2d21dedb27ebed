/*
 * slot_report.c
 *		What there is to say of replication slots, as a table, as lines, and as JSON.
 */
#include "slot_report.h"

#include <stdlib.h>
#include <string.h>

#include "json_out.h"

typedef enum ColumnType
{
	COLUMN_TEXT,
	COLUMN_NUMBER,
	COLUMN_BOOL,
} ColumnType;

/* One column: its JSON name is the query's; heading is NULL where the table leaves it out. */
static const struct
{
	const char *name;
	const char *heading;
	ColumnType type;
	int since; /* server version that has it, 0: all; before, it is NULL */
	const char *expression;
	const char *line; /* what status calls it */
} columns[] = {
	{"slot_name", "SLOT", COLUMN_TEXT, 0, "s.slot_name", "slot"},
	{"plugin", "PLUGIN", COLUMN_TEXT, 0, "s.plugin", "plugin"},
	{"database", "DATABASE", COLUMN_TEXT, 0, "s.database", "database"},
	{"active_pid", "PID", COLUMN_NUMBER, 0, "s.active_pid", "walsender pid"},
	{"wal_status", "WAL STATUS", COLUMN_TEXT, 0, "s.wal_status", "wal status"},
	{"lag_bytes", "LAG BYTES", COLUMN_NUMBER, 0,
	 "pg_catalog.pg_wal_lsn_diff(e.lsn, s.confirmed_flush_lsn)", "lag bytes"},
	{"retained_bytes", NULL, COLUMN_NUMBER, 0, "pg_catalog.pg_wal_lsn_diff(e.lsn, s.restart_lsn)",
	 "retained WAL bytes"},
	{"safe_wal_bytes", NULL, COLUMN_NUMBER, 0, "s.safe_wal_size", "bytes until lost"},
	{"confirmed_flush_lsn", "CONFIRMED", COLUMN_TEXT, 0, "s.confirmed_flush_lsn", "confirmed"},
	{"restart_lsn", NULL, COLUMN_TEXT, 0, "s.restart_lsn", "restart lsn"},
	{"wal_end", NULL, COLUMN_TEXT, 0, "e.lsn", "server's WAL end"},
	{"two_phase", NULL, COLUMN_BOOL, 0, "s.two_phase", "two-phase"},
	{"failover", "FAILOVER", COLUMN_BOOL, 170000, "s.failover", "failover"},
	{"synced", "SYNCED", COLUMN_BOOL, 170000, "s.synced", "synced"},
	{"inactive_since", "INACTIVE SINCE", COLUMN_TEXT, 170000,
	 "pg_catalog.to_char(s.inactive_since AT TIME ZONE 'UTC', "
	 "'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')",
	 "inactive since"},
	{"invalidation_reason", "INVALIDATED", COLUMN_TEXT, 170000, "s.invalidation_reason",
	 "invalidated"},
	{"application_name", NULL, COLUMN_TEXT, 0, "w.application_name", "application"},
	{"client_addr", NULL, COLUMN_TEXT, 0, "pg_catalog.host(w.client_addr)", "client address"},
	{"walsender_state", NULL, COLUMN_TEXT, 0, "w.state", "walsender state"},
	{"sent_lsn", NULL, COLUMN_TEXT, 0, "w.sent_lsn", "sent"},
	{"write_lsn", NULL, COLUMN_TEXT, 0, "w.write_lsn", "received"},
	{"flush_lsn", NULL, COLUMN_TEXT, 0, "w.flush_lsn", "durable"},
	{"reply_seconds", NULL, COLUMN_NUMBER, 0,
	 "pg_catalog.round(EXTRACT(epoch FROM pg_catalog.clock_timestamp() - w.reply_time)::numeric, "
	 "3)",
	 "last report, seconds ago"},
};

#define NUM_COLUMNS ((int) (sizeof(columns) / sizeof(columns[0])))

CdcStatus
slot_report_read(PGconn *conn, const char *slot, bool only_ours, PGresult **result, CdcError *err)
{
	char sql[4096] = "SELECT ";
	size_t length = strlen(sql);
	const char *params[] = {slot};

	for (int i = 0; i < NUM_COLUMNS; i++)
		length += (size_t) snprintf(
			sql + length, sizeof(sql) - length, "%s%s AS %s", i == 0 ? "" : ", ",
			PQserverVersion(conn) >= columns[i].since ? columns[i].expression : "NULL",
			columns[i].name);
	snprintf(sql + length, sizeof(sql) - length,
			 " FROM pg_catalog.pg_replication_slots s"
			 " LEFT JOIN pg_catalog.pg_stat_replication w ON w.pid = s.active_pid,"
			 " (SELECT CASE WHEN pg_catalog.pg_is_in_recovery()"
			 "  THEN pg_catalog.pg_last_wal_replay_lsn()"
			 "  ELSE pg_catalog.pg_current_wal_lsn() END) e(lsn)"
			 " WHERE s.slot_type = 'logical' AND ($1::name IS NULL OR s.slot_name = $1::name)%s"
			 " ORDER BY s.slot_name",
			 only_ours ? " AND s.plugin = '" PGCONN_PLUGIN
						 "' AND s.database = pg_catalog.current_database()"
					   : "");
	return pgconn_query_params(conn, sql, 1, params, result, err);
}

/* Characters, not bytes: a column is as wide as it looks. */
static int
text_width(const char *text)
{
	int width = 0;

	for (; *text != '\0'; text++)
		width += ((unsigned char) *text & 0xc0) != 0x80;
	return width;
}

static const char *
shown_value(const PGresult *result, int row, int column)
{
	const char *value = PQgetvalue(result, row, column);

	if (PQgetisnull(result, row, column))
		return "-";
	if (columns[column].type == COLUMN_BOOL)
		return value[0] == 't' ? "yes" : "no";
	return value;
}

/* A column that no row has anything in (failover before 17) is left out. */
static int
column_width(const PGresult *result, int column)
{
	int width = 0;

	if (columns[column].heading == NULL)
		return 0;
	for (int row = 0; row < PQntuples(result); row++)
	{
		int this_width = text_width(shown_value(result, row, column));

		if (!PQgetisnull(result, row, column) || columns[column].since == 0)
			width = width > this_width ? width : this_width;
	}
	if (width == 0)
		return 0;
	return width > text_width(columns[column].heading) ? width
													   : text_width(columns[column].heading);
}

static void
put_cell(FILE *out, const char *text, int width, bool right, bool last)
{
	int pad = width - text_width(text);

	if (right)
		fprintf(out, "%*s%s", pad, "", text);
	else
		fprintf(out, "%s%*s", text, last ? 0 : pad, "");
	fputs(last ? "\n" : "  ", out);
}

void
slot_report_table(FILE *out, const PGresult *result)
{
	int widths[NUM_COLUMNS];
	int last = 0;

	if (PQntuples(result) == 0)
	{
		fputs("there are no logical replication slots\n", out);
		return;
	}
	for (int i = 0; i < NUM_COLUMNS; i++)
	{
		widths[i] = column_width(result, i);
		if (widths[i] > 0)
			last = i;
	}
	for (int row = -1; row < PQntuples(result); row++)
		for (int i = 0; i < NUM_COLUMNS; i++)
			if (widths[i] > 0)
				put_cell(out, row < 0 ? columns[i].heading : shown_value(result, row, i), widths[i],
						 columns[i].type == COLUMN_NUMBER, i == last);
}

void
slot_report_lines(FILE *out, const PGresult *result, int row)
{
	for (int i = 0; i < NUM_COLUMNS; i++)
		if (!PQgetisnull(result, row, i))
			fprintf(out, "%-26s%s\n", columns[i].line, shown_value(result, row, i));
}

struct json_object *
slot_report_json(const PGresult *result, int row)
{
	struct json_object *object = json_object_new_object();

	for (int i = 0; i < NUM_COLUMNS; i++)
	{
		const char *value = PQgetvalue(result, row, i);

		if (PQgetisnull(result, row, i))
			json_object_object_add(object, columns[i].name, NULL);
		else if (columns[i].type == COLUMN_BOOL)
			json_add_bool(object, columns[i].name, value[0] == 't');
		else if (columns[i].type == COLUMN_NUMBER && strchr(value, '.') != NULL)
			json_add_double(object, columns[i].name, strtod(value, NULL));
		else if (columns[i].type == COLUMN_NUMBER)
			json_add_int(object, columns[i].name, strtoll(value, NULL, 10));
		else
			json_add_text(object, columns[i].name, value);
	}
	return object;
}

const char *
slot_report_value(const PGresult *result, int row, const char *name)
{
	int column = PQfnumber(result, name);

	return column < 0 ? "" : PQgetvalue(result, row, column);
}
