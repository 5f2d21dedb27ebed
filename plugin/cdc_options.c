/*
 * cdc_options.c
 *		The plugin's options; see cdc_options.h.
 */
#include "postgres.h"

#include <ctype.h>

#include "commands/defrem.h"
#include "nodes/value.h"
#include "utils/builtins.h"
#include "utils/varlena.h"

#include "cdc_option_table.h"
#include "cdc_options.h"
#include "cdc_publication.h"
#include "cdc_selector.h"

/* value is NULL where none was given. */
static void bad_value(const CdcOption *option, const char *value) __attribute__((noreturn));

static void
bad_value(const CdcOption *option, const char *value)
{
	StringInfoData allowed;

	initStringInfo(&allowed);
	cdc_option_allowed(option, &allowed);
	if (value == NULL)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("option \"%s\" needs a value", option->name),
				errhint("Allowed: %s (%s).", allowed.data, option->doc));
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("invalid value for option \"%s\": \"%s\"", option->name, value),
			errhint("Allowed: %s (%s).", allowed.data, option->doc));
}

static int
parse_int(const CdcOption *option, const char *value)
{
	char *end;
	long number;

	errno = 0;
	number = strtol(value, &end, 10);
	if (!isdigit((unsigned char) *value) || *end != '\0' || errno != 0 || number < option->min ||
		number > option->max)
		bad_value(option, value);
	return (int) number;
}

static int
parse_enum(const CdcOption *option, const char *value)
{
	int i;

	for (i = 0; option->choices[i]; i++)
	{
		if (strcmp(option->choices[i], value) == 0)
			return i;
	}
	bad_value(option, value);
}

static List *
parse_list(const CdcOption *option, const char *value)
{
	char *copy = pstrdup(value);
	List *items = NIL;

	for (char *item = copy, *next; item != NULL; item = next)
	{
		char *end;

		next = strchr(item, ',');
		if (next)
			*next++ = '\0';
		while (*item == ' ')
			item++;
		end = item + strlen(item);
		while (end > item && end[-1] == ' ')
			*--end = '\0';
		if (*item == '\0')
			bad_value(option, value);
		items = lappend(items, item);
	}
	return items;
}

/* As everywhere in SQL: names fold to lower case unless they are quoted. */
static List *
parse_identifiers(const CdcOption *option, const char *value)
{
	List *names;
	ListCell *cell;

	if (!SplitIdentifierString(pstrdup(value), ',', &names) || names == NIL)
		bad_value(option, value);
	foreach (cell, names)
	{
		if (*(char *) lfirst(cell) == '\0')
			bad_value(option, value);
	}
	return names;
}

static List *
parse_records(const CdcOption *option, const char *value)
{
	List *records = NIL;
	ListCell *cell;

	foreach (cell, parse_list(option, value))
	{
		const char *text = lfirst(cell);
		CdcRecordName *record = palloc(sizeof(CdcRecordName));
		char *end;
		const char *seq = strchr(text, ':');
		uint32 high;
		uint32 low;
		int lsn_len = 0;

		if (seq == NULL || strspn(text, "0123456789abcdefABCDEF/") != seq - text ||
			sscanf(text, "%8X/%8X%n", &high, &low, &lsn_len) != 2 || text + lsn_len != seq ||
			!isdigit((unsigned char) *++seq))
			bad_value(option, value);
		record->commit_lsn = (uint64) high << 32 | low;
		errno = 0;
		record->seq = strtou64(seq, &end, 10);
		if (*end != '\0' || errno != 0 || record->seq == 0)
			bad_value(option, value);
		records = lappend(records, record);
	}
	return records;
}

static int
parse_skipped(const CdcOption *option, const char *value)
{
	static const char letters[] = {
		[CDC_INSERT] = 'c', [CDC_UPDATE] = 'u', [CDC_DELETE] = 'd', [CDC_TRUNCATE] = 't'};
	int kinds = 0;
	ListCell *cell;

	if (strcmp(value, "none") == 0)
		return 0;
	foreach (cell, parse_list(option, value))
	{
		const char *letter = lfirst(cell);
		int kind = 0;

		while (kind < lengthof(letters) && letters[kind] != *letter)
			kind++;
		if (kind == lengthof(letters) || letter[1] != '\0')
			bad_value(option, value);
		kinds |= 1 << kind;
	}
	return kinds;
}

