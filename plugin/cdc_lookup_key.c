/*
 * cdc_lookup_key.c
 *		A column of a lookup's key; see cdc_lookup_key.h.
 */
#include "postgres.h"

#include "access/nbtree.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "cdc_compat.h"
#include "cdc_lookup_key.h"

static bool
is_integer(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

/* Are equal values the same bytes?	As B-tree deduplication asks (nbtree.h, BTEQUALIMAGE_PROC). */
static bool
equal_means_identical(Oid family, Oid input, Oid collation)
{
	Oid proc = get_opfamily_proc(family, input, input, BTEQUALIMAGE_PROC);

	return OidIsValid(proc) &&
		   DatumGetBool(OidFunctionCall1Coll(proc, collation, ObjectIdGetDatum(input)));
}

static void
refuse_types(Oid type, Oid key_type)
{
	ereport(ERROR, errcode(ERRCODE_DATATYPE_MISMATCH),
			errmsg("a value of type %s cannot be looked up among values of type %s",
				   format_type_be(type), format_type_be(key_type)),
			errhint("Look up by a column of the same type as the reference's."));
}

bool
cdc_lookup_key_init(CdcLookupKey *key, Oid key_type, Oid collation, Oid type)
{
	Oid base_key_type = getBaseType(key_type);
	Oid base_type = getBaseType(type);
	const TypeCacheEntry *known = lookup_type_cache(base_key_type, TYPECACHE_BTREE_OPFAMILY);
	Oid family = known->btree_opf;
	Oid input = known->btree_opintype;
	Oid operator;

	if (!OidIsValid(family))
		refuse_types(type, key_type);
	/* any array, enum, range or composite is compared with its own kind only */
	if (get_typtype(input) == TYPTYPE_PSEUDO && base_type != base_key_type)
		refuse_types(type, key_type);
	key->subtype = IsBinaryCoercible(base_type, input) ? input : base_type;
	operator= get_opfamily_member(family, input, key->subtype, BTEqualStrategyNumber);
	/* a date or timestamp is another timestamptz in each time zone */
	if (!OidIsValid(operator) || op_volatile(operator) != PROVOLATILE_IMMUTABLE)
		refuse_types(type, key_type);
	key->equals = get_opcode(operator);
	key->collation = collation;
	get_typlenbyval(base_type, &key->length, &key->by_value);
	if (is_integer(base_type) && is_integer(base_key_type))
		return true;
	/* of two char(n) the shorter one may be padded less */
	return key->subtype == input && base_type != BPCHAROID && base_key_type != BPCHAROID &&
		   equal_means_identical(family, input, collation);
}

void
cdc_lookup_key_scan(const CdcLookupKey *key, AttrNumber attnum, Datum value, ScanKeyData *scan_key)
{
	ScanKeyEntryInitialize(scan_key, 0, attnum, BTEqualStrategyNumber, key->subtype, key->collation,
						   key->equals, value);
}

void
cdc_lookup_key_put(StringInfo bytes, const CdcLookupKey *key, Datum value)
{
	if (key->by_value)
	{
		/* integers of all lengths get the same form, since they are compared with one another */
		int64 number;

		switch (key->length)
		{
			case sizeof(char):
				number = DatumGetUInt8(value);
				break;
			case sizeof(int16):
				number = DatumGetInt16(value);
				break;
			case sizeof(int32):
				number = DatumGetInt32(value);
				break;
			default:
				number = DatumGetInt64(value);
		}
		appendBinaryStringInfo(bytes, (char *) &number, sizeof(number));
	}
	else if (key->length == -1)
	{
		struct varlena *packed = PG_DETOAST_DATUM_PACKED(value);
		uint32 size = VARSIZE_ANY_EXHDR(packed);

		appendBinaryStringInfo(bytes, (char *) &size, sizeof(size));
		appendBinaryStringInfo(bytes, VARDATA_ANY(packed), size);
	}
	else
		appendBinaryStringInfo(bytes, DatumGetPointer(value),
							   key->length > 0 ? key->length : strlen(DatumGetCString(value)) + 1);
}
