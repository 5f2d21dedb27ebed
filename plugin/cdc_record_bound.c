/*
 * cdc_record_bound.c
 *		Records longer than option max_record_bytes allows; see cdc_record_bound.h.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "cdc_format.h"
#include "cdc_record_bound.h"

/* How long the column's values are in the record, each image counted once. */
static uint64
measure_column(CdcRecorder *recorder, const CdcColumn *column)
{
	const CdcImage *images[] = {&recorder->rows.before, &recorder->rows.after};
	CdcWriter *writer = &recorder->output->writer;
	uint64 size;

	cdc_writer_restart_record(writer);
	for (int i = 0; i < lengthof(images); i++)
	{
		if (images[i]->present && !images[i]->nulls[column->index] &&
			!cdc_is_missing(images[i], column->index))
			cdc_put_value(writer, images[i]->values[column->index], &column->type);
	}
	size = cdc_writer_tell(writer);
	cdc_writer_restart_record(writer);
	return size;
}

typedef struct ColumnSize
{
	CdcColumn *column;
	uint64 size;
} ColumnSize;

/* Those that may go first come first: no key, largest; then the table's order. */
static int
compare_column_sizes(const void *a, const void *b)
{
	const ColumnSize *x = a;
	const ColumnSize *y = b;

	if (x->column->logged != y->column->logged)
		return x->column->logged ? 1 : -1;
	if (x->size != y->size)
		return x->size > y->size ? -1 : 1;
	return x->column->index - y->column->index;
}

void
cdc_record_shorten(CdcRecorder *recorder, CdcChange *change)
{
	CdcRelation *relation = change->relation;
	CdcWriter *writer = &recorder->output->writer;
	uint64 limit = recorder->options->max_record_bytes;
	uint64 size = cdc_writer_tell(writer) + strlen(",\"oversized\":[]");
	ColumnSize *sizes = palloc(sizeof(ColumnSize) * relation->ncolumns);
	/* detoasted values may be large: one at a time */
	MemoryContext value_context =
		AllocSetContextCreate(CurrentMemoryContext, "cdc_decoder value", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(value_context);

	for (int i = 0; i < relation->ncolumns; i++)
	{
		sizes[i].column = &relation->columns[i];
		sizes[i].size = measure_column(recorder, &relation->columns[i]);
		MemoryContextReset(value_context);
	}
	qsort(sizes, relation->ncolumns, sizeof(ColumnSize), compare_column_sizes);
	for (int i = 0; i < relation->ncolumns; i++)
	{
		/* its name moves to the list; what a key saves besides shows when it is tried */
		sizes[i].column->omitted = true;
		size -= Min(sizes[i].size, size);
		if (size > limit && i + 1 < relation->ncolumns && !sizes[i].column->logged)
			continue;
		cdc_writer_restart_record(writer);
		MemoryContextReset(value_context);
		recorder->format->put_change(recorder, change, true);
		/* without its key a delete has to say more, so even then it may be too long */
		if (!cdc_writer_overflowed(writer))
			break;
	}
	for (int i = 0; i < relation->nkeys; i++)
		change->key_omitted |= relation->keys[i]->omitted;
	for (int i = 0; i < relation->ncolumns; i++)
		relation->columns[i].omitted = false;
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(value_context);
	pfree(sizes);
}
