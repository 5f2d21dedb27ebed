/*
 * status.h
 *		Subcommand status: how far a stream is.
 */
#ifndef CDC_STATUS_H
#define CDC_STATUS_H

#include "options.h"

/*
 * Writes what the server knows of the slot named, or of all of ours in the database connected to,
 * and of the walsender that streams from it; and, where --sink is given, the position that the sink
 * holds.  Returns the process's exit code.
 */
extern int status_main(const CdcOptions *options, const volatile int *interrupted);

#endif /* CDC_STATUS_H */
