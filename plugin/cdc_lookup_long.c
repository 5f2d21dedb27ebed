/*
 * cdc_lookup_long.c
 *		Rows of a shadow that do not fit into a page; see cdc_lookup_long.h.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "lib/stringinfo.h"

#include "cdc_lookup_long.h"

/* cdc.create_shadow() sets toast_tuple_target to this, so that nothing shorter is toasted. */
#define MAX_TUPLE_BYTES Min(8160, BLCKSZ - 32)

/* Of a value that is cut into pieces, in the chunk of the row itself. */
typedef struct LongValue
{
	int32 attnum;
	uint32 size;
} LongValue;

static inline AttrNumber
part_attnum(TupleDesc desc)
{
	return desc->natts - 1;
}

static inline AttrNumber
chunk_attnum(TupleDesc desc)
{
	return desc->natts;
}

static Datum
make_chunk(const char *bytes, Size size)
{
	bytea *chunk = palloc(VARHDRSZ + size);

	SET_VARSIZE(chunk, VARHDRSZ + size);
	memcpy(VARDATA(chunk), bytes, size);
	return PointerGetDatum(chunk);
}

/* The longest value that may be cut out, by index; -1: there is none. */
static int
find_longest(TupleDesc desc, int nkeys, const Datum *values, const bool *nulls)
{
	Size longest = 0;
	int found = -1;

	for (int i = nkeys; i < part_attnum(desc) - 1; i++)
	{
		if (nulls[i] || TupleDescAttr(desc, i)->attlen != -1 ||
			VARSIZE_ANY(DatumGetPointer(values[i])) <= longest)
			continue;
		longest = VARSIZE_ANY(DatumGetPointer(values[i]));
		found = i;
	}
	return found;
}

static Size
tuple_size(TupleDesc desc, const Datum *values, const bool *nulls)
{
	return MAXALIGN(SizeofHeapTupleHeader + BITMAPLEN(desc->natts)) +
		   heap_compute_data_size(desc, unconstify(Datum *, values), unconstify(bool *, nulls));
}

/* The tuples with the pieces; values and nulls are the row's, of which they have the key. */
static List *
make_pieces(List *tuples, TupleDesc desc, int nkeys, Datum *values, bool *nulls,
			const StringInfoData *bytes)
{
	int part = part_attnum(desc) - 1;
	int chunk = chunk_attnum(desc) - 1;
	Size size;

	for (int i = nkeys; i < desc->natts; i++)
		nulls[i] = true;
	nulls[part] = nulls[chunk] = false;
	values[chunk] = make_chunk("", 0);
	/* its alignment, too */
	size = MAX_TUPLE_BYTES - tuple_size(desc, values, nulls) - MAXIMUM_ALIGNOF;
	for (int at = 0; at < bytes->len; at += size)
	{
		values[part] = Int32GetDatum(list_length(tuples));
		values[chunk] = make_chunk(bytes->data + at, Min(size, bytes->len - at));
		tuples = lappend(tuples, heap_form_tuple(desc, values, nulls));
	}
	return tuples;
}

List *
cdc_lookup_pack(TupleDesc desc, int nkeys, Datum *values, bool *nulls)
{
	int part = part_attnum(desc) - 1;
	int chunk = chunk_attnum(desc) - 1;
	StringInfoData bytes = {0};
	StringInfoData head = {0};
	List *tuples;

	values[part] = Int32GetDatum(0);
	nulls[part] = false;
	nulls[chunk] = true;
	for (int i = 0; i < part; i++)
	{
		if (!nulls[i] && TupleDescAttr(desc, i)->attlen == -1 &&
			VARATT_IS_EXTERNAL(DatumGetPointer(values[i])))
			values[i] = PointerGetDatum(
				detoast_external_attr((struct varlena *) DatumGetPointer(values[i])));
	}
	while (tuple_size(desc, values, nulls) > MAX_TUPLE_BYTES)
	{
		int longest = find_longest(desc, nkeys, values, nulls);
		LongValue value;

		if (longest < 0)
			break; /* whoever stores it says that it is too long */
		if (head.data == NULL)
		{
			initStringInfo(&head);
			initStringInfo(&bytes);
		}
		value.attnum = longest + 1;
		value.size = VARSIZE_ANY(DatumGetPointer(values[longest]));
		appendBinaryStringInfo(&head, (char *) &value, sizeof(value));
		appendBinaryStringInfo(&bytes, DatumGetPointer(values[longest]), value.size);
		nulls[longest] = true;
		values[chunk] = make_chunk(head.data, head.len);
		nulls[chunk] = false;
	}
	tuples = list_make1(heap_form_tuple(desc, values, nulls));
	if (bytes.data)
		tuples = make_pieces(tuples, desc, nkeys, values, nulls, &bytes);
	return tuples;
}

int
cdc_lookup_part(HeapTuple tuple, TupleDesc desc)
{
	bool isnull;

	return DatumGetInt32(heap_getattr(tuple, part_attnum(desc), desc, &isnull));
}

bool
cdc_lookup_is_whole(HeapTuple tuple, TupleDesc desc)
{
	return heap_attisnull(tuple, chunk_attnum(desc), desc);
}

CdcLookupPiece *
cdc_lookup_copy_piece(HeapTuple tuple, TupleDesc desc)
{
	CdcLookupPiece *piece = palloc(sizeof(CdcLookupPiece));
	bool isnull;
	Datum chunk = heap_getattr(tuple, chunk_attnum(desc), desc, &isnull);

	if (isnull)
		elog(ERROR, "a piece of a row that is looked up is empty");
	piece->part = cdc_lookup_part(tuple, desc);
	piece->chunk = PG_DETOAST_DATUM_COPY(chunk);
	return piece;
}

static int
compare_parts(const ListCell *a, const ListCell *b)
{
	const CdcLookupPiece *pieces[] = {lfirst(a), lfirst(b)};

	return pieces[0]->part - pieces[1]->part;
}

void
cdc_lookup_unpack(TupleDesc desc, CdcLookupRow *row, List *pieces)
{
	struct varlena *head = PG_DETOAST_DATUM(row->values[chunk_attnum(desc) - 1]);
	const char *at = VARDATA(head);
	const char *end = at + VARSIZE(head) - VARHDRSZ;
	StringInfoData bytes;
	ListCell *cell;
	int used = 0;

	initStringInfo(&bytes);
	list_sort(pieces, compare_parts);
	foreach (cell, pieces)
	{
		const CdcLookupPiece *piece = lfirst(cell);

		if (piece->part != foreach_current_index(cell) + 1)
			elog(ERROR, "a piece of a row that is looked up is missing");
		appendBinaryStringInfo(&bytes, VARDATA(piece->chunk), VARSIZE(piece->chunk) - VARHDRSZ);
	}
	for (; at < end; at += sizeof(LongValue))
	{
		LongValue value;
		void *copy;

		memcpy(&value, at, sizeof(value));
		if (value.size > bytes.len - used)
			elog(ERROR, "pieces of a row that is looked up are missing");
		copy = palloc(value.size);
		memcpy(copy, bytes.data + used, value.size);
		used += value.size;
		row->values[value.attnum - 1] = PointerGetDatum(copy);
		row->nulls[value.attnum - 1] = false;
	}
	pfree(bytes.data);
}
