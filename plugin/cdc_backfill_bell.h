/*
 * cdc_backfill_bell.h
 *		What tells a stream, at its place in the WAL, that existing rows were requested or are no longer.
 *
 * cdc.backfill() and cdc.cancel_backfill() write a transactional logical message with this prefix, whose
 * content is the number of the request or the cancellation, a blank and the pipeline's name.	Sessions of
 * that pipeline that have existing rows delivered (option "watermarks") are told the number, in a frame of
 * kind WATERMARK; all others see nothing of it.  It says only that there is news: what is requested is read
 * from the extension's table, so a message that somebody forges has a client look there, and no more.
 */
#ifndef CDC_BACKFILL_BELL_H
#define CDC_BACKFILL_BELL_H

#include "cdc_output.h"

#define CDC_BACKFILL_PREFIX "cdc_decoder.backfill"

static inline bool
cdc_is_backfill_bell(const char *prefix)
{
	return strcmp(prefix, CDC_BACKFILL_PREFIX) == 0;
}

/* The request's number, 0 where it is none of this pipeline's. */
extern uint64 cdc_backfill_bell_read(const char *pipeline, const char *content, Size content_len);

/*
 * Tells the number, as part of the transaction's message, where one was begun (begun), else in one of its own
 * with a commit frame, whose seq this is.
 */
extern void cdc_backfill_bell_ring(CdcOutput *output, const CdcTransaction *transaction,
								   uint64 number, bool begun, uint64 seq);

#endif /* CDC_BACKFILL_BELL_H */
