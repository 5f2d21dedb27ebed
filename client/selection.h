/*
 * selection.h
 *		What the stream is asked to select by name, publications and a pipeline, and whether it exists.
 *
 * To the plugin a name that does not exist (yet) selects nothing at that place in the WAL.	 The client
 * acknowledges what it was not sent, so a misspelt name would lose changes for good: hence the check.
 */
#ifndef CDC_SELECTION_H
#define CDC_SELECTION_H

#include <libpq-fe.h>

#include "error.h"
#include "options.h"

/* The value of a plugin option, NULL where it was not given; borrowed. */
extern const char *selection_option(const CdcOptions *options, const char *name);

/*
 * The names in publication_names as SQL literals, "'a', 'b'", read as PostgreSQL reads such lists;
 * malloc'd, NULL where none were given.
 */
extern char *selection_publications(const CdcOptions *options);

/* CDC_USAGE, naming what does not exist on the server and the way out. */
extern CdcStatus selection_check(PGconn *sql, const CdcOptions *options,
								 CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_SELECTION_H */
