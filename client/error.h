/*
 * error.h
 *		How a fallible function of the client says what went wrong.
 *
 * A fallible function returns CdcStatus, which the caller must look at, and fills one CdcError that
 * its caller owns.  Lower layers never log and never exit; the loop (stream.c) and the subcommands
 * decide once what follows from a status.
 */
#ifndef CDC_ERROR_H
#define CDC_ERROR_H

#include <stdbool.h>

#define CDC_MUST_CHECK __attribute__((warn_unused_result))
#define CDC_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* The values up to CDC_RETRY are the process's exit codes, where one follows from the status. */
typedef enum CdcStatus
{
	CDC_OK = 0,
	CDC_USAGE = 1,   /* wrong usage or configuration: trying again cannot help */
	CDC_STOP = 2,    /* cannot go on without a person: gap, wrong server, poison record */
	CDC_RETRY = 3,   /* may pass: connection lost, server starting, disk full */
	CDC_REFUSED = 4, /* of a sink only, see sink.h: this record it can never take */
} CdcStatus;

typedef struct CdcError
{
	char sqlstate[6];   /* of the server's error, else "" */
	char message[2048]; /* what failed, on what; one line, no trailing newline */
	char detail[2048];  /* more about it, or "" */
	char hint[2048];    /* what to do, the exact command where there is one, or "" */
} CdcError;

/* Sets the message, empties the rest, and returns status, for "return cdc_error(err, CDC_RETRY, ...)". */
extern CdcStatus cdc_error(CdcError *err, CdcStatus status, const char *fmt, ...) CDC_PRINTF(3, 4);

/* Add to an error already set; the text is cut at the field's size. */
extern void cdc_error_detail(CdcError *err, const char *fmt, ...) CDC_PRINTF(2, 3);
extern void cdc_error_hint(CdcError *err, const char *fmt, ...) CDC_PRINTF(2, 3);

#endif /* CDC_ERROR_H */
