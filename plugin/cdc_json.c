/*
 * cdc_json.c
 *		Bytes of JSON: strings, numbers, base64 and hex; see cdc_json.h.  Times are in cdc_json_time.c.
 */
#include "postgres.h"

#include <math.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "common/shortest_dec.h"
#include "mb/pg_wchar.h"
#include "port/pg_bitutils.h"
#include "utils/builtins.h"

#include "cdc_json.h"

/* A string is escaped in pieces; a byte becomes six at most (\u0001). */
#define ESCAPE_PIECE (CDC_WRITER_MAX_RESERVE / 6)

#define BYTES_OF(c) (UINT64CONST(0x0101010101010101) * (c))

/*
 * Does one of eight bytes need escaping?  Nonzero if so.  The classic test for "some byte less than
 * n" (n <= 128) is (x - n * 0x01..) & ~x & 0x80.., and "some byte equal to c" is "some byte of x ^ c
 * less than 1".
 */
static inline uint64
needs_escape(uint64 x, bool stop_at_non_ascii)
{
	uint64 quote = x ^ BYTES_OF('"');
	uint64 backslash = x ^ BYTES_OF('\\');
	uint64 found = (x - BYTES_OF(0x20)) & ~x;

	found |= (quote - BYTES_OF(1)) & ~quote;
	found |= (backslash - BYTES_OF(1)) & ~backslash;
	return (found | (stop_at_non_ascii ? x : 0)) & BYTES_OF(0x80);
}

/*
 * Copies what needs no escaping from the start of a text, as far as it is quickly seen; returns how many
 * bytes.	Never more than len, though others may be written to out.
 */
static inline Size
copy_clean(char *out, const char *text, Size len, bool stop_at_non_ascii)
{
	Size done = 0;
	uint64 x;

#ifdef __SSE2__
	for (; len - done >= sizeof(__m128i); done += sizeof(__m128i))
	{
		__m128i chunk = _mm_loadu_si128((const __m128i *) (text + done));
		__m128i found = _mm_cmpeq_epi8(_mm_min_epu8(chunk, _mm_set1_epi8(0x1F)), chunk);
		unsigned int mask;

		_mm_storeu_si128((__m128i *) (out + done), chunk);
		found = _mm_or_si128(found, _mm_cmpeq_epi8(chunk, _mm_set1_epi8('"')));
		found = _mm_or_si128(found, _mm_cmpeq_epi8(chunk, _mm_set1_epi8('\\')));
		if (stop_at_non_ascii)
			found = _mm_or_si128(found, chunk); /* the mask takes the high bits */
		mask = _mm_movemask_epi8(found);
		if (mask != 0)
			return done + pg_rightmost_one_pos32(mask);
	}
#endif
	for (; len - done >= sizeof(x); done += sizeof(x))
	{
		memcpy(&x, text + done, sizeof(x));
		if (needs_escape(x, stop_at_non_ascii))
			break;
		memcpy(out + done, &x, sizeof(x));
	}
	return done;
}

/* Nonzero if the byte must be escaped: the letter after the backslash, or 'u' for \u00XX. */
static const char escape_of[256] = {
	['\0'] = 'u', [1] = 'u',    [2] = 'u',    [3] = 'u',    [4] = 'u',   [5] = 'u',    [6] = 'u',
	[7] = 'u',    ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', [11] = 'u',  ['\f'] = 'f', ['\r'] = 'r',
	[14] = 'u',   [15] = 'u',   [16] = 'u',   [17] = 'u',   [18] = 'u',  [19] = 'u',   [20] = 'u',
	[21] = 'u',   [22] = 'u',   [23] = 'u',   [24] = 'u',   [25] = 'u',  [26] = 'u',   [27] = 'u',
	[28] = 'u',   [29] = 'u',   [30] = 'u',   [31] = 'u',   ['"'] = '"', ['\\'] = '\\'};

static inline char *
put_u_escape(char *out, unsigned int code_unit)
{
	static const char digits[] = "0123456789abcdef";

	*out++ = '\\';
	*out++ = 'u';
	for (int shift = 12; shift >= 0; shift -= 4)
		*out++ = digits[(code_unit >> shift) & 0xF];
	return out;
}

static inline char *
escape_byte(char *out, unsigned char c)
{
	if (escape_of[c] == 0)
		*out++ = c;
	else if (escape_of[c] == 'u')
		out = put_u_escape(out, c);
	else
	{
		*out++ = '\\';
		*out++ = escape_of[c];
	}
	return out;
}

/*
 * Escapes a piece into out, where six times its length must be free; returns the end of what was
 * written.	 May stop at a byte above 127; *done says how far it came.
 */
