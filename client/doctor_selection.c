/*
 * doctor_selection.c
 *		Doctor's checks of what a stream selects: pipeline, publications, tables, privileges.
 */
#include "doctor_report.h"

#include <stdlib.h>
#include <string.h>

#include "selection.h"

static void
check_pipeline(Doctor *doctor, const Selection *selection)
{
	static const char check[] = "pipeline";

	if (!selection->has_extension)
	{
		doctor_say(doctor, DOCTOR_FAIL, check,
				   "pipeline %s does not exist, nor does extension " PGCONN_PLUGIN
				   ", which keeps pipelines",
				   selection->pipeline);
		doctor_remedy(doctor, "CREATE EXTENSION " PGCONN_PLUGIN "; as a superuser; then SELECT "
							  "cdc.create_pipeline(...); or cdc_client pipeline apply FILE");
	}
	else if (!selection->has_pipeline)
	{
		doctor_say(doctor, DOCTOR_FAIL, check, "pipeline %s does not exist", selection->pipeline);
		doctor_remedy(doctor, "SELECT cdc.create_pipeline(...); or cdc_client pipeline apply FILE; "
							  "SELECT * FROM cdc.pipelines shows those there are");
	}
	else
		doctor_say(doctor, DOCTOR_OK, check, "pipeline %s exists", selection->pipeline);
}

static void
check_publications(Doctor *doctor, const Selection *selection)
{
	static const char check[] = "publications";

	if (selection->missing == NULL)
		doctor_say(doctor, DOCTOR_OK, check, "publications %s exist", selection->publications);
	else
	{
		doctor_say(doctor, DOCTOR_FAIL, check, "publications%s are missing: %s",
				   selection->by_pipeline ? " of the pipeline" : "", selection->missing);
		doctor_remedy(doctor, "%s (or FOR TABLE ...)", selection->missing_remedy);
	}
}

/* Neither PostgreSQL's own tables, nor the extension's, are ever in a stream. */
static const char all_tables_sql[] =
	"SELECT c.oid AS rel, NULL::name[] AS columns, true AS needs_identity FROM pg_catalog.pg_class "
	"c"
	" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r'"
	" AND c.relpersistence = 'p' AND n.nspname <> 'information_schema'"
	" AND n.nspname NOT LIKE 'pg\\_%' AND n.oid NOT IN"
	" (SELECT extnamespace FROM pg_catalog.pg_extension WHERE extname = '" PGCONN_PLUGIN "')";

/*
 * columns: those of the column lists, NULL where there is none.  The view leaves generated columns out
 * of what it lists for a table without a list, but the stream has them.
 */
static const char published_sql[] =
	"SELECT c.oid AS rel, nullif(t.attnames, a.plain) AS columns, p.pubupdate OR p.pubdelete AS"
	" needs_identity FROM pg_catalog.pg_publication_tables t"
	" JOIN pg_catalog.pg_publication p USING (pubname)"
	" JOIN pg_catalog.pg_namespace n ON n.nspname = t.schemaname"
	" JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename"
	" CROSS JOIN LATERAL (SELECT pg_catalog.array_agg(attname ORDER BY attnum) FROM"
	"  pg_catalog.pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped"
	"  AND attgenerated = '') a(plain)"
	" WHERE t.pubname IN (%s) AND c.relnamespace NOT IN"
	" (SELECT extnamespace FROM pg_catalog.pg_extension WHERE extname = '" PGCONN_PLUGIN "')";

/*
 * Asks of WITH selected(rel, columns, needs_identity): all tables, or those of the publications; a row
 * for each publication that has it.
 */
static PGresult *
query_selected(Doctor *doctor, const char *check, const Selection *selection, const char *query)
{
	char *tables = NULL;
	char *sql = NULL;
	PGresult *result;

	if ((selection->publications[0] == '\0'
			 ? asprintf(&tables, "%s", all_tables_sql)
			 : asprintf(&tables, published_sql, selection->publications)) < 0 ||
		asprintf(&sql, "WITH selected AS (%s), %s", tables, query) < 0)
		abort();
	result = doctor_query(doctor, check, sql);
	free(sql);
	free(tables);
	return result;
}

/*
 * Leaves of partitioned tables, since theirs is the identity that counts, that an update or delete of is
 * streamed from, without an index that can be their identity.
 */
static const char identity_sql[] =
	"leaf AS (SELECT DISTINCT coalesce(tree.relid::oid, selected.rel) AS oid FROM selected"
	"  LEFT JOIN LATERAL pg_catalog.pg_partition_tree(selected.rel) tree ON tree.isleaf"
	"  WHERE needs_identity),"
	" poor AS (SELECT c.oid::regclass::text AS name FROM leaf JOIN pg_catalog.pg_class c USING "
	"(oid)"
	"  WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND c.relreplident <> 'f' AND NOT EXISTS ("
	"   SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisvalid"
	"   AND i.indimmediate AND (c.relreplident = 'd' AND i.indisprimary"
	"    OR c.relreplident = 'i' AND i.indisreplident))),"
	" first AS (SELECT name FROM poor ORDER BY name LIMIT 3)"
	" SELECT (SELECT count(*) FROM poor), (SELECT pg_catalog.string_agg(name, ', ') FROM first),"
	" (SELECT pg_catalog.string_agg('ALTER TABLE ' || name || ' REPLICA IDENTITY FULL;', ' ')"
	"  FROM first), (SELECT count(DISTINCT rel) FROM selected)";

