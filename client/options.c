/*
 * options.c
 *		From argv, environment and config file to CdcOptions, by the table in option_table.c.
 *
 * First everything given is gathered as settings, the sources in the order of their precedence;
 * then each is checked and, where no earlier source has given the same option, stored.
 */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "config_file.h"
#include "option_checks.h"

static void
add_warning(CdcOptions *options, const char *fmt, const char *name, const char *nearest)
{
	char text[512];

	snprintf(text, sizeof(text), fmt, name, nearest);
	options->warnings =
		realloc(options->warnings, sizeof(char *) * (size_t) (options->num_warnings + 1));
	if (options->warnings == NULL)
		abort();
	options->warnings[options->num_warnings++] = strdup(text);
}

/* "--slot was given twice" is an error within one source only: else the earlier source wins. */
static CdcStatus
add_setting(Gathering *g, const OptionDef *def, SettingRank rank, const char *where,
			const char *value)
{
	Setting setting = {.def = def, .rank = rank};
	CdcStatus status;

	snprintf(setting.where, sizeof(setting.where), "%s", where);
	status = setting_fill(&setting, value, g->err);
	if (status != CDC_OK)
		return status;
	for (int i = 0; i < g->num_settings; i++)
	{
		Setting *other = &g->settings[i];

		if (!setting_same_option(other, &setting))
			continue;
		if (other->rank == rank)
		{
			cdc_error(g->err, CDC_USAGE, "%s: option \"%s\" was given before, by %s", where,
					  setting.name, other->where);
			cdc_error_hint(g->err,
						   "Give it once; a list of several values is separated by commas.");
			setting_free(&setting);
			return CDC_USAGE;
		}
		setting.overridden = true;
	}
	g->settings = realloc(g->settings, sizeof(Setting) * (size_t) (g->num_settings + 1));
	if (g->settings == NULL)
		abort();
	g->settings[g->num_settings++] = setting;
	return CDC_OK;
}

static CdcStatus
unknown_option(const char *where, const char *name, size_t length, Command command, CdcError *err)
{
	const CommandDef *def = command_find(command);
	const char *nearest = option_nearest(name, length, COMMAND_BIT(command));
	const char *hint = NULL;

	cdc_error(err, CDC_USAGE, "%s: there is no option \"%.*s\"", where, (int) length, name);
	if (length == 1 && strchr("hpU", *name) != NULL)
		hint = "Host, port and user are part of --dbname (\"host=db1 port=5432 user=cdc "
			   "dbname=shop\") "
			   "or given by PGHOST, PGPORT and PGUSER.";
	if (hint != NULL)
		cdc_error_hint(err, "%s", hint);
	else if (nearest != NULL)
		cdc_error_hint(err,
					   "Did you mean \"%s\"?  An option of the plugin that cdc_client does not "
					   "know is passed by --option=NAME=VALUE.",
					   nearest);
	else
		cdc_error_hint(err, "cdc_client %s%s%s --help lists the options.", def ? def->word : "",
					   def && def->second ? " " : "", def && def->second ? def->second : "");
	return CDC_USAGE;
}

/*
 * One flag: argv[*at], and its value, which may be the next argument.  Advances *at.
 */
static CdcStatus
read_flag(Gathering *g, int argc, char **argv, int *at)
{
	const char *argument = argv[(*at)++];
	bool is_long = argument[1] == '-';
	const char *name = argument + (is_long ? 2 : 1);
	size_t length = is_long ? strcspn(name, "=") : 1;
	const char *value = NULL;
	const OptionDef *def = is_long ? option_find(name, length) : option_find_short(*name);
	char where[SETTING_WHERE_SIZE];

	snprintf(where, sizeof(where), "%s%.*s", is_long ? "--" : "-", (int) length, name);
	if (def == NULL)
		return unknown_option(where, name, length, g->options->command, g->err);
	if ((def->commands & COMMAND_BIT(g->options->command)) == 0)
	{
		const CommandDef *command = command_find(g->options->command);

		cdc_error(g->err, CDC_USAGE, "%s: \"%s%s%s\" takes no such option", where, command->word,
				  command->second ? " " : "", command->second ? command->second : "");
		cdc_error_hint(g->err, "cdc_client %s%s%s --help lists the options that it takes.",
					   command->word, command->second ? " " : "",
					   command->second ? command->second : "");
		return CDC_USAGE;
	}
	if (is_long && name[length] == '=')
		value = name + length + 1;
	else if (!is_long && name[1] != '\0')
		value = name + 1;
	else if (def->argument == NULL)
		value = "on";
	else if (def->implied_value != NULL)
		value = def->implied_value;
	else if (*at < argc)
		value = argv[(*at)++];
	else
	{
		cdc_error(g->err, CDC_USAGE, "%s: the value is missing", where);
		cdc_error_hint(g->err, "Write %s%s%s.", where, is_long ? "=" : " ", def->argument);
		return CDC_USAGE;
	}
	return add_setting(g, def, RANK_FLAG, where, value);
}

