/*
 * cdc_numeric.h
 *		numeric -> decimal digits, straight from its stored form.
 */
#ifndef CDC_NUMERIC_H
#define CDC_NUMERIC_H

#include "cdc_writer.h"

/*
 * Exact, with the value's scale.  stored: the varlena, not compressed, not out of line; a short
 * header is fine.  quote: as a JSON string; NaN and infinities are strings always.
 */
extern void cdc_put_numeric(CdcWriter *writer, const void *stored, bool quote);

/*
 * Of a finite one: the whole number that it is with so many digits behind the point (no less than it has; more are
 * cut off), as base64 of its bytes, two's complement, the highest first, as few as hold it.  With quotes.  May
 * allocate where it has more than 18 digits.
 */
extern void cdc_put_numeric_base64(CdcWriter *writer, const void *stored, int scale);
extern void cdc_put_int64_base64(CdcWriter *writer, int64 value);

/* Of a finite one: how many digits behind the point are needed; those that are shown may be more. */
extern int cdc_numeric_least_scale(const void *stored);

/* Neither NaN nor infinite? */
extern bool cdc_numeric_is_finite(const void *stored);

#endif /* CDC_NUMERIC_H */
