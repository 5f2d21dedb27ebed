/*
 * cdc_lookup_reference.c
 *		Tables that are looked up in: what they must be; see cdc_lookup_reference.h.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/catalog.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/typcache.h"

#include "cdc_compat.h"
#include "cdc_lookup_key.h"
#include "cdc_lookup_long.h"
#include "cdc_lookup_reference.h"

CDC_SQL_FUNCTION(cdc_check_reference);
CDC_SQL_FUNCTION(cdc_can_be_referenced);

/* A shadow's index has a column more. */
#define MAX_KEYS (INDEX_MAX_KEYS - CDC_LOOKUP_EXTRA_KEYS)

/*
 * Is it a unique index that a row can be found by for good?	Not one that is partial, deferrable, being
 * built, or compares in another way than its columns' types do.
 */
static bool
identifies_rows(Relation index, TupleDesc desc)
{
	const FormData_pg_index *form = index->rd_index;

	if (!form->indisunique || !form->indimmediate || !form->indisvalid || !form->indislive ||
		index->rd_indextuple == NULL || RelationGetIndexPredicate(index) != NIL ||
		RelationGetIndexExpressions(index) != NIL || index->rd_rel->relam != BTREE_AM_OID)
		return false;
	for (int i = 0; i < form->indnkeyatts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(desc, form->indkey.values[i] - 1);
		Oid family = lookup_type_cache(attr->atttypid, TYPECACHE_BTREE_OPFAMILY)->btree_opf;

		if (!OidIsValid(family) || family != index->rd_opfamily[i] ||
			index->rd_indcollation[i] != attr->attcollation)
			return false;
	}
	return true;
}

static bool
has_key(const FormData_pg_index *form, const int16 *columns, int ncolumns)
{
	if (form->indnkeyatts != ncolumns)
		return false;
	for (int i = 0; i < ncolumns; i++)
	{
		bool there = false;

		for (int j = 0; j < ncolumns; j++)
			there = there || form->indkey.values[i] == columns[j];
		if (!there)
			return false;
	}
	return true;
}

Oid
cdc_reference_find_index(Relation relation, const int16 *columns, int ncolumns)
{
	List *indexes = RelationGetIndexList(relation);
	Oid found = InvalidOid;
	ListCell *cell;

	foreach (cell, indexes)
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);

		if (!OidIsValid(found) && has_key(index->rd_index, columns, ncolumns) &&
			identifies_rows(index, RelationGetDescr(relation)))
			found = lfirst_oid(cell);
		index_close(index, NoLock);
	}
	list_free(indexes);
	return found;
}

int
cdc_reference_find_columns(Relation relation, ArrayType *names, int16 *attnums, int max)
{
	Datum *elements;
	int count;

	deconstruct_array(names, NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR, &elements, NULL, &count);
	if (count > max)
		ereport(ERROR, errcode(ERRCODE_TOO_MANY_COLUMNS),
				errmsg("a lookup cannot have more than %d columns here", max));
	for (int i = 0; i < count; i++)
	{
		const char *name = NameStr(*DatumGetName(elements[i]));

		attnums[i] = get_attnum(RelationGetRelid(relation), name);
		if (attnums[i] <= 0)
			ereport(ERROR, errcode(ERRCODE_UNDEFINED_COLUMN),
					errmsg("column \"%s\" of relation \"%s\" does not exist", name,
						   RelationGetRelationName(relation)));
		if (!cdc_column_is_stored(TupleDescAttr(RelationGetDescr(relation), attnums[i] - 1)))
			ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("column \"%s\" of relation \"%s\" is a virtual generated column", name,
						   RelationGetRelationName(relation)),
					errhint("A lookup needs columns that are stored."));
	}
	return count;
}

/* A table whose every change its triggers see, and that is there after a crash. */
static void
require_plain_table(Relation reference)
{
	const char *name = RelationGetRelationName(reference);

	if (reference->rd_rel->relkind != RELKIND_RELATION || IsCatalogRelation(reference) ||
		RelationIsUsedAsCatalogTable(reference))
		ereport(ERROR, errcode(ERRCODE_WRONG_OBJECT_TYPE),
				errmsg("\"%s\" cannot be looked up in", name),
				errhint("The reference must be an ordinary table, not partitioned."));
	if (reference->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT)
		ereport(ERROR, errcode(ERRCODE_WRONG_OBJECT_TYPE),
				errmsg("\"%s\" cannot be looked up in, since it is temporary or unlogged", name));
}

