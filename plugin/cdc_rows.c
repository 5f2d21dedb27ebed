/*
 * cdc_rows.c
 *		The old and new row of a change; see cdc_rows.h.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"

#include "cdc_compat.h"
#include "cdc_rows.h"

static void
make_image_scratch(CdcImage *image, int nvalues)
{
	image->values = palloc(sizeof(Datum) * nvalues);
	image->nulls = palloc(sizeof(bool) * nvalues);
	image->missing = palloc(sizeof(bool) * nvalues);
}

static void
ensure_scratch(CdcRows *rows, int nvalues)
{
	MemoryContext caller;

	if (likely(nvalues <= rows->nvalues))
		return;
	if (rows->nvalues > 0)
	{
		CdcImage *images[] = {&rows->before, &rows->after};

		for (int i = 0; i < lengthof(images); i++)
		{
			pfree(images[i]->values);
			pfree(images[i]->nulls);
			pfree(images[i]->missing);
		}
		pfree(rows->failed);
	}
	caller = MemoryContextSwitchTo(rows->context);
	make_image_scratch(&rows->before, nvalues);
	make_image_scratch(&rows->after, nvalues);
	rows->failed = palloc(sizeof(bool) * nvalues);
	rows->nvalues = nvalues;
	MemoryContextSwitchTo(caller);
}

static void
load_image(CdcImage *image, const CdcRelation *relation, TupleDesc desc, HeapTuple tuple)
{
	image->present = tuple != NULL;
	image->any_missing = false;
	if (tuple == NULL)
		return;
	heap_deform_tuple(tuple, desc, image->values, image->nulls);
	for (int i = 0; i < relation->nvarlenas; i++)
	{
		int index = relation->varlenas[i].index;

		/* still out of line: unchanged, so its chunks were not logged */
		if (!image->nulls[index] &&
			unlikely(VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(image->values[index]))))
		{
			if (!image->any_missing)
				memset(image->missing, 0, relation->nvalues * sizeof(bool));
			image->any_missing = true;
			image->missing[index] = true;
		}
	}
}

/* An unchanged value may stand in the old row, which has all columns under FULL, else the identity's. */
static void
fill_from_old_row(CdcRows *rows, const CdcRelation *relation)
{
	const CdcImage *before = &rows->before;
	CdcImage *after = &rows->after;

	for (int i = 0; i < relation->nvarlenas; i++)
	{
		const CdcVarlena *varlena = &relation->varlenas[i];
		int index = varlena->index;

		if (!after->missing[index] || before->nulls[index] || cdc_is_missing(before, index) ||
			(relation->identity != REPLICA_IDENTITY_FULL && !varlena->logged))
			continue;
		after->values[index] = before->values[index];
		after->missing[index] = false;
	}
}

void
cdc_rows_load(CdcRows *rows, const CdcRelation *relation, TupleDesc desc, HeapTuple before,
			  HeapTuple after)
{
	ensure_scratch(rows, relation->nvalues);
	rows->any_failed = false;
	load_image(&rows->before, relation, desc, before);
	load_image(&rows->after, relation, desc, after);
	if (rows->before.present && rows->after.any_missing)
		fill_from_old_row(rows, relation);
}

/* Names the relation in what goes wrong in a row filter. */
static void
filter_error_context(void *arg)
{
	const CdcRelation *relation = arg;

	errcontext("row filter of the publications of \"%s\".\"%s\" (with option "
			   "on_expression_error=null such rows are sent)",
			   relation->schema, relation->table);
}

static bool
image_matches(const CdcRows *rows, CdcExpression *filter, const CdcImage *image)
{
	bool isnull;
	Datum matches;

	/*
	 * The server refuses updates and deletes of a table whose filter uses columns that are not logged.
	 * Should a value be missing all the same, one record too many is better than one too few.
	 */
	if (image->any_missing && cdc_expression_lacks_input(filter, image->missing))
		return true;
	if (rows->options->on_expression_error == CDC_EXPRESSION_ERROR_STOP)
		matches = cdc_expression_eval(filter, image->values, image->nulls, &isnull);
	else if (!cdc_expression_try(filter, image->values, image->nulls, &matches, &isnull))
		return true; /* so here */
	return !isnull && DatumGetBool(matches);
}

bool
cdc_rows_filter(CdcRows *rows, const CdcRelation *relation, CdcChangeKind *kind)
{
	CdcExpression *filter = relation->filters[*kind == CDC_SNAPSHOT ? CDC_INSERT : *kind];
	CdcImage *before = &rows->before;
	CdcImage *after = &rows->after;
	ErrorContextCallback context = {.previous = error_context_stack,
									.callback = filter_error_context,
									.arg = unconstify(CdcRelation *, relation)};
	bool before_matches;
	bool after_matches;

	if (likely(filter == NULL))
		return true;
	error_context_stack = &context;
	before_matches = before->present && image_matches(rows, filter, before);
	after_matches = after->present && image_matches(rows, filter, after);
	error_context_stack = context.previous;

	/* an update whose old row is not known is judged by its new one */
	if (*kind == CDC_UPDATE && before->present && before_matches != after_matches)
	{
		*kind = after_matches ? CDC_INSERT : CDC_DELETE;
		(after_matches ? before : after)->present = false;
		return true;
	}
	return before_matches || after_matches;
}

