/*
 * json_out.c
 *		What the client says about itself as JSON, over json-c.
 */
#include "json_out.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The length of the valid UTF-8 sequence at text, 0 if there is none. */
static size_t
utf8_sequence(const unsigned char *text)
{
	unsigned char first = text[0];
	size_t length;

	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		length = 2;
	else if (first >= 0xe0 && first <= 0xef)
		length = 3;
	else if (first >= 0xf0 && first <= 0xf4)
		length = 4;
	else
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	/* overlong forms, surrogates, past U+10FFFF */
	if ((first == 0xe0 && text[1] < 0xa0) || (first == 0xed && text[1] > 0x9f) ||
		(first == 0xf0 && text[1] < 0x90) || (first == 0xf4 && text[1] > 0x8f))
		return 0;
	return length;
}

void
json_make_utf8(char *text)
{
	while (*text != '\0')
	{
		size_t length = utf8_sequence((const unsigned char *) text);

		if (length == 0)
		{
			*text = '?';
			length = 1;
		}
		text += length;
	}
}

void
json_add_text(struct json_object *object, const char *key, const char *text)
{
	struct json_object *value = NULL;
	char *copy = text != NULL ? strdup(text) : NULL;

	if (copy != NULL)
	{
		json_make_utf8(copy);
		value = json_object_new_string(copy);
		free(copy);
	}
	json_object_object_add(object, key, value);
}

void
json_add_bool(struct json_object *object, const char *key, int value)
{
	json_object_object_add(object, key, json_object_new_boolean(value));
}

void
json_add_int(struct json_object *object, const char *key, int64_t value)
{
	json_object_object_add(object, key, json_object_new_int64(value));
}

void
json_add_uint(struct json_object *object, const char *key, uint64_t value)
{
	json_object_object_add(object, key, json_object_new_uint64(value));
}

void
json_add_double(struct json_object *object, const char *key, double value)
{
	char text[64];

	/* Three places are enough for seconds and rates; JSON has no NaN. */
	if (!isfinite(value))
		json_object_object_add(object, key, NULL);
	else
	{
		snprintf(text, sizeof(text), "%.3f", value);
		json_object_object_add(object, key, json_object_new_double_s(value, text));
	}
}

void
json_write_line(FILE *out, struct json_object *object)
{
	size_t length;
	const char *text = json_object_to_json_string_length(
		object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &length);

	fwrite(text, 1, length, out);
	fputc('\n', out);
	fflush(out);
	json_object_put(object);
}
