/*
 * config_file.c
 *		Reading a file of "name = value" lines.
 */
#include "config_file.h"

#include <ctype.h>
#include <stdbool.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "option_store.h"

static char *
skip_space(char *text)
{
	while (*text == ' ' || *text == '\t' || *text == '\r' || *text == '\n')
		text++;
	return text;
}

static void
trim_end(char *text)
{
	size_t length = strlen(text);

	while (length > 0 && isspace((unsigned char) text[length - 1]))
		text[--length] = '\0';
}

/* Takes the quotes off, in place; false where the closing one is missing or text follows it. */
static bool
unquote(char *value)
{
	char *to = value;
	char *from = value + 1;

	for (;; from++)
	{
		if (*from == '\0')
			return false;
		if (*from == '\'')
		{
			if (from[1] != '\'')
				break;
			from++;
		}
		*to++ = *from;
	}
	from = skip_space(from + 1);
	*to = '\0';
	return *from == '\0' || *from == '#';
}

static void
cut_comment(char *value)
{
	for (char *c = value; *c != '\0'; c++)
	{
		if (*c == '#' && (c == value || c[-1] == ' ' || c[-1] == '\t'))
		{
			*c = '\0';
			break;
		}
	}
	trim_end(value);
}

/* Splits a line in place.  *name is NULL for a line that says nothing. */
static CdcStatus
split_line(char *line, const char *where, char **name, char **value, CdcError *err)
{
	char *equals;

	*name = skip_space(line);
	if (**name == '\0' || **name == '#')
	{
		*name = NULL;
		return CDC_OK;
	}
	equals = strchr(*name, '=');
	if (equals == NULL || equals == *name)
	{
		trim_end(*name);
		cdc_error(err, CDC_USAGE, "%s: \"%.60s\" is not a setting", where, option_shown(*name));
		cdc_error_hint(err, "Each line is name = value, with an option's name as in --name=value; "
							"a line that starts with # is a comment.");
		return CDC_USAGE;
	}
	*equals = '\0';
	trim_end(*name);
	*value = skip_space(equals + 1);
	if (**value != '\'')
		cut_comment(*value);
	else if (!unquote(*value))
	{
		cdc_error(err, CDC_USAGE, "%s: the value of \"%s\" is quoted wrongly", where, *name);
		cdc_error_hint(err, "A value in single quotes ends with one; '' stands for a quote in it, "
							"and only a comment may follow.");
		return CDC_USAGE;
	}
	return CDC_OK;
}

CdcStatus
config_file_read(const char *path, const char *named_by, ConfigLine line, void *context,
				 CdcError *err)
{
	FILE *file = fopen(path, "r");
	CdcStatus status = CDC_OK;
	char *text = NULL;
	size_t size = 0;
	char where[512];

	if (file == NULL)
	{
		cdc_error(err, CDC_USAGE, "%s: cannot open \"%s\": %s", named_by, path, strerror(errno));
		cdc_error_hint(err, "Name a file that this user can read.");
		return CDC_USAGE;
	}
	errno = 0;
	for (int number = 1; status == CDC_OK && getline(&text, &size, file) >= 0; number++)
	{
		char *name;
		char *value;

		snprintf(where, sizeof(where), "%s:%d", path, number);
		status = split_line(text, where, &name, &value, err);
		if (status == CDC_OK && name != NULL)
			status = line(context, where, name, value);
	}
	if (status == CDC_OK && ferror(file))
		status = cdc_error(err, CDC_USAGE, "%s: cannot read \"%s\": %s", named_by, path,
						   strerror(errno));
	free(text);
	fclose(file);
	return status;
}
