/*
 * pipeline_server.c
 *		A pipeline on the server; see pipeline_server.h.
 *
 * Documents are taken apart and compared by the server, as jsonb: there numbers of any size stay what
 * they are.
 */
#include "pipeline_server.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pgconn.h"
#include "pgwait.h"
#include "pipeline_blame.h"

/* Filling what a lookup reads takes as long as the table is large, so nothing here is given up early. */
#define NO_TIMEOUT (INT64_C(365) * 86400 * 1000000)

/* Who is to blame for an error of the server: the network or other sessions, or what was asked. */
static CdcStatus
judge(const CdcError *err, CdcStatus status)
{
	static const char *const passing[] = {"08", "40", "53", "55006", "55P03", "57", "58030"};

	if (err->sqlstate[0] == '\0')
		return status;
	for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
		if (strncmp(err->sqlstate, passing[i], strlen(passing[i])) == 0)
			return CDC_RETRY;
	return CDC_USAGE;
}

static void
add_hint(PGconn *conn, CdcError *err)
{
	if (strcmp(err->sqlstate, "25006") == 0)
		cdc_error_hint(err, "Connect to the primary: pipelines cannot be changed on a standby, nor "
							"tried there.");
	else if (strcmp(err->sqlstate, "42501") == 0 && strstr(err->message, "apply_pipeline") != NULL)
		cdc_error_hint(
			err,
			"As a superuser: GRANT EXECUTE ON FUNCTION cdc.create_pipeline(name, name[], "
			"jsonb), cdc.apply_pipeline(jsonb) TO \"%s\";",
			PQuser(conn));
	else if (strcmp(err->sqlstate, "42501") == 0 && err->hint[0] == '\0')
		cdc_error_hint(err,
					   "Connect as the owner of the pipeline and of the tables that it has rules "
					   "for, or as a member of these roles.");
	else if (strcmp(err->sqlstate, "42P01") == 0 && err->hint[0] == '\0')
		cdc_error_hint(err, "Names of relations have their schema: \"public.users\".");
}

/* An answer that does not come because of a stop signal: the server is told, too. */
static CdcStatus
cancel(PipelineServer *server, CdcStatus status)
{
	PGcancel *request = *server->interrupted != 0 ? PQgetCancel(server->conn) : NULL;
	char text[256];

	if (request == NULL)
		return status;
	/* where it fails, the server notices that we are gone a little later */
	(void) PQcancel(request, text, sizeof(text));
	PQfreeCancel(request);
	return CDC_STOP;
}

CdcStatus
pipeline_server_ask(PipelineServer *server, const char *what, const char *sql, int nparams,
					const char *const *params, PGresult **result, CdcError *err)
{
	int sent = PQsendQueryParams(server->conn, sql, nparams, NULL, params, NULL, NULL, 0);
	PGresult *got = NULL;
	ExecStatusType state;
	CdcStatus status =
		pgwait_result(server->conn, sent, server->interrupted, NO_TIMEOUT, &got, err);

	if (result != NULL)
		*result = NULL;
	if (status != CDC_OK)
		return cancel(server, status);
	state = PQresultStatus(got);
	if (state != PGRES_TUPLES_OK && state != PGRES_COMMAND_OK)
	{
		const char *position = PQresultErrorField(got, PG_DIAG_INTERNAL_POSITION);

		status = judge(err, pgconn_error(server->conn, got, what, err));
		add_hint(server->conn, err);
		server->position = position != NULL ? atoi(position) : 0;
	}
	if (status == CDC_OK && result != NULL)
		*result = got;
	else
		PQclear(got);
	return status;
}

/* The first value of the first row, malloc'd; NULL where there is none. */
static CdcStatus
ask_text(PipelineServer *server, const char *what, const char *sql, const char *param, char **text,
		 CdcError *err)
{
	PGresult *result;
	CdcStatus status =
		pipeline_server_ask(server, what, sql, param != NULL ? 1 : 0, &param, &result, err);

	*text = NULL;
	if (status == CDC_OK && PQntuples(result) > 0 && !PQgetisnull(result, 0, 0))
	{
		*text = strdup(PQgetvalue(result, 0, 0));
		if (*text == NULL)
			abort();
	}
	PQclear(result);
	return status;
}

