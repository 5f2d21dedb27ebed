/*
 * cdc_snapshot_key.c
 *		Which row a change or a row of a snapshot is about; see cdc_snapshot_key.h.
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "cdc_compat.h"
#include "cdc_snapshot_key.h"

/* Where the two hashes begin; any two numbers that differ. */
static const uint64 seeds[2] = {0, UINT64CONST(0x9e3779b97f4a7c15)};

/*
 * The value's bytes, however it is stored: a short header, compression or a place out of line are no
 * part of it.
 */
static const void *
value_bytes(const CdcIdentityColumn *column, const Datum *value, int *len)
{
	struct varlena *detoasted;

	if (column->by_value)
	{
		*len = sizeof(Datum);
		return value;
	}
	if (column->length > 0)
	{
		*len = column->length;
		return DatumGetPointer(*value);
	}
	if (column->length == -2)
	{
		*len = strlen(DatumGetCString(*value));
		return DatumGetPointer(*value);
	}
	detoasted = PG_DETOAST_DATUM_PACKED(*value);
	*len = VARSIZE_ANY_EXHDR(detoasted);
	return VARDATA_ANY(detoasted);
}

bool
cdc_snapshot_key(const CdcRelation *relation, const CdcImage *image, char *key)
{
	uint64 hashes[2] = {seeds[0], seeds[1]};

	StaticAssertStmt(sizeof(hashes) == CDC_SNAPSHOT_KEY_SIZE, "the key is these two hashes");
	if (relation->nidentity == 0)
		return false;
	for (int i = 0; i < relation->nidentity; i++)
	{
		const CdcIdentityColumn *column = &relation->identity_columns[i];
		const void *bytes;
		int len;

		if (image->nulls[column->index] || cdc_is_missing(image, column->index))
			return false;
		bytes = value_bytes(column, &image->values[column->index], &len);
		for (int h = 0; h < lengthof(hashes); h++)
			hashes[h] = hash_bytes_extended(bytes, len, hashes[h]);
	}
	memcpy(key, hashes, CDC_SNAPSHOT_KEY_SIZE);
	return true;
}
