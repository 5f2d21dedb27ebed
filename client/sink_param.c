/*
 * sink_param.c
 *		Readers of parameters that sinks of batches have alike.
 */
#include "sink_param.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "options.h"

/* "batch-bytes in the sink's URI" */
#define WHAT_SIZE 80

static char *
describe(char *what, const char *name)
{
	snprintf(what, WHAT_SIZE, "%s in the sink's URI", name);
	return what;
}

/* A receiver has to take a batch as a whole: beyond 64 MiB that is no batch any more. */
CdcStatus
sink_param_batch_bytes(void *field, const char *name, const char *value, CdcError *err)
{
	char what[WHAT_SIZE];
	uint64_t *bytes = field;
	CdcStatus status = options_parse_size(value, describe(what, name), bytes, err);

	if (status == CDC_OK && (*bytes < 1024 || *bytes > 64 << 20))
		status = cdc_error(err, CDC_USAGE, "%s: \"%s\" is not between 1KiB and 64MiB", what, value);
	return status;
}

CdcStatus
sink_param_batch_records(void *field, const char *name, const char *value, CdcError *err)
{
	uint64_t *records = field;
	char *end;

	*records = strtoull(value, &end, 10);
	if (!isdigit((unsigned char) *value) || *end != '\0' || *records < 1 || *records > 100000)
		return cdc_error(err, CDC_USAGE,
						 "%s=%s in the sink's URI is not a whole number from 1 to 100000", name,
						 value);
	return CDC_OK;
}

CdcStatus
sink_param_timeout(void *field, const char *name, const char *value, CdcError *err)
{
	char what[WHAT_SIZE];
	int64_t *timeout = field;
	CdcStatus status = options_parse_duration(value, describe(what, name), timeout, err);

	if (status == CDC_OK && (*timeout < CLOCK_SECOND / 10 || *timeout > 3600 * CLOCK_SECOND))
		status = cdc_error(err, CDC_USAGE, "%s: \"%s\" is not between 100ms and 1h", what, value);
	return status;
}
