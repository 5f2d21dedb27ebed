/*
 * cdc_snapshot_window.h
 *		The decoding side of a snapshot: watermarks, and what changes between two of them.
 *
 * A chunk of existing rows is read between two logical messages of ours, the watermarks.  The stream
 * that has them read is told where they lie in it (frames of kind WATERMARK, cdc_protocol.h), and in
 * between, with each record of the relation, which row it is about: those rows it drops from the chunk.
 *
 * A watermark names the session it is for by a token, which the session gave as option "watermarks".
 * All others see nothing of it.
 */
#ifndef CDC_SNAPSHOT_WINDOW_H
#define CDC_SNAPSHOT_WINDOW_H

#include "cdc_output.h"
#include "cdc_rows.h"

#define CDC_WATERMARK_PREFIX "cdc_decoder.watermark"
#define CDC_WATERMARK_TOKEN_MAX 63

/* So many chunks of one session may be under way at a time. */
#define CDC_SNAPSHOT_WORKERS 64

/* What a watermark says.  As text: token, worker, chunk, relation, low or high; blanks in between. */
typedef struct CdcWatermark
{
	char token[CDC_WATERMARK_TOKEN_MAX + 1];
	uint16 worker;
	uint64 chunk; /* a number that the session gave it */
	Oid relid;
	bool high;
} CdcWatermark;

/* A chunk of which the low watermark has come. */
typedef struct CdcWindow
{
	Oid relid; /* InvalidOid: there is none */
	uint64 chunk;
	XLogRecPtr low; /* where the watermark ends */
	bool altered;   /* so was the relation, which no lock keeps as it is */
	bool disputed;  /* another low watermark said to be the same chunk's: one of them is forged */
} CdcWindow;

typedef struct CdcWindows
{
	int nopen;
	CdcWindow windows[CDC_SNAPSHOT_WORKERS];
} CdcWindows;

/* In CurrentMemoryContext. */
extern char *cdc_watermark_format(const CdcWatermark *watermark);

/* False: not one. */
extern bool cdc_watermark_parse(CdcWatermark *watermark, const char *content, Size content_len);

/* Is the message of that prefix a watermark, of whatever session? */
static inline bool
cdc_is_watermark(const char *prefix)
{
	return strcmp(prefix, CDC_WATERMARK_PREFIX) == 0;
}

/*
 * A watermark of this session has come: opens or closes its worker's window, and tells it in a message
 * of its own; transaction is its place in the WAL, changed_at where rules or publications last changed.
 * A window that was not closed is forgotten: its chunk has failed.
 *
 * Whoever may call pg_logical_emit_message() and has learned the token can forge one.	Numbers of chunks
 * rise and are used once, so a low one of an earlier chunk is ignored, and a second one of the same chunk
 * makes its window void.  A high one closes whatever window there is, and is void where that is not of
 * its chunk and relation: changes in between may not have been told.	Whether a high one lies where the
 * chunk's does, the client looks at.
 */
extern void cdc_windows_mark(CdcWindows *windows, CdcOutput *output,
							 const CdcTransaction *transaction, const CdcWatermark *watermark,
							 XLogRecPtr changed_at);

/* The change whose rows are loaded has been recorded: tells which row it was about. */
extern void cdc_windows_note_change(CdcWindows *windows, CdcOutput *output,
									const CdcRelation *relation, const CdcRows *rows);

/* The definition of that relation has changed (InvalidOid: of any): a CdcRelationListener of CdcWindows. */
extern void cdc_windows_note_relation(void *windows, Oid relid);

/* The relation was truncated, and that or another truncation by the same command was recorded. */
extern void cdc_windows_note_truncate(CdcWindows *windows, CdcOutput *output, Oid relid);

#endif /* CDC_SNAPSHOT_WINDOW_H */
