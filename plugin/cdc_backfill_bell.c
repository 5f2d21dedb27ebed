/*
 * cdc_backfill_bell.c
 *		The decoding side of requests for existing rows; see cdc_backfill_bell.h.
 */
#include "postgres.h"

#include "cdc_backfill_bell.h"
#include "cdc_compat.h"
#include "cdc_protocol.h"

uint64
cdc_backfill_bell_read(const char *pipeline, const char *content, Size content_len)
{
	Size name_len = strlen(pipeline);
	uint64 number = 0;
	Size at = 0;

	/* 18 digits fit into 64 bits */
	while (at < content_len && at < 18 && content[at] >= '0' && content[at] <= '9')
		number = number * 10 + (content[at++] - '0');
	if (at == content_len || content[at] != ' ' || content_len - at - 1 != name_len ||
		memcmp(content + at + 1, pipeline, name_len) != 0)
		return 0;
	return number;
}

void
cdc_backfill_bell_ring(CdcOutput *output, const CdcTransaction *transaction, uint64 number,
					   bool begun, uint64 seq)
{
	CdcFrame bell = {.kind = CDC_FRAME_WATERMARK, .op = CDC_WATERMARK_BACKFILL, .seq = number};
	CdcFrame commit = {.kind = CDC_FRAME_COMMIT, .seq = seq};

	if (!begun)
		cdc_output_begin(output, transaction);
	cdc_output_start_record(output, &bell);
	cdc_output_end_payload(output, &bell);
	cdc_output_end_record(output, &bell);
	if (begun)
		return;
	cdc_output_start_record(output, &commit);
	cdc_output_end_payload(output, &commit);
	cdc_output_end_record(output, &commit);
	cdc_output_finish(output);
}
