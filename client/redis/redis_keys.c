/*
 * redis_keys.c
 *		What the Redis sink's keys and entries are called.
 */
#include "redis_keys.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_INCARNATION 127U
#define MAX_COMMIT_LSN ((UINT64_C(1) << 56) - 1)
#define MAX_SEQ ((UINT64_C(1) << 47) - 1)

static const char source_placeholder[] = "{source}";
static const char position_suffix[] = ":cdc-position";
static const char schemas_suffix[] = ":cdc-schemas";
static const char owner_suffix[] = ":cdc-owner";

/*
 * Whether what a placeholder or a brace begins at text, and which: a template's are checked
 * already.
 */
static bool
is_source(const char *text)
{
	return strncmp(text, source_placeholder, sizeof(source_placeholder) - 1) == 0;
}

/* As Redis Cluster looks for one: from the first '{' to the next '}', with something in between. */
static bool
has_hash_tag(const char *key)
{
	const char *open = strchr(key, '{');
	const char *close = open == NULL ? NULL : strchr(open, '}');

	return close != NULL && close > open + 1;
}

/* prefix + text + middle + suffix. */
static char *
concatenate(const char *prefix, const char *text, const char *middle, const char *suffix)
{
	char *key = malloc(strlen(prefix) + strlen(text) + strlen(middle) + strlen(suffix) + 1);

	if (key != NULL)
		strcpy(stpcpy(stpcpy(stpcpy(key, prefix), text), middle), suffix);
	return key;
}

/* The template with {source} filled in, and suffix behind it. */
static char *
make_key(const char *template, const char *source, const char *suffix)
{
	size_t sources = 0;
	bool one_stream = true;
	char *name;
	char *key;
	char *to;

	for (const char *at = template; (at = strstr(at, source_placeholder)) != NULL; at++)
		sources++;
	name = malloc(strlen(template) + sources * strlen(source) + 1);
	if (name == NULL)
		return NULL;
	to = name;
	for (const char *at = template; *at != '\0';)
	{
		if (is_source(at))
		{
			to = stpcpy(to, source);
			at += sizeof(source_placeholder) - 1;
			continue;
		}
		if (at[0] == '{' && at[1] == '{')
			at++;
		else if (at[0] == '{')
			one_stream = false;
		*to++ = *at++;
	}
	*to = '\0';
	if (one_stream && !has_hash_tag(name))
		key = concatenate("{", name, "}", suffix);
	else
		key = concatenate("", name, "", suffix);
	free(name);
	return key;
}

char *
redis_position_key(const char *template, const char *source)
{
	return make_key(template, source, position_suffix);
}

char *
redis_schemas_key(const char *template, const char *source)
{
	return make_key(template, source, schemas_suffix);
}

char *
redis_owner_key(const char *stream)
{
	if (has_hash_tag(stream))
		return concatenate("", stream, "", owner_suffix);
	return concatenate("{", stream, "}", owner_suffix);
}

CdcStatus
redis_entry_id(RedisEntryId *entry, const RecordId *id, uint32_t incarnation, CdcError *err)
{
	char lsn[LSN_TEXT_SIZE];

	if (incarnation > MAX_INCARNATION || id->commit_lsn > MAX_COMMIT_LSN)
	{
		cdc_error(err, CDC_STOP,
				  "commit_lsn %s of incarnation %" PRIu32 " does not fit into the id of a stream's "
				  "entry: at most %u incarnations and 64 PiB of WAL do",
				  lsn_format(lsn, id->commit_lsn), incarnation, MAX_INCARNATION);
		cdc_error_hint(err, "Go on in streams of another name, as a sink of its own.");
		return CDC_STOP;
	}
	if (id->seq > MAX_SEQ)
		return cdc_error(err, CDC_REFUSED,
						 "seq %" PRIu64 " of transaction %s does not fit into the id of a stream's "
						 "entry: at most %" PRIu64 " changes of one transaction do",
						 id->seq, lsn_format(lsn, id->commit_lsn), MAX_SEQ);
	entry->first = (uint64_t) incarnation << 56 | id->commit_lsn;
	entry->second = id->seq << 16 | id->part;
	return CDC_OK;
}

int
redis_entry_id_compare(const RedisEntryId *a, const RedisEntryId *b)
{
	if (a->first != b->first)
		return a->first < b->first ? -1 : 1;
	if (a->second != b->second)
		return a->second < b->second ? -1 : 1;
	return 0;
}

/* strtoull() would take a sign, and spaces. */
static const char *
parse_half(const char *text, uint64_t *value)
{
	char *end;

	if (*text < '0' || *text > '9')
		return NULL;
	errno = 0;
	*value = strtoull(text, &end, 10);
	return errno == 0 ? end : NULL;
}

bool
redis_entry_id_parse(const char *text, RedisEntryId *entry)
{
	const char *at = parse_half(text, &entry->first);

	if (at == NULL || *at != '-')
		return false;
	at = parse_half(at + 1, &entry->second);
	return at != NULL && *at == '\0';
}

char *
redis_put_number(char *to, uint64_t value)
{
	char digits[20];
	int count = 0;

	do
	{
		digits[count++] = (char) ('0' + value % 10);
		value /= 10;
	} while (value > 0);
	while (count > 0)
		*to++ = digits[--count];
	return to;
}
