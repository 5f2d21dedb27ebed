/*
 * cdc_value.c
 *		Datum -> JSON: arrays, rows, output functions, and how a writer is chosen; see cdc_value.h.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "parser/parse_coerce.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "cdc_compat.h"
#include "cdc_detoast.h"
#include "cdc_enum.h"
#include "cdc_json.h"
#include "cdc_scalar.h"
#include "cdc_try.h"
#include "cdc_value.h"

/*
 * From here on the text of a value may pass 1 GiB: characters as \\u0000, hstore's doubled quotes, are
 * six bytes each at most.
 */
#define HUGE_VALUE (128 * 1024 * 1024)

/* A column of a composite type. */
typedef struct CdcField
{
	char *label;
	int label_len;
	CdcType type;
} CdcField;

/*
 * A composite type.  values and nulls are scratch: no type contains itself, so no CdcRowType is ever
 * in use twice at a time.
 */
struct CdcRowType
{
	Oid type_oid;
	TupleDesc desc;
	CdcField *fields;
	Datum *values;
	bool *nulls;
};

/* Whatever has no writer of its own: its output function's text, or the json it can be cast to. */
static void
put_by_function(CdcWriter *writer, Datum value, const CdcType *type)
{
	FmgrInfo *function = unconstify(FmgrInfo *, &type->function);

	if (type->cast_to_json)
	{
		struct varlena *json = PG_DETOAST_DATUM_PACKED(FunctionCall1(function, value));

		cdc_put_json_text(writer, VARDATA_ANY(json), VARSIZE_ANY_EXHDR(json));
	}
	else
	{
		char *text = OutputFunctionCall(function, value);

		cdc_put_string(writer, text, strlen(text));
	}
}

/* The arguments of put_by_function(). */
typedef struct FunctionCall
{
	CdcWriter *writer;
	Datum value;
	const CdcType *type;
} FunctionCall;

static void
call_function(void *arg)
{
	FunctionCall *call = arg;

	put_by_function(call->writer, call->value, call->type);
}

void
cdc_put_output(CdcWriter *writer, Datum value, const CdcType *type)
{
	cdc_settings_pin(type->settings);
	if (likely(type->length != -1 || toast_raw_datum_size(value) <= HUGE_VALUE))
		put_by_function(writer, value, type);
	else
	{
		/*
		 * Its text may be longer than any string can be, which is an error in the function.  An ERROR
		 * here would stick the slot, so it counts as a text that is too long for the record.
		 */
		FunctionCall call = {writer, value, type};

		if (!cdc_try(call_function, &call, NULL))
			cdc_writer_fail_record(writer);
	}
}

static void
put_enum(CdcWriter *writer, Datum value, const CdcType *type)
{
	/* a label of an uncommitted ALTER TYPE may not have been there when the labels were read */
	if (!cdc_put_enum(writer, type->labels, DatumGetObjectId(value)))
		cdc_put_output(writer, value, type);
}

typedef struct ArrayWalk
{
	const CdcType *element;
	const int *dims;
	int ndims;
	char *data;
	uint8 *nulls; /* NULL: there are none */
	int index;    /* of the next element */
} ArrayWalk;

static void
put_array_dimension(CdcWriter *writer, ArrayWalk *walk, int dimension)
{
	cdc_put_byte(writer, '[');
	for (int i = 0; i < walk->dims[dimension]; i++)
	{
		if (i > 0)
			cdc_put_byte(writer, ',');
		if (dimension + 1 < walk->ndims)
			put_array_dimension(writer, walk, dimension + 1);
		else if (walk->nulls && att_isnull(walk->index, walk->nulls))
		{
			cdc_put_literal(writer, "null");
			walk->index++;
		}
		else
		{
			const CdcType *element = walk->element;
			Datum value = fetch_att(walk->data, element->by_value, element->length);

			cdc_put_value(writer, value, element);
			walk->data = att_addlength_pointer(walk->data, element->length, walk->data);
			walk->data = (char *) att_align_nominal(walk->data, element->align);
			walk->index++;
		}
	}
	cdc_put_byte(writer, ']');
}

