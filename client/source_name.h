/*
 * source_name.h
 *		What records call the source: {source} in a target's name has to say the same.
 */
#ifndef CDC_SOURCE_NAME_H
#define CDC_SOURCE_NAME_H

#include <libpq-fe.h>
#include <stddef.h>

#include "error.h"
#include "options.h"
#include "pgconn.h"
#include "position.h"

/*
 * As the plugin has it: option source, else the same option of the pipeline that is streamed, else the
 * database's name.  The pipeline is asked for as it is now: a name that is changed later holds from the
 * next session on.	 conn is of either kind.
 */
extern CdcStatus source_name_read(PGconn *conn, const CdcOptions *options, const char *database,
								  char *name, size_t size, CdcError *err) CDC_MUST_CHECK;

/* All of a stream's source, for who does not stream. */
extern CdcStatus source_fill(PGconn *conn, const CdcOptions *options,
							 const ServerIdentity *identity, Source *source,
							 CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_SOURCE_NAME_H */
