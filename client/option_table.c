/*
 * option_table.c
 *		The one table of options, and finding things in it.
 */
#include "option_table.h"

#include <string.h>

#define SECOND INT64_C(1000000)
#define DAY (86400 * SECOND)
#define KIB INT64_C(1024)
#define GIB (KIB * KIB * KIB)

#define STREAM COMMAND_BIT(CMD_STREAM)
#define CREATE COMMAND_BIT(CMD_SLOT_CREATE)
#define DROP COMMAND_BIT(CMD_SLOT_DROP)
#define LIST COMMAND_BIT(CMD_SLOT_LIST)
#define DOCTOR COMMAND_BIT(CMD_DOCTOR)
#define STATUS COMMAND_BIT(CMD_STATUS)
#define COPY COMMAND_BIT(CMD_SLOT_COPY)
#define SHOW COMMAND_BIT(CMD_OFFSETS_SHOW)
#define SET COMMAND_BIT(CMD_OFFSETS_SET)
#define RESET COMMAND_BIT(CMD_OFFSETS_RESET)
#define OFFSETS (SHOW | SET | RESET)
#define APPLY COMMAND_BIT(CMD_PIPELINE_APPLY)
#define EXPORT COMMAND_BIT(CMD_PIPELINE_EXPORT)
#define PREVIEW COMMAND_BIT(CMD_PIPELINE_PREVIEW)
#define PIPELINE (APPLY | EXPORT | PREVIEW)
#define SLOTTED (STREAM | CREATE | DROP | LIST | COPY | DOCTOR | STATUS | OFFSETS)
#define BACKFILL COMMAND_BIT(CMD_BACKFILL)
#define ALL (SLOTTED | PIPELINE | BACKFILL)

#define AT(field) .offset = offsetof(CdcOptions, field)

const CommandDef command_table[] = {
	{CMD_STREAM, "stream", NULL, "stream a slot's records to a sink"},
	{CMD_SLOT_CREATE, "slot", "create", "create a replication slot for cdc_decoder"},
	{CMD_SLOT_DROP, "slot", "drop", "drop a replication slot"},
	{CMD_SLOT_LIST, "slot", "list",
	 "list the logical replication slots and how far behind they are"},
	{CMD_SLOT_COPY, "slot", "copy", "copy a slot: a bookmark to replay from"},
	{CMD_DOCTOR, "doctor", NULL,
	 "check server, slot, privileges and sink, and say how to mend each"},
	{CMD_STATUS, "status", NULL, "positions, lag and retained WAL of a slot, or of all of ours"},
	{CMD_OFFSETS_SHOW, "offsets", "show", "the position that a sink holds"},
	{CMD_OFFSETS_SET, "offsets", "set", "set the position that a sink holds"},
	{CMD_OFFSETS_RESET, "offsets", "reset",
	 "let a sink begin anew at the slot's confirmed position"},
	{CMD_PIPELINE_APPLY, "pipeline", "apply", "make a pipeline of rules what FILE says"},
	{CMD_PIPELINE_EXPORT, "pipeline", "export", "write a pipeline of rules to FILE"},
	{CMD_PIPELINE_PREVIEW, "pipeline", "preview",
	 "show present rows as the rules in FILE would make them; applies nothing"},
	{CMD_BACKFILL, "backfill", NULL,
	 "request existing rows of a table from a pipeline's streams, while they go on"},
	{CMD_NONE, NULL, NULL, NULL},
};

static const OptionMember until_members[] = {
	{"now", offsetof(CdcOptions, until_now), true},
	{NULL, 0, false},
};

static const OptionMember snapshot_members[] = {
	{"initial", offsetof(CdcOptions, snapshot_initial), true},
	{"never", offsetof(CdcOptions, snapshot_never), true},
	{"only", offsetof(CdcOptions, snapshot_only), true},
	{NULL, 0, false},
};

