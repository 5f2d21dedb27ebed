/*
 * backfill_command.h
 *		The subcommand backfill: requests for existing rows, which the clients that stream through a pipeline
 *		serve (backfill.h).
 *
 * Returns the process's exit code: 1 where what is asked for is wrong or not allowed, 2 where a stop signal
 * ended it, 3 where the server could not be reached.
 */
#ifndef CDC_BACKFILL_COMMAND_H
#define CDC_BACKFILL_COMMAND_H

#include "options.h"

/* Makes a request and writes its number to stdout; or cancels one; or writes what there is of them. */
extern int backfill_main(const CdcOptions *options, const volatile int *interrupted);

#endif /* CDC_BACKFILL_COMMAND_H */
