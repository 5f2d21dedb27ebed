/*
 * cdc_format_wal2json.h
 *		What the files of format=wal2json share.
 */
#ifndef CDC_FORMAT_WAL2JSON_H
#define CDC_FORMAT_WAL2JSON_H

#include "cdc_value.h"

/* As CdcRecordFormat.build_type(): builds every type. */
extern bool cdc_wal2json_build_type(CdcType *type, Oid type_oid, int32 typmod,
									CdcTypeBuilder *builder);

#endif /* CDC_FORMAT_WAL2JSON_H */
