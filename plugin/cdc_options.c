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

#include "cdc_options.h"
#include "cdc_protocol.h"

#define MIB (1024 * 1024)

typedef enum OptionType
{
	OPTION_BOOL,
	OPTION_INT,
	OPTION_ENUM,
	OPTION_STRING,
	OPTION_LIST,
	OPTION_IDENTIFIERS,
	OPTION_RECORDS,
} OptionType;

typedef struct Option
{
	const char *name;
	OptionType type;
	Size field; /* its offset in CdcOptions */
	int value;  /* default of a bool, int or enum */
	int min;    /* range of an int */
	int max;
	const char *const *choices; /* of an enum, in the order of its C enumeration */
	const char *doc;
	bool of_stream; /* decided when the stream starts, so not by a pipeline */
} Option;

#define FIELD(name) offsetof(CdcOptions, name)
#define CHOICES(...)                                                                               \
	(const char *const[])                                                                          \
	{                                                                                              \
		__VA_ARGS__, NULL                                                                          \
	}

/* PostgreSQL allows no string over 1 GiB, and a client must be able to hold a record. */
#define MAX_RECORD_BYTES (900 * MIB)

static const Option option_table[] = {
	{"protocol_version", OPTION_INT, FIELD(protocol_version), CDC_PROTOCOL_VERSION,
	 CDC_PROTOCOL_VERSION, CDC_PROTOCOL_VERSION, NULL, "version of the frames", true},
	{"format", OPTION_ENUM, FIELD(format), CDC_FORMAT_CDC, 0, 0, CHOICES("cdc"),
	 "how a record is written"},
	{"framing", OPTION_ENUM, FIELD(framing), CDC_FRAMING_LINES, 0, 0, CHOICES("lines", "frames"),
	 "plain records, or binary frames for cdc_client", true},
	{"batch_bytes", OPTION_INT, FIELD(batch_bytes), -1, 0, 16 * MIB, NULL,
	 "gather records in one message until so many bytes; 0: one record per message"},
	{"source", OPTION_STRING, FIELD(source), 0, 1, 255, NULL,
	 "name of this source (default: the database)"},
	{"delete", OPTION_ENUM, FIELD(delete_records), CDC_DELETE_FULL, 0, 0, CHOICES("full", "key"),
	 "deletes with the old row, or with its key only"},
	{"numeric", OPTION_ENUM, FIELD(numeric), CDC_NUMERIC_STRING, 0, 0, CHOICES("string", "number"),
	 "numeric as an exact string, or as a bare number"},
	{"bigint", OPTION_ENUM, FIELD(bigint), CDC_BIGINT_NUMBER, 0, 0, CHOICES("number", "string"),
	 "int8 as a number, or as a string for readers that round at 2^53"},
	{"binary", OPTION_ENUM, FIELD(binary), CDC_BINARY_HEX, 0, 0, CHOICES("hex", "base64"),
	 "bytea as \\x hex, or as base64"},
	{"generated_columns", OPTION_ENUM, FIELD(generated_columns), CDC_GENERATED_ALL, 0, 0,
	 CHOICES("all", "stored", "none"), "which generated columns are in records"},
	{"origin", OPTION_ENUM, FIELD(origin), CDC_ORIGIN_ANY, 0, 0, CHOICES("any", "none"),
	 "all changes, or only those that were not replicated from elsewhere"},
	{"transaction_records", OPTION_BOOL, FIELD(transaction_records), false, 0, 0, NULL,
	 "records for begin and commit, too"},
	{"messages", OPTION_BOOL, FIELD(messages), true, 0, 0, NULL,
	 "records for logical messages (pg_logical_emit_message), too"},
	{"message_prefixes", OPTION_LIST, FIELD(message_prefixes), 0, 0, 0, NULL,
	 "only messages of these prefixes; prefix* matches what begins with it"},
	{"ddl", OPTION_ENUM, FIELD(ddl), CDC_DDL_AUTO, 0, 0, CHOICES("auto", "on", "off"),
	 "records for DDL, where cdc.enable_ddl() was called; auto: not with a pipeline"},
	{"max_record_bytes", OPTION_INT, FIELD(max_record_bytes), 64 * MIB, MIB, MAX_RECORD_BYTES, NULL,
	 "a longer record leaves out its largest columns and names them"},
	{"publication_names", OPTION_IDENTIFIERS, FIELD(publication_names), 0, 0, 0, NULL,
	 "select what these publications publish (default: everything)"},
	{"pipeline", OPTION_STRING, FIELD(pipeline), 0, 1, NAMEDATALEN - 1, NULL,
	 "follow the rules of this pipeline (cdc.create_pipeline())", true},
	{"on_expression_error", OPTION_ENUM, FIELD(on_expression_error), CDC_EXPRESSION_ERROR_STOP, 0,
	 0, CHOICES("stop", "null"),
	 "a rule's expression that fails is an ERROR, or null and named in the record"},
	{"privileges", OPTION_ENUM, FIELD(privileges), CDC_PRIVILEGES_IGNORE, 0, 0,
	 CHOICES("ignore", "enforce"),
	 "all that is selected, or only what the streaming role may SELECT"},
	{"strip_records", OPTION_RECORDS, FIELD(strip_records), 0, 0, 0, NULL,
	 "these records, which rules cannot transform, are sent without their rows", true},
};

