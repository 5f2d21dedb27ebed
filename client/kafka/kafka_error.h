/*
 * kafka_error.h
 *		What follows from an error of librdkafka's or a broker's: one table.
 */
#ifndef CDC_KAFKA_ERROR_H
#define CDC_KAFKA_ERROR_H

#include <stdbool.h>

#include <librdkafka/rdkafka.h>

#include "error.h"

/*
 * CDC_USAGE, CDC_STOP or CDC_RETRY; CDC_REFUSED where the broker refuses a request because of what is
 * in one of its records (or because of the request's size: the caller has to find out).
 */
extern CdcStatus kafka_error_status(rd_kafka_resp_err_t code);

/* Whether it says that the producer's transactional.id has got a newer producer, or its epoch is over. */
extern bool kafka_error_is_fenced(rd_kafka_resp_err_t code);

/*
 * Fills err with "what: reason", the code's name and its hint, and returns the code's status.	reason may
 * be NULL: librdkafka's description.
 */
extern CdcStatus kafka_error(CdcError *err, rd_kafka_resp_err_t code, const char *reason,
							 const char *fmt, ...) CDC_PRINTF(4, 5);

#endif /* CDC_KAFKA_ERROR_H */
