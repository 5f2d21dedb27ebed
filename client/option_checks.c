/*
 * option_checks.c
 *		What options have to say together.
 */
#include "option_checks.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

const Setting *
gathering_find(const Gathering *g, const char *name)
{
	for (int i = 0; i < g->num_settings; i++)
		if (strcmp(g->settings[i].def->name, name) == 0 && !g->settings[i].overridden)
			return &g->settings[i];
	return NULL;
}

static CdcStatus
require(const Gathering *g, const char *name, const char *example)
{
	const CommandDef *command = command_find(g->options->command);
	char variable[64];
	size_t i;

	if (gathering_find(g, name) != NULL)
		return CDC_OK;
	for (i = 0; name[i] != '\0' && i + 1 < sizeof(variable); i++)
		variable[i] = name[i] == '-' ? '_' : (char) toupper((unsigned char) name[i]);
	variable[i] = '\0';
	cdc_error(g->err, CDC_USAGE, "\"%s%s%s\" needs option \"%s\"", command->word,
			  command->second ? " " : "", command->second ? command->second : "", name);
	cdc_error_hint(g->err,
				   "Give it as --%s=%s, as CDC_%s in the environment, or as \"%s = %s\" in "
				   "the file that --config names.",
				   name, example, variable, name, example);
	return CDC_USAGE;
}

static CdcStatus
require_operand(const Gathering *g)
{
	const CommandDef *command = command_find(g->options->command);
	const char *operand = command_operand(g->options->command);

	if (operand == NULL || g->options->file != NULL)
		return CDC_OK;
	cdc_error(g->err, CDC_USAGE, "\"%s %s\" needs a %s", command->word, command->second, operand);
	cdc_error_hint(g->err, "cdc_client %s %s %s [OPTION]...; - stands for standard %s.",
				   command->word, command->second, operand,
				   g->options->command == CMD_PIPELINE_EXPORT ? "output" : "input");
	return CDC_USAGE;
}

static CdcStatus
refuse_both(const Gathering *g, const char *left, const char *right)
{
	const Setting *one = gathering_find(g, left);
	const Setting *other = gathering_find(g, right);

	if (one == NULL || other == NULL || strcmp(one->value, "off") == 0 ||
		strcmp(other->value, "off") == 0)
		return CDC_OK;
	cdc_error(g->err, CDC_USAGE, "%s: \"%s\" and \"%s\" exclude each other", one->where, left,
			  right);
	cdc_error_detail(g->err, "\"%s\" is given by %s.", right, other->where);
	cdc_error_hint(g->err, "Give one of them.");
	return CDC_USAGE;
}

/* --on-error=stop|dead-letter:URI; the URI itself is read by the sink that it names. */
static CdcStatus
read_on_error(CdcOptions *options, const Setting *setting, CdcError *err)
{
	static const char prefix[] = "dead-letter:";
	const char *text = options->on_error;

	if (text == NULL || strcmp(text, "stop") == 0)
		return CDC_OK;
	options->dead_letter = text + sizeof(prefix) - 1;
	if (strncmp(text, prefix, sizeof(prefix) - 1) == 0 && *options->dead_letter != '\0')
		return CDC_OK;
	cdc_error(err, CDC_USAGE, "%s: \"%s\" is neither stop nor dead-letter:URI", setting->where,
			  option_shown(text));
	cdc_error_hint(err,
				   "For example --on-error=dead-letter:file:///var/lib/cdc/dead.ndjson; the URI "
				   "is that of any sink.");
	return CDC_USAGE;
}

/* What would hold at every start from then on would accept what nobody has seen. */
static CdcStatus
check_accept(const CdcOptions *options, const Setting *setting, CdcError *err)
{
	if (setting == NULL || setting->rank == RANK_FLAG ||
		!(options->accept_gap || options->accept_divergence || options->accept_other_source))
		return CDC_OK;
	cdc_error(err, CDC_USAGE,
			  "%s: gap, divergence and other-source are accepted for one start, by a flag",
			  setting->where);
	cdc_error_hint(err,
				   "Take it out, and start once with --accept=%s; where it stands now, it would "
				   "accept whatever is lost later, at every start.",
				   setting->value);
	return CDC_USAGE;
}

