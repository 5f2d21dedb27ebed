/*
 * sink_param.h
 *		Readers of parameters that sinks of batches have alike, for their tables of parameters.
 *
 * field is what is set, name the parameter's in errors (CDC_USAGE, with what is allowed).
 */
#ifndef CDC_SINK_PARAM_H
#define CDC_SINK_PARAM_H

#include "error.h"

typedef CdcStatus (*SinkParamReader)(void *field, const char *name, const char *value,
									 CdcError *err);

/* uint64_t, bytes of a batch: 1 KiB to 64 MiB. */
extern CdcStatus sink_param_batch_bytes(void *field, const char *name, const char *value,
										CdcError *err) CDC_MUST_CHECK;

/* uint64_t, records of a batch: 1 to 100000. */
extern CdcStatus sink_param_batch_records(void *field, const char *name, const char *value,
										  CdcError *err) CDC_MUST_CHECK;

/* int64_t, microseconds: 100 ms to 1 h. */
extern CdcStatus sink_param_timeout(void *field, const char *name, const char *value,
									CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_SINK_PARAM_H */
