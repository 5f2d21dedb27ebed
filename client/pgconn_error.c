/*
 * pgconn_error.c
 *		What a failure of the server means: whether trying again may help, and the hint that mends
 *		it.
 *
 * A server speaks its administrator's language, so failures are told by SQLSTATE and by the names
 * of parameters in the text, which are never translated.
 */
#include "pgconn.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pgwait.h"

/* What a code says of trying again; the first prefix that matches counts. */
static const struct
{
	const char *prefix;
	CdcStatus status;
} verdicts[] = {
	{"08", CDC_RETRY},                      /* connection */
	{"40", CDC_RETRY},                      /* serialization, deadlock */
	{"53400", CDC_USAGE},                   /* all replication slots in use */
	{"53", CDC_RETRY},                      /* disk full, out of memory, too many connections */
	{"55006", CDC_RETRY},                   /* slot is active */
	{"55P03", CDC_RETRY},                   /* lock not available */
	{"55", CDC_STOP},                       /* slot lost */
	{"57P04", CDC_USAGE},                   /* database dropped */
	{"57", CDC_RETRY},                      /* shutdown, crash, starting up, cancelled */
	{"58030", CDC_RETRY},                   /* input or output */
	{"58", CDC_STOP},                       /* WAL segment has been removed */
	{"22023", CDC_USAGE},                   /* a plugin option's value */
	{"22", CDC_STOP},     {"54", CDC_STOP}, /* a limit of PostgreSQL */
	{"XX001", CDC_STOP},  {"XX002", CDC_STOP}, {"XX", CDC_RETRY},
	{"0A", CDC_USAGE},    {"28", CDC_USAGE}, /* authentication */
	{"3D", CDC_USAGE},                       /* no such database */
	{"42", CDC_USAGE},                       /* privileges, no such slot, no such option */
	{"", CDC_RETRY},
};

static CdcStatus
verdict(const char *sqlstate)
{
	size_t i = 0;

	while (strncmp(verdicts[i].prefix, sqlstate, strlen(verdicts[i].prefix)) != 0)
		i++;
	return verdicts[i].status;
}

static bool
mentions(const CdcError *err, const char *word)
{
	return strstr(err->message, word) != NULL || strstr(err->detail, word) != NULL ||
		   strstr(err->hint, word) != NULL;
}

/*
 * Adds one name as ALTER SYSTEM wants it: a bare word, or in double quotes, which what was quoted
 * already keeps.
 */
static void
add_library(char *list, size_t size, const char *name, size_t length)
{
	size_t used = strlen(list);
	bool bare = !isdigit((unsigned char) *name);

	for (size_t i = 0; i < length && bare; i++)
		bare =
			islower((unsigned char) name[i]) || isdigit((unsigned char) name[i]) || name[i] == '_';
	snprintf(list + used, size - used, bare || *name == '"' ? "%s%.*s" : "%s\"%.*s\"",
			 used == 0 ? "" : ", ", (int) length, name);
}

/* Reads the list's names one by one; true where ours is among them. */
static bool
copy_libraries(const char *value, char *list, size_t size)
{
	bool listed = false;

	list[0] = '\0';
	while (*value != '\0')
	{
		const char *start = value + strspn(value, " \t,");
		const char *end = start;
		bool quoted = false;

		for (; *end != '\0' && (quoted || *end != ','); end++)
			if (*end == '"')
				quoted = !quoted;
		value = end;
		while (end > start && (end[-1] == ' ' || end[-1] == '\t'))
			end--;
		/* SET ... = '' stores "", which SQL would not take back */
		if (end == start || (end - start == 2 && strncmp(start, "\"\"", 2) == 0))
			continue;
		add_library(list, size, start, (size_t) (end - start));
		if (*start == '"' && end - start >= 2)
		{
			start++;
			end--;
		}
		if ((size_t) (end - start) == strlen(PGCONN_PLUGIN) &&
			strncmp(start, PGCONN_PLUGIN, (size_t) (end - start)) == 0)
			listed = true;
	}
	return listed;
}

/*
 * The parameter is hidden from roles without pg_read_all_settings as if it did not exist; SHOW tells
 * the two apart.
 */
