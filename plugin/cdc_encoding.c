/*
 * cdc_encoding.c
 *		From the database's encoding to the UTF-8 of the output; see cdc_encoding.h.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "cdc_encoding.h"

#define REPLACEMENT_CHARACTER "\xEF\xBF\xBD" /* U+FFFD */

/* So many bytes are converted at a time: MAX_CONVERSION_GROWTH of them must fit an allocation. */
#define PIECE_SIZE (64 * 1024)

void
cdc_encoding_init(CdcEncoding *encoding)
{
	memset(encoding, 0, sizeof(*encoding));
	encoding->encoding = GetDatabaseEncoding();
	encoding->convert = encoding->encoding != PG_UTF8;
}

bool
cdc_encoding_is_text(const CdcEncoding *encoding, const char *bytes, Size len)
{
	if (encoding->encoding == PG_SQL_ASCII)
	{
		/* SQL_ASCII knows no invalid bytes; what is UTF-8 is text, the rest had better be base64 */
		return pg_verify_mbstr(PG_UTF8, bytes, len, true);
	}
	return pg_verify_mbstr(encoding->encoding, bytes, len, true);
}

static void
replace_byte(CdcEncoding *encoding, StringInfo out)
{
	appendBinaryStringInfo(out, REPLACEMENT_CHARACTER, sizeof(REPLACEMENT_CHARACTER) - 1);
	encoding->replaced++;
}

/* SQL_ASCII: nobody knows the encoding.  What is valid UTF-8 stays, each other byte is replaced. */
static void
append_valid_utf8(CdcEncoding *encoding, StringInfo out, const char *text, Size len)
{
	const char *end = text + len;

	while (text < end)
	{
		int good = pg_encoding_verifymbstr(PG_UTF8, text, end - text);

		appendBinaryStringInfo(out, text, good);
		text += good;
		if (text < end)
		{
			replace_byte(encoding, out);
			text++;
		}
	}
}

/* Ends a piece at a character's border, so that a character is never converted in halves. */
static Size
piece_length(int encoding, const char *text, Size len)
{
	Size done = 0;

	if (len <= PIECE_SIZE)
		return len;
	while (done < PIECE_SIZE)
		done += pg_encoding_mblen(encoding, text + done);
	return Min(done, len);
}

static void
append_converted(CdcEncoding *encoding, StringInfo out, const char *text, Size len)
{
	Oid proc = FindDefaultConversionProc(encoding->encoding, PG_UTF8);
	const char *end = text + len;

	while (text < end)
	{
		Size piece = piece_length(encoding->encoding, text, end - text);
		int done = 0;

		enlargeStringInfo(out, piece * MAX_CONVERSION_GROWTH + 1);
		if (OidIsValid(proc))
			done = pg_do_encoding_conversion_buf(
				proc, encoding->encoding, PG_UTF8, (unsigned char *) text, piece,
				(unsigned char *) out->data + out->len, out->maxlen - out->len, true);
		out->len += strlen(out->data + out->len);
		text += done;
		if ((Size) done < piece)
		{
			/* stopped at a byte that has no UTF-8: ASCII where there is no conversion at all */
			if (IS_HIGHBIT_SET(*text) || OidIsValid(proc))
				replace_byte(encoding, out);
			else
				appendStringInfoChar(out, *text);
			text++;
		}
	}
}

char *
cdc_encoding_to_utf8(CdcEncoding *encoding, const char *text, Size len, Size *out_len)
{
	StringInfoData out;

	initStringInfo(&out);
	if (encoding->encoding == PG_UTF8)
		appendBinaryStringInfo(&out, text, len);
	else if (encoding->encoding == PG_SQL_ASCII)
		append_valid_utf8(encoding, &out, text, len);
	else if (IsTransactionState())
		append_converted(encoding, &out, text, len);
	else
	{
		/*
		 * A logical message outside transactions is decoded outside one, too, but finding the
		 * conversion needs the catalogs.
		 */
		MemoryContext context = CurrentMemoryContext;

		StartTransactionCommand();
		MemoryContextSwitchTo(context);
		append_converted(encoding, &out, text, len);
		CommitTransactionCommand();
		MemoryContextSwitchTo(context);
	}
	*out_len = out.len;
	return out.data;
}
