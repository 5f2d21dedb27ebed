/*
 * pgsink_table.c
 *		The sink's tables.
 */
#include "pgsink_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pgsink_error.h"

/* A column that the sink writes. */
typedef struct Column
{
	const char *name;
	const char *types; /* as format_type() calls them, each between bars */
	bool can_be_null;  /* the sink writes NULL where there is nothing to write */
} Column;

static const Column records_columns[] = {
	{"source", "|text|character varying|", false},
	{"incarnation", "|integer|", false},
	{"commit_lsn", "|pg_lsn|", false},
	{"seq", "|bigint|", false},
	{"part", "|integer|", false},
	{"ts", "|timestamp with time zone|", true},
	{"op", "|text|character varying|", false},
	{"schema", "|text|character varying|", true},
	{"table", "|text|character varying|", true},
	{"key", "|jsonb|json|text|", true},
	{"record", "|jsonb|json|text|", false},
	{NULL, NULL, false},
};

static const Column positions_columns[] = {
	{"source", "|text|", false},
	{"records", "|text|", false},
	{"epoch", "|bigint|", false},
	{"position", "|jsonb|", true},
	{"stored", "|timestamp with time zone|", false},
	{NULL, NULL, false},
};

static const Column schemas_columns[] = {
	{"source", "|text|character varying|", false}, {"schema", "|text|character varying|", false},
	{"table", "|text|character varying|", false},  {"version", "|text|character varying|", false},
	{"record", "|jsonb|json|text|", false},        {NULL, NULL, false},
};

/* COLLATE "C": the key is compared for each row, and its order means nothing to anyone. */
#define RECORDS_DDL                                                                                \
	"CREATE TABLE %s (source text COLLATE \"C\", incarnation integer, commit_lsn pg_lsn, "         \
	"seq bigint, part integer, ts timestamptz, op text NOT NULL, schema text, \"table\" text, "    \
	"key jsonb, record jsonb NOT NULL, "                                                           \
	"PRIMARY KEY (source, incarnation, commit_lsn, seq, part))"

#define POSITIONS_DDL                                                                              \
	"CREATE TABLE %s (source text COLLATE \"C\" PRIMARY KEY, records text NOT NULL, "              \
	"epoch bigint NOT NULL, position jsonb, stored timestamptz NOT NULL)"

#define SCHEMAS_DDL                                                                                \
	"CREATE TABLE %s (source text COLLATE \"C\", schema text COLLATE \"C\", "                      \
	"\"table\" text COLLATE \"C\", version text COLLATE \"C\", record jsonb NOT NULL, "            \
	"since timestamptz NOT NULL DEFAULT pg_catalog.now(), "                                        \
	"PRIMARY KEY (source, schema, \"table\", version))"

/* $1: the name.  In the session's own search_path. */
static const char find_sql[] =
	"WITH given AS (SELECT pg_catalog.parse_ident($1) AS p),"
	" named AS (SELECT p, CASE WHEN pg_catalog.cardinality(p) > 1 THEN p[1] ELSE"
	"   coalesce((SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n"
	"    ON n.oid = c.relnamespace WHERE c.oid = "
	"pg_catalog.to_regclass(pg_catalog.quote_ident(p[1]))),"
	"    pg_catalog.current_schema()) END AS schema, p[pg_catalog.cardinality(p)] AS name"
	"  FROM given),"
	" full_names AS (SELECT *, pg_catalog.quote_ident(schema) || '.' ||"
	"   pg_catalog.quote_ident(name) AS records,"
	"   pg_catalog.quote_ident(schema) || '." PGSINK_POSITIONS "' AS positions FROM named)"
	" SELECT pg_catalog.cardinality(p), schema, records, positions,"
	"  pg_catalog.to_regclass(records) IS NOT NULL, pg_catalog.to_regclass(positions) IS NOT NULL,"
	"  n.oid IS NOT NULL, coalesce(pg_catalog.has_schema_privilege(n.oid, 'CREATE'), false), name"
	" FROM full_names LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = schema";

/* $1, $2: schema and name of the records' table.  A name of more than 63 bytes would be cut. */
static const char find_schemas_sql[] =
	"WITH given AS (SELECT pg_catalog.quote_ident($1) || '.' ||"
	"  pg_catalog.quote_ident($2 || '" PGSINK_SCHEMAS_SUFFIX "') AS schemas)"
	" SELECT schemas, pg_catalog.octet_length($2 || '" PGSINK_SCHEMAS_SUFFIX "') <= 63,"
	"  pg_catalog.to_regclass(schemas) IS NOT NULL,"
	"  coalesce(pg_catalog.has_schema_privilege((SELECT n.oid FROM pg_catalog.pg_namespace n "
	"   WHERE n.nspname = $1), 'CREATE'), false) FROM given";