/* Is the table still one that its shadow can follow, by a key of these columns? */
Datum
cdc_can_be_referenced(PG_FUNCTION_ARGS)
{
	Relation reference = relation_open(PG_GETARG_OID(0), AccessShareLock);
	int16 keys[MAX_KEYS];
	int nkeys =
		cdc_reference_find_columns(reference, PG_GETARG_ARRAYTYPE_P(1), keys, lengthof(keys));
	bool can;

	require_plain_table(reference);
	can = OidIsValid(cdc_reference_find_index(reference, keys, nkeys));
	relation_close(reference, NoLock);
	PG_RETURN_BOOL(can);
}

/* What a lookup shows, who makes it must be able to read. */
static void
require_select(Relation reference, const int16 *columns, int ncolumns)
{
	Oid relid = RelationGetRelid(reference);
	Oid role = GetOuterUserId();

	if (pg_class_aclcheck(relid, role, ACL_SELECT) != ACLCHECK_OK)
	{
		for (int i = 0; i < ncolumns; i++)
		{
			if (pg_attribute_aclcheck(relid, columns[i], role, ACL_SELECT) != ACLCHECK_OK)
				aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, RelationGetRelationName(reference));
		}
	}
	if (check_enable_rls(relid, role, true) == RLS_ENABLED)
		ereport(
			ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			errmsg("row-level security of \"%s\" applies to role \"%s\"",
				   RelationGetRelationName(reference), GetUserNameFromId(role, false)),
			errhint("A lookup shows all rows: it is made by the table's owner, or by a role with "
					"BYPASSRLS."));
}

/*
 * cdc_check_reference(relation, columns, reference, reference_columns, wanted): can relation look up by its
 * columns in the reference, by its columns, those that are wanted?
 */
Datum
cdc_check_reference(PG_FUNCTION_ARGS)
{
	Relation relation = table_open(PG_GETARG_OID(0), AccessShareLock);
	Relation reference = relation_open(PG_GETARG_OID(2), AccessShareLock);
	int16 by[MAX_KEYS];
	int16 keys[MAX_KEYS];
	int16 wanted[MaxHeapAttributeNumber];
	int nby;
	int nkeys;
	int nwanted;

	require_plain_table(reference);
	if (find_inheritance_children(RelationGetRelid(reference), AccessShareLock) != NIL)
		ereport(ERROR, errcode(ERRCODE_WRONG_OBJECT_TYPE),
				errmsg("\"%s\" cannot be looked up in, since other tables inherit from it",
					   RelationGetRelationName(reference)));
	nby = cdc_reference_find_columns(relation, PG_GETARG_ARRAYTYPE_P(1), by, lengthof(by));
	nkeys = cdc_reference_find_columns(reference, PG_GETARG_ARRAYTYPE_P(3), keys, lengthof(keys));
	nwanted =
		cdc_reference_find_columns(reference, PG_GETARG_ARRAYTYPE_P(4), wanted, lengthof(wanted));
	if (nby != nkeys || nkeys == 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("columns and reference_columns must be of the same number, at least one"));
	require_select(reference, keys, nkeys);
	require_select(reference, wanted, nwanted);
	if (!OidIsValid(cdc_reference_find_index(reference, keys, nkeys)))
		ereport(ERROR, errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
				errmsg("reference_columns are not the key of \"%s\"",
					   RelationGetRelationName(reference)),
				errhint("There must be a primary key or unique index with just these columns, not "
						"partial and not deferrable, so that at most one row is found."));
	for (int i = 0; i < nkeys; i++)
	{
		Form_pg_attribute key = TupleDescAttr(RelationGetDescr(reference), keys[i] - 1);
		CdcLookupKey ignored;

		cdc_lookup_key_init(&ignored, key->atttypid, key->attcollation,
							TupleDescAttr(RelationGetDescr(relation), by[i] - 1)->atttypid);
	}
	relation_close(reference, NoLock);
	table_close(relation, NoLock);
	PG_RETURN_VOID();
}