/* What is no flag: what the subcommand works on, if it takes such, and has none yet. */
static bool
take_operand(CdcOptions *options, const char *argument)
{
	if (command_operand(options->command) == NULL || options->file != NULL || *argument == '\0' ||
		strcmp(argument, "--") == 0)
		return false;
	options->file = strdup(argument);
	if (options->file == NULL)
		abort();
	return true;
}

static CdcStatus
read_flags(Gathering *g, int argc, char **argv, int at)
{
	while (at < argc)
	{
		CdcStatus status;

		if (argv[at][0] != '-' || argv[at][1] == '\0' || strcmp(argv[at], "--") == 0)
		{
			if (take_operand(g->options, argv[at]))
			{
				at++;
				continue;
			}
			cdc_error(g->err, CDC_USAGE, "unexpected argument \"%s\"", option_shown(argv[at]));
			cdc_error_hint(g->err, "Every value belongs to an option, for example --slot=NAME or "
								   "--dbname=CONNINFO.");
			return CDC_USAGE;
		}
		status = read_flag(g, argc, argv, &at);
		if (status != CDC_OK)
			return status;
	}
	return CDC_OK;
}

/* CDC_BATCH_BYTES=65536; an empty value counts as not given, as is usual in containers. */
static CdcStatus
read_environment(Gathering *g, char **envp)
{
	for (; *envp != NULL; envp++)
	{
		char name[64];
		const char *equals = strchr(*envp, '=');
		size_t length;
		const OptionDef *def;
		CdcStatus status;
		char where[SETTING_WHERE_SIZE];

		if (strncmp(*envp, "CDC_", 4) != 0 || equals == NULL || equals[1] == '\0')
			continue;
		snprintf(where, sizeof(where), "%.*s", (int) (equals - *envp), *envp);
		length = (size_t) (equals - *envp) - 4;
		for (size_t i = 0; i < length && i < sizeof(name); i++)
			name[i] = (char) tolower((unsigned char) (*envp)[4 + i]);
		def = length < sizeof(name) ? option_find(name, length) : NULL;
		if (def == NULL || def->type == OPTION_HELP || def->type == OPTION_VERSION)
		{
			if (length < sizeof(name) && option_nearest(name, length, 0) != NULL)
				return unknown_option(where, name, length, g->options->command, g->err);
			add_warning(g->options, "environment variable %s is no option's and is not used%s",
						where, "");
			continue;
		}
		status = add_setting(g, def, RANK_ENVIRONMENT, where, equals + 1);
		if (status != CDC_OK)
			return status;
	}
	return CDC_OK;
}

/* What config_file_read() calls for each line; where is "FILE:LINE". */
static CdcStatus
read_config_line(void *context, const char *where, const char *name, const char *value)
{
	Gathering *g = context;
	const OptionDef *def = option_find(name, strlen(name));

	if (def == NULL)
	{
		/* A URI with parameters has a "=" too. */
		const char *shown = strstr(name, "://") != NULL ? option_shown(name) : name;

		return unknown_option(where, shown, strlen(shown), g->options->command, g->err);
	}
	if (def->type == OPTION_CONFIG || def->type == OPTION_HELP || def->type == OPTION_VERSION)
		return cdc_error(g->err, CDC_USAGE, "%s: \"%s\" is not an option for a file", where, name);
	return add_setting(g, def, RANK_CONFIG, where, value);
}

static CdcStatus
read_config(Gathering *g)
{
	for (int i = 0; i < g->num_settings; i++)
		if (g->settings[i].def->type == OPTION_CONFIG && !g->settings[i].overridden)
			return config_file_read(g->settings[i].value, g->settings[i].where, read_config_line, g,
									g->err);
	return CDC_OK;
}

static CdcStatus
store_defaults(Gathering *g)
{
	for (const OptionDef *def = option_table; def->name != NULL; def++)
	{
		Setting setting = {.def = def, .rank = RANK_DEFAULT};
		CdcStatus status;

		if (def->default_value == NULL)
			continue;
		snprintf(setting.where, sizeof(setting.where), "the default of %s", def->name);
		status = setting_fill(&setting, def->default_value, g->err);
		if (status == CDC_OK)
			status = setting_store(g->options, &setting, g->err);
		setting_free(&setting);
		if (status != CDC_OK)
			return status;
	}
	return CDC_OK;
}

/*
 * What another source overrides, or what is for another subcommand, goes to a struct that nobody
 * reads, and so is checked all the same: a file with a mistake in it is wrong whatever wins.
 */