static CdcStatus
find_hidden_libraries(PGconn *conn, PluginLibraries *libraries, CdcError *err)
{
	PGresult *result;
	const char *sqlstate;
	CdcStatus status = pgwait_result(conn, PQsendQuery(conn, "SHOW output_plugin_libraries"), NULL,
									 PGWAIT_TIMEOUT, &result, err);

	if (status != CDC_OK)
		return status;
	sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	if (sqlstate != NULL && strcmp(sqlstate, "42501") == 0)
	{
		libraries->known = true;
		snprintf(libraries->command, sizeof(libraries->command),
				 "SELECT format('ALTER SYSTEM SET output_plugin_libraries = %%s', concat_ws(', ', "
				 "nullif(nullif(current_setting('output_plugin_libraries'), ''), '\"\"'), "
				 "'" PGCONN_PLUGIN "')) \\gexec");
	}
	else if (sqlstate == NULL || strcmp(sqlstate, "42704") != 0)
		status = pgconn_error(conn, result, "SHOW output_plugin_libraries", err);
	PQclear(result);
	return status;
}

CdcStatus
pgconn_plugin_libraries(PGconn *conn, PluginLibraries *libraries, CdcError *err)
{
	PGresult *result;
	CdcStatus status = pgconn_query(conn,
									"SELECT setting FROM pg_catalog.pg_settings "
									"WHERE name = 'output_plugin_libraries'",
									&result, err);
	char list[1024];

	memset(libraries, 0, sizeof(*libraries));
	if (status != CDC_OK)
		return status;
	libraries->listed = true;
	if (PQntuples(result) == 1)
	{
		libraries->known = true;
		libraries->readable = true;
		snprintf(libraries->value, sizeof(libraries->value), "%s", PQgetvalue(result, 0, 0));
		libraries->listed = copy_libraries(libraries->value, list, sizeof(list));
		if (!libraries->listed)
			snprintf(libraries->command, sizeof(libraries->command),
					 "ALTER SYSTEM SET output_plugin_libraries = %s%s" PGCONN_PLUGIN, list,
					 list[0] != '\0' ? ", " : "");
	}
	else
		status = find_hidden_libraries(conn, libraries, err);
	PQclear(result);
	return status;
}

static void
hint_plugin_libraries(PGconn *conn, CdcError *err)
{
	PluginLibraries libraries;
	CdcError ignored;

	if (conn == NULL || PQtransactionStatus(conn) != PQTRANS_IDLE ||
		pgconn_plugin_libraries(conn, &libraries, &ignored) != CDC_OK ||
		libraries.command[0] == '\0')
		cdc_error_hint(err, "As a superuser add " PGCONN_PLUGIN
							" to the list in output_plugin_libraries (SHOW "
							"output_plugin_libraries), then SELECT pg_reload_conf().");
	else if (libraries.readable)
		cdc_error_hint(err,
					   "As a superuser: %s; SELECT pg_reload_conf();  (or: cdc_client doctor "
					   "--fix)  Standbys need it too.",
					   libraries.command);
	else
		cdc_error_hint(err,
					   "As a superuser, in psql: %s and, on a line of its own, SELECT "
					   "pg_reload_conf();  (or: cdc_client doctor --fix)  Standbys need it too.",
					   libraries.command);
}

static void
hint_replication_privilege(PGconn *conn, CdcError *err)
{
	const char *user = conn != NULL ? PQuser(conn) : NULL;
	char *quoted = pgconn_quote_identifier(user != NULL ? user : "");

	cdc_error_hint(err, "As a superuser: ALTER ROLE %s REPLICATION;", quoted);
	free(quoted);
}

/* 55000: object not in prerequisite state. */
static CdcStatus
hint_prerequisite(CdcError *err, CdcStatus status)
{
	if (mentions(err, "wal_level"))
	{
		cdc_error_hint(err,
					   "As a superuser: ALTER SYSTEM SET wal_level = logical; then restart the "
					   "server (and on a standby: the primary's wal_level counts).");
		return CDC_USAGE;
	}
	if (mentions(err, "max_replication_slots") || mentions(err, "max_wal_senders"))
	{
		cdc_error_hint(err, "As a superuser: ALTER SYSTEM SET max_replication_slots = 10; ALTER "
							"SYSTEM SET max_wal_senders = 10; then restart the server.");
		return CDC_USAGE;
	}
	if (err->hint[0] == '\0')
		cdc_error_hint(err, "cdc_client slot list shows the slot's state.  One that is lost has "
							"missed changes for good: drop it, create it anew, and load the data "
							"again; max_slot_wal_keep_size and idle_replication_slot_timeout bound "
							"how long a slot is kept.");
	return status;
}

