/*
 * option_table.h
 *		The one table of options, and what is generated from it.
 */
#ifndef CDC_OPTION_TABLE_H
#define CDC_OPTION_TABLE_H

#include <stdio.h>

#include "options.h"

typedef enum OptionType
{
	OPTION_BOOL,     /* bool: --name, --name=on, --name=off */
	OPTION_STRING,   /* char *: any text that is not empty */
	OPTION_SLOT,     /* char *: a replication slot's name */
	OPTION_SIZE,     /* uint64_t, bytes */
	OPTION_DURATION, /* int64_t, microseconds */
	OPTION_LSN,      /* uint64_t */
	OPTION_COUNT,    /* uint64_t, a whole number without a unit */
	OPTION_RATE,     /* RateLimit: a number of rows, or a size */
	OPTION_CHOICE,   /* one of members */
	OPTION_SET,      /* any of members, separated by commas */
	OPTION_PLUGIN,   /* goes to the plugin under its own name, unread */
	OPTION_PASS,     /* name=value, goes to the plugin; may be given more than once */
	OPTION_CONFIG,   /* the file to read more from; not stored */
	OPTION_HELP,     /* --help, --version: answered at once */
	OPTION_VERSION,
} OptionType;

/* A word that a choice or set may hold, and the bool that it writes. */
typedef struct OptionMember
{
	const char *name; /* NULL ends the list */
	size_t offset;
	bool value;
} OptionMember;

#define COMMAND_BIT(command) (1U << (command))

typedef struct OptionDef
{
	const char *name;
	char short_name; /* 0: none */
	OptionType type;
	unsigned commands;         /* COMMAND_BIT()s of the subcommands that take it */
	size_t offset;             /* where in CdcOptions it is stored */
	const char *argument;      /* what --help calls its value; NULL: takes none */
	const char *implied_value; /* of --name without a value; NULL: it needs one */
	const char *default_value; /* read like a given one; NULL: nothing */
	const char *forever;       /* OPTION_DURATION: the word for -1, or NULL */
	int64_t min;               /* of sizes and durations */
	int64_t max;
	const OptionMember *members;
	const char *doc;
} OptionDef;

/* Ended by an entry without a name. */
extern const OptionDef option_table[];

/* - and _ are the same.  NULL where there is no such option. */
extern const OptionDef *option_find(const char *name, size_t length);
extern const OptionDef *option_find_short(char name);

/*
 * The name of the option nearest to a misspelt one, NULL where none is near; commands limits it to
 * the options of some subcommands (0: all).
 */
extern const char *option_nearest(const char *name, size_t length, unsigned commands);

/* Subcommands: "slot create" and so on. */
typedef struct CommandDef
{
	Command command;
	const char *word;
	const char *second; /* NULL: one word */
	const char *doc;
} CommandDef;
extern const CommandDef command_table[];
extern const CommandDef *command_find(Command command);

/* What the subcommand is given besides options, as --help calls it, "FILE"; NULL: nothing. */
extern const char *command_operand(Command command);

/* --help of a subcommand, or the overview for CMD_NONE. */
extern void option_help(FILE *out, Command command);

#endif /* CDC_OPTION_TABLE_H */
