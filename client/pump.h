/*
 * pump.h
 *		The inner loop: records from the server's socket into the sink, what is durable back.
 */
#ifndef CDC_PUMP_H
#define CDC_PUMP_H

#include "session.h"

/* Why a session ended, where it did not fail. */
typedef enum PumpEnd
{
	PUMP_INTERRUPTED, /* a stop signal */
	PUMP_ENDPOS,      /* everything up to endpos is durable */
	PUMP_SNAPSHOT,    /* existing rows are durable, and no more was asked for */
	PUMP_CLOSED,      /* whoever read from the sink has gone */
} PumpEnd;

/*
 * Runs until the session ends.	 CDC_OK: as asked, *end says how, what the sink was given is durable and
 * has been told to the server.	 Else as the server or the sink failed.
 */
extern CdcStatus pump_run(Session *session, PumpEnd *end, CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_PUMP_H */
