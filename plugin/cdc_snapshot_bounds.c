/*
 * cdc_snapshot_bounds.c
 *		cdc.key_bounds(): where a table's rows, in the order of their key, can be divided.
 *
 * The bounds are keys of some of its rows: of pages at equal distances, sorted.	 So the parts are about equal
 * whether or not the table is in the order of its key, and only few pages are read.	 What the parts are is
 * of no weight for what is read: any keys would do.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/tableam.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "cdc_compat.h"
#include "cdc_settings.h"
#include "cdc_snapshot_scan.h"
#include "cdc_snapshot_session.h"

CDC_SQL_FUNCTION(cdc_key_bounds);

/* The function's arguments and columns, in their order (sql/cdc_decoder--1.0.sql). */
enum
{
	ARG_RELATION,
	ARG_KEY,
	ARG_AFTER,
	ARG_UPTO,
	ARG_PARTS,
};
enum
{
	OUT_N,
	OUT_BOUND,
	NUM_OUT,
};

/* So many rows are looked at for each part: sizes then differ by about a third. */
#define SAMPLES_PER_PART 8
#define MAX_PARTS 1024

/* Of a page's line pointers so many are tried before it is passed over. */
#define TRIES_PER_PAGE 64

/* Smaller parts are not worth a chunk of their own. */
#define MIN_PART_PAGES (512 * 1024 / BLCKSZ)

typedef struct Sample
{
	CdcScanKey *key;
	Datum *after; /* NULL: none */
	Datum *upto;
	Datum **rows; /* their keys */
	int nrows;
} Sample;

static Datum *
bound_argument(FunctionCallInfo fcinfo, int n, const CdcScanKey *key, Relation relation)
{
	return PG_ARGISNULL(n) ? NULL : cdc_scan_key_values(key, relation, PG_GETARG_ARRAYTYPE_P(n));
}

static Datum *
copy_key(const CdcScanKey *key, TupleTableSlot *slot)
{
	Datum *values = palloc(sizeof(Datum) * key->ncolumns);

	for (int i = 0; i < key->ncolumns; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(slot->tts_tupleDescriptor, key->attnums[i] - 1);
		bool isnull;
		Datum value = slot_getattr(slot, key->attnums[i], &isnull);

		if (isnull)
			elog(ERROR, "a column of a key is null");
		values[i] = datumCopy(value, attr->attbyval, attr->attlen);
	}
	return values;
}

/* Only rows past the one bound and before the other can divide what is between them. */
static bool
is_within(const Sample *sample, const Datum *row)
{
	return (sample->after == NULL || cdc_scan_key_compare(sample->key, row, sample->after) > 0) &&
		   (sample->upto == NULL || cdc_scan_key_compare(sample->key, row, sample->upto) < 0);
}

/* The first row of that page that is there, if any. */
static void
sample_page(Sample *sample, Relation relation, BlockNumber block, TupleTableSlot *slot)
{
	for (OffsetNumber i = FirstOffsetNumber; i <= TRIES_PER_PAGE; i++)
	{
		ItemPointerData tid;

		ItemPointerSet(&tid, block, i);
		if (table_tuple_fetch_row_version(relation, &tid, GetActiveSnapshot(), slot))
		{
			Datum *row = copy_key(sample->key, slot);

			if (is_within(sample, row))
				sample->rows[sample->nrows++] = row;
			ExecClearTuple(slot);
			return;
		}
	}
}

static int
compare_rows(const void *a, const void *b, void *key)
{
	return cdc_scan_key_compare(key, *(Datum *const *) a, *(Datum *const *) b);
}

/* Returns how many pages were looked at. */
static int
take_sample(Sample *sample, Relation relation, int wanted)
{
	BlockNumber nblocks = RelationGetNumberOfBlocks(relation);
	int npages = Min((BlockNumber) wanted, nblocks);
	TupleTableSlot *slot = table_slot_create(relation, NULL);

	sample->rows = palloc(sizeof(Datum *) * Max(npages, 1));
	for (int i = 0; i < npages; i++)
	{
		CHECK_FOR_INTERRUPTS();
		sample_page(sample, relation, (uint64) nblocks * i / npages, slot);
	}
	ExecDropSingleTupleTableSlot(slot);
	qsort_arg(sample->rows, sample->nrows, sizeof(Datum *), compare_rows, sample->key);
	return npages;
}

/* The range's share of the pages allows so many parts. */
static int
parts_worth(const Sample *sample, Relation relation, int npages, int parts)
{
	uint64 pages = (uint64) RelationGetNumberOfBlocks(relation) * sample->nrows / Max(npages, 1);

	return (int) Min((uint64) parts, Min(pages / MIN_PART_PAGES, (uint64) sample->nrows));
}

static void
put_bounds(ReturnSetInfo *result, const Sample *sample, int parts)
{
	const Datum *last = NULL;
	int n = 0;

	for (int i = 1; i < parts; i++)
	{
		const Datum *row = sample->rows[(uint64) sample->nrows * i / parts];
		Datum values[NUM_OUT];
		bool nulls[NUM_OUT] = {false};

		if (last && cdc_scan_key_compare(sample->key, row, last) == 0)
			continue;
		last = row;
		values[OUT_N] = Int32GetDatum(++n);
		values[OUT_BOUND] =
			cdc_scan_key_array(sample->key, cdc_scan_key_column_texts(sample->key, row));
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}

Datum
cdc_key_bounds(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	CdcSettings settings = {0};
	CdcScanKey key;
	Sample sample = {.key = &key};
	Relation relation;
	int parts;
	int npages;

	if (PG_ARGISNULL(ARG_RELATION) || PG_ARGISNULL(ARG_PARTS))
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("relation and parts must not be NULL"));
	parts = PG_GETARG_INT32(ARG_PARTS);
	if (parts < 1 || parts > MAX_PARTS)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("parts must be from 1 to %d, not %d", MAX_PARTS, parts));
	InitMaterializedSRF(fcinfo, 0);
	relation = cdc_snapshot_open_relation(PG_GETARG_OID(ARG_RELATION));
	cdc_scan_key_open(&key, relation);
	if (key.index != NULL)
	{
		cdc_settings_pin(&settings);
		if (!PG_ARGISNULL(ARG_KEY))
			cdc_scan_key_require(&key, relation, PG_GETARG_ARRAYTYPE_P(ARG_KEY));
		sample.after = bound_argument(fcinfo, ARG_AFTER, &key, relation);
		sample.upto = bound_argument(fcinfo, ARG_UPTO, &key, relation);
		npages = take_sample(&sample, relation, parts * SAMPLES_PER_PART);
		put_bounds(result, &sample, parts_worth(&sample, relation, npages, parts));
		cdc_settings_unpin(&settings);
		cdc_scan_key_close(&key);
	}
	relation_close(relation, AccessShareLock);
	return (Datum) 0;
}