static void
check_replica_identity(Doctor *doctor, const Selection *selection)
{
	static const char check[] = "replica_identity";
	bool published = selection->publications[0] != '\0';
	PGresult *result = query_selected(doctor, check, selection, identity_sql);

	if (result == NULL)
		return;
	if (published && selection->missing == NULL && strcmp(PQgetvalue(result, 0, 3), "0") == 0)
	{
		doctor_say(doctor, DOCTOR_WARN, "publications",
				   "the publications have no table, so nothing is streamed");
		doctor_remedy(doctor, "ALTER PUBLICATION ... ADD TABLE ...;");
	}
	else if (strcmp(PQgetvalue(result, 0, 0), "0") == 0)
		doctor_say(doctor, DOCTOR_OK, check, "every %s table has a replica identity",
				   published ? "published" : "permanent");
	else
	{
		doctor_say(
			doctor, DOCTOR_WARN, check,
			"tables without a replica identity: %s (%s%s); their updates and deletes say not "
			"of which row",
			PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1),
			atoi(PQgetvalue(result, 0, 0)) > 3 ? ", ..." : "");
		doctor_remedy(doctor, "%s  (or give them primary keys)", PQgetvalue(result, 0, 2));
	}
	PQclear(result);
}

/* More lines than these are no help. */
#define MAX_TABLES 20

/*
 * As the plugin judges it: a column that the role may not SELECT, and a table of which it may SELECT
 * none, whatever the privileges on its schema.
 */
static const char unreadable_sql[] =
	"cols AS (SELECT DISTINCT s.rel, a.attnum, a.attname FROM selected s"
	"  JOIN pg_catalog.pg_attribute a ON a.attrelid = s.rel AND a.attnum > 0 AND NOT a.attisdropped"
	"  AND (s.columns IS NULL OR a.attname = ANY (s.columns))),"
	" hidden AS (SELECT rel, pg_catalog.string_agg(pg_catalog.quote_ident(attname), ', ' ORDER BY"
	"   attnum) AS columns FROM cols"
	"  WHERE NOT pg_catalog.has_column_privilege(rel, attnum, 'SELECT') GROUP BY rel)"
	" SELECT rel::regclass::text, CASE WHEN pg_catalog.has_any_column_privilege(rel, 'SELECT')"
	"  THEN columns END, pg_catalog.quote_ident(current_user), count(*) OVER ()"
	" FROM hidden ORDER BY 1 LIMIT 21";

/* privileges=enforce: each table, and how to grant what is missing. */
static void
say_left_out(Doctor *doctor, const char *check, const PGresult *tables)
{
	int shown = PQntuples(tables) > MAX_TABLES ? MAX_TABLES : PQntuples(tables);

	for (int row = 0; row < shown; row++)
	{
		const char *table = PQgetvalue(tables, row, 0);
		const char *columns = PQgetvalue(tables, row, 1);
		const char *role = PQgetvalue(tables, row, 2);

		if (PQgetisnull(tables, row, 1))
		{
			doctor_say(doctor, DOCTOR_WARN, check,
					   "table %s is left out: role %s may SELECT none of it", table, role);
			doctor_remedy(doctor, "GRANT SELECT ON %s TO %s; if it is to be in the stream", table,
						  role);
		}
		else
		{
			doctor_say(doctor, DOCTOR_WARN, check,
					   "of table %s is left out what role %s may not SELECT: %s", table, role,
					   columns);
			doctor_remedy(doctor, "GRANT SELECT (%s) ON %s TO %s; if they are to be in the stream",
						  columns, table, role);
		}
	}
	if (PQntuples(tables) > shown)
		doctor_say(doctor, DOCTOR_WARN, check, "so are %d more tables, or columns of theirs",
				   atoi(PQgetvalue(tables, 0, 3)) - shown);
}

static void
check_privileges(Doctor *doctor, const Selection *selection)
{
	static const char check[] = "privileges";
	PGresult *tables = query_selected(doctor, check, selection, unreadable_sql);
	const char *role;

	if (tables == NULL)
		return;
	role = PQuser(doctor->sql);
	if (PQntuples(tables) == 0 && selection->enforces_privileges)
		doctor_say(doctor, DOCTOR_OK, check,
				   "privileges=enforce leaves nothing out: role %s may SELECT all that is selected",
				   role);
	else if (selection->enforces_privileges)
		say_left_out(doctor, check, tables);
	else if (PQntuples(tables) > 0)
		doctor_say(doctor, DOCTOR_OK, check,
				   "role %s is sent more than it may SELECT (%s%s); privileges=enforce would leave "
				   "that out",
				   PQgetvalue(tables, 0, 2), PQgetvalue(tables, 0, 0),
				   PQntuples(tables) > 1 ? ", ..." : "");
	PQclear(tables);
}

void
doctor_check_selection(Doctor *doctor)
{
	Selection selection;
	CdcError err;

	if (selection_read(doctor->sql, doctor->options, &selection, &err) != CDC_OK)
	{
		doctor_say_error(doctor, "selection", &err);
		return;
	}
	if (selection.pipeline != NULL)
		check_pipeline(doctor, &selection);
	if (selection.publications[0] != '\0')
		check_publications(doctor, &selection);
	check_replica_identity(doctor, &selection);
	check_privileges(doctor, &selection);
	selection_free(&selection);
}