/*
 * The extension warns of publications that do not exist, too, each time it looks; whoever is asked here
 * says it once, of all of them (pipeline_server_unselected()).
 */
static void
pass_notice(void *arg, const PGresult *result)
{
	const PipelineServer *server = arg;
	const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	if (text == NULL || strstr(text, "publication") == NULL)
		server->notice(NULL, result);
}

CdcStatus
pipeline_server_open(PipelineServer *server, const char *dbname, const volatile int *interrupted,
					 CdcError *err)
{
	static const char query[] =
		"SELECT CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = "
		"'" PGCONN_PLUGIN "') THEN 'yes' WHEN EXISTS (SELECT FROM "
		"pg_catalog.pg_available_extensions WHERE name = '" PGCONN_PLUGIN "') THEN 'no' END";
	char *there = NULL;
	CdcStatus status;

	memset(server, 0, sizeof(*server));
	server->interrupted = interrupted;
	status = pgconn_open(&server->conn, dbname, PGCONN_SQL, interrupted, err);
	if (status == CDC_OK)
		server->notice = PQsetNoticeReceiver(server->conn, pass_notice, server);
	if (status == CDC_OK)
		status = ask_text(server, "looking for the extension", query, NULL, &there, err);
	if (status == CDC_OK && (there == NULL || strcmp(there, "yes") != 0))
	{
		status =
			cdc_error(err, CDC_USAGE,
					  "database \"%s\" has no extension " PGCONN_PLUGIN ", which keeps pipelines",
					  PQdb(server->conn));
		cdc_error_hint(err,
					   "%sAs a superuser, in this database: CREATE EXTENSION " PGCONN_PLUGIN ";",
					   there == NULL ? "Install it on the server's host (make install).  " : "");
	}
	free(there);
	return status;
}

void
pipeline_server_close(PipelineServer *server)
{
	PQfinish(server->conn);
	server->conn = NULL;
}

CdcStatus
pipeline_server_begin(PipelineServer *server, CdcError *err)
{
	return pipeline_server_ask(server, "BEGIN", "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
							   0, NULL, NULL, err);
}

CdcStatus
pipeline_server_end(PipelineServer *server, bool commit, CdcError *err)
{
	CdcStatus status = pipeline_server_ask(server, commit ? "COMMIT" : "ROLLBACK",
										   commit ? "COMMIT" : "ROLLBACK", 0, NULL, NULL, err);

	if (status != CDC_OK && commit && err->sqlstate[0] == '\0')
		cdc_error_hint(err,
					   "Whether the pipeline was changed is not known: do the same again.  What "
					   "is done already does no harm.");
	return status;
}

CdcStatus
pipeline_server_read(PipelineServer *server, const char *name, char **document, CdcError *err)
{
	char what[128];

	snprintf(what, sizeof(what), "pipeline \"%s\"", name);
	return ask_text(server, what,
					"SELECT cdc.export_pipeline(pipeline) FROM cdc.pipelines WHERE pipeline = $1",
					name, document, err);
}

/* An object's members, one on each line; then the whole. */
#define MEMBERS(member)                                                                            \
	"(SELECT '{' || coalesce(E'\\n' || pg_catalog.string_agg(pg_catalog.format(E'\\t\\t%s: %s', "  \
	"pg_catalog.to_json(m.key), m.value), E',\\n' ORDER BY m.key COLLATE \"C\") || E'\\n\\t', '')" \
	" || '}' FROM pg_catalog.jsonb_each(d.d->'" member "') m)"