/* $1: the table.  What cannot keep its rows over a crash: itself, or some of its partitions. */
static const char storage_sql[] =
	"SELECT c.relkind IN ('r', 'p'), (SELECT pg_catalog.string_agg(l.oid::regclass::text || CASE "
	"  WHEN l.relpersistence = 'u' THEN ' (unlogged)' WHEN l.relpersistence = 't' THEN ' "
	"(temporary)'"
	"  WHEN l.relkind = 'f' THEN ' (foreign)' ELSE '' END, ', ')"
	" FROM pg_catalog.pg_class l WHERE (l.oid = c.oid OR l.oid IN (SELECT relid FROM "
	"  pg_catalog.pg_partition_tree(c.oid))) AND (l.relpersistence <> 'p' OR l.relkind NOT IN "
	"('r', 'p')))"
	" FROM pg_catalog.pg_class c WHERE c.oid = $1::pg_catalog.regclass";

static const char columns_sql[] =
	"SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,"
	" a.atthasdef OR a.attidentity <> '', a.attgenerated <> '' OR a.attidentity = 'a',"
	" pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'INSERT')"
	" FROM pg_catalog.pg_attribute a WHERE a.attrelid = $1::pg_catalog.regclass AND a.attnum > 0"
	" AND NOT a.attisdropped ORDER BY a.attnum";

/* $1: the table, which need not exist. */
static const char partitions_sql[] =
	"SELECT n.nspname, c.relname FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass($1)) t "
	"JOIN pg_catalog.pg_class c ON c.oid = t.relid JOIN pg_catalog.pg_namespace n ON n.oid = "
	"c.relnamespace";

static const char *const check_what = "looking at the sink's tables";
static const char *const make_what = "making the sink's tables";

static bool
is_true(const PGresult *result, int row, int column)
{
	return PQgetvalue(result, row, column)[0] == 't';
}

