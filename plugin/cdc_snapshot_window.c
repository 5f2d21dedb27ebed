/*
 * cdc_snapshot_window.c
 *		The decoding side of a snapshot; see cdc_snapshot_window.h.
 */
#include "postgres.h"

#include "cdc_compat.h"
#include "cdc_protocol.h"
#include "cdc_snapshot_key.h"
#include "cdc_snapshot_window.h"

char *
cdc_watermark_format(const CdcWatermark *watermark)
{
	return psprintf("%s %u " UINT64_FORMAT " %u %s", watermark->token, watermark->worker,
					watermark->chunk, watermark->relid, watermark->high ? "high" : "low");
}

bool
cdc_watermark_parse(CdcWatermark *watermark, const char *content, Size content_len)
{
	char text[160];
	char kind[8];
	unsigned worker;
	unsigned long long chunk;
	unsigned relid;

	if (content_len >= sizeof(text))
		return false;
	memcpy(text, content, content_len);
	text[content_len] = '\0';
	if (sscanf(text, "%63s %u %llu %u %7s", watermark->token, &worker, &chunk, &relid, kind) != 5 ||
		worker >= CDC_SNAPSHOT_WORKERS || !OidIsValid(relid))
		return false;
	watermark->worker = worker;
	watermark->chunk = chunk;
	watermark->relid = relid;
	watermark->high = strcmp(kind, "high") == 0;
	return watermark->high || strcmp(kind, "low") == 0;
}

/* keys: what the frame carries, CDC_SNAPSHOT_KEY_SIZE bytes each. */
static void
put_watermark_frame(CdcOutput *output, char op, int worker, uint64 chunk, const char *keys,
					int nkeys)
{
	CdcFrame frame = {.kind = CDC_FRAME_WATERMARK, .op = op, .part = worker, .seq = chunk};

	cdc_output_start_record(output, &frame);
	cdc_put_short(&output->writer, keys, nkeys * CDC_SNAPSHOT_KEY_SIZE);
	cdc_output_end_payload(output, &frame);
	cdc_output_end_record(output, &frame);
}

void
cdc_windows_mark(CdcWindows *windows, CdcOutput *output, const CdcTransaction *transaction,
				 const CdcWatermark *watermark, XLogRecPtr changed_at)
{
	CdcWindow *window = &windows->windows[watermark->worker];
	CdcFrame end = {.kind = CDC_FRAME_COMMIT};
	bool open = OidIsValid(window->relid);
	char op = CDC_WATERMARK_LOW;

	if (watermark->high)
	{
		bool fits = open && !window->disputed && !window->altered &&
					window->chunk == watermark->chunk && window->relid == watermark->relid;

		op = fits && changed_at <= window->low ? CDC_WATERMARK_HIGH : CDC_WATERMARK_HIGH_VOID;
	}
	else if (open && watermark->chunk <= window->chunk)
	{
		if (watermark->chunk == window->chunk)
			window->disputed = true;
		return;
	}
	if (open)
		windows->nopen--;
	window->relid = watermark->high ? InvalidOid : watermark->relid;
	window->chunk = watermark->chunk;
	window->low = transaction->end_lsn;
	window->disputed = window->altered = false;
	if (!watermark->high)
		windows->nopen++;

	cdc_output_begin(output, transaction);
	put_watermark_frame(output, op, watermark->worker, watermark->chunk, "", 0);
	cdc_output_start_record(output, &end);
	cdc_output_end_payload(output, &end);
	cdc_output_end_record(output, &end);
	cdc_output_finish(output);
}

/* Is a value of the new row not in its record, since it lies out of line and did not change? */
static bool
lacks_values(const CdcRelation *relation, const CdcImage *image)
{
	if (!image->present || !image->any_missing)
		return false;
	for (int i = 0; i < relation->nvarlenas; i++)
	{
		if (image->missing[relation->varlenas[i].index])
			return true;
	}
	return false;
}

void
cdc_windows_note_change(CdcWindows *windows, CdcOutput *output, const CdcRelation *relation,
						const CdcRows *rows)
{
	const CdcImage *images[] = {&rows->after, &rows->before};
	char keys[lengthof(images) * CDC_SNAPSHOT_KEY_SIZE];
	char op = CDC_WATERMARK_ROW;
	int nkeys = 0;

	for (int worker = 0; worker < CDC_SNAPSHOT_WORKERS; worker++)
	{
		const CdcWindow *window = &windows->windows[worker];

		if (window->relid != relation->relid)
			continue;
		if (nkeys == 0)
		{
			for (int i = 0; i < lengthof(images) && op != CDC_WATERMARK_UNKNOWN; i++)
			{
				if (!images[i]->present)
					continue;
				if (cdc_snapshot_key(relation, images[i], keys + nkeys * CDC_SNAPSHOT_KEY_SIZE))
					nkeys++;
				else
					op = CDC_WATERMARK_UNKNOWN;
			}
			if (op == CDC_WATERMARK_ROW && lacks_values(relation, &rows->after))
				op = CDC_WATERMARK_PARTIAL_ROW;
		}
		put_watermark_frame(output, op, worker, window->chunk, keys,
							op == CDC_WATERMARK_UNKNOWN ? 0 : nkeys);
	}
}

void
cdc_windows_note_truncate(CdcWindows *windows, CdcOutput *output, Oid relid)
{
	for (int worker = 0; worker < CDC_SNAPSHOT_WORKERS; worker++)
	{
		const CdcWindow *window = &windows->windows[worker];

		if (window->relid == relid)
			put_watermark_frame(output, CDC_WATERMARK_TRUNCATED, worker, window->chunk, "", 0);
	}
}

void
cdc_windows_note_relation(void *arg, Oid relid)
{
	CdcWindows *windows = arg;

	for (int worker = 0; worker < CDC_SNAPSHOT_WORKERS && windows->nopen > 0; worker++)
	{
		CdcWindow *window = &windows->windows[worker];

		if (!OidIsValid(relid) || window->relid == relid)
			window->altered = true;
	}
}
