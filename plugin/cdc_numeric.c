/*
 * cdc_numeric.c
 *		numeric -> decimal digits, or the bytes of a whole number, straight from its stored form.
 *
 * numeric_out() builds a NumericVar, a string of its own and a copy; here each base-10000 digit is
 * written where it belongs.  The stored form is private to the server's numeric.c but cannot change
 * without breaking pg_upgrade; the masks below are those of src/backend/utils/adt/numeric.c
 * (NUMERIC_SIGN_MASK and following), unchanged in PostgreSQL 14 to 18.
 */
#include "postgres.h"

#include "cdc_compat.h"
#include "cdc_json.h"
#include "cdc_numeric.h"

#define SIGN_MASK 0xC000
#define SIGN_NEGATIVE 0x4000
#define SIGN_SHORT 0x8000
#define SIGN_SPECIAL 0xC000
#define SPECIAL_MASK 0xF000
#define SPECIAL_POSITIVE_INFINITY 0xD000
#define SPECIAL_NEGATIVE_INFINITY 0xF000
#define LONG_SCALE_MASK 0x3FFF
#define SHORT_SIGN_MASK 0x2000
#define SHORT_SCALE_MASK 0x1F80
#define SHORT_SCALE_SHIFT 7
#define SHORT_WEIGHT_SIGN_MASK 0x0040
#define SHORT_WEIGHT_MASK 0x003F

typedef struct Decimal
{
	bool negative;
	int scale;          /* digits after the point, as displayed */
	int weight;         /* of the first base-10000 digit */
	int ndigits;        /* base-10000 digits stored; more are zeros */
	const char *digits; /* maybe unaligned */
} Decimal;

static inline int
digit_at(const Decimal *decimal, int index)
{
	int16 digit;

	if (index < 0 || index >= decimal->ndigits)
		return 0;
	memcpy(&digit, decimal->digits + index * sizeof(digit), sizeof(digit));
	return digit;
}

static inline void
read_header(Decimal *decimal, const char *data, Size size)
{
	uint16 header;
	Size header_size;

	memcpy(&header, data, sizeof(header));
	if ((header & SIGN_MASK) == SIGN_SHORT)
	{
		decimal->negative = (header & SHORT_SIGN_MASK) != 0;
		decimal->scale = (header & SHORT_SCALE_MASK) >> SHORT_SCALE_SHIFT;
		decimal->weight = header & SHORT_WEIGHT_MASK;
		if (header & SHORT_WEIGHT_SIGN_MASK)
			decimal->weight |= ~SHORT_WEIGHT_MASK;
		header_size = sizeof(uint16);
	}
	else
	{
		int16 weight;

		memcpy(&weight, data + sizeof(uint16), sizeof(weight));
		decimal->negative = (header & SIGN_MASK) == SIGN_NEGATIVE;
		decimal->scale = header & LONG_SCALE_MASK;
		decimal->weight = weight;
		header_size = 2 * sizeof(uint16);
	}
	decimal->digits = data + header_size;
	decimal->ndigits = (size - header_size) / sizeof(int16);
}

static inline char *
put_four_digits(char *out, int digit)
{
	out[0] = '0' + digit / 1000;
	out[1] = '0' + digit / 100 % 10;
	out[2] = '0' + digit / 10 % 10;
	out[3] = '0' + digit % 10;
	return out + 4;
}

static void
put_whole_part(CdcWriter *writer, const Decimal *decimal)
{
	if (decimal->weight < 0)
	{
		cdc_put_byte(writer, '0');
		return;
	}
	for (int i = 0; i <= decimal->weight; i++)
	{
		char *out = cdc_writer_reserve(writer, 4);
		int digit = digit_at(decimal, i);

		if (i > 0)
			writer->cur = put_four_digits(out, digit);
		else
		{
			/* no leading zeros */
			if (digit >= 1000)
				*out++ = '0' + digit / 1000;
			if (digit >= 100)
				*out++ = '0' + digit / 100 % 10;
			if (digit >= 10)
				*out++ = '0' + digit / 10 % 10;
			*out++ = '0' + digit % 10;
			writer->cur = out;
		}
	}
}

static void
put_fraction(CdcWriter *writer, const Decimal *decimal)
{
	int index = decimal->weight + 1;

	cdc_put_byte(writer, '.');
	for (int left = decimal->scale; left > 0; left -= 4)
	{
		/* all four are stored, those that count are kept */
		put_four_digits(cdc_writer_reserve(writer, 4), digit_at(decimal, index++));
		writer->cur += Min(left, 4);
	}
}

bool
cdc_numeric_is_finite(const void *stored)
{
	uint16 header;

	memcpy(&header, VARDATA_ANY(stored), sizeof(header));
	return (header & SIGN_MASK) != SIGN_SPECIAL;
}

