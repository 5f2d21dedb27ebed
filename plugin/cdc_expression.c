/*
 * cdc_expression.c
 *		SQL expressions over a row's columns; see cdc_expression.h.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "cdc_expression.h"
#include "cdc_try.h"

/* A column that the expression uses. */
typedef struct Input
{
	int column; /* attnum - 1 in the relation that the expression was written for */
	int index;  /* attnum - 1 in the rows */
} Input;

struct CdcExpression
{
	ExprState *state;
	ExprContext *context;
	TupleTableSlot *slot; /* columns that are not used stay NULL */
	Input *inputs;
	int ninputs;
	Oid owner;    /* of the relation: who it is evaluated as */
	int16 length; /* of the result's type */
	bool by_value;
};

/* Who was there before. */
typedef struct Caller
{
	Oid user;
	int security;
} Caller;

/*
 * What users wrote runs with their rights, not with those of who decodes, as an index's expressions do.
 * (An ERROR restores the caller, too: with the transaction, or cdc_try()'s.)  And no snapshot is active
 * in a walsender's callbacks.
 */
static Caller
enter(const CdcExpression *expression)
{
	Caller caller;

	GetUserIdAndSecContext(&caller.user, &caller.security);
	SetUserIdAndSecContext(expression->owner, caller.security | SECURITY_RESTRICTED_OPERATION);
	PushActiveSnapshot(GetTransactionSnapshot());
	return caller;
}

static void
leave(Caller caller)
{
	PopActiveSnapshot();
	SetUserIdAndSecContext(caller.user, caller.security);
}

static void
find_inputs(CdcExpression *expression, Node *node, const AttrMap *map)
{
	Bitmapset *attnos = NULL;
	int attno = -1;

	pull_varattnos(node, 1, &attnos);
	expression->inputs = palloc(sizeof(Input) * (bms_num_members(attnos) + 1));
	while ((attno = bms_next_member(attnos, attno)) >= 0)
	{
		/* members are offset, since system columns have negative numbers (optimizer/util/var.c) */
		int column = attno + FirstLowInvalidHeapAttributeNumber - 1;

		if (column < 0)
			continue;
		expression->inputs[expression->ninputs].column = column;
		expression->inputs[expression->ninputs].index = map ? map->attnums[column] - 1 : column;
		expression->ninputs++;
	}
}

CdcExpression *
cdc_expression_build(Relation relation, Node *node, const AttrMap *map)
{
	CdcExpression *expression = palloc0(sizeof(CdcExpression));
	MemoryContext caller;
	EState *estate;
	Caller before;

	expression->owner = relation->rd_rel->relowner;
	before = enter(expression);
	expression->slot =
		MakeSingleTupleTableSlot(CreateTupleDescCopy(RelationGetDescr(relation)), &TTSOpsVirtual);
	expression->slot->tts_tableOid = RelationGetRelid(relation);
	memset(expression->slot->tts_isnull, true,
		   expression->slot->tts_tupleDescriptor->natts * sizeof(bool));
	get_typlenbyval(exprType(node), &expression->length, &expression->by_value);
	find_inputs(expression, node, map);

	/* the executor's state is a child of CurrentMemoryContext, and goes with it */
	estate = CreateExecutorState();
	caller = MemoryContextSwitchTo(estate->es_query_cxt);
	expression->context = GetPerTupleExprContext(estate);
	expression->state = ExecPrepareExpr((Expr *) node, estate);
	MemoryContextSwitchTo(caller);
	leave(before);
	return expression;
}

bool
cdc_expression_inputs_within(const CdcExpression *expression, const Bitmapset *columns)
{
	for (int i = 0; i < expression->ninputs; i++)
	{
		if (!bms_is_member(expression->inputs[i].index, columns))
			return false;
	}
	return true;
}

bool
cdc_expression_lacks_input(const CdcExpression *expression, const bool *missing)
{
	for (int i = 0; i < expression->ninputs; i++)
	{
		if (missing[expression->inputs[i].index])
			return true;
	}
	return false;
}

/*
 * The error that an expression raised, without its text: that may quote a value which a rule is to hide.
 * Raised in place of the first, so nothing needs to be rolled back in between.
 */
static void
raise_without_text(MemoryContext context)
{
	ErrorData *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	if (cdc_must_be_raised(error))
		PG_RE_THROW();
	FlushErrorState();
	ereport(
		ERROR, errcode(error->sqlerrcode),
		errmsg("an expression over a row's values failed with SQLSTATE %s",
			   unpack_sql_state(error->sqlerrcode)),
		errdetail("The error's own text is withheld, since it may quote the values."),
		errhint(
			"With option on_expression_error=null decoding goes on; strip_records=commit_lsn:seq "
			"passes one record without its rows."));
}

/* The value, in the caller's memory. */
static Datum
evaluate(CdcExpression *expression, bool *isnull)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile Datum value = (Datum) 0;

	PG_TRY();
	{
		value = ExecEvalExprSwitchContext(expression->state, expression->context, isnull);
		if (!*isnull)
			value = datumCopy(value, expression->by_value, expression->length);
	}
	PG_CATCH();
	{
		raise_without_text(caller);
	}
	PG_END_TRY();
	return value;
}

Datum
cdc_expression_eval(CdcExpression *expression, const Datum *values, const bool *nulls, bool *isnull)
{
	TupleTableSlot *slot = expression->slot;
	Caller caller;
	Datum value;

	ExecClearTuple(slot);
	for (int i = 0; i < expression->ninputs; i++)
	{
		const Input *input = &expression->inputs[i];

		slot->tts_values[input->column] = values[input->index];
		slot->tts_isnull[input->column] = nulls[input->index];
	}
	ExecStoreVirtualTuple(slot);
	expression->context->ecxt_scantuple = slot;

	caller = enter(expression);
	value = evaluate(expression, isnull);
	leave(caller);
	ResetExprContext(expression->context);
	return value;
}

/* The arguments of cdc_expression_eval(). */
typedef struct Evaluation
{
	CdcExpression *expression;
	const Datum *values;
	const bool *nulls;
	Datum *value;
	bool *isnull;
} Evaluation;

static void
run_evaluation(void *arg)
{
	Evaluation *e = arg;

	*e->value = cdc_expression_eval(e->expression, e->values, e->nulls, e->isnull);
}

bool
cdc_expression_try(CdcExpression *expression, const Datum *values, const bool *nulls, Datum *value,
				   bool *isnull)
{
	Evaluation evaluation = {expression, values, nulls, value, isnull};

	if (cdc_try(run_evaluation, &evaluation, NULL))
		return true;
	ResetExprContext(expression->context);
	*isnull = true;
	return false;
}
