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

/* Neither NaN nor infinite? */
extern bool cdc_numeric_is_finite(const void *stored);

#endif /* CDC_NUMERIC_H */
