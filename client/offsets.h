/*
 * offsets.h
 *		Subcommands offsets show, set and reset: the position that a sink holds.
 */
#ifndef CDC_OFFSETS_H
#define CDC_OFFSETS_H

#include "options.h"

/* Each returns the process's exit code. */
extern int offsets_show_main(const CdcOptions *options, const volatile int *interrupted);
extern int offsets_change_main(const CdcOptions *options, const volatile int *interrupted);

#endif /* CDC_OFFSETS_H */
