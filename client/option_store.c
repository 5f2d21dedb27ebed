/*
 * option_store.c
 *		One given option: checking its value and storing it where the table says.
 */
#include "option_store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* NAMEDATALEN - 1 */
#define SLOT_NAME_MAX 63

static char *
copy_text(const char *text, size_t length)
{
	char *copy = strndup(text, length);

	if (copy == NULL)
		abort();
	return copy;
}

/* "name=value" of --option. */
static CdcStatus
fill_passed(Setting *setting, const char *text, CdcError *err)
{
	const char *equals = strchr(text, '=');
	const OptionDef *known;

	if (equals == NULL || equals == text)
	{
		cdc_error(err, CDC_USAGE, "%s: \"%s\" is not NAME=VALUE", setting->where, text);
		cdc_error_hint(err, "Write the plugin's option and its value, for example "
							"--option=source=shop.");
		return CDC_USAGE;
	}
	known = option_find(text, (size_t) (equals - text));
	if (known != NULL && known->type == OPTION_PLUGIN)
		setting->name = copy_text(known->name, strlen(known->name));
	else
		setting->name = copy_text(text, (size_t) (equals - text));
	setting->value = copy_text(equals + 1, strlen(equals + 1));
	if (strcmp(setting->name, "framing") == 0 || strcmp(setting->name, "protocol_version") == 0)
	{
		cdc_error(err, CDC_USAGE, "%s: option \"%s\" is set by cdc_client itself", setting->where,
				  setting->name);
		cdc_error_hint(err, "Leave it away; what a record looks like is option \"format\".");
		setting_free(setting);
		return CDC_USAGE;
	}
	return CDC_OK;
}

const char *
option_shown(const char *text)
{
	if (strstr(text, "://") != NULL || strcasestr(text, "password") != NULL)
		return "(a connection string, not shown)";
	return text;
}

CdcStatus
setting_fill(Setting *setting, const char *value, CdcError *err)
{
	const OptionDef *def = setting->def;

	if (*value == '\0')
	{
		cdc_error(err, CDC_USAGE, "%s: the value is empty", setting->where);
		cdc_error_hint(err, "Give a value (%s), or leave the option away.",
					   def->argument != NULL ? def->argument : "on or off");
		return CDC_USAGE;
	}
	if (def->type == OPTION_PASS)
		return fill_passed(setting, value, err);
	setting->name = copy_text(def->name, strlen(def->name));
	setting->value = copy_text(value, strlen(value));
	return CDC_OK;
}

void
setting_free(Setting *setting)
{
	free(setting->name);
	free(setting->value);
	setting->name = NULL;
	setting->value = NULL;
}

static bool
is_plugin_option(const Setting *setting)
{
	return setting->def->type == OPTION_PLUGIN || setting->def->type == OPTION_PASS;
}

bool
setting_same_option(const Setting *left, const Setting *right)
{
	return is_plugin_option(left) == is_plugin_option(right) &&
		   strcmp(left->name, right->name) == 0;
}

static bool
parse_bool(const char *text, bool *value)
{
	static const char *const names[] = {"on", "off", "true", "false", "yes", "no", "1", "0", NULL};

	for (int i = 0; names[i] != NULL; i++)
	{
		if (strcmp(names[i], text) == 0)
		{
			*value = i % 2 == 0;
			return true;
		}
	}
	return false;
}

static CdcStatus
store_bool(bool *target, const Setting *setting, CdcError *err)
{
	if (parse_bool(setting->value, target))
		return CDC_OK;
	cdc_error(err, CDC_USAGE, "%s: \"%s\" is neither on nor off", setting->where, setting->value);
	cdc_error_hint(err, "Allowed are on, true, yes, 1 and off, false, no, 0.");
	return CDC_USAGE;
}

static CdcStatus
store_text(char **target, const Setting *setting)
{
	free(*target);
	*target = copy_text(setting->value, strlen(setting->value));
	return CDC_OK;
}

