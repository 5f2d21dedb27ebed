/*
 * cdc_option_table.h
 *		The table of the plugin's options, and what is allowed for each.
 *
 * Private to cdc_options.c, which reads options by it, and cdc_option_table.c.
 */
#ifndef CDC_OPTION_TABLE_H
#define CDC_OPTION_TABLE_H

#include "lib/stringinfo.h"

#include "cdc_options.h"

typedef enum CdcOptionType
{
	CDC_OPTION_BOOL,
	CDC_OPTION_INT,
	CDC_OPTION_ENUM,
	CDC_OPTION_STRING,
	CDC_OPTION_LIST,        /* of text, none of it empty */
	CDC_OPTION_IDENTIFIERS, /* as SQL has them */
	CDC_OPTION_RECORDS,
	CDC_OPTION_WORDS, /* from here on as wal2json reads them (cdc_selector.h) */
	CDC_OPTION_TABLES,
	CDC_OPTION_OIDS,
	CDC_OPTION_ACTIONS,
	CDC_OPTION_PATH,
	CDC_OPTION_SKIPPED, /* c, u, d, t: as the connector has it */
	CDC_OPTION_REFUSED, /* a boolean that cannot be turned on; doc says why */
} CdcOptionType;

/* Formats that know an option, as bits. */
#define CDC_OF(format) (1 << (format))
#define CDC_OF_ALL 0

typedef struct CdcOption
{
	const char *name;
	CdcOptionType type;
	Size field; /* its offset in CdcOptions */
	int value;  /* default of a bool, int or enum */
	int min;    /* range of an int; 1: words and tables must not be empty */
	int max;
	const char *const *choices; /* of an enum, in the order of its C enumeration */
	const char *doc;
	bool of_stream; /* decided when the stream starts, so not by a pipeline */
	int formats;    /* CDC_OF(...) | ... */
} CdcOption;

extern const CdcOption cdc_option_table[];
extern const int cdc_option_count;

/* The names of formats, in the order of CdcFormat, NULL at the end. */
extern const char *const cdc_format_names[];

/* NULL: there is none of this name. */
extern const CdcOption *cdc_option_find(const char *name);

/* Appends what values are allowed, in words. */
extern void cdc_option_allowed(const CdcOption *option, StringInfo text);

#endif /* CDC_OPTION_TABLE_H */