/* Requests are made, cancelled or shown, one at a time. */
static CdcStatus
check_backfill(const Gathering *g)
{
	const CdcOptions *options = g->options;
	const Setting *json = gathering_find(g, "json");
	CdcStatus status = refuse_both(g, "cancel", "status");

	if (status == CDC_OK && (options->cancel > 0 || options->status))
	{
		static const char *const request[] = {"relation", "where"};

		for (size_t i = 0; i < sizeof(request) / sizeof(request[0]) && status == CDC_OK; i++)
			status = refuse_both(g, options->status ? "status" : "cancel", request[i]);
		return status;
	}
	if (status == CDC_OK)
		status = require(g, "relation", "SCHEMA.TABLE");
	if (status == CDC_OK)
		status = require(g, "pipeline", "NAME");
	if (status == CDC_OK && options->json && json != NULL && json->rank == RANK_FLAG)
	{
		cdc_error(g->err, CDC_USAGE, "--json: what is written of a request is its number alone");
		cdc_error_hint(g->err, "--status --json writes what is known of requests.");
		status = CDC_USAGE;
	}
	return status;
}

/* What subcommands cannot do without. */
static const struct
{
	const char *name;
	const char *example;
	unsigned commands;
} required[] = {
	{"slot", "NAME",
	 COMMAND_BIT(CMD_STREAM) | COMMAND_BIT(CMD_SLOT_CREATE) | COMMAND_BIT(CMD_SLOT_DROP) |
		 COMMAND_BIT(CMD_SLOT_COPY) | COMMAND_BIT(CMD_OFFSETS_SHOW) | COMMAND_BIT(CMD_OFFSETS_SET) |
		 COMMAND_BIT(CMD_OFFSETS_RESET)},
	{"sink", "URI",
	 COMMAND_BIT(CMD_STREAM) | COMMAND_BIT(CMD_OFFSETS_SHOW) | COMMAND_BIT(CMD_OFFSETS_SET) |
		 COMMAND_BIT(CMD_OFFSETS_RESET)},
	{"to", "NAME", COMMAND_BIT(CMD_SLOT_COPY)},
	{"lsn", "0/16E2A10", COMMAND_BIT(CMD_OFFSETS_SET)},
	{"pipeline", "NAME", COMMAND_BIT(CMD_PIPELINE_EXPORT)},
	{"relation", "SCHEMA.TABLE", COMMAND_BIT(CMD_PIPELINE_PREVIEW)},
};

CdcStatus
option_check_together(Gathering *g)
{
	CdcOptions *options = g->options;
	const Setting *failover = gathering_find(g, "failover");
	CdcStatus status = CDC_OK;

	for (size_t i = 0; status == CDC_OK && i < sizeof(required) / sizeof(required[0]); i++)
		if ((required[i].commands & COMMAND_BIT(options->command)) != 0)
			status = require(g, required[i].name, required[i].example);
	if (status == CDC_OK && options->command == CMD_STREAM)
		status = refuse_both(g, "endpos", "until");
	if (status == CDC_OK && options->command == CMD_BACKFILL)
		status = check_backfill(g);
	if (status == CDC_OK)
		status = read_on_error(options, gathering_find(g, "on-error"), g->err);
	if (status == CDC_OK)
		status = check_accept(options, gathering_find(g, "accept"), g->err);
	if (status == CDC_OK)
		status = require_operand(g);
	if (status == CDC_OK)
		status = refuse_both(g, "quiet", "verbose");
	if (status == CDC_OK && options->command == CMD_STREAM && options->failover &&
		!options->create_slot && failover != NULL && failover->rank == RANK_FLAG)
	{
		cdc_error(g->err, CDC_USAGE, "--failover: it matters only where the slot is created");
		cdc_error_hint(g->err, "Add --create-slot, or leave it away.");
		status = CDC_USAGE;
	}
	return status;
}
