/*
 * selection.h
 *		What the stream is asked to select by name, publications and a pipeline, and whether it exists.
 *
 * To the plugin a name that does not exist (yet) selects nothing at that place in the WAL.	 The client
 * acknowledges what it was not sent, so a misspelt name would lose changes for good: hence the check.
 */
#ifndef CDC_SELECTION_H
#define CDC_SELECTION_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "error.h"
#include "options.h"

/* What a stream with these options would select on this server, now. */
typedef struct Selection
{
	const char *pipeline; /* its name, borrowed from the options; NULL: none was asked for */
	bool has_extension;   /* these two are of interest where one was */
	bool has_pipeline;
	char *publications;   /* their names as SQL literals, "'a', 'b'"; "": all tables are selected */
	bool by_pipeline;     /* it is the pipeline that names them */
	char *missing;        /* those that do not exist, as "a, \"B\""; NULL: none */
	char *missing_remedy; /* the commands that would create them; NULL: none */
	bool enforces_privileges;
} Selection;

/* The value of a plugin option, NULL where it was not given; borrowed. */
extern const char *selection_option(const CdcOptions *options, const char *name);

/*
 * The names in a list of publications as SQL literals, "'a', 'b'", read as PostgreSQL reads such lists;
 * malloc'd.
 */
extern char *selection_read_names(const char *names);

/*
 * What the options, and behind them the pipeline, select.	A name that does not exist is no error.	 On
 * CDC_OK the caller selection_free()s it.
 */
extern CdcStatus selection_read(PGconn *sql, const CdcOptions *options, Selection *selection,
								CdcError *err) CDC_MUST_CHECK;
extern void selection_free(Selection *selection);

/* CDC_USAGE, naming what does not exist on the server and the way out. */
extern CdcStatus selection_check(PGconn *sql, const CdcOptions *options,
								 CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_SELECTION_H */