static inline char *
escape_piece(char *out, const char *text, Size len, bool stop_at_non_ascii, Size *done)
{
	const char *in = text;
	const char *end = text + len;

	while (in < end)
	{
		Size clean = copy_clean(out, in, end - in, stop_at_non_ascii);
		const char *look_again;

		in += clean;
		out += clean;
		/* a few bytes singly: those around what stopped us, or the tail */
		for (look_again = Min(in + sizeof(uint64), end); in < look_again; in++)
		{
			if (stop_at_non_ascii && IS_HIGHBIT_SET(*in))
			{
				*done = in - text;
				return out;
			}
			out = escape_byte(out, *in);
		}
	}
	*done = len;
	return out;
}

/* UTF-8 as \uXXXX, beyond the first plane as a surrogate pair (RFC 8259, section 7). */
static void
put_utf8_as_escapes(CdcWriter *writer, const char *text, Size len)
{
	const char *end = text + len;

	while (text < end)
	{
		char *out = cdc_writer_reserve(writer, 12);
		pg_wchar c = utf8_to_unicode((const unsigned char *) text);

		text += pg_utf_mblen((const unsigned char *) text);
		if (c < 0x80)
		{
			/* the ASCII between: quotes and control characters were not escaped yet */
			writer->cur = escape_byte(out, c);
		}
		else if (c < 0x10000)
			writer->cur = put_u_escape(out, c);
		else
		{
			out = put_u_escape(out, 0xD800 + ((c - 0x10000) >> 10));
			writer->cur = put_u_escape(out, 0xDC00 + ((c - 0x10000) & 0x3FF));
		}
	}
}

void
cdc_put_escaped_utf8(CdcWriter *writer, const char *text, Size len)
{
	while (len > 0)
	{
		Size piece = Min(len, ESCAPE_PIECE);
		Size done;

		writer->cur =
			escape_piece(cdc_writer_reserve(writer, piece * 6), text, piece, false, &done);
		text += piece;
		len -= piece;
	}
}

/* The rest of a string from its first byte above 127 on, in a database that is not UTF-8. */
static void
put_converted(CdcWriter *writer, const char *text, Size len)
{
	CdcConversion conversion;
	const char *utf8;
	Size utf8_len;

	cdc_conversion_start(&conversion, writer->encoding, text, len);
	while (cdc_conversion_next(&conversion, &utf8, &utf8_len))
	{
		if (writer->encoding->escape)
			put_utf8_as_escapes(writer, utf8, utf8_len);
		else
			cdc_put_escaped_utf8(writer, utf8, utf8_len);
	}
	cdc_conversion_end(&conversion);
}

void
cdc_put_escaped(CdcWriter *writer, const char *text, Size len)
{
	if (likely(!writer->encoding->convert))
	{
		cdc_put_escaped_utf8(writer, text, len);
		return;
	}
	while (len > 0)
	{
		Size piece = Min(len, ESCAPE_PIECE);
		Size done;

		writer->cur = escape_piece(cdc_writer_reserve(writer, piece * 6), text, piece, true, &done);
		text += done;
		len -= done;
		if (done < piece)
		{
			put_converted(writer, text, len);
			return;
		}
	}
}

/* UTF-8 as it is, but for newlines. */
static void
put_json_utf8(CdcWriter *writer, const char *text, Size len)
{
	while (len > 0)
	{
		Size piece = Min(len, CDC_WRITER_MAX_RESERVE);
		char *out = cdc_writer_reserve(writer, piece);

		memcpy(out, text, piece);
		for (char *p = out; (p = memchr(p, '\n', out + piece - p)) != NULL;)
			*p = ' ';
		for (char *p = out; (p = memchr(p, '\r', out + piece - p)) != NULL;)
			*p = ' ';
		writer->cur += piece;
		text += piece;
		len -= piece;
	}
}

/* UTF-8 with escapes, which may stand wherever non-ASCII does: in strings. */
static void
put_json_ascii(CdcWriter *writer, const char *text, Size len)
{
	for (const char *end = text + len; text < end;)
	{
		int char_len = pg_utf_mblen((const unsigned char *) text);

		if (char_len > 1)
			put_utf8_as_escapes(writer, text, char_len);
		else
			cdc_put_byte(writer, *text == '\n' || *text == '\r' ? ' ' : *text);
		text += char_len;
	}
}

