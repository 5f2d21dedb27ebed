/*
 * cdc_generated.c
 *		Virtual generated columns; see cdc_generated.h.
 *
 * No snapshot is active in a walsender's callbacks, yet an expression may call an SQL function, which
 * crashes the server without one: so one is pushed around everything here.
 */
#include "postgres.h"

#include "cdc_compat.h"
#include "cdc_generated.h"

#ifdef CDC_HAVE_VIRTUAL_COLUMNS

#include "access/xact.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

struct CdcGenerated
{
	ExprState *expression;
	ExprContext *context;
	TupleTableSlot *slot;
	Bitmapset *inputs; /* attnum - 1 of the columns that it uses */
	int16 length;
	bool by_value;
};

static Bitmapset *
columns_used(Node *expression)
{
	Bitmapset *attnos = NULL;
	Bitmapset *columns = NULL;
	int attno = -1;

	/* members are offset, since system columns have negative numbers (optimizer/util/var.c) */
	pull_varattnos(expression, 1, &attnos);
	while ((attno = bms_next_member(attnos, attno)) >= 0)
	{
		int attnum = attno + FirstLowInvalidHeapAttributeNumber;

		if (attnum > 0)
			columns = bms_add_member(columns, attnum - 1);
	}
	return columns;
}

CdcGenerated *
cdc_generated_build(Relation relation, Form_pg_attribute attr)
{
	CdcGenerated *generated;
	EState *estate;
	MemoryContext caller;
	Node *expression;

	if (attr->attgenerated != ATTRIBUTE_GENERATED_VIRTUAL)
		return NULL;
	PushActiveSnapshot(GetTransactionSnapshot());
	generated = palloc0(sizeof(CdcGenerated));
	generated->slot =
		MakeSingleTupleTableSlot(CreateTupleDescCopy(RelationGetDescr(relation)), &TTSOpsVirtual);
	generated->length = attr->attlen;
	generated->by_value = attr->attbyval;
	expression = build_generation_expression(relation, attr->attnum);
	generated->inputs = columns_used(expression);

	/* the executor state is a child of CurrentMemoryContext, and goes with it */
	estate = CreateExecutorState();
	caller = MemoryContextSwitchTo(estate->es_query_cxt);
	generated->context = GetPerTupleExprContext(estate);
	generated->expression = ExecPrepareExpr((Expr *) expression, estate);
	MemoryContextSwitchTo(caller);
	PopActiveSnapshot();
	return generated;
}

bool
cdc_generated_lacks_input(const CdcGenerated *generated, const bool *missing)
{
	int column = -1;

	while ((column = bms_next_member(generated->inputs, column)) >= 0)
	{
		if (missing[column])
			return true;
	}
	return false;
}

static void
compute(CdcGenerated *generated, Datum *values, bool *nulls, Datum *value, bool *isnull)
{
	TupleTableSlot *slot = generated->slot;
	int natts = slot->tts_tupleDescriptor->natts;

	ExecClearTuple(slot);
	memcpy(slot->tts_values, values, natts * sizeof(Datum));
	memcpy(slot->tts_isnull, nulls, natts * sizeof(bool));
	ExecStoreVirtualTuple(slot);
	generated->context->ecxt_scantuple = slot;
	*value = ExecEvalExprSwitchContext(generated->expression, generated->context, isnull);
}

/* A person or the server wants us to stop: not the expression's fault. */
static bool
is_cancellation(int sqlerrcode)
{
	return sqlerrcode == ERRCODE_QUERY_CANCELED ||
		   ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION ||
		   ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_INSUFFICIENT_RESOURCES;
}

bool
cdc_generated_compute(CdcGenerated *generated, Datum *values, bool *nulls, Datum *value,
					  bool *isnull)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool good = true;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		compute(generated, values, nulls, value, isnull);
		MemoryContextSwitchTo(caller);
		if (!*isnull)
			*value = datumCopy(*value, generated->by_value, generated->length);
		PopActiveSnapshot();
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		if (is_cancellation(error->sqlerrcode))
			PG_RE_THROW();
		FlushErrorState();
		FreeErrorData(error);
		RollbackAndReleaseCurrentSubTransaction();
		*isnull = true;
		good = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	ResetExprContext(generated->context);
	return good;
}

#else

CdcGenerated *
cdc_generated_build(Relation relation, Form_pg_attribute attr)
{
	return NULL;
}

bool
cdc_generated_lacks_input(const CdcGenerated *generated, const bool *missing)
{
	return false;
}

bool
cdc_generated_compute(CdcGenerated *generated, Datum *values, bool *nulls, Datum *value,
					  bool *isnull)
{
	pg_unreachable();
}

#endif
