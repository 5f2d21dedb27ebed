/*
 * nats_name.c
 *		What the NATS sink's streams, subjects and messages are called.
 */
#include "nats_name.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_STREAM_NAME 255 /* nats-server, JSMaxNameLen */

static bool
stream_name_allows(unsigned char byte)
{
	return byte > ' ' && byte != 0x7f && strchr(".*>/\\", byte) == NULL;
}

bool
nats_stream_name_valid(const char *name)
{
	size_t length = 0;

	for (; name[length] != '\0'; length++)
		if (!stream_name_allows((unsigned char) name[length]))
			return false;
	return length > 0 && length <= MAX_STREAM_NAME;
}

void
nats_default_stream(const char *template, char *name, size_t size)
{
	size_t length = strcspn(template, "{");

	while (length > 0 && template[length - 1] == '.')
		length--;
	if (length == 0 || length >= size)
	{
		snprintf(name, size, "cdc");
		return;
	}
	for (size_t i = 0; i < length; i++)
		name[i] = stream_name_allows((unsigned char) template[i]) ? template[i] : '_';
	name[length] = '\0';
}

bool
nats_subject_allows(unsigned char byte)
{
	return byte > ' ' && byte != 0x7f && byte != '.' && byte != '*' && byte != '>';
}

bool
nats_subject_valid(const char *subject)
{
	bool empty = true; /* the token */

	for (; *subject != '\0'; subject++)
	{
		if (*subject == '.')
		{
			if (empty)
				return false;
			empty = true;
			continue;
		}
		if (!nats_subject_allows((unsigned char) *subject))
			return false;
		empty = false;
	}
	return !empty;
}

bool
nats_subject_matches(const char *pattern, const char *subject)
{
	for (;;)
	{
		size_t token = strcspn(subject, ".");
		size_t expected = strcspn(pattern, ".");

		if (strcmp(pattern, ">") == 0)
			return token > 0;
		if (token == 0 || expected == 0)
			return false;
		if (!(expected == 1 && pattern[0] == '*') &&
			(token != expected || memcmp(pattern, subject, token) != 0))
			return false;
		pattern += expected;
		subject += token;
		if (*pattern == '\0' || *subject == '\0')
			return *pattern == *subject;
		pattern++;
		subject++;
	}
}

/* One token of a template, without its dot. */
static char *
put_token(char *to, const char *token, size_t length, const char *source)
{
	static const char source_placeholder[] = "{source}";
	char *start = to;

	for (size_t i = 0; i < length;)
	{
		if (strncmp(token + i, source_placeholder, sizeof(source_placeholder) - 1) == 0)
		{
			for (const char *from = source; *from != '\0'; from++)
				*to++ = nats_subject_allows((unsigned char) *from) ? *from : '_';
			i += sizeof(source_placeholder) - 1;
			continue;
		}
		if (token[i] == '{' && token[i + 1] != '{')
		{
			*start = '*';
			return start + 1;
		}
		i += token[i] == '{' ? 1 : 0; /* "{{" */
		*to++ = token[i++];
	}
	return to;
}

char *
nats_subject_pattern(const char *template, const char *source)
{
	size_t length = strlen(template);
	/* {source} has eight bytes, so no more of them than that fit */
	char *pattern = malloc(length + (length / 8 + 1) * strlen(source) + 2);
	char *to = pattern;

	if (pattern == NULL)
		return NULL;
	for (const char *token = template;;)
	{
		length = strcspn(token, ".");
		to = put_token(to, token, length, source);
		token += length;
		if (*token == '\0')
			break;
		*to++ = *token++;
	}
	*to = '\0';
	return pattern;
}

static char *
put_escaped(char *to, const char *text)
{
	static const char digits[] = "0123456789ABCDEF";

	for (; *text != '\0'; text++)
	{
		unsigned char byte = (unsigned char) *text;

		if (byte > ' ' && byte < 0x7f && byte != '%' && byte != ':')
		{
			*to++ = *text;
			continue;
		}
		*to++ = '%';
		*to++ = digits[byte >> 4];
		*to++ = digits[byte & 15];
	}
	*to++ = ':';
	return to;
}

void
nats_source_prefix(char *prefix, const Source *source)
{
	_Static_assert(NATS_SOURCE_SIZE >
					   3 * (sizeof(((Source *) NULL)->system_identifier) +
							sizeof(((Source *) NULL)->database) + sizeof(((Source *) NULL)->slot)),
				   "a source's prefix has room for all of it escaped");

	prefix = put_escaped(prefix, source->system_identifier);
	prefix = put_escaped(prefix, source->database);
	*put_escaped(prefix, source->slot) = '\0';
}

/* Digits of value to the base given; returns where they end. */
static char *
put_number(char *to, uint64_t value, unsigned base)
{
	char digits[20];
	int count = 0;

	do
	{
		digits[count++] = "0123456789ABCDEF"[value % base];
		value /= base;
	} while (value > 0);
	while (count > 0)
		*to++ = digits[--count];
	return to;
}

size_t
nats_message_id(char *text, const char *prefix, size_t prefix_length, uint32_t incarnation,
				const RecordId *id)
{
	char *to = text + prefix_length;

	memcpy(text, prefix, prefix_length);
	to = put_number(to, incarnation, 10);
	*to++ = ':';
	to = put_number(to, id->commit_lsn >> 32, 16);
	*to++ = '/';
	to = put_number(to, id->commit_lsn & UINT32_MAX, 16);
	*to++ = ':';
	to = put_number(to, id->seq, 10);
	*to++ = ':';
	to = put_number(to, id->part, 10);
	*to = '\0';
	return (size_t) (to - text);
}

/* A number that ends at stop; NULL where there is none, or one above max. */
static const char *
parse_number(const char *text, char stop, uint64_t max, uint64_t *value)
{
	char *end;

	if (*text < '0' || *text > '9')
		return NULL;
	errno = 0;
	*value = strtoull(text, &end, 10);
	return errno == 0 && *value <= max && *end == stop ? end : NULL;
}

/* What stands behind the prefix. */
static bool
parse_identity(const char *text, uint32_t *incarnation, RecordId *id)
{
	char lsn[LSN_TEXT_SIZE];
	uint64_t number;
	size_t length;

	text = parse_number(text, ':', UINT32_MAX, &number);
	if (text == NULL)
		return false;
	*incarnation = (uint32_t) number;
	length = strcspn(++text, ":");
	if (length >= sizeof(lsn) || text[length] != ':')
		return false;
	memcpy(lsn, text, length);
	lsn[length] = '\0';
	if (!lsn_parse(lsn, &id->commit_lsn))
		return false;
	text = parse_number(text + length + 1, ':', UINT64_MAX, &id->seq);
	if (text == NULL || parse_number(text + 1, '\0', UINT16_MAX, &number) == NULL)
		return false;
	id->part = (uint16_t) number;
	return true;
}

bool
nats_message_id_parse(const char *text, const char *prefix, uint32_t *incarnation, RecordId *id)
{
	size_t length = strlen(prefix);

	return strncmp(text, prefix, length) == 0 && parse_identity(text + length, incarnation, id);
}

bool
nats_is_message_id(const char *text)
{
	uint32_t incarnation;
	RecordId id;

	/* system identifier, database and slot */
	for (int i = 0; i < 3; i++)
	{
		text = strchr(text, ':');
		if (text == NULL)
			return false;
		text++;
	}
	return parse_identity(text, &incarnation, &id);
}