/* Lists as wal2json has them, and what is refused. */
static void
set_selector(void *field, const CdcOption *option, const char *value)
{
	bool good = false;
	bool wanted;
	List *names;

	switch (option->type)
	{
		case CDC_OPTION_WORDS:
			good = cdc_selector_parse_words(value, field);
			break;
		case CDC_OPTION_TABLES:
			good = cdc_selector_parse_tables(value, field) &&
				   (option->min == 0 || *(List **) field != NIL);
			break;
		case CDC_OPTION_OIDS:
			good = cdc_selector_parse_oids(value, field);
			break;
		case CDC_OPTION_ACTIONS:
			good = cdc_selector_parse_actions(value, field);
			break;
		case CDC_OPTION_PATH:
			good = SplitIdentifierString(pstrdup(value), ',', &names);
			*(char **) field = pstrdup(value);
			break;
		case CDC_OPTION_REFUSED:
			good = parse_bool(value, &wanted) && !wanted;
			break;
		default:
			elog(ERROR, "unexpected type of option \"%s\"", option->name);
	}
	if (!good)
		bad_value(option, value);
}

static void
set_option(CdcOptions *options, const CdcOption *option, const char *value)
{
	void *field = (char *) options + option->field;

	switch (option->type)
	{
		case CDC_OPTION_BOOL:
			/* as everywhere in PostgreSQL, a boolean's name alone turns it on */
			if (value == NULL)
				*(bool *) field = true;
			else if (!parse_bool(value, (bool *) field))
				bad_value(option, value);
			return;
		case CDC_OPTION_INT:
			*(int *) field = parse_int(option, value);
			return;
		case CDC_OPTION_ENUM:
			*(int *) field = parse_enum(option, value);
			return;
		case CDC_OPTION_STRING:
			if (*value == '\0' || strlen(value) > option->max)
				bad_value(option, value);
			*(char **) field = pstrdup(value);
			return;
		case CDC_OPTION_LIST:
			*(List **) field = parse_list(option, value);
			return;
		case CDC_OPTION_IDENTIFIERS:
			*(List **) field = parse_identifiers(option, value);
			return;
		case CDC_OPTION_RECORDS:
			*(List **) field = parse_records(option, value);
			return;
		case CDC_OPTION_SKIPPED:
			*(int *) field = parse_skipped(option, value);
			return;
		case CDC_OPTION_REFUSED:
			set_selector(field, option, value ? value : "on");
			return;
		default:
			if (value != NULL)
				set_selector(field, option, value);
			return;
	}
}

/* Only a boolean and what wal2json takes to be the default then. */
static bool
may_lack_value(const CdcOption *option)
{
	switch (option->type)
	{
		case CDC_OPTION_BOOL:
		case CDC_OPTION_REFUSED:
		case CDC_OPTION_WORDS:
		case CDC_OPTION_OIDS:
		case CDC_OPTION_ACTIONS:
			return true;
		case CDC_OPTION_TABLES:
			return option->min == 0;
		default:
			return false;
	}
}

static const CdcOption *
find_option(const char *name)
{
	const CdcOption *option = cdc_option_find(name);
	StringInfoData known;

	if (option)
		return option;
	initStringInfo(&known);
	for (int i = 0; i < cdc_option_count; i++)
		appendStringInfo(&known, "%s%s", i > 0 ? ", " : "", cdc_option_table[i].name);
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("unknown option \"%s\" of output plugin cdc_decoder", name),
			errhint("Known options: %s.", known.data));
}

static inline bool
is_of_format(const CdcOption *option, int format)
{
	return option->formats == CDC_OF_ALL || (option->formats & CDC_OF(format)) != 0;
}

static void refuse_format(const CdcOption *option, int format) __attribute__((noreturn));

static void
refuse_format(const CdcOption *option, int format)
{
	StringInfoData formats;

	initStringInfo(&formats);
	for (int i = 0; i < CDC_NUM_FORMATS; i++)
	{
		if (is_of_format(option, i))
			appendStringInfo(&formats, "%sformat=%s", formats.len > 0 ? " or " : "",
							 cdc_format_names[i]);
	}
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("option \"%s\" is for %s, and the format here is %s", option->name, formats.data,
				   cdc_format_names[format]),
			errhint("Leave it out, or give %s.", formats.data));
}

/*
 * The format that a list of options asks for, else the one given.  It is looked at before the others, since
 * it decides which there are.
 */
static int
find_format(List *elements, int format)
{
	ListCell *cell;

	foreach (cell, elements)
	{
		DefElem *element = lfirst(cell);

		if (strcmp(element->defname, "format") != 0 || element->arg == NULL)
			continue;
		for (int i = 0; i < CDC_NUM_FORMATS; i++)
		{
			if (strcmp(cdc_format_names[i], strVal(element->arg)) == 0)
				return i;
		}
	}
	return format;
}

