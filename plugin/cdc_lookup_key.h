/*
 * cdc_lookup_key.h
 *		A column of a lookup's key: how a value is compared with those of the shadow.
 */
#ifndef CDC_LOOKUP_KEY_H
#define CDC_LOOKUP_KEY_H

#include "access/skey.h"
#include "lib/stringinfo.h"

typedef struct CdcLookupKey
{
	int index; /* of the value in a row of whoever looks up */
	Oid subtype;
	RegProcedure equals; /* shadow's column = value */
	Oid collation;
	int16 length; /* of the value's type */
	bool by_value;
} CdcLookupKey;

/*
 * How values of a type are compared with those of the shadow's column of key_type; index is the caller's
 * to fill in.  True if equal keys have equal bytes (cdc_lookup_key_put()).	 ERROR if they cannot be
 * compared.
 */
extern bool cdc_lookup_key_init(CdcLookupKey *key, Oid key_type, Oid collation, Oid type);

/* The condition column = value, for a scan of the shadow by its column attnum. */
extern void cdc_lookup_key_scan(const CdcLookupKey *key, AttrNumber attnum, Datum value,
								ScanKeyData *scan_key);

/* Appends a value so that, where cdc_lookup_key_init() says so, equal bytes are equal keys. */
extern void cdc_lookup_key_put(StringInfo bytes, const CdcLookupKey *key, Datum value);

#endif /* CDC_LOOKUP_KEY_H */
