/*
 * option_help.c
 *		--help, generated from the table of options.
 */
#include "option_table.h"

#include <string.h>

#define DOC_COLUMN 30
#define LINE_WIDTH 100

/* Words of text from the present column on, the lines that follow indented to DOC_COLUMN. */
static void
put_wrapped(FILE *out, const char *text)
{
	size_t column = DOC_COLUMN;

	while (*text != '\0')
	{
		size_t word = strcspn(text, " ");

		if (column > DOC_COLUMN && column + 1 + word > LINE_WIDTH)
		{
			fprintf(out, "\n%*s", DOC_COLUMN, "");
			column = DOC_COLUMN;
		}
		else if (column > DOC_COLUMN)
		{
			fputc(' ', out);
			column++;
		}
		fprintf(out, "%.*s", (int) word, text);
		column += word;
		text += word + strspn(text + word, " ");
	}
	fputc('\n', out);
}

static void
put_option(FILE *out, const OptionDef *def)
{
	char names[128];
	char doc[512];
	int length;

	length = snprintf(names, sizeof(names), def->short_name ? "  -%c, --%s" : "  %.0d    --%s",
					  def->short_name, def->name);
	if (def->argument != NULL)
		length += snprintf(names + length, sizeof(names) - (size_t) length,
						   def->implied_value != NULL ? "[=%s]" : "=%s", def->argument);
	if (length > DOC_COLUMN - 2)
		fprintf(out, "%s\n%*s", names, DOC_COLUMN, "");
	else
		fprintf(out, "%-*s", DOC_COLUMN, names);

	length = snprintf(doc, sizeof(doc), "%s", def->doc);
	if (def->type == OPTION_SET)
	{
		length += snprintf(doc + length, sizeof(doc) - (size_t) length, " (");
		for (const OptionMember *member = def->members; member->name != NULL; member++)
			length += snprintf(doc + length, sizeof(doc) - (size_t) length, "%s%s",
							   member == def->members ? "" : ",", member->name);
		length += snprintf(doc + length, sizeof(doc) - (size_t) length, ")");
	}
	if (def->default_value != NULL)
		snprintf(doc + length, sizeof(doc) - (size_t) length, " (default %s)", def->default_value);
	put_wrapped(out, doc);
}

/* Only to these subcommands are options of the plugin what the plugin is told. */
static bool
talks_to_plugin(Command command)
{
	return command == CMD_STREAM || command == CMD_DOCTOR || command == CMD_STATUS ||
		   command == CMD_OFFSETS_SHOW || command == CMD_OFFSETS_SET ||
		   command == CMD_OFFSETS_RESET;
}

static void
put_options(FILE *out, Command command, bool plugin)
{
	for (const OptionDef *def = option_table; def->name != NULL; def++)
	{
		bool passed =
			(def->type == OPTION_PLUGIN || def->type == OPTION_PASS) && talks_to_plugin(command);

		if ((def->commands & COMMAND_BIT(command)) != 0 && plugin == passed)
			put_option(out, def);
	}
}

static void
put_overview(FILE *out)
{
	fputs(
		"cdc_client streams the changes of a PostgreSQL database, as records of JSON, to a sink.\n"
		"\nUsage:\n  cdc_client SUBCOMMAND [OPTION]...\n\nSubcommands:\n",
		out);
	for (const CommandDef *def = command_table; def->word != NULL; def++)
	{
		char name[32];

		snprintf(name, sizeof(name), "  %s %s", def->word, def->second ? def->second : "");
		fprintf(out, "%-*s", DOC_COLUMN, name);
		put_wrapped(out, def->doc);
	}
	fputs("\ncdc_client SUBCOMMAND --help lists the options of each.\n"
		  "cdc_client --version lists the sinks that are built in.\n",
		  out);
}

void
option_help(FILE *out, Command command)
{
	const CommandDef *def = command_find(command);
	const char *operand = command_operand(command);

	if (def == NULL)
		put_overview(out);
	else
	{
		fprintf(out,
				"cdc_client %s%s%s: %s\n\nUsage:\n  cdc_client %s%s%s%s%s "
				"[OPTION]...\n\nOptions:\n",
				def->word, def->second ? " " : "", def->second ? def->second : "", def->doc,
				def->word, def->second ? " " : "", def->second ? def->second : "",
				operand ? " " : "", operand ? operand : "");
		put_options(out, command, false);
		if (talks_to_plugin(command))
		{
			fputs("\nOptions of the plugin, passed to the server as they stand:\n", out);
			put_options(out, command, true);
		}
		fputs(
			"\nEvery option may also be given as an environment variable (CDC_SLOT for --slot) or\n"
			"in a file (--config=FILE, lines of name = value); a flag wins over the environment,\n"
			"the environment over the file.\n",
			out);
	}
	fputs("\nExit codes:\n"
		  "  0  the asked-for end was reached, everything is in order\n"
		  "  1  wrong usage or configuration\n"
		  "  2  cannot go on without a person: a gap, the wrong server, a check that failed\n"
		  "  3  the server or the sink could not be reached, or not for so long that it gave up\n",
		  out);
}
