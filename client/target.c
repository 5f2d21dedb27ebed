/*
 * target.c
 *		Templates, and the names made of them.
 */
#include "target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../plugin/cdc_protocol.h"

/* Names kept; when so many are there all go, and those still in use are made again. */
#define MAX_NAMES 4096

/* A power of two, so that a hash is cut by a mask. */
#define NUM_BUCKETS 1024

typedef struct Entry
{
	struct Entry *next;
	uint64_t serial; /* of the relation; 0: of none */
	uint8_t op;
	Target target;
} Entry;

struct TargetNames
{
	char *template;
	char *source;
	const TargetRules *rules;
	int num_names;
	Entry *buckets[NUM_BUCKETS];
};

typedef enum Placeholder
{
	PLACEHOLDER_SCHEMA,
	PLACEHOLDER_TABLE,
	PLACEHOLDER_SOURCE,
	PLACEHOLDER_OP,
	NUM_PLACEHOLDERS,
} Placeholder;

static const char *const placeholders[NUM_PLACEHOLDERS] = {
	[PLACEHOLDER_SCHEMA] = "{schema}",
	[PLACEHOLDER_TABLE] = "{table}",
	[PLACEHOLDER_SOURCE] = "{source}",
	[PLACEHOLDER_OP] = "{op}",
};

/* The placeholder that text begins with, or NUM_PLACEHOLDERS. */
static Placeholder
placeholder_at(const char *text)
{
	int i = 0;

	while (i < NUM_PLACEHOLDERS && strncmp(text, placeholders[i], strlen(placeholders[i])) != 0)
		i++;
	return (Placeholder) i;
}

static CdcStatus
check_template(const char *template, const char *what, CdcStatus status, CdcError *err)
{
	for (const char *at = template; (at = strchr(at, '{')) != NULL;)
	{
		Placeholder placeholder = placeholder_at(at);

		if (at[1] == '{')
			at += 2;
		else if (placeholder != NUM_PLACEHOLDERS)
			at += strlen(placeholders[placeholder]);
		else
		{
			cdc_error(err, status, "%s, \"%s\", has something else than a placeholder at \"%s\"",
					  what, template, at);
			cdc_error_hint(err, "Placeholders are {schema}, {table}, {source} and {op}; {{ is a "
								"brace itself.");
			return status;
		}
	}
	if (template[0] == '\0')
		return cdc_error(err, status, "%s is empty", what);
	return CDC_OK;
}

/* Appends text to *to, with what is not allowed replaced; measures only where *to is NULL. */
static size_t
put_value(char **to, const char *text, const TargetRules *rules)
{
	size_t length = strlen(text);

	if (*to == NULL)
		return length;
	for (size_t i = 0; i < length; i++)
	{
		unsigned char byte = (unsigned char) text[i];

		*(*to)++ = rules->allowed == NULL || rules->allowed(byte) ? text[i] : '_';
	}
	return length;
}

/* Writes the template's name for a record to "to", or measures it where that is NULL. */
static size_t
expand(const TargetNames *names, const char *template, const Frame *frame, char *to)
{
	const Relation *relation = frame->relation;
	const char *none = frame->op == CDC_OP_MESSAGE ? "messages"
					   : frame->op == CDC_OP_DDL   ? "ddl"
												   : "transactions";
	const char *const values[NUM_PLACEHOLDERS] = {
		[PLACEHOLDER_SCHEMA] = relation != NULL ? relation->schema : "cdc",
		[PLACEHOLDER_TABLE] = relation != NULL ? relation->table : none,
		[PLACEHOLDER_SOURCE] = names->source,
		[PLACEHOLDER_OP] = frame->kind == CDC_FRAME_SCHEMA ? "schema" : frame_op_name(frame->op),
	};
	size_t length = 0;

	for (const char *at = template; *at != '\0';)
	{
		Placeholder placeholder = placeholder_at(at);

		if (placeholder != NUM_PLACEHOLDERS)
		{
			length += put_value(&to, values[placeholder], names->rules);
			at += strlen(placeholders[placeholder]);
			continue;
		}
		if (to != NULL)
			*to++ = *at;
		length++;
		at += at[0] == '{' ? 2 : 1; /* "{{" */
	}
	return length;
}

static void
forget_all(TargetNames *names)
{
	for (int i = 0; i < NUM_BUCKETS; i++)
		for (Entry *entry = names->buckets[i], *next; entry != NULL; entry = next)
		{
			next = entry->next;
			if (entry->target.data != NULL && names->rules->free_data != NULL)
				names->rules->free_data(entry->target.data);
			free(entry);
		}
	memset(names->buckets, 0, sizeof(names->buckets));
	names->num_names = 0;
}

static CdcStatus
make_entry(TargetNames *names, const Frame *frame, Entry **result, CdcError *err)
{
	const char *template = names->template;
	Entry *entry;
	size_t length;
	char *name;

	*result = NULL;
	if (frame->relation != NULL && frame->relation->target[0] != '\0')
	{
		char what[400];
		CdcStatus status;

		template = frame->relation->target;
		snprintf(what, sizeof(what), "the target that a rule gives to relation %s.%s",
				 frame->relation->schema, frame->relation->table);
		status = check_template(template, what, CDC_STOP, err);
		if (status != CDC_OK)
		{
			cdc_error_hint(err,
						   "Correct it by cdc.set_target(); placeholders are {schema}, {table}, "
						   "{source} and {op}, and {{ is a brace itself.");
			return status;
		}
	}
	length = expand(names, template, frame, NULL);
	entry = malloc(sizeof(*entry) + length + 1);
	if (entry == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	name = (char *) (entry + 1);
	expand(names, template, frame, name);
	name[length] = '\0';
	entry->serial = frame->relation != NULL ? frame->relation->serial : 0;
	entry->op = frame->op;
	entry->target = (Target){.name = name, .length = length};
	*result = entry;
	return CDC_OK;
}

CdcStatus
target_find(TargetNames *names, const Frame *frame, Target **target, CdcError *err)
{
	uint64_t serial = frame->relation != NULL ? frame->relation->serial : 0;
	Entry **bucket = &names->buckets[(serial * 8 + (frame->op & 7)) % NUM_BUCKETS];
	Entry *entry = *bucket;
	CdcStatus status;

	while (entry != NULL && (entry->serial != serial || entry->op != frame->op))
		entry = entry->next;
	if (entry == NULL)
	{
		if (names->num_names == MAX_NAMES)
			forget_all(names);
		status = make_entry(names, frame, &entry, err);
		if (entry == NULL)
			return status;
		entry->next = *bucket;
		*bucket = entry;
		names->num_names++;
	}
	*target = &entry->target;
	return CDC_OK;
}

CdcStatus
target_names_create(TargetNames **result, const char *template, const char *what,
					const char *source, const TargetRules *rules, CdcError *err)
{
	TargetNames *names;
	CdcStatus status = check_template(template, what, CDC_USAGE, err);

	*result = NULL;
	if (status != CDC_OK)
		return status;
	names = calloc(1, sizeof(*names));
	if (names == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	names->template = strdup(template);
	names->source = strdup(source);
	names->rules = rules;
	if (names->template == NULL || names->source == NULL)
	{
		target_names_free(names);
		return cdc_error(err, CDC_RETRY, "out of memory");
	}
	*result = names;
	return CDC_OK;
}

void
target_names_free(TargetNames *names)
{
	if (names == NULL)
		return;
	forget_all(names);
	free(names->template);
	free(names->source);
	free(names);
}
