/*
 * nats_error.h
 *		What the errors of the NATS library and of JetStream mean.
 */
#ifndef CDC_NATS_ERROR_H
#define CDC_NATS_ERROR_H

#include <nats/nats.h>

#include "error.h"

/*
 * What the library said last in this thread, without the place in its sources that it begins with.
 */
extern const char *nats_last_error(void);

/* An error of the library's: "what failed: text (detail)".  detail may be NULL. */
extern CdcStatus nats_library_error(natsStatus status, const char *what, const char *detail,
									CdcError *err) CDC_MUST_CHECK;

/* An error that JetStream answered, by its err_code. */
extern CdcStatus nats_stream_error(int code, const char *what, const char *description,
								   CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_NATS_ERROR_H */