/*
 * Each option once.  format is that of the stream.  A pipeline may serve streams of several formats: its options
 * are for its own, and for another those that are not of it have no effect.
 */
static void
set_options(CdcOptions *options, List *elements, bool of_pipeline, int format)
{
	bool *given = palloc0(sizeof(bool) * cdc_option_count);
	int own_format = of_pipeline ? find_format(elements, CDC_FORMAT_CDC) : format;
	ListCell *cell;

	foreach (cell, elements)
	{
		DefElem *element = lfirst(cell);
		const CdcOption *option = find_option(element->defname);
		const char *value = element->arg ? strVal(element->arg) : NULL;
		bool *seen = &given[option - cdc_option_table];

		if (of_pipeline && option->of_stream)
			ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("option \"%s\" cannot be an option of a pipeline", option->name),
					errhint("It belongs to the connection: give it where the stream is started."));
		if (*seen)
			ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("option \"%s\" is given twice", option->name),
					errhint("Give each option of the output plugin once."));
		*seen = true;
		if (value == NULL && !may_lack_value(option))
			bad_value(option, NULL);
		if (!is_of_format(option, own_format))
			refuse_format(option, own_format);
		if (is_of_format(option, format))
			set_option(options, option, value);
	}
	pfree(given);
}

static void
set_defaults(CdcOptions *options)
{
	memset(options, 0, sizeof(*options));
	for (int i = 0; i < cdc_option_count; i++)
	{
		const CdcOption *option = &cdc_option_table[i];
		void *field = (char *) options + option->field;

		if (option->type == CDC_OPTION_BOOL)
			*(bool *) field = option->value != 0;
		else if (option->type == CDC_OPTION_INT || option->type == CDC_OPTION_ENUM ||
				 option->type == CDC_OPTION_ACTIONS || option->type == CDC_OPTION_SKIPPED)
			*(int *) field = option->value;
	}
}

/* It begins the names of topics. */
static void
check_topic_prefix(const char *prefix)
{
	if (prefix &&
		strspn(prefix, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
			strlen(prefix))
		ereport(
			ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("invalid value for option \"topic.prefix\": \"%s\"", prefix),
			errhint("Allowed: letters, digits, \".\", \"_\" and \"-\"; topics' names begin with "
					"it."));
}

void
cdc_options_read(CdcOptions *options, List *pipeline, List *elements)
{
	int format = find_format(elements, find_format(pipeline, CDC_FORMAT_CDC));

	set_defaults(options);
	set_options(options, pipeline, true, format);
	set_options(options, elements, false, format);
	if (options->batch_bytes < 0)
		options->batch_bytes = options->framing == CDC_FRAMING_FRAMES ? 64 * 1024 : 0;
	if (options->generated_columns < 0)
		options->generated_columns =
			options->format == CDC_FORMAT_DEBEZIUM ? CDC_GENERATED_NONE : CDC_GENERATED_ALL;
	options->tombstones = options->tombstones && options->format == CDC_FORMAT_DEBEZIUM;
	if (options->format == CDC_FORMAT_DEBEZIUM)
	{
		options->transaction_records = options->transaction_metadata;
		/* an update that changes the key is no update but two others: which it is, shows when it is there */
		options->actions &= ~(options->skipped_operations & ~(1 << CDC_UPDATE));
		check_topic_prefix(options->topic_prefix);
		if (options->unavailable_placeholder == NULL)
			options->unavailable_placeholder = "__debezium_unavailable_value";
	}
	if (options->format == CDC_FORMAT_WAL2JSON)
	{
		options->transaction_records = options->include_transaction;
		options->empty_transactions = options->include_empty_transaction;
		if (options->search_path == NULL)
			options->search_path = "public";
	}
}

bool
cdc_options_want_message(const CdcOptions *options, const char *prefix)
{
	ListCell *cell;

	if (!options->messages || !cdc_selector_wants_message(options, prefix))
		return false;
	foreach (cell, options->message_prefixes)
	{
		const char *wanted = lfirst(cell);
		Size len = strlen(wanted);

		if (wanted[len - 1] == '*' ? strncmp(prefix, wanted, len - 1) == 0
								   : strcmp(prefix, wanted) == 0)
			return true;
	}
	return options->message_prefixes == NIL;
}

bool
cdc_options_strip(const CdcOptions *options, XLogRecPtr commit_lsn, uint64 seq)
{
	ListCell *cell;

	foreach (cell, options->strip_records)
	{
		const CdcRecordName *record = lfirst(cell);

		if (record->commit_lsn == commit_lsn && record->seq == seq)
			return true;
	}
	return false;
}