/* relation, kind and member first, definition last, and what is empty not at all. */
static const char format_sql[] =
	"SELECT pg_catalog.format(E'{\\n\\t\"pipeline\": %s,\\n\\t\"publications\": %s,\\n"
	"\\t\"options\": %s,\\n\\t\"metadata\": %s,\\n\\t\"rules\": %s\\n}\\n',"
	" d.d->'pipeline', d.d->'publications', " MEMBERS("options") ", " MEMBERS(
		"metadata") ","
					" (SELECT '[' || coalesce(E'\\n' || pg_catalog.string_agg(E'\\t\\t{' || ("
					"   SELECT pg_catalog.string_agg(pg_catalog.format('%s: %s', "
					"pg_catalog.to_json(m.key), m.value),"
					"    ', ' ORDER BY pg_catalog.array_position('{relation,kind,member}', m.key),"
					"    m.key = 'definition', m.key COLLATE \"C\")"
					"   FROM pg_catalog.jsonb_each(r) m"
					"   WHERE NOT (m.key IN ('member', 'definition') AND m.value = '\"\"')) || "
					"'}', E',\\n'"
					"  ORDER BY r->>'relation' COLLATE \"C\", r->>'kind' COLLATE \"C\", "
					"r->>'member' COLLATE \"C\")"
					"  || E'\\n\\t', '') || ']' FROM pg_catalog.jsonb_array_elements(d.d->'rules') "
					"r))"
					" FROM (SELECT $1::jsonb) d(d)";

CdcStatus
pipeline_server_format(PipelineServer *server, const char *document, char **text, CdcError *err)
{
	return ask_text(server, "writing the pipeline as text", format_sql, document, text, err);
}

/* As json, not jsonb, which keeps the last of them and says nothing. */
static const char twice_sql[] =
	"WITH d(d) AS (SELECT $1::json), o(o, place) AS (SELECT d, '' FROM d"
	" UNION ALL SELECT d->n, n FROM d, pg_catalog.unnest('{options,metadata}'::text[]) n"
	"  WHERE pg_catalog.json_typeof(d->n) = 'object'"
	" UNION ALL SELECT r, 'a rule of ' || coalesce(r->>'relation', 'no relation') FROM d,"
	"  pg_catalog.json_array_elements(CASE pg_catalog.json_typeof(d->'rules') WHEN 'array'"
	"  THEN d->'rules' ELSE '[]' END) r WHERE pg_catalog.json_typeof(r) = 'object')"
	" SELECT k || CASE place WHEN '' THEN '' ELSE ' in ' || place END FROM ("
	"  SELECT place, o::text, k FROM o, pg_catalog.json_object_keys(o) k) k"
	" GROUP BY place, o, k HAVING count(*) > 1 ORDER BY 1 LIMIT 1";

CdcStatus
pipeline_server_refuse_twice(PipelineServer *server, const PipelineFile *file, CdcError *err)
{
	char *twice;
	CdcStatus status = ask_text(server, "the document", twice_sql, file->text, &twice, err);

	if (status == CDC_OK && twice != NULL)
	{
		status = cdc_error(err, CDC_USAGE, "pipeline \"%s\": the document has twice: %s",
						   file->name, twice);
		cdc_error_hint(err, "Leave one of them out.");
	}
	free(twice);
	return status;
}

CdcStatus
pipeline_server_apply(PipelineServer *server, const PipelineFile *file, CdcError *err)
{
	char what[128];
	CdcError ignored;
	CdcStatus status;

	snprintf(what, sizeof(what), "pipeline \"%s\"", file->name);
	status = pipeline_server_ask(server, what, "SELECT cdc.apply_pipeline($1)", 1, &file->text,
								 NULL, err);
	if (status != CDC_USAGE)
		return status;
	if (pipeline_server_end(server, false, &ignored) == CDC_OK)
		pipeline_blame_rule(server, file, err);
	return status;
}

/*
 * Everything that a document says as one row: part, what it is about, its value.  What only one of the
 * two has was added or removed; the order of publications counts where their names do not differ.
 */