/* Where an expression's error is an ERROR: which one it was. */
typedef struct ExpressionContext
{
	const CdcRows *rows;
	const CdcRelation *relation;
	const CdcColumn *column;
	XLogRecPtr commit_lsn;
	uint64 seq;
} ExpressionContext;

static void
expression_error_context(void *arg)
{
	const ExpressionContext *context = arg;

	errcontext(
		"pipeline \"%s\", member \"%s\" of \"%s\".\"%s\", commit_lsn %X/%X, seq " UINT64_FORMAT,
		context->rows->options->pipeline, context->column->member, context->relation->schema,
		context->relation->table, LSN_FORMAT_ARGS(context->commit_lsn), context->seq);
}

/* False if the expression failed, which is then said in the record. */
static bool
compute_column(CdcRows *rows, const CdcRelation *relation, const CdcColumn *column, CdcImage *image,
			   XLogRecPtr commit_lsn, uint64 seq)
{
	ExpressionContext argument = {rows, relation, column, commit_lsn, seq};
	ErrorContextCallback context = {error_context_stack, expression_error_context, &argument};
	int index = column->index;

	if (!column->must_not_fail)
		return cdc_expression_try(column->expression, image->values, image->nulls,
								  &image->values[index], &image->nulls[index]);
	error_context_stack = &context;
	image->values[index] =
		cdc_expression_eval(column->expression, image->values, image->nulls, &image->nulls[index]);
	error_context_stack = context.previous;
	return true;
}

static void
note_failure(CdcRows *rows, const CdcRelation *relation, int index)
{
	if (!rows->any_failed)
		memset(rows->failed, 0, relation->nvalues * sizeof(bool));
	rows->any_failed = true;
	rows->failed[index] = true;
}

static bool
lacks_key(const CdcLookupUse *use, const CdcImage *image)
{
	for (int i = 0; i < use->nkeys; i++)
	{
		if (cdc_is_missing(image, use->keys[i].index))
			return true;
	}
	return false;
}

/* Fills in the members that one lookup gives. */
static void
look_up(CdcRows *rows, const CdcRelation *relation, int lookup, CdcImage *image)
{
	const CdcLookupUse *use = &relation->lookups[lookup];
	bool missing = lacks_key(use, image);
	CdcLookupResult result = CDC_LOOKUP_NONE;
	CdcLookupRow row;

	if (!missing)
		result = cdc_lookup_find(rows->lookups, use, image->values, image->nulls, &row);
	for (int i = 0; i < relation->ncolumns; i++)
	{
		const CdcColumn *column = &relation->columns[i];

		if (column->lookup != lookup)
			continue;
		image->nulls[column->index] = true;
		if (missing)
			image->missing[column->index] = true;
		else if (result == CDC_LOOKUP_FAILED)
			note_failure(rows, relation, column->index);
		else if (result == CDC_LOOKUP_FOUND)
		{
			image->values[column->index] = row.values[column->lookup_attnum - 1];
			image->nulls[column->index] = row.nulls[column->lookup_attnum - 1];
		}
	}
}

/* logged_only: the row holds the identity's columns only. */
static void
look_up_all(CdcRows *rows, const CdcRelation *relation, CdcImage *image, bool logged_only)
{
	for (int i = 0; i < relation->nlookups; i++)
	{
		if (!logged_only || relation->lookups[i].logged)
			look_up(rows, relation, i, image);
	}
}

/* logged_only as above. */
static void
compute_expressions(CdcRows *rows, const CdcRelation *relation, CdcImage *image, bool logged_only,
					XLogRecPtr commit_lsn, uint64 seq)
{
	for (int i = 0; i < relation->ncolumns; i++)
	{
		const CdcColumn *column = &relation->columns[i];

		if (column->expression == NULL)
			continue;
		cdc_settings_pin(rows->settings);
		image->nulls[column->index] = true;
		if (logged_only && !column->logged)
			continue;
		if (image->any_missing && cdc_expression_lacks_input(column->expression, image->missing))
			image->missing[column->index] = true;
		else if (!compute_column(rows, relation, column, image, commit_lsn, seq))
			note_failure(rows, relation, column->index);
	}
}

static void
compute_image(CdcRows *rows, const CdcRelation *relation, CdcImage *image, bool logged_only,
			  XLogRecPtr commit_lsn, uint64 seq)
{
	look_up_all(rows, relation, image, logged_only);
	compute_expressions(rows, relation, image, logged_only, commit_lsn, seq);
}

void
cdc_rows_compute(CdcRows *rows, const CdcRelation *relation, XLogRecPtr commit_lsn, uint64 seq)
{
	cdc_lookups_trim(rows->lookups);
	if (rows->before.present)
		compute_image(rows, relation, &rows->before, relation->identity != REPLICA_IDENTITY_FULL,
					  commit_lsn, seq);
	if (rows->after.present)
		compute_image(rows, relation, &rows->after, false, commit_lsn, seq);
}