/* 58P01: undefined file; the library's name is in the text, or a WAL segment's. */
static CdcStatus
hint_missing_file(CdcError *err, CdcStatus status)
{
	if (!mentions(err, PGCONN_PLUGIN))
		return status;
	cdc_error_hint(err, "Install the plugin on the server's host (make install "
						"PG_CONFIG=/path/to/pg_config), so that " PGCONN_PLUGIN
						".so lies in the folder that pg_config --pkglibdir prints, and is built "
						"for the server's major version.");
	return CDC_USAGE;
}

/* What the user can do about it, and where it shows more than the code does, the status. */
static CdcStatus
add_known_hint(PGconn *conn, CdcError *err, CdcStatus status)
{
	const char *code = err->sqlstate;

	/* in the hint only: the commands by which the list is read have its name too */
	if (strstr(err->hint, "output_plugin_libraries") != NULL)
		hint_plugin_libraries(conn, err);
	else if (strcmp(code, "42501") == 0 && (mentions(err, "replication") || mentions(err, "REPLI")))
		hint_replication_privilege(conn, err);
	else if (strcmp(code, "53400") == 0)
		cdc_error_hint(err, "Drop a slot that nobody needs (cdc_client slot list), or as a "
							"superuser: ALTER SYSTEM SET max_replication_slots = 20; then restart "
							"the server.");
	else if (strcmp(code, "55000") == 0)
		return hint_prerequisite(err, status);
	else if (mentions(err, PGCONN_PLUGIN) && (mentions(err, ".so") || strcmp(code, "58P01") == 0))
		return hint_missing_file(err, status);
	else if (strcmp(code, "42704") == 0 && err->hint[0] == '\0')
		cdc_error_hint(err, "cdc_client slot list shows the slots there are; cdc_client slot "
							"create, or stream --create-slot, makes one.");
	else if (strcmp(code, "42710") == 0 && err->hint[0] == '\0')
		cdc_error_hint(err, "Choose another name, or use --if-not-exists.");
	else if (strcmp(code, "XX000") == 0 && mentions(err, "could not find pg_class entry for"))
	{
		/* reorderbuffer.c opens a user catalog table by its present entry in pg_class */
		cdc_error_hint(err,
					   "A user catalog table was dropped (DROP EXTENSION cdc_decoder does that) "
					   "whose changes the slot has not passed: PostgreSQL cannot decode them any "
					   "more.  To go on without what lies in between: SELECT "
					   "pg_replication_slot_advance('SLOT', pg_current_wal_lsn());");
		return CDC_STOP;
	}
	else if (strcmp(code, "55006") == 0 && err->hint[0] == '\0')
		cdc_error_hint(err, PGCONN_SLOT_HELD_HINT);
	return status;
}

static void
copy_field(char *target, size_t size, const char *text)
{
	size_t length;

	snprintf(target, size, "%s", text != NULL ? text : "");
	length = strlen(target);
	while (length > 0 && isspace((unsigned char) target[length - 1]))
		target[--length] = '\0';
	for (char *c = target; *c != '\0'; c++)
		if ((unsigned char) *c < ' ')
			*c = ' ';
}

/*
 * Where the plugin was when it failed: which pipeline's member of which change.  It is the first line of
 * the context; those behind it are PostgreSQL's, about functions and callbacks.
 */
static void
add_plugin_context(const PGresult *result, CdcError *err)
{
	static const char *const beginnings[] = {"pipeline \"", "row filter of the publications"};
	const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);
	char *detail;

	for (size_t i = 0; context != NULL && i < sizeof(beginnings) / sizeof(beginnings[0]); i++)
	{
		if (strncmp(context, beginnings[i], strlen(beginnings[i])) != 0)
			continue;
		detail = strdup(err->detail);
		if (detail == NULL)
			abort();
		cdc_error_detail(err, "%.*s.%s%s", (int) strcspn(context, "\n"), context,
						 detail[0] != '\0' ? "  " : "", detail);
		free(detail);
	}
}

CdcStatus
pgconn_error(PGconn *conn, const PGresult *result, const char *what, CdcError *err)
{
	const char *sqlstate = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;

	if (sqlstate == NULL)
	{
		/* No answer of the server's, then: the connection broke, or ran out of memory. */
		const char *text = result ? PQresultErrorMessage(result) : "";

		if (*text == '\0' && conn != NULL)
			text = PQerrorMessage(conn);
		return cdc_error(err, CDC_RETRY, "%s: %s", what,
						 *text != '\0' ? text : "the connection was lost");
	}
	cdc_error(err, CDC_RETRY, "%s: %s", what, PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
	snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", sqlstate);
	copy_field(err->detail, sizeof(err->detail),
			   PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL));
	add_plugin_context(result, err);
	copy_field(err->hint, sizeof(err->hint), PQresultErrorField(result, PG_DIAG_MESSAGE_HINT));
	return add_known_hint(conn, err, verdict(sqlstate));
}

