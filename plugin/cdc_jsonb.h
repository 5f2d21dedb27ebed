/*
 * cdc_jsonb.h
 *		jsonb -> JSON text, straight from its stored form.
 */
#ifndef CDC_JSONB_H
#define CDC_JSONB_H

#include "utils/jsonb.h"

#include "cdc_writer.h"

/*
 * The document without white space between its tokens.	 Any depth: nesting uses memory of
 * CurrentMemoryContext, not the stack, so there is no limit to run into.
 */
extern void cdc_put_jsonb(CdcWriter *writer, const Jsonb *jsonb);

/* The same with a space behind each comma and colon between tokens, which is what jsonb_out() prints. */
extern void cdc_put_jsonb_spaced(CdcWriter *writer, const Jsonb *jsonb);

#endif /* CDC_JSONB_H */
