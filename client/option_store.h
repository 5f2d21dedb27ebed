/*
 * option_store.h
 *		One given option: checking its value and storing it where the table says.
 */
#ifndef CDC_OPTION_STORE_H
#define CDC_OPTION_STORE_H

#include "option_table.h"

typedef enum SettingRank
{
	RANK_FLAG,
	RANK_ENVIRONMENT,
	RANK_CONFIG,
	RANK_DEFAULT,
} SettingRank;

#define SETTING_WHERE_SIZE 512

typedef struct Setting
{
	const OptionDef *def;
	SettingRank rank;
	bool overridden;                /* an earlier source gives the same option */
	char where[SETTING_WHERE_SIZE]; /* "--slot", "CDC_SLOT", "/etc/cdc.conf:12" */
	char *name;                     /* the option's name; the plugin's of one passed to it */
	char *value;
} Setting;

/*
 * Sets name and value of a setting that has the other fields.  Fails (CDC_USAGE) where the value is
 * empty, or where --option passes no name=value, or what is not the user's to set.
 */
extern CdcStatus setting_fill(Setting *setting, const char *value, CdcError *err) CDC_MUST_CHECK;
extern void setting_free(Setting *setting);

/* Whether both give the same option: --format=x and --option=format=x do. */
extern bool setting_same_option(const Setting *left, const Setting *right);

/* Checks the value and stores it; errors are CDC_USAGE. */
extern CdcStatus setting_store(CdcOptions *options, const Setting *setting,
							   CdcError *err) CDC_MUST_CHECK;

/*
 * What an error shows of a text that was found where none belongs: the text itself, or where it may be
 * a connection string, and so hold a password, a word for it.
 */
extern const char *option_shown(const char *text);

#endif /* CDC_OPTION_STORE_H */