/*
 * Takes the SQLSTATE out of a verbose message ("FATAL:  28P01: password ...") and cuts the place in
 * the server's source that follows.  The last one counts where several hosts were tried.
 */
static void
take_sqlstate(char *text, char *sqlstate)
{
	char *location;

	for (char *at = strstr(text, ":  "); at != NULL; at = strstr(at + 1, ":  "))
	{
		char *code = at + 3;

		if (strspn(code, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 5 ||
			strncmp(code + 5, ": ", 2) != 0)
			continue;
		memcpy(sqlstate, code, 5);
		sqlstate[5] = '\0';
		memmove(code, code + 7, strlen(code + 7) + 1);
	}
	while ((location = strstr(text, "\nLOCATION:")) != NULL)
	{
		char *end = strchr(location + 1, '\n');

		if (end == NULL)
			*location = '\0';
		else
			memmove(location, end, strlen(end) + 1);
	}
}

static void
hint_connect(PGconn *conn, PgConnKind kind, CdcError *err)
{
	const char *code = err->sqlstate;

	if (PQconnectionNeedsPassword(conn))
		cdc_error_hint(err, "Put the password into ~/.pgpass (a line host:port:database:user:"
							"password, file mode 0600) or into PGPASSWORD; cdc_client never asks "
							"for it.");
	else if (strcmp(code, "28P01") == 0)
		cdc_error_hint(err, "Correct the password in ~/.pgpass or PGPASSWORD.");
	else if (strcmp(code, "28000") == 0 && mentions(err, "pg_hba.conf") && mentions(err, "[local]"))
		cdc_error_hint(err,
					   "Add a line to the server's pg_hba.conf, for example \"local %s %s "
					   "scram-sha-256\", then SELECT pg_reload_conf().",
					   PQdb(conn), PQuser(conn));
	else if (strcmp(code, "28000") == 0 && mentions(err, "pg_hba.conf"))
		cdc_error_hint(err,
					   "Add a line to the server's pg_hba.conf, for example \"hostssl %s %s "
					   "ADDRESS scram-sha-256\", then SELECT pg_reload_conf().",
					   PQdb(conn), PQuser(conn));
	else if (strcmp(code, "42501") == 0 && kind == PGCONN_REPLICATION &&
			 (mentions(err, "walsender") || mentions(err, "WAL") || mentions(err, "REPLI")))
		hint_replication_privilege(conn, err);
	else if (strcmp(code, "42501") == 0)
		cdc_error_hint(err, "As the database's owner: GRANT CONNECT ON DATABASE \"%s\" TO \"%s\";",
					   PQdb(conn), PQuser(conn));
	else if (mentions(err, "max_wal_senders"))
		cdc_error_hint(err, "As a superuser: ALTER SYSTEM SET max_wal_senders = 20; then restart "
							"the server.  SELECT pid, application_name FROM pg_stat_replication "
							"shows who uses them.");
	else if (strcmp(code, "3D000") == 0)
		cdc_error_hint(err, "Name an existing database in --dbname, or in PGDATABASE.");
}

/*
 * Failures of a connection that was tried begin with "connection to server", those of finding the
 * host with "could not"; everything else is said of the parameters, before anything was tried.
 */
static bool
is_configuration(PGconn *conn, const char *text)
{
	return PQconnectionNeedsPassword(conn) || strstr(text, "certificate verify failed") != NULL ||
		   strstr(text, "does not support SSL") != NULL ||
		   (strncmp(text, "connection to server", 20) != 0 && strncmp(text, "could not", 9) != 0);
}

CdcStatus
pgconn_connect_error(PGconn *conn, PgConnKind kind, CdcError *err)
{
	char *text = strdup(PQerrorMessage(conn));
	char sqlstate[6] = "";
	CdcStatus status;

	if (text == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory while connecting");
	take_sqlstate(text, sqlstate);
	cdc_error(err, CDC_RETRY, "%s", text);
	snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", sqlstate);
	if (sqlstate[0] != '\0')
		status = verdict(sqlstate);
	else
		status = is_configuration(conn, text) ? CDC_USAGE : CDC_RETRY;
	hint_connect(conn, kind, err);
	free(text);
	return status;
}
