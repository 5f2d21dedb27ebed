/*
 * file_look.h
 *		Looking at the file sink's files without taking, making or changing any of them.
 */
#ifndef CDC_FILE_LOOK_H
#define CDC_FILE_LOOK_H

#include <stdbool.h>

#include "error.h"
#include "position.h"

/*
 * Reads the position that belongs to the file at path, also while a client writes to it.	*found is
 * false where none has been stored yet.	CDC_USAGE, CDC_STOP: what file_store_open() would refuse too,
 * as far as it shows without writing.
 */
extern CdcStatus file_look(const char *path, Source *source, Position *position, bool *found,
						   CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_FILE_LOOK_H */
