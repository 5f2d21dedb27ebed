/*
 * pipeline.h
 *		The subcommands pipeline apply, export and preview: a pipeline of rules as a file, for example
 *		in version control.
 *
 * The file is the document of cdc.export_pipeline().  Each returns the process's exit code: 1 where
 * the file, the rules in it or the rights to make them are wrong, 2 where standard output or a stop
 * signal ended it, 3 where the server could not be reached.
 */
#ifndef CDC_PIPELINE_H
#define CDC_PIPELINE_H

#include "options.h"

/*
 * Makes the server's pipeline what the file says, in one transaction, and writes to stdout what that
 * changed; nothing is written to the server where there is nothing to do, or under --dry-run.
 */
extern int pipeline_apply_main(const CdcOptions *options, const volatile int *interrupted);

/* Writes the server's pipeline to the file, always in the same form. */
extern int pipeline_export_main(const CdcOptions *options, const volatile int *interrupted);

/* Writes to stdout present rows as the file's rules would make them; applies nothing. */
extern int pipeline_preview_main(const CdcOptions *options, const volatile int *interrupted);

#endif /* CDC_PIPELINE_H */