void
cdc_put_numeric(CdcWriter *writer, const void *stored, bool quote)
{
	const char *data = VARDATA_ANY(stored);
	uint16 header;
	Decimal decimal;

	memcpy(&header, data, sizeof(header));
	if (unlikely((header & SIGN_MASK) == SIGN_SPECIAL))
	{
		if ((header & SPECIAL_MASK) == SPECIAL_POSITIVE_INFINITY)
			cdc_put_literal(writer, "\"Infinity\"");
		else if ((header & SPECIAL_MASK) == SPECIAL_NEGATIVE_INFINITY)
			cdc_put_literal(writer, "\"-Infinity\"");
		else
			cdc_put_literal(writer, "\"NaN\"");
		return;
	}
	read_header(&decimal, data, VARSIZE_ANY_EXHDR(stored));
	if (quote)
		cdc_put_byte(writer, '"');
	if (decimal.negative)
		cdc_put_byte(writer, '-');
	put_whole_part(writer, &decimal);
	if (decimal.scale > 0)
		put_fraction(writer, &decimal);
	if (quote)
		cdc_put_byte(writer, '"');
}

int
cdc_numeric_least_scale(const void *stored)
{
	Decimal decimal;
	int last;
	int scale;

	read_header(&decimal, VARDATA_ANY(stored), VARSIZE_ANY_EXHDR(stored));
	for (last = decimal.ndigits - 1; last >= 0 && digit_at(&decimal, last) == 0;)
		last--;
	scale = (last - decimal.weight) * 4;
	if (last < 0 || scale <= 0)
		return 0;
	for (int digit = digit_at(&decimal, last); digit % 10 == 0; digit /= 10)
		scale--;
	return scale;
}

/* bytes: a number, the highest first, in as many bytes as may be needed and at least one. */
static void
put_bytes_base64(CdcWriter *writer, const uint8 *bytes, Size count)
{
	while (count > 1 &&
		   ((bytes[0] == 0 && bytes[1] < 0x80) || (bytes[0] == 0xFF && bytes[1] >= 0x80)))
	{
		bytes++;
		count--;
	}
	cdc_put_byte(writer, '"');
	cdc_put_base64(writer, (const char *) bytes, count);
	cdc_put_byte(writer, '"');
}

void
cdc_put_int64_base64(CdcWriter *writer, int64 value)
{
	uint8 bytes[sizeof(value)];

	for (int i = 0; i < (int) sizeof(value); i++)
		bytes[i] = (uint8) ((uint64) value >> (56 - 8 * i));
	put_bytes_base64(writer, bytes, sizeof(bytes));
}

/* limbs: the lowest first. */
static void
multiply_and_add(uint32 *limbs, int *count, uint32 factor, uint32 summand)
{
	uint64 carry = summand;

	for (int i = 0; i < *count; i++)
	{
		carry += (uint64) limbs[i] * factor;
		limbs[i] = (uint32) carry;
		carry >>= 32;
	}
	if (carry > 0)
		limbs[(*count)++] = (uint32) carry;
}

/* The next digits of the whole number, from the one at index on: factor is ten to their number, 10000 or less. */
static inline int
next_digits(const Decimal *decimal, int index, int left, uint32 *factor)
{
	static const int power[] = {1, 10, 100, 1000, 10000};
	int kept = Min(left, 4);

	*factor = power[kept];
	return digit_at(decimal, index) / power[4 - kept];
}

static void
put_long_base64(CdcWriter *writer, const Decimal *decimal, int digits)
{
	/* a limb holds more than nine digits */
	uint32 *limbs = palloc((digits / 9 + 2) * sizeof(uint32));
	int count = 0;
	uint8 *bytes;
	uint32 borrow = decimal->negative ? 1 : 0;
	uint32 flip = decimal->negative ? 0xFFFFFFFF : 0;

	for (int index = 0; digits > 0; digits -= 4, index++)
	{
		uint32 factor;
		int next = next_digits(decimal, index, digits, &factor);

		multiply_and_add(limbs, &count, factor, next);
	}
	bytes = palloc((count + 1) * sizeof(uint32));
	for (int i = 0; i <= count; i++)
	{
		/* two's complement: all bits the other way, plus one */
		uint64 limb = (uint64) ((i < count ? limbs[i] : 0) ^ flip) + borrow;
		uint8 *at = bytes + (count - i) * sizeof(uint32);

		borrow = limb >> 32;
		for (int byte = 0; byte < 4; byte++)
			at[byte] = (uint8) (limb >> (24 - 8 * byte));
	}
	put_bytes_base64(writer, bytes, (count + 1) * sizeof(uint32));
	pfree(bytes);
	pfree(limbs);
}

void
cdc_put_numeric_base64(CdcWriter *writer, const void *stored, int scale)
{
	Decimal decimal;
	int digits;
	int64 value = 0;

	read_header(&decimal, VARDATA_ANY(stored), VARSIZE_ANY_EXHDR(stored));
	/* of the whole number, zeros before it included where it is less than one */
	digits = decimal.ndigits == 0 ? 0 : Max((decimal.weight + 1) * 4 + scale, 0);
	if (digits > 18)
	{
		put_long_base64(writer, &decimal, digits);
		return;
	}
	for (int index = 0; digits > 0; digits -= 4, index++)
	{
		uint32 factor;
		int next = next_digits(&decimal, index, digits, &factor);

		value = value * factor + next;
	}
	cdc_put_int64_base64(writer, decimal.negative ? -value : value);
}
