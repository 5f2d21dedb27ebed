/*
 * cdc_writer.c
 *		Where records are written; see cdc_writer.h.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "cdc_writer.h"

/*
 * What fast paths may use: up to the allocated end, and not past the record's bound by more than one
 * reservation, so that crossing the bound always comes through cdc_writer_make_room().
 */
static void
set_end(CdcWriter *writer)
{
	StringInfo message = writer->message;
	Size end = message->maxlen - 1;
	Size bound = writer->record_start + writer->record_limit + 1;

	writer->end = message->data + Min(end, bound);
}

void
cdc_writer_attach(CdcWriter *writer, StringInfo message)
{
	writer->message = message;
	writer->cur = message->data + message->len;
	writer->record_start = message->len;
	writer->record_limit = MaxAllocSize; /* no record yet */
	writer->overwritten = 0;
	set_end(writer);
}

void
cdc_writer_detach(CdcWriter *writer)
{
	writer->message->len = cdc_writer_offset(writer);
	*writer->cur = '\0';
	writer->cur = writer->end = NULL;
}

void
cdc_writer_start_record(CdcWriter *writer, Size limit)
{
	writer->record_start = cdc_writer_offset(writer);
	writer->record_limit = limit;
	writer->overwritten = 0;
	set_end(writer);
}

static void
forget_places(CdcWriter *writer)
{
	StringInfo places = writer->places;

	while (places->len > 0)
	{
		CdcPlace *last = (CdcPlace *) (places->data + places->len) - 1;

		if (last->offset < writer->record_start)
			break;
		places->len -= sizeof(CdcPlace);
	}
}

void
cdc_writer_restart_record(CdcWriter *writer)
{
	writer->cur = writer->message->data + writer->record_start;
	writer->overwritten = 0;
	if (writer->places)
		forget_places(writer);
}

void
cdc_writer_add_place(CdcWriter *writer, Size offset, char form)
{
	CdcPlace place = {offset, form};

	/* past the record's bound it is not there: all of it is written again */
	if (!cdc_writer_overflowed(writer))
		appendBinaryStringInfo(writer->places, (char *) &place, sizeof(place));
}

void
cdc_writer_fail_record(CdcWriter *writer)
{
	writer->overwritten += MaxAllocSize;
}

void
cdc_writer_make_room(CdcWriter *writer, Size size)
{
	StringInfo message = writer->message;
	Size used = cdc_writer_offset(writer);

	Assert(size <= CDC_WRITER_MAX_RESERVE);
	if (used - writer->record_start > writer->record_limit)
	{
		writer->overwritten += used - writer->record_start;
		used = writer->record_start;
	}
	if ((Size) message->maxlen - used <= size)
	{
		message->len = used;
		enlargeStringInfo(message, size);
	}
	writer->cur = message->data + used;
	set_end(writer);
	/* a reservation may begin below the bound and end past it */
	if ((Size) (writer->end - writer->cur) < size)
		writer->end = writer->cur + size;
}

void
cdc_put_bytes(CdcWriter *writer, const char *bytes, Size len)
{
	while (len > 0)
	{
		Size piece = Min(len, CDC_WRITER_MAX_RESERVE);

		cdc_put_short(writer, bytes, piece);
		bytes += piece;
		len -= piece;
	}
}

char *
cdc_writer_finish(CdcWriter *writer, int *len)
{
	StringInfo message = writer->message;
	char *padded;

	cdc_writer_detach(writer);
	padded = cdc_pad(message->data, message->len);
	*len = message->len;
	pfree(message->data);
	return padded;
}

char *
cdc_pad(const char *text, Size len)
{
	char *padded = palloc0(len + CDC_PADDING);

	memcpy(padded, text, len);
	return padded;
}