/* As ReplicationSlotValidateName has it; saying it here saves connecting to be told. */
static CdcStatus
store_slot(char **target, const Setting *setting, CdcError *err)
{
	size_t length = strlen(setting->value);

	if (length <= SLOT_NAME_MAX &&
		strspn(setting->value, "abcdefghijklmnopqrstuvwxyz0123456789_") == length)
		return store_text(target, setting);
	cdc_error(err, CDC_USAGE, "%s: \"%s\" is no name for a replication slot", setting->where,
			  setting->value);
	cdc_error_hint(err,
				   "A slot's name consists of lower case letters, digits and underscores, %d "
				   "at most.",
				   SLOT_NAME_MAX);
	return CDC_USAGE;
}

/* The largest unit that divides the number: 64kB, 5min. */
static const char *
format_limit(char *text, size_t size, int64_t value, bool is_size)
{
	typedef struct Unit
	{
		const char *name;
		int64_t factor;
	} Unit;
	static const Unit sizes[] = {
		{"GB", INT64_C(1) << 30}, {"MB", 1 << 20}, {"kB", 1 << 10}, {"B", 1}};
	static const Unit durations[] = {{"d", INT64_C(86400000000)},
									 {"h", INT64_C(3600000000)},
									 {"min", 60000000},
									 {"s", 1000000},
									 {"ms", 1000},
									 {"us", 1}};
	const Unit *unit = is_size ? sizes : durations;

	while (value % unit->factor != 0)
		unit++;
	snprintf(text, size, "%" PRId64 "%s", value / unit->factor, value == 0 ? "" : unit->name);
	return text;
}

static CdcStatus
store_size(uint64_t *target, const Setting *setting, CdcError *err)
{
	const OptionDef *def = setting->def;
	uint64_t bytes;
	char min[32];
	char max[32];
	CdcStatus status = options_parse_size(setting->value, setting->where, &bytes, err);

	if (status != CDC_OK)
		return status;
	if (bytes < (uint64_t) def->min || bytes > (uint64_t) def->max)
	{
		cdc_error(err, CDC_USAGE, "%s: \"%s\" is out of range", setting->where, setting->value);
		cdc_error_hint(err, "Allowed are %s to %s.", format_limit(min, sizeof(min), def->min, true),
					   format_limit(max, sizeof(max), def->max, true));
		return CDC_USAGE;
	}
	*target = bytes;
	return CDC_OK;
}

static CdcStatus
store_duration(int64_t *target, const Setting *setting, CdcError *err)
{
	const OptionDef *def = setting->def;
	int64_t us;
	char min[32];
	char max[32];
	CdcStatus status;

	if (def->forever != NULL && strcmp(setting->value, def->forever) == 0)
	{
		*target = -1;
		return CDC_OK;
	}
	status = options_parse_duration(setting->value, setting->where, &us, err);
	if (status == CDC_OK && us >= def->min && us <= def->max)
	{
		*target = us;
		return CDC_OK;
	}
	if (status == CDC_OK)
	{
		cdc_error(err, CDC_USAGE, "%s: \"%s\" is out of range", setting->where, setting->value);
		cdc_error_hint(err, "Allowed are %s to %s%s%s.",
					   format_limit(min, sizeof(min), def->min, false),
					   format_limit(max, sizeof(max), def->max, false),
					   def->forever ? ", and " : "", def->forever ? def->forever : "");
	}
	return CDC_USAGE;
}

static CdcStatus
store_count(uint64_t *target, const Setting *setting, CdcError *err)
{
	const OptionDef *def = setting->def;
	size_t digits = strspn(setting->value, "0123456789");
	uint64_t count = strtoull(setting->value, NULL, 10);

	if (digits <= 18 && setting->value[digits] == '\0' && count >= (uint64_t) def->min &&
		count <= (uint64_t) def->max)
	{
		*target = count;
		return CDC_OK;
	}
	cdc_error(err, CDC_USAGE, "%s: \"%s\" is not a number that is allowed", setting->where,
			  setting->value);
	cdc_error_hint(err, "Allowed are %" PRId64 " to %" PRId64 ".", def->min, def->max);
	return CDC_USAGE;
}

