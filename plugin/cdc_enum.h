/*
 * cdc_enum.h
 *		The labels of an enum type, finished for output.
 */
#ifndef CDC_ENUM_H
#define CDC_ENUM_H

#include "cdc_writer.h"

typedef struct CdcEnum CdcEnum;

/* Reads the type's labels from the catalog into CurrentMemoryContext.	Needs a transaction. */
extern CdcEnum *cdc_enum_build(Oid type_oid, CdcEncoding *encoding);

/* Writes the label as a string; false if the value was not among the labels when they were read. */
extern bool cdc_put_enum(CdcWriter *writer, const CdcEnum *labels, Oid value);

#endif /* CDC_ENUM_H */
