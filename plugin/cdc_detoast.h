/*
 * cdc_detoast.h
 *		Plain values of varlenas, with as few copies as can be.
 */
#ifndef CDC_DETOAST_H
#define CDC_DETOAST_H

#include "access/detoast.h"
#include "fmgr.h"

/*
 * The plain value of a varlena; a short header may remain.	 The reorder buffer hands out what it has
 * put together from TOAST chunks by an indirect pointer, which detoast_attr() would copy.
 */
static inline struct varlena *
cdc_detoast_packed(Datum value)
{
	struct varlena *attr = (struct varlena *) DatumGetPointer(value);

	if (VARATT_IS_EXTERNAL_INDIRECT(attr))
	{
		struct varatt_indirect redirect;

		VARATT_EXTERNAL_GET_POINTER(redirect, attr);
		attr = redirect.pointer;
	}
	return pg_detoast_datum_packed(attr);
}

/* The same with an aligned four-byte header, as code that walks structures inside needs it. */
static inline struct varlena *
cdc_detoast_aligned(Datum value)
{
	return pg_detoast_datum(cdc_detoast_packed(value));
}

#endif /* CDC_DETOAST_H */
