/*
 * cdc_enum.c
 *		The labels of an enum type; see cdc_enum.h.
 *
 * enum_out() looks into the catalogs for every value.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_enum.h"
#include "utils/fmgroids.h"

#include "cdc_enum.h"
#include "cdc_json.h"

typedef struct Label
{
	Oid value;
	int len;
	char *text;      /* "label", with its quotes */
	uint64 replaced; /* bytes of it that could not be converted to UTF-8 */
} Label;

struct CdcEnum
{
	int count;
	int allocated;
	Label *labels; /* by value */
};

static int
compare_labels(const void *a, const void *b)
{
	Oid x = ((const Label *) a)->value;
	Oid y = ((const Label *) b)->value;

	return x < y ? -1 : x > y;
}

static void
add_label(CdcEnum *labels, Form_pg_enum row, CdcEncoding *encoding)
{
	uint64 replaced_before = encoding->replaced;
	StringInfoData text;
	CdcWriter writer = {.encoding = encoding};

	if (labels->count == labels->allocated)
	{
		labels->allocated *= 2;
		labels->labels = repalloc(labels->labels, sizeof(Label) * labels->allocated);
	}
	initStringInfo(&text);
	cdc_writer_attach(&writer, &text);
	cdc_put_string(&writer, NameStr(row->enumlabel), strlen(NameStr(row->enumlabel)));
	cdc_writer_detach(&writer);
	labels->labels[labels->count++] = (Label){row->oid, text.len, pnstrdup(text.data, text.len),
											  encoding->replaced - replaced_before};
	encoding->replaced = replaced_before;
	pfree(text.data);
}

CdcEnum *
cdc_enum_build(Oid type_oid, CdcEncoding *encoding)
{
	CdcEnum *labels = palloc0(sizeof(CdcEnum));
	Relation catalog = table_open(EnumRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	labels->allocated = 8;
	labels->labels = palloc(sizeof(Label) * labels->allocated);
	ScanKeyInit(&key, Anum_pg_enum_enumtypid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(type_oid));
	scan = systable_beginscan(catalog, EnumTypIdLabelIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		add_label(labels, (Form_pg_enum) GETSTRUCT(tuple), encoding);
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	qsort(labels->labels, labels->count, sizeof(Label), compare_labels);
	return labels;
}

bool
cdc_put_enum(CdcWriter *writer, const CdcEnum *labels, Oid value)
{
	Label wanted = {.value = value};
	const Label *label =
		bsearch(&wanted, labels->labels, labels->count, sizeof(Label), compare_labels);

	if (label == NULL)
		return false;
	writer->encoding->replaced += label->replaced;
	cdc_put_short(writer, label->text, label->len);
	return true;
}