static void
option_allowed(const Option *option, StringInfo text)
{
	switch (option->type)
	{
		case OPTION_BOOL:
			appendStringInfoString(text, "on or off");
			break;
		case OPTION_INT:
			if (option->min == option->max)
				appendStringInfo(text, "%d", option->min);
			else
				appendStringInfo(text, "a whole number from %d to %d", option->min, option->max);
			break;
		case OPTION_ENUM:
			for (int i = 0; option->choices[i]; i++)
				appendStringInfo(text, "%s%s", i > 0 ? " or " : "", option->choices[i]);
			break;
		case OPTION_STRING:
			appendStringInfo(text, "a name of 1 to %d bytes", option->max);
			break;
		case OPTION_LIST:
			appendStringInfoString(text, "a comma-separated list of prefixes, none of them empty");
			break;
		case OPTION_IDENTIFIERS:
			appendStringInfoString(text,
								   "a comma-separated list of names, in double quotes where they "
								   "are not lower case");
			break;
		case OPTION_RECORDS:
			appendStringInfoString(text, "a comma-separated list of commit_lsn:seq, such as "
										 "0/16E2A10:3");
			break;
	}
}

/* value is NULL where none was given. */
static void bad_value(const Option *option, const char *value) __attribute__((noreturn));

static void
bad_value(const Option *option, const char *value)
{
	StringInfoData allowed;

	initStringInfo(&allowed);
	option_allowed(option, &allowed);
	if (value == NULL)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("option \"%s\" needs a value", option->name),
				errhint("Allowed: %s (%s).", allowed.data, option->doc));
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("invalid value for option \"%s\": \"%s\"", option->name, value),
			errhint("Allowed: %s (%s).", allowed.data, option->doc));
}

static int
parse_int(const Option *option, const char *value)
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
parse_enum(const Option *option, const char *value)
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
parse_list(const Option *option, const char *value)
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
parse_identifiers(const Option *option, const char *value)
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
parse_records(const Option *option, const char *value)
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

static void
set_option(CdcOptions *options, const Option *option, const char *value)
{
	void *field = (char *) options + option->field;

	switch (option->type)
	{
		case OPTION_BOOL:
			/* as everywhere in PostgreSQL, a boolean's name alone turns it on */
			if (value == NULL)
				*(bool *) field = true;
			else if (!parse_bool(value, (bool *) field))
				bad_value(option, value);
			return;
		case OPTION_INT:
			*(int *) field = parse_int(option, value);
			return;
		case OPTION_ENUM:
			*(int *) field = parse_enum(option, value);
			return;
		case OPTION_STRING:
			if (*value == '\0' || strlen(value) > option->max)
				bad_value(option, value);
			*(char **) field = pstrdup(value);
			return;
		case OPTION_LIST:
			*(List **) field = parse_list(option, value);
			return;
		case OPTION_IDENTIFIERS:
			*(List **) field = parse_identifiers(option, value);
			return;
		case OPTION_RECORDS:
			*(List **) field = parse_records(option, value);
			return;
	}
}

static const Option *
find_option(const char *name)
{
	StringInfoData known;

	for (int i = 0; i < lengthof(option_table); i++)
	{
		if (strcmp(option_table[i].name, name) == 0)
			return &option_table[i];
	}
	initStringInfo(&known);
	for (int i = 0; i < lengthof(option_table); i++)
		appendStringInfo(&known, "%s%s", i > 0 ? ", " : "", option_table[i].name);
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("unknown option \"%s\" of output plugin cdc_decoder", name),
			errhint("Known options: %s.", known.data));
}

/* Each option once. */
static void
set_options(CdcOptions *options, List *elements, bool of_pipeline)
{
	bool given[lengthof(option_table)] = {false};
	ListCell *cell;

	foreach (cell, elements)
	{
		DefElem *element = lfirst(cell);
		const Option *option = find_option(element->defname);
		const char *value = element->arg ? strVal(element->arg) : NULL;

		if (of_pipeline && option->of_stream)
			ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("option \"%s\" cannot be an option of a pipeline", option->name),
					errhint("It belongs to the connection: give it where the stream is started."));
		if (given[option - option_table])
			ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("option \"%s\" is given twice", option->name),
					errhint("Give each option of the output plugin once."));
		given[option - option_table] = true;
		if (value == NULL && option->type != OPTION_BOOL)
			bad_value(option, NULL);
		set_option(options, option, value);
	}
}

void
cdc_options_read(CdcOptions *options, List *pipeline, List *elements)
{
	memset(options, 0, sizeof(*options));
	for (int i = 0; i < lengthof(option_table); i++)
	{
		const Option *option = &option_table[i];
		void *field = (char *) options + option->field;

		if (option->type == OPTION_BOOL)
			*(bool *) field = option->value != 0;
		else if (option->type == OPTION_INT || option->type == OPTION_ENUM)
			*(int *) field = option->value;
	}
	set_options(options, pipeline, true);
	set_options(options, elements, false);
	if (options->batch_bytes < 0)
		options->batch_bytes = options->framing == CDC_FRAMING_FRAMES ? 64 * 1024 : 0;
}

bool
cdc_options_want_message(const CdcOptions *options, const char *prefix)
{
	ListCell *cell;

	if (!options->messages)
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