static void
put_array(CdcWriter *writer, Datum value, const CdcType *type)
{
	ArrayType *array = (ArrayType *) cdc_detoast_aligned(value);
	ArrayWalk walk = {.element = type->element,
					  .dims = ARR_DIMS(array),
					  .ndims = ARR_NDIM(array),
					  .data = ARR_DATA_PTR(array),
					  .nulls = ARR_NULLBITMAP(array)};

	if (walk.ndims == 0)
		cdc_put_literal(writer, "[]");
	else
		put_array_dimension(writer, &walk, 0);
}

static void
put_row(CdcWriter *writer, Datum value, const CdcType *type)
{
	HeapTupleHeader header = (HeapTupleHeader) cdc_detoast_aligned(value);
	CdcRowType *row = type->row;
	HeapTupleData tuple;
	int comma = 1; /* the first label is written without its comma */

	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	tuple.t_data = header;
	heap_deform_tuple(&tuple, row->desc, row->values, row->nulls);

	cdc_put_byte(writer, '{');
	for (int i = 0; i < row->desc->natts; i++)
	{
		CdcField *field = &row->fields[i];

		if (field->label == NULL)
			continue; /* dropped */
		cdc_put_padded(writer, field->label + comma, field->label_len - comma);
		comma = 0;
		if (row->nulls[i])
			cdc_put_literal(writer, "null");
		else
			cdc_put_value(writer, row->values[i], &field->type);
	}
	cdc_put_byte(writer, '}');
}

/*
 * The function of a cast to json, if an extension's type has one that can be called safely in the
 * midst of decoding: written in C.	 (An SQL or PL function needs an active snapshot, and may read
 * tables.)
 */
static Oid
safe_cast_to_json(Oid type_oid)
{
	Oid function = InvalidOid;
	HeapTuple tuple;
	bool safe;

	if (type_oid < FirstNormalObjectId ||
		find_coercion_pathway(JSONOID, type_oid, COERCION_EXPLICIT, &function) !=
			COERCION_PATH_FUNC)
		return InvalidOid;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	safe = ((Form_pg_proc) GETSTRUCT(tuple))->prolang == ClanguageId &&
		   ((Form_pg_proc) GETSTRUCT(tuple))->pronargs == 1;
	ReleaseSysCache(tuple);
	return safe ? function : InvalidOid;
}

Oid
cdc_domain_over(Oid type_oid, int32 *typmod)
{
	HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type_oid));
	Form_pg_type form;
	Oid over = InvalidOid;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", type_oid);
	form = (Form_pg_type) GETSTRUCT(tuple);
	if (form->typtype == TYPTYPE_DOMAIN)
	{
		over = form->typbasetype;
		if (typmod)
			*typmod = form->typtypmod;
	}
	ReleaseSysCache(tuple);
	return over;
}

/* before "name" after, padded. */
static char *
make_padded(const char *before, const char *name, const char *after, CdcEncoding *encoding,
			int *len)
{
	StringInfoData text;
	CdcWriter writer = {.encoding = encoding};

	initStringInfo(&text);
	cdc_writer_attach(&writer, &text);
	cdc_put_short(&writer, before, strlen(before));
	cdc_put_string(&writer, name, strlen(name));
	cdc_put_short(&writer, after, strlen(after));
	return cdc_writer_finish(&writer, len);
}

char *
cdc_make_name(const char *name, CdcEncoding *encoding, int *len)
{
	return make_padded("", name, "", encoding, len);
}

char *
cdc_make_label(const char *name, CdcEncoding *encoding, int *len)
{
	return make_padded(",", name, ":", encoding, len);
}

