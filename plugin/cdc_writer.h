/*
 * cdc_writer.h
 *		Where records are written: straight into the outgoing message, with a bound on each record.
 *
 * A CdcWriter wraps the StringInfo of the message being built.	 Writers reserve room and store
 * through cur; no call per byte, no copy afterwards.
 *
 * The bound (option max_record_bytes) must never be an ERROR: a slot that errors at one place is
 * stuck for good.	So past the bound a record is still "written", but over itself, from its own
 * start: memory stays bounded, every writer stays simple, and cdc_writer_tell() goes on counting, so
 * that afterwards the true size is known and the record can be written again without its largest
 * columns.
 */
#ifndef CDC_WRITER_H
#define CDC_WRITER_H

#include "lib/stringinfo.h"

#include "cdc_encoding.h"
#include "cdc_protocol.h"

/*
 * More than this is never reserved at once.  Longer runs of bytes are written in pieces, which keeps
 * what is allocated past the bound small.
 */
#define CDC_WRITER_MAX_RESERVE (64 * 1024)

/* The text of a few days that were written lately, since dates of rows repeat. */
#define CDC_DATES_KEPT 8
#define CDC_DATE_LENGTH 10 /* 2026-01-31 */

typedef struct CdcDate
{
	int32 julian_day; /* 0: none (day 0 is not kept) */
	char text[CDC_DATE_LENGTH];
} CdcDate;

/* Where the message has the transaction's LSN, for whoever learns it only when all is written. */
typedef struct CdcPlace
{
	uint32 offset;
	char form; /* CDC_LSN_* (cdc_protocol.h) */
} CdcPlace;

typedef struct CdcWriter
{
	char *cur;          /* next byte to write */
	char *end;          /* reserve up to here without asking */
	StringInfo message; /* owner of the memory; its len is true only while detached */
	Size record_start;  /* offset of the record in the message */
	Size record_limit;  /* bytes the record may have */
	uint64 overwritten; /* bytes of the record that were written over */
	CdcEncoding *encoding;
	StringInfo places;             /* of CdcPlace, those that are noted; NULL: none is to be */
	CdcDate dates[CDC_DATES_KEPT]; /* of cdc_json_time.c */
} CdcWriter;

/* Take over the message, which may hold something already, and give it back. */
extern void cdc_writer_attach(CdcWriter *writer, StringInfo message);
extern void cdc_writer_detach(CdcWriter *writer);

/*
 * The end of a writer whose message was made for it alone: a padded copy of its text, in
 * CurrentMemoryContext, without the room that was left over; *len gets its length.	Frees the message's.
 */
extern char *cdc_writer_finish(CdcWriter *writer, int *len);

/* A record starts here; limit bounds what is written until the next call. */
extern void cdc_writer_start_record(CdcWriter *writer, Size limit);

/* Forgets what has been written of the record. */
extern void cdc_writer_restart_record(CdcWriter *writer);

/* A value of the record cannot be written at all: counts as one that is too long for any record. */
extern void cdc_writer_fail_record(CdcWriter *writer);

/* The slow path of cdc_writer_reserve(). */
extern void cdc_writer_make_room(CdcWriter *writer, Size size);

/* Offset in the message. */
static inline Size
cdc_writer_offset(const CdcWriter *writer)
{
	return writer->cur - writer->message->data;
}

/* Bytes of the record so far, including those written over. */
static inline uint64
cdc_writer_tell(const CdcWriter *writer)
{
	return writer->overwritten + cdc_writer_offset(writer) - writer->record_start;
}

static inline bool
cdc_writer_overflowed(const CdcWriter *writer)
{
	return cdc_writer_tell(writer) > writer->record_limit;
}

/* Room for size bytes (at most CDC_WRITER_MAX_RESERVE) at cur. */
static inline char *
cdc_writer_reserve(CdcWriter *writer, Size size)
{
	if (unlikely((Size) (writer->end - writer->cur) < size))
		cdc_writer_make_room(writer, size);
	return writer->cur;
}

extern void cdc_writer_add_place(CdcWriter *writer, Size offset, char form);

/* What is written next (ahead: after so many more bytes) is the transaction's LSN in that form. */
static inline void
cdc_writer_note_lsn(CdcWriter *writer, Size ahead, char form)
{
	if (unlikely(writer->places != NULL))
		cdc_writer_add_place(writer, cdc_writer_offset(writer) + ahead, form);
}

static inline void
cdc_put_byte(CdcWriter *writer, char c)
{
	*cdc_writer_reserve(writer, 1) = c;
	writer->cur++;
}

/* Few bytes (at most CDC_WRITER_MAX_RESERVE), as they are. */
static inline void
cdc_put_short(CdcWriter *writer, const char *bytes, Size len)
{
	memcpy(cdc_writer_reserve(writer, len), bytes, len);
	writer->cur += len;
}

/*
 * Constant text, behind which CDC_PADDING more bytes can be read: most is short, and a copy of fixed
 * size needs no call.
 */
#define CDC_PADDING 32

static inline void
cdc_put_padded(CdcWriter *writer, const char *text, Size len)
{
	char *out = cdc_writer_reserve(writer, len + CDC_PADDING);

	memcpy(out, text, CDC_PADDING);
	if (unlikely(len > CDC_PADDING))
		memcpy(out + CDC_PADDING, text + CDC_PADDING, len - CDC_PADDING);
	writer->cur += len;
}

/* A copy of such text, in CurrentMemoryContext. */
extern char *cdc_pad(const char *text, Size len);

#define cdc_put_literal(writer, literal) cdc_put_short(writer, literal, sizeof(literal) - 1)

/* Any number of bytes, as they are. */
extern void cdc_put_bytes(CdcWriter *writer, const char *bytes, Size len);

#endif /* CDC_WRITER_H */