static const char compare_sql[] =
	"WITH d(w, d) AS (VALUES ('b', coalesce($1, '{}')::jsonb), ('a', coalesce($2, '{}')::jsonb)),"
	" s(w, part, what, value) AS ("
	"  SELECT DISTINCT w, 1, 'publication ' || pg_catalog.quote_ident(x), '1'::jsonb"
	"   FROM d, pg_catalog.jsonb_array_elements_text(d->'publications') x"
	"  UNION ALL SELECT w, 2, 'list of publications', d->'publications' FROM d"
	"   WHERE d ? 'publications'"
	"  UNION ALL SELECT w, 3, 'option ' || e.key, e.value FROM d, "
	"pg_catalog.jsonb_each(d->'options') e"
	"  UNION ALL SELECT w, 4, 'metadata ' || e.key, e.value"
	"   FROM d, pg_catalog.jsonb_each(d->'metadata') e"
	"  UNION ALL SELECT w, 5, pg_catalog.concat_ws(' ', 'rule', r->>'relation', r->>'kind',"
	"   nullif(r->>'member', '')), r"
	"   FROM d, pg_catalog.jsonb_array_elements(d->'rules') r),"
	" c AS (SELECT part, what, CASE WHEN b.value IS NULL THEN 'added' WHEN a.value IS NULL"
	"   THEN 'removed' ELSE 'changed' END AS change"
	"  FROM (SELECT * FROM s WHERE w = 'b') b FULL JOIN (SELECT * FROM s WHERE w = 'a') a"
	"  USING (part, what) WHERE a.value::text IS DISTINCT FROM b.value::text)"
	" SELECT change, what FROM c WHERE part <> 2 OR NOT EXISTS (SELECT FROM c WHERE part = 1)"
	"  AND change = 'changed' ORDER BY part, what COLLATE \"C\"";

CdcStatus
pipeline_server_compare(PipelineServer *server, const char *before, const char *after,
						PGresult **changes, CdcError *err)
{
	const char *params[] = {before, after};

	return pipeline_server_ask(server, "comparing the pipelines", compare_sql, 2, params, changes,
							   err);
}

CdcStatus
pipeline_server_preview(PipelineServer *server, const char *name, const char *relation,
						uint64_t max_rows, PGresult **records, CdcError *err)
{
	char rows[24];
	char what[256];
	const char *params[] = {name, relation, rows};

	snprintf(rows, sizeof(rows), "%" PRIu64, max_rows);
	snprintf(what, sizeof(what), "preview of %s by pipeline \"%s\"", relation, name);
	return pipeline_server_ask(server, what, "SELECT cdc.preview($1, $2::regclass, $3::int)", 3,
							   params, records, err);
}

/*
 * A partition stands for what it is a part of, and the other way round: either may be published.  What
 * option publication_names of the pipeline's options says instead is left to the stream to judge.
 */
static const char unselected_sql[] =
	"WITH p AS (SELECT x AS name FROM"
	"  pg_catalog.jsonb_array_elements_text($1::jsonb->'publications') x"
	"  WHERE NOT $1::jsonb->'options' ? 'publication_names'),"
	" wanted AS (SELECT oid::regclass AS rel FROM pg_catalog.pg_class WHERE oid::regclass::text IN"
	"  (SELECT r->>'relation' FROM pg_catalog.jsonb_array_elements($1::jsonb->'rules') r)"
	"  UNION SELECT $2::regclass),"
	" published AS (SELECT c.oid AS rel FROM pg_catalog.pg_publication_tables t"
	"  JOIN pg_catalog.pg_namespace n ON n.nspname = t.schemaname"
	"  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename"
	"  WHERE t.pubname IN (SELECT name FROM p))"
	" SELECT (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(name), ', ' ORDER BY name) FROM p"
	"  WHERE name NOT IN (SELECT pubname FROM pg_catalog.pg_publication)),"
	" (SELECT pg_catalog.string_agg(rel::text, ', ' ORDER BY rel::text) FROM wanted"
	"  WHERE EXISTS (SELECT FROM p) AND rel IS NOT NULL AND NOT EXISTS (SELECT FROM published"
	"   WHERE published.rel = wanted.rel"
	"    OR published.rel IN (SELECT relid FROM pg_catalog.pg_partition_tree(wanted.rel))"
	"    OR published.rel IN (SELECT relid FROM pg_catalog.pg_partition_ancestors(wanted.rel))))";

CdcStatus
pipeline_server_unselected(PipelineServer *server, const char *document, const char *relation,
						   PGresult **lists, CdcError *err)
{
	const char *params[] = {document, relation};

	return pipeline_server_ask(server, "looking what is selected", unselected_sql, 2, params, lists,
							   err);
}