static CdcStatus
take_names(PgTables *tables, const PGresult *result, const char *name, CdcError *err)
{
	int parts = atoi(PQgetvalue(result, 0, 0));

	if (parts > 2)
		return cdc_error(err, CDC_USAGE, "--sink-table=%s: a table's name is NAME or SCHEMA.NAME",
						 name);
	if (PQgetisnull(result, 0, 1))
	{
		cdc_error(err, CDC_USAGE,
				  "--sink-table=%s names no schema, and the role's search_path "
				  "leads to none",
				  name);
		cdc_error_hint(err, "Write SCHEMA.NAME.");
		return CDC_USAGE;
	}
	tables->schema = strdup(PQgetvalue(result, 0, 1));
	tables->name = strdup(PQgetvalue(result, 0, 8));
	tables->records = strdup(PQgetvalue(result, 0, 2));
	tables->positions = strdup(PQgetvalue(result, 0, 3));
	if (tables->schema == NULL || tables->name == NULL || tables->records == NULL ||
		tables->positions == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	tables->records_exist = is_true(result, 0, 4);
	tables->positions_exist = is_true(result, 0, 5);
	tables->key_is_jsonb = tables->record_is_jsonb = true;
	if (strcmp(tables->records, tables->positions) == 0)
		return cdc_error(err, CDC_USAGE, "--sink-table=%s: that is the table of positions", name);
	if (!is_true(result, 0, 6))
	{
		cdc_error(err, CDC_USAGE, "--sink-table=%s: schema \"%s\" does not exist", name,
				  tables->schema);
		cdc_error_hint(err, "CREATE SCHEMA %.*s;", (int) strcspn(tables->records, "."),
					   tables->records);
		return CDC_USAGE;
	}
	if ((tables->records_exist && tables->positions_exist) || is_true(result, 0, 7))
		return CDC_OK;
	cdc_error(err, CDC_USAGE, "table %s does not exist, and the sink's role may not make it",
			  tables->records_exist ? tables->positions : tables->records);
	cdc_error_hint(err,
				   "GRANT CREATE on schema \"%s\" to the role, or make it: " RECORDS_DDL
				   "; " POSITIONS_DDL ";",
				   tables->schema, tables->records, tables->positions);
	return CDC_USAGE;
}

static CdcStatus
check_storage(PgSession *session, const char *table, CdcError *err)
{
	PGresult *result = NULL;
	CdcStatus status = pgsink_query(session, check_what, storage_sql, 1, &table, &result, err);

	if (status != CDC_OK)
		return status;
	if (PQntuples(result) != 1)
		status = cdc_error(err, CDC_RETRY, "table %s has just been dropped", table);
	else if (!is_true(result, 0, 0))
		status = cdc_error(err, CDC_USAGE, "sink: %s is not a table%s", table,
						   PQgetisnull(result, 0, 1) ? "" : " that the sink can use");
	else if (!PQgetisnull(result, 0, 1))
	{
		status = cdc_error(err, CDC_USAGE,
						   "sink: what table %s stores would not outlive a crash together with the "
						   "position: %s",
						   table, PQgetvalue(result, 0, 1));
		cdc_error_hint(err, "Ordinary tables and partitions are needed: ALTER TABLE ... SET LOGGED "
							"makes one of an unlogged table.");
	}
	PQclear(result);
	return status;
}

static int
find_column(const PGresult *result, const char *name)
{
	for (int row = 0; row < PQntuples(result); row++)
		if (strcmp(PQgetvalue(result, row, 0), name) == 0)
			return row;
	return -1;
}

/* "|text|json|" as "text or json". */
static void
describe_types(char *text, size_t size, const char *types)
{
	size_t used = 0;

	text[0] = '\0';
	for (const char *at = types + 1; *at != '\0'; at += strcspn(at, "|") + 1)
	{
		int length = (int) strcspn(at, "|");
		const char *between = used == 0 ? "" : at[length + 1] == '\0' ? " or " : ", ";

		used += (size_t) snprintf(text + used, size - used, "%s%.*s", between, length, at);
	}
}

static CdcStatus
check_column(const PGresult *result, const char *table, const Column *column, CdcError *err)
{
	int row = find_column(result, column->name);
	char type[64];
	char types[160];

	describe_types(types, sizeof(types), column->types);
	if (row < 0)
		return cdc_error(err, CDC_USAGE, "sink: table %s has no column \"%s\" (%s)", table,
						 column->name, types);
	snprintf(type, sizeof(type), "|%.60s|", PQgetvalue(result, row, 1));
	if (strstr(column->types, type) == NULL)
		return cdc_error(err, CDC_USAGE,
						 "sink: column \"%s\" of table %s is of type %s; it has to be %s",
						 column->name, table, PQgetvalue(result, row, 1), types);
	if (is_true(result, row, 4))
		return cdc_error(err, CDC_USAGE,
						 "sink: column \"%s\" of table %s is generated: the sink cannot write it",
						 column->name, table);
	if (column->can_be_null && is_true(result, row, 2))
		return cdc_error(err, CDC_USAGE,
						 "sink: column \"%s\" of table %s is NOT NULL, but not every record has it",
						 column->name, table);
	if (!is_true(result, row, 5))
		return cdc_error(err, CDC_USAGE,
						 "sink: the role may not insert into column \"%s\" of table %s",
						 column->name, table);
	return CDC_OK;
}

/* A column that the sink does not know must fill itself. */
static CdcStatus
check_other_column(const PGresult *result, int row, const char *table, const Column *columns,
				   CdcError *err)
{
	const char *name = PQgetvalue(result, row, 0);

	for (; columns->name != NULL; columns++)
		if (strcmp(columns->name, name) == 0)
			return CDC_OK;
	if (!is_true(result, row, 2) || is_true(result, row, 3))
		return CDC_OK;
	return cdc_error(err, CDC_USAGE,
					 "sink: column \"%s\" of table %s is NOT NULL without a default, and the sink "
					 "does not write it",
					 name, table);
}

static bool
is_jsonb(const PGresult *result, const char *column)
{
	return strcmp(PQgetvalue(result, find_column(result, column), 1), "jsonb") == 0;
}

static CdcStatus
check_table(PgTables *tables, PgSession *session, const char *table, const Column *columns,
			CdcError *err)
{
	PGresult *result = NULL;
	CdcStatus status = check_storage(session, table, err);

	if (status == CDC_OK)
		status = pgsink_query(session, check_what, columns_sql, 1, &table, &result, err);
	if (status != CDC_OK)
		return status;
	for (const Column *column = columns; column->name != NULL && status == CDC_OK; column++)
		status = check_column(result, table, column, err);
	for (int row = 0; row < PQntuples(result) && status == CDC_OK; row++)
		status = check_other_column(result, row, table, columns, err);
	if (status == CDC_OK && columns == records_columns)
	{
		tables->key_is_jsonb = is_jsonb(result, "key");
		tables->record_is_jsonb = is_jsonb(result, "record");
	}
	PQclear(result);
	return status;
}

CdcStatus
pgsink_tables_find(PgTables *tables, PgSession *session, const char *name, CdcError *err)
{
	PGresult *result = NULL;
	CdcStatus status = pgsink_query(session, check_what, "RESET search_path", 0, NULL, NULL, err);

	if (status == CDC_OK)
		status = pgsink_query(session, check_what, find_sql, 1, &name, &result, err);
	if (status == CDC_OK)
		status = take_names(tables, result, name, err);
	else if (strcmp(err->sqlstate, "22023") == 0)
		status = cdc_error(err, CDC_USAGE,
						   "--sink-table=%s is not a table's name: NAME or SCHEMA.NAME, as in SQL",
						   name);
	PQclear(result);
	if (status == CDC_OK)
		status = pgsink_query(session, check_what,
							  "SELECT pg_catalog.set_config('search_path', '', false)", 0, NULL,
							  NULL, err);
	if (status == CDC_OK && tables->records_exist)
		status = check_table(tables, session, tables->records, records_columns, err);
	if (status == CDC_OK && tables->positions_exist)
		status = check_table(tables, session, tables->positions, positions_columns, err);
	return status;
}

/* IF NOT EXISTS: another stream may have made it meanwhile; the caller has a lock against now. */
static CdcStatus
make_table(PgSession *session, const char *table, const char *ddl, CdcError *err)
{
	char *sql = NULL;
	char *at;
	PGresult *result = NULL;
	CdcStatus status =
		pgsink_query(session, check_what, "SELECT pg_catalog.to_regclass($1) IS NOT NULL", 1,
					 &table, &result, err);
	bool exists = status == CDC_OK && is_true(result, 0, 0);

	PQclear(result);
	if (status != CDC_OK || exists)
		return status;
	sql = malloc(strlen(ddl) + strlen(table) + 1);
	if (sql == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	at = strstr(ddl, "%s");
	sprintf(sql, "%.*s%s%s", (int) (at - ddl), ddl, table, at + 2);
	status = pgsink_query(session, make_what, sql, 0, NULL, NULL, err);
	free(sql);
	return status;
}

/* Streams that make the same tables do so one after the other; until the transaction's end. */
static CdcStatus
lock_making(PgSession *session, CdcError *err)
{
	return pgsink_query(
		session, make_what,
		"SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('cdc_client tables', "
		"0))",
		0, NULL, NULL, err);
}

CdcStatus
pgsink_tables_make(PgTables *tables, PgSession *session, CdcError *err)
{
	CdcStatus status = lock_making(session, err);

	if (status == CDC_OK && !tables->records_exist)
		status = make_table(session, tables->records, RECORDS_DDL, err);
	if (status == CDC_OK && !tables->positions_exist)
		status = make_table(session, tables->positions, POSITIONS_DDL, err);
	return status;
}

static CdcStatus
take_schemas(PgTables *tables, const PGresult *result, CdcError *err)
{
	tables->schemas = strdup(PQgetvalue(result, 0, 0));
	if (tables->schemas == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	tables->schemas_exist = is_true(result, 0, 2);
	if (!is_true(result, 0, 1))
	{
		cdc_error(err, CDC_USAGE,
				  "sink: table %s is for schema records, and its name is longer than a name of "
				  "PostgreSQL can be (63 bytes)",
				  tables->schemas);
		cdc_error_hint(err, "Take a --sink-table with a shorter name; or stream without schema "
							"records: --option=schemas=off.");
		return CDC_USAGE;
	}
	if (tables->schemas_exist || is_true(result, 0, 3))
		return CDC_OK;
	cdc_error(err, CDC_USAGE, "table %s does not exist, and the sink's role may not make it",
			  tables->schemas);
	cdc_error_hint(err, "GRANT CREATE on schema \"%s\" to the role, or make it: " SCHEMAS_DDL ";",
				   tables->schema, tables->schemas);
	return CDC_USAGE;
}

CdcStatus
pgsink_tables_find_schemas(PgTables *tables, PgSession *session, CdcError *err)
{
	const char *params[] = {tables->schema, tables->name};
	PGresult *result = NULL;
	CdcStatus status = pgsink_query(session, check_what, find_schemas_sql, 2, params, &result, err);

	if (status == CDC_OK)
		status = take_schemas(tables, result, err);
	PQclear(result);
	if (status == CDC_OK && tables->schemas_exist)
		status = check_table(tables, session, tables->schemas, schemas_columns, err);
	return status;
}

CdcStatus
pgsink_tables_make_schemas(PgTables *tables, PgSession *session, CdcError *err)
{
	CdcStatus status = pgsink_query(session, make_what, "BEGIN", 0, NULL, NULL, err);

	if (status == CDC_OK)
		status = lock_making(session, err);
	if (status == CDC_OK)
		status = make_table(session, tables->schemas, SCHEMAS_DDL, err);
	return status == CDC_OK ? pgsink_query(session, make_what, "COMMIT", 0, NULL, NULL, err)
							: status;
}

CdcStatus
pgsink_tables_partitions(const PgTables *tables, PgSession *session, PGresult **names,
						 CdcError *err)
{
	const char *table = tables->records;

	return pgsink_query(session, check_what, partitions_sql, 1, &table, names, err);
}

void
pgsink_tables_free(PgTables *tables)
{
	free(tables->schema);
	free(tables->name);
	free(tables->records);
	free(tables->positions);
	free(tables->schemas);
	memset(tables, 0, sizeof(*tables));
}
