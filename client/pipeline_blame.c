/*
 * pipeline_blame.c
 *		Which rule of a document it is that the server refused; see pipeline_blame.h.
 *
 * cdc.apply_pipeline() stops at the first thing that is wrong, and says of an expression what is wrong
 * with it, but not whose it is.  So the extension's checks of a single rule are asked again, rule by rule,
 * until one gives the same answer.
 */
#include "pipeline_blame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum RuleParam
{
	PARAM_RELATION,
	PARAM_KIND,
	PARAM_MEMBER,
	PARAM_DEFINITION,
	NUM_PARAMS,
} RuleParam;

static const char *const param_names[NUM_PARAMS] = {"relation", "kind", "member", "definition"};

/* All take the same parameters; kind: only for rules of this kind. */
static const struct
{
	const char *kind;
	const char *sql;
} checks[] = {
	{NULL, "SELECT $1::regclass, $2::text, $3::text, $4::text"},
	{NULL, "SELECT cdc.require_rule($2, $3, $4), $1::text"},
	{NULL, "SELECT cdc.require_owner($1::regclass), $2::text, $3::text, $4::text"},
	{"column", "SELECT cdc.normalize_expression($1::regclass, $4), $2::text, $3::text"},
	{"drop", "SELECT cdc.require_column($1::regclass, $3), $2::text, $4::text"},
	{"rename", "SELECT cdc.require_column($1::regclass, $3), $2::text, $4::text"},
	{"lookup", "SELECT ($4::jsonb->>'reference')::regclass, $1::text, $2::text, $3::text"},
	{"lookup", "SELECT cdc.check_reference($1::regclass, pg_catalog.array_agg(c::name ORDER BY n),"
			   " ($4::jsonb->>'reference')::regclass, pg_catalog.array_agg(r::name ORDER BY n),"
			   " ARRAY[$4::jsonb->>'column']::name[]), $2::text, $3::text FROM ROWS FROM ("
			   "pg_catalog.jsonb_array_elements_text($4::jsonb->'columns'),"
			   " pg_catalog.jsonb_array_elements_text($4::jsonb->'reference_columns'))"
			   " WITH ORDINALITY u(c, r, n)"},
};

#define NUM_CHECKS (sizeof(checks) / sizeof(checks[0]))

static bool
is_refused_alike(PipelineServer *server, const char *what, const char *const *params,
				 const CdcError *err)
{
	for (size_t i = 0; i < NUM_CHECKS; i++)
	{
		CdcError same;

		if (checks[i].kind != NULL && strcmp(checks[i].kind, params[PARAM_KIND]) != 0)
			continue;
		if (pipeline_server_ask(server, what, checks[i].sql, NUM_PARAMS, params, NULL, &same) !=
			CDC_OK)
			return strcmp(same.sqlstate, err->sqlstate) == 0 &&
				   strcmp(same.message, err->message) == 0;
	}
	return false;
}

/* As the server reads them: a member or definition that is left away is empty. */
static bool
take_params(struct json_object *rule, const char **params)
{
	if (!json_object_is_type(rule, json_type_object))
		return false;
	for (int i = 0; i < NUM_PARAMS; i++)
	{
		struct json_object *value = NULL;

		json_object_object_get_ex(rule, param_names[i], &value);
		params[i] = value != NULL ? json_object_get_string(value) : "";
	}
	return params[PARAM_RELATION][0] != '\0';
}

void
pipeline_blame_rule(PipelineServer *server, const PipelineFile *file, CdcError *err)
{
	struct json_object *rules = NULL;
	char what[128];
	size_t prefix = (size_t) snprintf(what, sizeof(what), "pipeline \"%s\"", file->name);
	int position = server->position;
	char *message;

	if (!json_object_object_get_ex(file->document, "rules", &rules) ||
		!json_object_is_type(rules, json_type_array) || err->sqlstate[0] == '\0')
		return;
	for (size_t i = 0; i < json_object_array_length(rules); i++)
	{
		const char *params[NUM_PARAMS];

		if (!take_params(json_object_array_get_idx(rules, i), params) ||
			!is_refused_alike(server, what, params, err))
			continue;
		message = strdup(err->message + prefix);
		if (message == NULL)
			abort();
		snprintf(err->message, sizeof(err->message), "%s, relation %.256s, %s%s%.256s%s%s", what,
				 params[PARAM_RELATION], params[PARAM_MEMBER][0] != '\0' ? "member" : "rule",
				 params[PARAM_MEMBER][0] != '\0' ? " \"" : " ",
				 params[PARAM_MEMBER][0] != '\0' ? params[PARAM_MEMBER] : params[PARAM_KIND],
				 params[PARAM_MEMBER][0] != '\0' ? "\"" : "", message);
		free(message);
		/* of an expression; of another kind of rule it is a place in one of the extension's queries */
		if (position > 0 && err->detail[0] == '\0' && strcmp(params[PARAM_KIND], "column") == 0)
			cdc_error_detail(err, "It is at character %d of the rule's definition.", position);
		return;
	}
}