static void
build_row(CdcType *type, Oid type_oid, CdcTypeBuilder *builder)
{
	CdcRowType *row;
	ListCell *cell;
	int natts;

	check_stack_depth();
	type->write = put_row;
	/* one for all places where it occurs: types nested in one another multiply */
	foreach (cell, builder->rows)
	{
		type->row = lfirst(cell);
		if (type->row->type_oid == type_oid)
			return;
	}
	type->row = row = palloc0(sizeof(CdcRowType));
	builder->rows = lappend(builder->rows, row);
	row->type_oid = type_oid;
	row->desc = lookup_rowtype_tupdesc_copy(type_oid, -1);
	natts = row->desc->natts;
	row->fields = palloc0(sizeof(CdcField) * Max(natts, 1));
	row->values = palloc0(sizeof(Datum) * Max(natts, 1));
	row->nulls = palloc0(sizeof(bool) * Max(natts, 1));
	for (int i = 0; i < natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(row->desc, i);
		CdcField *field = &row->fields[i];

		if (attr->attisdropped)
			continue;
		field->label = cdc_make_label(NameStr(attr->attname), builder->encoding, &field->label_len);
		cdc_type_build(&field->type, attr->atttypid, attr->atttypmod, builder);
	}
	builder->row_relids = lappend_oid(builder->row_relids, get_typ_typrelid(type_oid));
}

void
cdc_type_build_output(CdcType *type, Oid type_oid)
{
	Oid function;
	bool is_varlena;

	getTypeOutputInfo(type_oid, &function, &is_varlena);
	fmgr_info(function, &type->function);
	/* text, varchar, bpchar, citext, ...: whatever is printed by these is stored as its text */
	if (type->function.fn_addr == textout || type->function.fn_addr == varcharout ||
		type->function.fn_addr == bpcharout)
		type->write = cdc_put_text;
	else
		type->write = cdc_put_output;
}

void
cdc_type_build_as_text(CdcType *type, Oid type_oid)
{
	Oid function = safe_cast_to_json(type_oid);

	if (!OidIsValid(function))
	{
		cdc_type_build_output(type, type_oid);
		return;
	}
	type->write = cdc_put_output;
	type->cast_to_json = true;
	fmgr_info(function, &type->function);
}

void
cdc_type_build_enum(CdcType *type, Oid type_oid, CdcTypeBuilder *builder)
{
	cdc_type_build_as_text(type, type_oid);
	type->labels = cdc_enum_build(type_oid, builder->encoding);
	type->write = put_enum;
}

void
cdc_type_build_array(CdcType *type, Oid element, int32 typmod, CdcTypeBuilder *builder)
{
	Oid base = getBaseType(element);
	bool outer = builder->in_array;

	type->element = palloc(sizeof(CdcType));
	type->write = put_array;
	builder->in_array = true;
	cdc_type_build(type->element, element, typmod, builder);
	builder->in_array = outer;
	/*
	 * Arrays as elements, by way of a domain: a JSON array of arrays is read back as one array of two
	 * dimensions, so each is written as text.
	 */
	if (builder->dialect == NULL && OidIsValid(get_element_type(base)))
		cdc_type_build_as_text(type->element, base);
}

void
cdc_type_build(CdcType *type, Oid type_oid, int32 typmod, CdcTypeBuilder *builder)
{
	Oid element;

	memset(type, 0, sizeof(*type));
	type->settings = builder->settings;
	get_typlenbyvalalign(type_oid, &type->length, &type->by_value, &type->align);
	if (builder->dialect && builder->dialect(type, type_oid, typmod, builder))
		return;
	type_oid = getBaseTypeAndTypmod(type_oid, &typmod); /* a domain is written as its base type */
	type->write = cdc_scalar_writer(type_oid, &builder->options);
	if (type->write != NULL)
		return;

	/* they are arrays that start at 0, as which a JSON array is not read back */
	if (type_oid == OIDVECTOROID || type_oid == INT2VECTOROID)
	{
		cdc_type_build_as_text(type, type_oid);
		return;
	}
	element = get_element_type(type_oid);
	if (OidIsValid(element))
		cdc_type_build_array(type, element, typmod, builder);
	else if (get_typtype(type_oid) == TYPTYPE_COMPOSITE)
		build_row(type, type_oid, builder);
	else if (get_typtype(type_oid) == TYPTYPE_ENUM)
		cdc_type_build_enum(type, type_oid, builder);
	else
		cdc_type_build_as_text(type, type_oid);
}
