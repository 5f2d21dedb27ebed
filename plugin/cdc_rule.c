/*
 * cdc_rule.c
 *		The SQL expressions of rules; see cdc_rule.h.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "cdc_compat.h"
#include "cdc_rule.h"

/*
 * STABLE functions whose result depends on their arguments and on settings that are pinned while
 * expressions run (cdc_settings.c), on nothing else.  Not among them: what reads dates from text,
 * since 'today' is one.
 */
static const char *const stable_functions[] = {
	"anytextcat",
	"array_out",
	"array_to_string",
	"cash_out",
	"concat",
	"concat_ws",
	"date",
	"date_out",
	"date_part",
	"date_trunc",
	"enum_out",
	"extract",
	"format",
	"interval_out",
	"interval_pl_timestamptz",
	"multirange_out",
	"numeric",
	"quote_literal",
	"quote_nullable",
	"range_out",
	"record_out",
	"textanycat",
	"time",
	"timestamp",
	"timestamp_out",
	"timestamptz",
	"timestamptz_mi_interval",
	"timestamptz_out",
	"timestamptz_pl_interval",
	"timetz",
	"timezone",
	"to_char",
};

/* The same of those that make JSON: they would call a user's own cast of a type to json. */
static const char *const json_functions[] = {
	"array_to_json",      "json_build_array", "json_build_object", "jsonb_build_array",
	"jsonb_build_object", "row_to_json",      "to_json",           "to_jsonb",
};

static bool
is_listed(const char *name, const char *const *list, int length)
{
	for (int i = 0; i < length; i++)
	{
		if (strcmp(list[i], name) == 0)
			return true;
	}
	return false;
}

/* check_function_callback: true means that the function may not be used. */
static bool
refuse_function(Oid function, void *context)
{
	const char *name = get_func_name(function);
	char volatility = func_volatile(function);
	bool own = getExtensionOfObject(ProcedureRelationId, function) ==
			   get_extension_oid("cdc_decoder", true);

	if (function >= FirstUnpinnedObjectId)
	{
		if (own && volatility == PROVOLATILE_IMMUTABLE)
			return false;
		ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("function %s() may not be used in a rule", name),
				errdetail("It is neither PostgreSQL's own nor one of cdc_decoder's for rules."),
				errhint("Decoding cannot call functions that may change or be dropped between a "
						"change and its decoding."));
	}
	if (volatility == PROVOLATILE_IMMUTABLE ||
		(volatility == PROVOLATILE_STABLE &&
		 (is_listed(name, stable_functions, lengthof(stable_functions)) ||
		  is_listed(name, json_functions, lengthof(json_functions)))))
		return false;
	ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			errmsg("function %s() may not be used in a rule", name),
			errdetail("Its result depends on more than its arguments, but decoding the same WAL "
					  "twice must give the same bytes."));
}

/* A value that is made into JSON, or a part of it: of a built-in type. */
static void
refuse_user_types(Node *value)
{
	Oid type = getBaseType(exprType(value));
	Oid element = get_base_element_type(type);
	List *parts = NIL;
	ListCell *cell;

	if (OidIsValid(element))
		type = element;
	if (type >= FirstUnpinnedObjectId)
		ereport(
			ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			errmsg("the expression of a rule may not make JSON of type %s", format_type_be(type)),
			errhint("Cast the value to text, or to another type of PostgreSQL's own."));
	if (IsA(value, RowExpr))
		parts = ((RowExpr *) value)->args;
	else if (IsA(value, ArrayExpr))
		parts = ((ArrayExpr *) value)->elements;
	foreach (cell, parts)
		refuse_user_types(lfirst(cell));
}

static void
check_json_function(FuncExpr *call)
{
	ListCell *cell;

	if (call->funcid >= FirstUnpinnedObjectId ||
		!is_listed(get_func_name(call->funcid), json_functions, lengthof(json_functions)))
		return;
	foreach (cell, call->args)
		refuse_user_types(lfirst(cell));
}

/* A constant that names something which can be dropped, or is not there for an older snapshot. */
static bool
names_user_object(const Const *constant)
{
	switch (constant->consttype)
	{
		case REGCLASSOID:
		case REGCOLLATIONOID:
		case REGCONFIGOID:
		case REGDICTIONARYOID:
		case REGNAMESPACEOID:
		case REGOPERATOROID:
		case REGOPEROID:
		case REGPROCEDUREOID:
		case REGPROCOID:
		case REGROLEOID:
		case REGTYPEOID:
			return !constant->constisnull &&
				   DatumGetObjectId(constant->constvalue) >= FirstNormalObjectId;
		default:
			return false;
	}
}