/* Bytes have a unit; a number without one counts rows.  The table's limits are those of both. */
static CdcStatus
store_rate(RateLimit *target, const Setting *setting, CdcError *err)
{
	const OptionDef *def = setting->def;
	uint64_t number;
	bool is_rows = setting->value[strspn(setting->value, "0123456789")] == '\0';
	CdcError ignored;

	if (options_parse_size(setting->value, setting->where, &number, &ignored) != CDC_OK ||
		number < (uint64_t) def->min || number > (uint64_t) def->max)
	{
		cdc_error(err, CDC_USAGE, "%s: \"%s\" is not a rate that is allowed", setting->where,
				  setting->value);
		cdc_error_hint(err,
					   "A rate is a number of rows a second, for example 5000, or, with a unit (B, "
					   "kB, MB), a size of their records, for example 20MB; either from %" PRId64
					   " to %" PRId64 ".",
					   def->min, def->max);
		return CDC_USAGE;
	}
	memset(target, 0, sizeof(*target));
	if (is_rows)
		target->rows = number;
	else
		target->bytes = number;
	return CDC_OK;
}

/* No WAL begins at 0/0: PostgreSQL's word for no LSN at all. */
static CdcStatus
store_lsn(uint64_t *target, const Setting *setting, CdcError *err)
{
	CdcStatus status = options_parse_lsn(setting->value, setting->where, target, err);

	if (status != CDC_OK || *target != 0)
		return status;
	cdc_error(err, CDC_USAGE, "%s: \"%s\" is no place in the WAL", setting->where, setting->value);
	cdc_error_hint(err, "To stream without an end leave the option away; --until=now ends at the "
						"server's present one.");
	return CDC_USAGE;
}

static CdcStatus
refuse_word(const Setting *setting, const char *word, int length, CdcError *err)
{
	char allowed[256];
	size_t used = 0;

	for (const OptionMember *member = setting->def->members; member->name != NULL; member++)
		used += (size_t) snprintf(allowed + used, sizeof(allowed) - used, "%s%s",
								  used == 0 ? "" : ", ", member->name);
	cdc_error(err, CDC_USAGE, "%s: \"%.*s\" is not allowed", setting->where, length, word);
	cdc_error_hint(err, "Allowed: %s%s.", allowed,
				   setting->def->type == OPTION_SET ? " (several are separated by commas)" : "");
	return CDC_USAGE;
}

/* A choice is a set of one. */
static CdcStatus
store_members(CdcOptions *options, const Setting *setting, CdcError *err)
{
	const char *word = setting->value;

	for (;;)
	{
		size_t length = setting->def->type == OPTION_SET ? strcspn(word, ",") : strlen(word);
		const OptionMember *member = setting->def->members;

		while (member->name != NULL &&
			   (strlen(member->name) != length || strncmp(member->name, word, length) != 0))
			member++;
		if (member->name == NULL)
			return refuse_word(setting, word, (int) length, err);
		*(bool *) ((char *) options + member->offset) = member->value;
		word += length;
		if (*word == '\0')
			return CDC_OK;
		word += 1 + strspn(word + 1, " ");
	}
}

static CdcStatus
store_plugin_option(CdcOptions *options, const Setting *setting)
{
	size_t count = (size_t) options->num_plugin_options + 1;
	PluginOption *added;

	options->plugin_options = realloc(options->plugin_options, count * sizeof(PluginOption));
	if (options->plugin_options == NULL)
		abort();
	added = &options->plugin_options[options->num_plugin_options++];
	added->name = copy_text(setting->name, strlen(setting->name));
	added->value = copy_text(setting->value, strlen(setting->value));
	return CDC_OK;
}

CdcStatus
setting_store(CdcOptions *options, const Setting *setting, CdcError *err)
{
	void *target = (char *) options + setting->def->offset;

	switch (setting->def->type)
	{
		case OPTION_BOOL:
			return store_bool(target, setting, err);
		case OPTION_STRING:
			return store_text(target, setting);
		case OPTION_SLOT:
			return store_slot(target, setting, err);
		case OPTION_SIZE:
			return store_size(target, setting, err);
		case OPTION_DURATION:
			return store_duration(target, setting, err);
		case OPTION_LSN:
			return store_lsn(target, setting, err);
		case OPTION_COUNT:
			return store_count(target, setting, err);
		case OPTION_RATE:
			return store_rate(target, setting, err);
		case OPTION_CHOICE:
		case OPTION_SET:
			return store_members(options, setting, err);
		case OPTION_PLUGIN:
		case OPTION_PASS:
			return store_plugin_option(options, setting);
		case OPTION_CONFIG:
		case OPTION_HELP:
		case OPTION_VERSION:
			break;
	}
	return CDC_OK;
}
