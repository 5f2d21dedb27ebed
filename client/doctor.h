/*
 * doctor.h
 *		Subcommand doctor: looks at server, slot, privileges and sink before something goes wrong.
 */
#ifndef CDC_DOCTOR_H
#define CDC_DOCTOR_H

#include "options.h"

/*
 * Writes one line per check to stdout ("ok", "warn" or "FAIL", and under it the command that mends
 * it), or one JSON object (--json).  Returns 0 where nothing FAILs, else 2; 1 and 3 as everywhere
 * where the server could not be asked at all.
 */
extern int doctor_main(const CdcOptions *options, const volatile int *interrupted);

#endif /* CDC_DOCTOR_H */
