/*
 * stream.h
 *		The loop: receive, hand over to the sink, acknowledge what is durable, reconnect.
 */
#ifndef CDC_STREAM_H
#define CDC_STREAM_H

#include "options.h"

/*
 * Streams options->slot to options->sink until the asked-for end, a stop signal (*interrupted
 * becomes nonzero; a first one drains and flushes), or a failure.	Returns the process's exit code.
 */
extern int stream_main(const CdcOptions *options, const volatile int *interrupted);

#endif /* CDC_STREAM_H */
