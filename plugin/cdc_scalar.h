/*
 * cdc_scalar.h
 *		Writers for the types that need nothing but their OID to be known.
 */
#ifndef CDC_SCALAR_H
#define CDC_SCALAR_H

#include "cdc_value.h"

/* The writer of a type that has one of its own; else NULL. */
extern CdcValueWriter cdc_scalar_writer(Oid type_oid, const CdcValueOptions *options);

/* The writer of text and of all types that are stored as it is. */
extern void cdc_put_text(CdcWriter *writer, Datum value, const CdcType *type);

#endif /* CDC_SCALAR_H */