static const OptionMember accept_members[] = {
	{"gap", offsetof(CdcOptions, accept_gap), true},
	{"divergence", offsetof(CdcOptions, accept_divergence), true},
	{"other-source", offsetof(CdcOptions, accept_other_source), true},
	{"missing", offsetof(CdcOptions, accept_missing), true},
	{NULL, 0, false},
};

static const OptionMember log_format_members[] = {
	{"text", offsetof(CdcOptions, log_json), false},
	{"json", offsetof(CdcOptions, log_json), true},
	{NULL, 0, false},
};

/* One option a paragraph. */
/* clang-format off */
const OptionDef option_table[] = {
	{.name = "dbname", .short_name = 'd', .type = OPTION_STRING, .commands = ALL, AT(dbname),
	 .argument = "CONNINFO",
	 .doc = "the database: a name, a conninfo string or a URI; PG* variables, service files and "
			".pgpass apply"},
	{.name = "slot", .short_name = 'S', .type = OPTION_SLOT, .commands = SLOTTED, AT(slot),
	 .argument = "NAME",
	 .doc = "the replication slot"},
	{.name = "sink", .type = OPTION_STRING, .commands = STREAM | DOCTOR | STATUS | OFFSETS, AT(sink),
	 .argument = "URI",
	 .doc = "where the records go: - for standard output, or a URI such as "
			"file:///var/lib/cdc/events.ndjson"},
	{.name = "sink-table", .type = OPTION_STRING, .commands = STREAM | DOCTOR | STATUS | OFFSETS,
	 AT(sink_table),
	 .argument = "NAME",
	 .doc = "the table of a postgresql:// sink; cdc_records by default"},
	{.name = "to", .type = OPTION_SLOT, .commands = COPY, AT(to_slot), .argument = "NAME",
	 .doc = "the new slot's name"},
	{.name = "create-slot", .type = OPTION_BOOL, .commands = STREAM, AT(create_slot),
	 .doc = "create the slot if it does not exist"},
	{.name = "if-not-exists", .type = OPTION_BOOL, .commands = CREATE, AT(if_not_exists),
	 .doc = "do nothing where the slot exists already"},
	{.name = "failover", .type = OPTION_BOOL, .commands = STREAM | CREATE, AT(failover),
	 .doc = "create the slot so that standbys keep it in step (PostgreSQL 17 and later)"},

	{.name = "lsn", .type = OPTION_LSN, .commands = SET, AT(lsn), .argument = "LSN",
	 .doc = "what commits there or later is delivered"},
	{.name = "yes", .type = OPTION_BOOL, .commands = SET | RESET, AT(yes),
	 .doc = "do it; without, only say what would follow"},
	{.name = "endpos", .short_name = 'E', .type = OPTION_LSN, .commands = STREAM, AT(endpos),
	 .argument = "LSN",
	 .doc = "stop when everything up to this LSN is durable"},
	{.name = "until", .type = OPTION_CHOICE, .commands = STREAM, .members = until_members,
	 .argument = "now",
	 .doc = "stop when everything that the server has written by now is durable"},
	{.name = "snapshot", .type = OPTION_CHOICE, .commands = STREAM, .members = snapshot_members,
	 .argument = "initial|never|only",
	 .doc = "whether existing rows are delivered, too: if the sink has no position yet; not at all; or "
			"these and then no more (default: initial where this run creates the slot, else never)"},
	{.name = "snapshot-from", .type = OPTION_STRING, .commands = STREAM, AT(snapshot_from),
	 .argument = "CONNINFO",
	 .doc = "read existing rows on a standby of the server that the stream comes from"},
	{.name = "snapshot-workers", .type = OPTION_COUNT, .commands = STREAM, AT(snapshot_workers),
	 .argument = "N", .default_value = "1", .min = 1, .max = OPTIONS_MAX_SNAPSHOT_WORKERS,
	 .doc = "read the existing rows of large tables by so many connections at a time"},
	{.name = "max-rate", .type = OPTION_RATE, .commands = STREAM, AT(max_rate), .argument = "ROWS|SIZE",
	 .min = 1, .max = 1000000000,
	 .doc = "read so many existing rows (5000) or so much of their records (20MB) a second at most"},
	{.name = "max-lag", .type = OPTION_SIZE, .commands = STREAM, AT(max_lag), .argument = "SIZE",
	 .min = KIB, .max = 1024 * GIB,
	 .doc = "read no existing rows while the sink is behind the server by more WAL than this"},
	{.name = "require-position", .type = OPTION_BOOL, .commands = STREAM, AT(require_position),
	 .doc = "refuse a sink that holds no position of this source yet"},
	{.name = "accept", .type = OPTION_SET, .commands = STREAM, .members = accept_members,
	 .argument = "LIST",
	 .doc = "go on in spite of a gap, divergence, other-source or missing publication or pipeline"},
	{.name = "on-error", .type = OPTION_STRING, .commands = STREAM, AT(on_error),
	 .argument = "stop|dead-letter:URI", .default_value = "stop",
	 .doc = "what becomes of a record that the sink can never take: the stream stops, or the record "
			"goes to the sink that URI names"},
	{.name = "wait-for-slot", .type = OPTION_DURATION, .commands = STREAM, AT(wait_for_slot),
	 .argument = "TIME", .implied_value = "forever", .forever = "forever", .min = 0, .max = 365 * DAY,
	 .doc = "wait for another client to leave the slot, then take over; forever, unless a TIME is "
			"given, after which to give up"},
	{.name = "retry-for", .type = OPTION_DURATION, .commands = STREAM, AT(retry_for),
	 .argument = "TIME", .default_value = "5min", .forever = "forever", .min = 0, .max = 365 * DAY,
	 .doc = "give up after so long without progress; 0 never retries, forever always does"},
	{.name = "receive-timeout", .type = OPTION_DURATION, .commands = STREAM, AT(receive_timeout),
	 .argument = "TIME", .default_value = "60s", .min = SECOND, .max = DAY,
	 .doc = "take the connection for dead when the server has sent nothing for so long"},
	{.name = "status-interval", .type = OPTION_DURATION, .commands = STREAM, AT(status_interval),
	 .argument = "TIME", .default_value = "10s", .min = SECOND / 10, .max = 3600 * SECOND,
	 .doc = "report the durable position to the server at least so often"},
	{.name = "commit-interval", .type = OPTION_DURATION, .commands = STREAM, AT(commit_interval),
	 .argument = "TIME", .min = 0, .max = 3600 * SECOND,
	 .doc = "how long the sink may gather records before it makes them durable (default 1s; of a "
			"kafka:// sink 100ms)"},
	{.name = "max-in-flight", .type = OPTION_SIZE, .commands = STREAM, AT(max_in_flight),
	 .argument = "SIZE", .default_value = "16MiB", .min = 64 * KIB, .max = 64 * GIB,
	 .doc = "how much may be handed to the sink and not be durable yet"},

	{.name = "dry-run", .type = OPTION_BOOL, .commands = APPLY, AT(dry_run),
	 .doc = "say what would change, and change nothing"},
	{.name = "relation", .type = OPTION_STRING, .commands = PREVIEW | BACKFILL, AT(relation),
	 .argument = "SCHEMA.TABLE",
	 .doc = "the table whose rows are shown, or delivered"},
	{.name = "where", .type = OPTION_STRING, .commands = BACKFILL, AT(where),
	 .argument = "CONDITION",
	 .doc = "only rows of which this is true: SQL over the table's columns"},
	{.name = "status", .type = OPTION_BOOL, .commands = BACKFILL, AT(status),
	 .doc = "request nothing: show what was requested, and how far each slot is with it"},
	{.name = "cancel", .type = OPTION_COUNT, .commands = BACKFILL, AT(cancel),
	 .argument = "NUMBER", .min = 1, .max = INT64_MAX,
	 .doc = "request nothing: cancel the request of that number"},
	{.name = "max-rows", .type = OPTION_COUNT, .commands = PREVIEW, AT(max_rows),
	 .argument = "N", .default_value = "10", .min = 1, .max = 100000,
	 .doc = "how many rows are shown"},

	{.name = "json", .type = OPTION_BOOL, .commands = LIST | DOCTOR | STATUS | SHOW | BACKFILL, AT(json),
	 .doc = "write JSON instead of text"},
	{.name = "fix", .type = OPTION_BOOL, .commands = DOCTOR, AT(fix),
	 .doc = "apply what is safe: settings that are wrong; never restarts the server"},
	{.name = "log-format", .type = OPTION_CHOICE, .commands = ALL, .members = log_format_members,
	 .argument = "text|json", .default_value = "text",
	 .doc = "form of the lines on standard error"},
	{.name = "quiet", .short_name = 'q', .type = OPTION_BOOL, .commands = ALL, AT(quiet),
	 .doc = "log warnings and errors only"},
	{.name = "verbose", .short_name = 'v', .type = OPTION_BOOL, .commands = ALL, AT(verbose),
	 .doc = "log debug lines too"},
	{.name = "progress", .type = OPTION_BOOL, .commands = STREAM, AT(progress),
	 .default_value = "on",
	 .doc = "show records and bytes per second and the lag: one line on a terminal, else log lines"},
	{.name = "progress-interval", .type = OPTION_DURATION, .commands = STREAM, AT(progress_interval),
	 .argument = "TIME", .default_value = "10s", .min = SECOND / 10, .max = DAY,
	 .doc = "time between progress lines in a log"},
	{.name = "config", .type = OPTION_CONFIG, .commands = ALL, .argument = "FILE",
	 .doc = "read further options from FILE: lines of name = value, # starts a comment"},
	{.name = "help", .short_name = '?', .type = OPTION_HELP, .commands = ALL,
	 .doc = "show this help"},
	{.name = "version", .short_name = 'V', .type = OPTION_VERSION, .commands = ALL,
	 .doc = "show the version and the sinks that are built in"},

	{.name = "publication_names", .type = OPTION_PLUGIN, .commands = STREAM | DOCTOR,
	 .argument = "NAMES",
	 .doc = "publications that select tables, columns, rows and operations; separated by commas"},
	{.name = "pipeline", .type = OPTION_PLUGIN,
	 .commands = STREAM | DOCTOR | STATUS | OFFSETS | EXPORT | BACKFILL,
	 .argument = "NAME",
	 .doc = "the set of rules that transforms the records"},
	{.name = "format", .type = OPTION_PLUGIN, .commands = STREAM, .argument = "NAME",
	 .doc = "what a record looks like"},
	{.name = "batch_bytes", .type = OPTION_PLUGIN, .commands = STREAM, .argument = "BYTES",
	 .doc = "how many bytes of records the server sends in one message"},
	{.name = "source", .type = OPTION_PLUGIN, .commands = STREAM | OFFSETS | STATUS | DOCTOR,
	 .argument = "NAME",
	 .doc = "the source's name in the records; the database's by default"},
	{.name = "delete", .type = OPTION_PLUGIN, .commands = STREAM, .argument = "full|key",
	 .doc = "whether a delete carries the whole old row or its key only"},
	{.name = "numeric", .type = OPTION_PLUGIN, .commands = STREAM, .argument = "string|number",
	 .doc = "how numeric values are written"},
	{.name = "bigint", .type = OPTION_PLUGIN, .commands = STREAM, .argument = "number|string",
	 .doc = "how bigint values are written"},
	{.name = "binary", .type = OPTION_PLUGIN, .commands = STREAM, .argument = "hex|base64",
	 .doc = "how bytea values are written"},
	{.name = "generated_columns", .type = OPTION_PLUGIN, .commands = STREAM,
	 .argument = "all|stored|none",
	 .doc = "which generated columns are in the records"},
	{.name = "origin", .type = OPTION_PLUGIN, .commands = STREAM, .argument = "any|none",
	 .doc = "whether changes that came here by replication are streamed"},
	{.name = "transaction_records", .type = OPTION_PLUGIN, .commands = STREAM, .argument = "on|off",
	 .doc = "records for begin and commit too"},
	{.name = "messages", .type = OPTION_PLUGIN, .commands = STREAM, .argument = "on|off",
	 .doc = "records for logical messages too"},
	{.name = "message_prefixes", .type = OPTION_PLUGIN, .commands = STREAM, .argument = "LIST",
	 .doc = "only logical messages with these prefixes"},
	{.name = "max_record_bytes", .type = OPTION_PLUGIN, .commands = STREAM, .argument = "BYTES",
	 .doc = "a larger record leaves out its largest columns"},
	{.name = "on_expression_error", .type = OPTION_PLUGIN, .commands = STREAM,
	 .argument = "stop|null",
	 .doc = "whether a rule's or filter's expression that fails stops the stream"},
	{.name = "privileges", .type = OPTION_PLUGIN, .commands = STREAM | DOCTOR,
	 .argument = "ignore|enforce",
	 .doc = "whether what the streaming role may not SELECT is left out"},
	{.name = "option", .short_name = 'o', .type = OPTION_PASS, .commands = STREAM | DOCTOR,
	 .argument = "NAME=VALUE",
	 .doc = "any other option of the plugin; may be given more than once"},
	{.name = NULL},
};
/* clang-format on */