void
cdc_put_json_text(CdcWriter *writer, const char *text, Size len)
{
	CdcConversion conversion;
	const char *utf8;
	Size utf8_len;

	if (likely(!writer->encoding->convert))
	{
		put_json_utf8(writer, text, len);
		return;
	}
	cdc_conversion_start(&conversion, writer->encoding, text, len);
	while (cdc_conversion_next(&conversion, &utf8, &utf8_len))
	{
		if (writer->encoding->escape)
			put_json_ascii(writer, utf8, utf8_len);
		else
			put_json_utf8(writer, utf8, utf8_len);
	}
	cdc_conversion_end(&conversion);
}

void
cdc_put_int64(CdcWriter *writer, int64 value)
{
	writer->cur += pg_lltoa(value, cdc_writer_reserve(writer, MAXINT8LEN + 1));
}

void
cdc_put_uint64(CdcWriter *writer, uint64 value)
{
	writer->cur += pg_ulltoa_n(value, cdc_writer_reserve(writer, MAXINT8LEN + 1));
}

static bool
put_not_finite(CdcWriter *writer, double value)
{
	if (likely(isfinite(value)))
		return false;
	if (isnan(value))
		cdc_put_literal(writer, "\"NaN\"");
	else if (value > 0)
		cdc_put_literal(writer, "\"Infinity\"");
	else
		cdc_put_literal(writer, "\"-Infinity\"");
	return true;
}

/* PostgreSQL's own shortest-decimal printer (src/common/f2s.c, d2s.c), as float4out uses it. */
void
cdc_put_float4(CdcWriter *writer, float4 value)
{
	if (!put_not_finite(writer, value))
		writer->cur += float_to_shortest_decimal_bufn(
			value, cdc_writer_reserve(writer, FLOAT_SHORTEST_DECIMAL_LEN));
}

void
cdc_put_float8(CdcWriter *writer, float8 value)
{
	if (!put_not_finite(writer, value))
		writer->cur += double_to_shortest_decimal_bufn(
			value, cdc_writer_reserve(writer, DOUBLE_SHORTEST_DECIMAL_LEN));
}

static char *
put_upper_hex(char *out, uint32 value)
{
	int shift = 28;

	while (shift > 0 && (value >> shift) == 0)
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		*out++ = "0123456789ABCDEF"[(value >> shift) & 0xF];
	return out;
}

/* out: as many bytes as digits */
static inline void
put_hex_digits(char *out, uint64 value, int digits)
{
	for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4)
		*out++ = "0123456789ABCDEF"[(value >> shift) & 0xF];
}

void
cdc_put_hex64(CdcWriter *writer, uint64 value)
{
	put_hex_digits(cdc_writer_reserve(writer, 16), value, 16);
	writer->cur += 16;
}

void
cdc_put_hex16(CdcWriter *writer, uint16 value)
{
	put_hex_digits(cdc_writer_reserve(writer, 4), value, 4);
	writer->cur += 4;
}

void
cdc_put_lsn(CdcWriter *writer, uint64 lsn)
{
	char *out = cdc_writer_reserve(writer, 20);

	out = put_upper_hex(out, (uint32) (lsn >> 32));
	*out++ = '/';
	writer->cur = put_upper_hex(out, (uint32) lsn);
}

void
cdc_put_hex(CdcWriter *writer, const char *bytes, Size len)
{
	while (len > 0)
	{
		Size piece = Min(len, CDC_WRITER_MAX_RESERVE / 2);

		hex_encode(bytes, piece, cdc_writer_reserve(writer, piece * 2));
		writer->cur += piece * 2;
		bytes += piece;
		len -= piece;
	}
}

/* RFC 4648, section 4.	 (pg_b64_encode would do, but its signature differs between versions.) */
void
cdc_put_base64(CdcWriter *writer, const char *bytes, Size len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *in = (const unsigned char *) bytes;

	for (; len >= 3; in += 3, len -= 3)
	{
		char *out = cdc_writer_reserve(writer, 4);
		uint32 group = (in[0] << 16) | (in[1] << 8) | in[2];

		out[0] = digits[group >> 18];
		out[1] = digits[(group >> 12) & 0x3F];
		out[2] = digits[(group >> 6) & 0x3F];
		out[3] = digits[group & 0x3F];
		writer->cur += 4;
	}
	if (len > 0)
	{
		char *out = cdc_writer_reserve(writer, 4);
		uint32 group = (in[0] << 16) | (len > 1 ? in[1] << 8 : 0);

		out[0] = digits[group >> 18];
		out[1] = digits[(group >> 12) & 0x3F];
		out[2] = len > 1 ? digits[(group >> 6) & 0x3F] : '=';
		out[3] = '=';
		writer->cur += 4;
	}
}
