/*
 * option_checks.h
 *		What options have to say together: what is missing, what excludes what, what the table cannot say.
 */
#ifndef CDC_OPTION_CHECKS_H
#define CDC_OPTION_CHECKS_H

#include "option_store.h"
#include "option_table.h"

/* Everything that was given, and what has been made of it. */
typedef struct Gathering
{
	CdcOptions *options;
	Setting *settings;
	int num_settings;
	CdcError *err;
} Gathering;

/* Where an option was given by who has the say; NULL: nowhere. */
extern const Setting *gathering_find(const Gathering *g, const char *name);

/* Once all values are stored; also takes apart what one value says.	 Errors are CDC_USAGE. */
extern CdcStatus option_check_together(Gathering *g) CDC_MUST_CHECK;

#endif /* CDC_OPTION_CHECKS_H */