static CdcStatus
store_all(Gathering *g)
{
	CdcOptions unread = {0};
	CdcStatus status = store_defaults(g);

	for (int i = 0; i < g->num_settings && status == CDC_OK; i++)
	{
		const Setting *setting = &g->settings[i];
		bool wanted = !setting->overridden &&
					  (setting->def->commands & COMMAND_BIT(g->options->command)) != 0;

		status = setting_store(wanted ? g->options : &unread, setting, g->err);
	}
	options_free(&unread);
	return status;
}

/* A conninfo that was given as a flag is in the process list for everyone on the host to read. */
static void
warn_of_password(Gathering *g)
{
	const Setting *setting = gathering_find(g, "dbname");
	PQconninfoOption *parsed;

	if (setting == NULL || setting->rank != RANK_FLAG)
		return;
	parsed = PQconninfoParse(setting->value, NULL);
	if (parsed == NULL)
		return;
	for (PQconninfoOption *option = parsed; option->keyword != NULL; option++)
		if (*option->dispchar == '*' && option->val != NULL && *option->val != '\0')
			add_warning(g->options,
						"%s holds a password, which everyone on this host can read in the list of "
						"processes; put it into %s",
						setting->where, "~/.pgpass or PGPASSWORD");
	PQconninfoFree(parsed);
}

/* The subcommand's one or two words; *at becomes the place of the first flag. */
static CdcStatus
read_command(CdcOptions *options, int argc, char **argv, int *at, CdcError *err)
{
	const char *word = argc > 1 ? argv[1] : "";
	const char *second = argc > 2 ? argv[2] : "";
	bool known_word = false;
	char words[256];
	size_t length = 0;

	for (const CommandDef *def = command_table; def->word != NULL; def++)
	{
		if (strcmp(def->word, word) == 0)
		{
			known_word = true;
			if (def->second == NULL || strcmp(def->second, second) == 0)
			{
				options->command = def->command;
				*at = def->second == NULL ? 2 : 3;
				return CDC_OK;
			}
		}
		length += (size_t) snprintf(words + length, sizeof(words) - length, "%s%s%s%s",
									length == 0 ? "" : ", ", def->word, def->second ? " " : "",
									def->second ? def->second : "");
	}
	if (argc <= 1)
		cdc_error(err, CDC_USAGE, "a subcommand is missing");
	else if (known_word)
		cdc_error(err, CDC_USAGE, "\"%s\" needs a second word%s%s%s", word,
				  *second ? ", and \"" : "", second, *second ? "\" is none that it knows" : "");
	else if (*word == '-')
		cdc_error(err, CDC_USAGE, "the subcommand comes first, before \"%.*s\"",
				  (int) strcspn(word, "="), word);
	else
		cdc_error(err, CDC_USAGE, "there is no subcommand \"%s\"", option_shown(word));
	cdc_error_hint(err, "The subcommands are: %s.  cdc_client --help says what they do.", words);
	return CDC_USAGE;
}

/* --help and --version are answered wherever they stand, whatever else is wrong. */
static bool
answer(CdcOptions *options, int argc, char **argv, int at)
{
	for (int i = at; i < argc; i++)
	{
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-?") == 0)
		{
			option_help(stdout, options->command);
			return true;
		}
		if (strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "-V") == 0)
		{
			options_print_version(stdout);
			return true;
		}
	}
	return false;
}

CdcStatus
options_read(CdcOptions *options, int argc, char **argv, char **envp, CdcError *err)
{
	Gathering g = {.options = options, .err = err};
	int at = 1;
	CdcStatus status;

	memset(options, 0, sizeof(*options));
	options->commit_interval = -1;
	status = read_command(options, argc, argv, &at, err);
	if (answer(options, argc, argv, status == CDC_OK ? at : 1))
	{
		options->command = CMD_NONE;
		return CDC_OK;
	}
	if (status == CDC_OK)
		status = read_flags(&g, argc, argv, at);
	if (status == CDC_OK)
		status = read_environment(&g, envp);
	if (status == CDC_OK)
		status = read_config(&g);
	if (status == CDC_OK)
		status = store_all(&g);
	if (status == CDC_OK)
		status = option_check_together(&g);
	if (status == CDC_OK)
		warn_of_password(&g);
	for (int i = 0; i < g.num_settings; i++)
		setting_free(&g.settings[i]);
	free(g.settings);
	return status;
}

void
options_free(CdcOptions *options)
{
	free(options->dbname);
	free(options->slot);
	free(options->sink);
	free(options->sink_table);
	free(options->on_error);
	free(options->snapshot_from);
	free(options->to_slot);
	free(options->file);
	free(options->relation);
	free(options->where);
	for (int i = 0; i < options->num_plugin_options; i++)
	{
		free(options->plugin_options[i].name);
		free(options->plugin_options[i].value);
	}
	free(options->plugin_options);
	for (int i = 0; i < options->num_warnings; i++)
		free(options->warnings[i]);
	free(options->warnings);
	memset(options, 0, sizeof(*options));
}