static bool
check_walker(Node *node, void *context)
{
	const char *what = NULL;

	if (node == NULL)
		return false;
	if (IsA(node, SubLink))
		what = "a subquery";
	else if (IsA(node, Aggref) || IsA(node, GroupingFunc))
		what = "an aggregate function";
	else if (IsA(node, WindowFunc))
		what = "a window function";
	else if (IsA(node, Param))
		what = "a parameter";
	else if (IsA(node, SQLValueFunction) || IsA(node, NextValueExpr))
		what = "the time, a user or a sequence";
	else if (IsA(node, Var) && ((Var *) node)->varattno <= 0)
		what = "a system column or the whole row";
	else if (IsA(node, CoerceToDomain))
		what = "a cast to a domain, whose constraints may be anything";
	else if (IsA(node, Const) && names_user_object((Const *) node))
		what = "the name of a table, role or other object";
	if (what)
		ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("the expression of a rule may not use %s", what),
				errhint("Use the row's columns, operators, and functions that depend on them."));
	(void) check_functions_in_node(node, refuse_function, NULL);
	if (IsA(node, FuncExpr))
		check_json_function((FuncExpr *) node);
	return expression_tree_walker(node, check_walker, context);
}

static bool
is_star(const Node *node)
{
	return IsA(node, ColumnRef) && IsA(llast(((const ColumnRef *) node)->fields), A_Star);
}

#define EXPRESSION_PREFIX "SELECT "

/* The expression in SELECT expression, which must be all there is. */
static Node *
read_single_expression(const char *source)
{
	List *statements = raw_parser(source, RAW_PARSE_DEFAULT);
	SelectStmt expected = {.type = T_SelectStmt};
	SelectStmt *statement;
	ResTarget *target;

	if (list_length(statements) == 1)
	{
		statement = (SelectStmt *) linitial_node(RawStmt, statements)->stmt;
		if (IsA(statement, SelectStmt) && list_length(statement->targetList) == 1)
		{
			/* a SELECT of nothing but this list, and in the list no name and no star */
			expected.targetList = statement->targetList;
			target = linitial_node(ResTarget, statement->targetList);
			if (equal(statement, &expected) && target->name == NULL && target->indirection == NIL &&
				!is_star(target->val))
				return target->val;
		}
	}
	ereport(ERROR, errcode(ERRCODE_SYNTAX_ERROR),
			errmsg("not a single SQL expression: \"%s\"", source + strlen(EXPRESSION_PREFIX)),
			errhint("Write an expression over the table's columns, such as lower(email)."));
}

/* Places in the expression are not places in the command that it came with. */
static void
expression_error_context(void *arg)
{
	int position = geterrposition() - (int) strlen(EXPRESSION_PREFIX);

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery((const char *) arg + strlen(EXPRESSION_PREFIX));
	}
}

Node *
cdc_rule_parse(Relation relation, const char *text)
{
	char *source = psprintf(EXPRESSION_PREFIX "%s", text);
	ErrorContextCallback context = {error_context_stack, expression_error_context, source};
	ParseState *pstate = make_parsestate(NULL);
	ParseNamespaceItem *item;
	Node *expression;

	error_context_stack = &context;
	pstate->p_sourcetext = source;
	item = addRangeTableEntryForRelation(pstate, relation, AccessShareLock, NULL, false, true);
	addNSItemToQuery(pstate, item, false, true, true);
	expression = transformExpr(pstate, read_single_expression(source), EXPR_KIND_OTHER);
	if (exprType(expression) == UNKNOWNOID)
		expression = coerce_type(pstate, expression, UNKNOWNOID, TEXTOID, -1, COERCION_IMPLICIT,
								 COERCE_IMPLICIT_CAST, -1);
	assign_expr_collations(pstate, expression);
	if (get_typtype(exprType(expression)) == TYPTYPE_PSEUDO || expression_returns_set(expression))
		ereport(ERROR, errcode(ERRCODE_DATATYPE_MISMATCH),
				errmsg("the expression of a rule must give one value of an ordinary type"));
	(void) check_walker(expression, NULL);
	free_parsestate(pstate);
	error_context_stack = context.previous;
	return cdc_expand_virtual_columns(relation, expression);
}

char *
cdc_rule_deparse(Relation relation, Node *expression)
{
	List *context =
		deparse_context_for(RelationGetRelationName(relation), RelationGetRelid(relation));

	return deparse_expression(expression, context, false, false);
}
