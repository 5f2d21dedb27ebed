/*
 * cdc_encoding.c
 *		From the database's encoding to the UTF-8 of the output; see cdc_encoding.h.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_conversion.h"
#include "catalog/pg_namespace.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "cdc_encoding.h"

#define REPLACEMENT_CHARACTER "\xEF\xBF\xBD" /* U+FFFD */

/* About so many bytes are converted at a time. */
#define PIECE_SIZE (16 * 1024)

/* Room for a piece, which may be longer by a character, as UTF-8. */
#define BUFFER_SIZE ((PIECE_SIZE + 16) * MAX_CONVERSION_GROWTH + 1)

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
	/* SQL_ASCII knows no invalid bytes; what is UTF-8 is text, the rest had better be base64 */
	int as = encoding->encoding == PG_SQL_ASCII ? PG_UTF8 : encoding->encoding;

	return pg_verify_mbstr(as, bytes, len, true);
}

/* PostgreSQL's own, whatever the search_path; InvalidOid if there is none: SQL_ASCII, MULE_INTERNAL. */
static Oid
find_conversion(int encoding)
{
	MemoryContext caller = CurrentMemoryContext;
	Oid proc;

	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII)
		return InvalidOid;
	if (IsTransactionState())
		return FindDefaultConversion(PG_CATALOG_NAMESPACE, encoding, PG_UTF8);

	/* a logical message outside transactions is decoded outside of one, too */
	StartTransactionCommand();
	proc = FindDefaultConversion(PG_CATALOG_NAMESPACE, encoding, PG_UTF8);
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller);
	return proc;
}

void
cdc_conversion_start(CdcConversion *conversion, CdcEncoding *encoding, const char *text, Size len)
{
	conversion->encoding = encoding;
	conversion->text = conversion->piece_end = text;
	conversion->end = text + len;
	conversion->proc = find_conversion(encoding->encoding);
	conversion->buffer = OidIsValid(conversion->proc) ? palloc(BUFFER_SIZE) : NULL;
}

void
cdc_conversion_end(CdcConversion *conversion)
{
	if (conversion->buffer)
		pfree(conversion->buffer);
	conversion->buffer = NULL;
}

/* A character that has no UTF-8, or what is left of one at the text's end. */
static void
replace_character(CdcConversion *conversion, int char_len)
{
	Size left = conversion->end - conversion->text;
	Size bytes = Min((Size) char_len, left);

	conversion->encoding->replaced += bytes;
	conversion->text += bytes;
}

/* Ends a piece at a character's border, so that a character is never converted in halves. */
static void
start_piece(CdcConversion *conversion)
{
	Size left = conversion->end - conversion->text;
	Size size = 0;

	CHECK_FOR_INTERRUPTS();
	if (left <= PIECE_SIZE)
		size = left;
	while (size < Min(left, PIECE_SIZE))
		size += pg_encoding_mblen(conversion->encoding->encoding, conversion->text + size);
	conversion->piece_end = conversion->text + Min(size, left);
}

static int
convert(CdcConversion *conversion)
{
	int len = conversion->piece_end - conversion->text;
	unsigned char *from = unconstify(unsigned char *, (const unsigned char *) conversion->text);
	unsigned char *to = (unsigned char *) conversion->buffer;
	MemoryContext caller = CurrentMemoryContext;
	int done;

	if (IsTransactionState())
		return pg_do_encoding_conversion_buf(conversion->proc, conversion->encoding->encoding,
											 PG_UTF8, from, len, to, BUFFER_SIZE, true);
	StartTransactionCommand();
	done = pg_do_encoding_conversion_buf(conversion->proc, conversion->encoding->encoding, PG_UTF8,
										 from, len, to, BUFFER_SIZE, true);
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller);
	return done;
}

/* The next run by a conversion of the server's. */
static void
next_converted(CdcConversion *conversion, const char **utf8, Size *len)
{
	int done;

	if (conversion->text >= conversion->piece_end)
		start_piece(conversion);
	done = convert(conversion);
	*utf8 = conversion->buffer;
	*len = strlen(conversion->buffer);
	conversion->text += done;
	if (*len == 0)
	{
		replace_character(conversion,
						  pg_encoding_mblen(conversion->encoding->encoding, conversion->text));
		*utf8 = REPLACEMENT_CHARACTER;
		*len = strlen(REPLACEMENT_CHARACTER);
	}
}

/*
 * The next run without a conversion.  Of SQL_ASCII nobody knows the encoding: what is valid UTF-8 stays,
 * each other byte is replaced.	 Of an encoding that has no conversion to UTF-8 only ASCII stays.
 */
static void
next_unconverted(CdcConversion *conversion, const char **utf8, Size *len)
{
	int encoding = conversion->encoding->encoding;
	Size left = Min(conversion->end - conversion->text, PIECE_SIZE);
	bool ascii_only = encoding != PG_UTF8 && encoding != PG_SQL_ASCII;
	Size good = 0;

	CHECK_FOR_INTERRUPTS();
	while (good < left)
	{
		const unsigned char *c = (const unsigned char *) conversion->text + good;
		Size char_len = ascii_only ? 1 : pg_utf_mblen(c);

		/* the last one may go on behind the piece: then it begins the next */
		if (char_len > left - good ||
			(ascii_only ? IS_HIGHBIT_SET(*c) : !pg_utf8_islegal(c, char_len)))
			break;
		good += char_len;
	}
	*utf8 = conversion->text;
	*len = good;
	conversion->text += good;
	if (good == 0)
	{
		replace_character(conversion,
						  ascii_only ? pg_encoding_mblen(encoding, conversion->text) : 1);
		*utf8 = REPLACEMENT_CHARACTER;
		*len = strlen(REPLACEMENT_CHARACTER);
	}
}

bool
cdc_conversion_next(CdcConversion *conversion, const char **utf8, Size *len)
{
	if (conversion->text >= conversion->end)
		return false;
	if (OidIsValid(conversion->proc))
		next_converted(conversion, utf8, len);
	else
		next_unconverted(conversion, utf8, len);
	return true;
}

char *
cdc_encoding_to_utf8(CdcEncoding *encoding, const char *text)
{
	CdcConversion conversion;
	StringInfoData out;
	const char *utf8;
	Size len;

	initStringInfo(&out);
	cdc_conversion_start(&conversion, encoding, text, strlen(text));
	while (cdc_conversion_next(&conversion, &utf8, &len))
		appendBinaryStringInfo(&out, utf8, len);
	cdc_conversion_end(&conversion);
	return out.data;
}