static char
fold(char c)
{
	return c == '_' ? '-' : c;
}

const OptionDef *
option_find(const char *name, size_t length)
{
	for (const OptionDef *def = option_table; def->name != NULL; def++)
	{
		size_t i = 0;

		while (i < length && fold(name[i]) == fold(def->name[i]) && def->name[i] != '\0')
			i++;
		if (i == length && def->name[i] == '\0')
			return def;
	}
	return NULL;
}

const OptionDef *
option_find_short(char name)
{
	for (const OptionDef *def = option_table; def->name != NULL; def++)
		if (def->short_name == name)
			return def;
	return NULL;
}

const CommandDef *
command_find(Command command)
{
	for (const CommandDef *def = command_table; def->word != NULL; def++)
		if (def->command == command)
			return def;
	return NULL;
}

const char *
command_operand(Command command)
{
	return (COMMAND_BIT(command) & PIPELINE) != 0 ? "FILE" : NULL;
}

#define MAX_NAME 40

/* Levenshtein's distance, names longer than any option's being far from all. */
static size_t
distance(const char *left, size_t left_length, const char *right, size_t right_length)
{
	size_t row[MAX_NAME + 1];

	if (left_length > MAX_NAME || right_length > MAX_NAME)
		return MAX_NAME;
	for (size_t j = 0; j <= right_length; j++)
		row[j] = j;
	for (size_t i = 1; i <= left_length; i++)
	{
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= right_length; j++)
		{
			size_t changed = diagonal + (fold(left[i - 1]) != fold(right[j - 1]));

			diagonal = row[j];
			if (row[j] > row[j - 1])
				row[j] = row[j - 1];
			row[j] += 1;
			if (row[j] > changed)
				row[j] = changed;
		}
	}
	return row[right_length];
}

const char *
option_nearest(const char *name, size_t length, unsigned commands)
{
	const char *nearest = NULL;
	size_t best = 1 + (length >= 4) + (length >= 8); /* what is farther is no misspelling */

	for (const OptionDef *def = option_table; def->name != NULL; def++)
	{
		size_t far = distance(name, length, def->name, strlen(def->name));

		if (commands != 0 && (def->commands & commands) == 0)
			continue;
		if (far <= best && (nearest == NULL || far < best))
		{
			best = far;
			nearest = def->name;
		}
	}
	return nearest;
}
