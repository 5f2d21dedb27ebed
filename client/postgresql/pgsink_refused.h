/*
 * pgsink_refused.h
 *		Which record of a batch the server does not take.
 */
#ifndef CDC_PGSINK_REFUSED_H
#define CDC_PGSINK_REFUSED_H

#include "pgsink_store.h"

/*
 * After a batch has failed with *err, which is a record's fault: finds the first record that fails,
 * by halves.  CDC_REFUSED: *refused is that record and *err what the server says of it.  CDC_RETRY:
 * no record fails by itself.  The transaction is left open: close the store.
 */
extern CdcStatus pgsink_find_refused(PgStore *store, const PgRows *rows, RecordId *refused,
									 CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_PGSINK_REFUSED_H */
