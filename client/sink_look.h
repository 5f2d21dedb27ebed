/*
 * sink_look.h
 *		Looking at a sink without streaming to it.
 */
#ifndef CDC_SINK_LOOK_H
#define CDC_SINK_LOOK_H

#include <stdbool.h>

#include "options.h"
#include "pgconn.h"
#include "position.h"

typedef struct SinkLook
{
	bool opened; /* else why says why not, which is no error */
	char why[256];
	bool found;       /* it holds a position: source and position are set */
	bool same_source; /* and that is of this slot */
	Source source;
	Position position;
} SinkLook;

/*
 * Reads the position that the sink of options->sink holds for options->slot.  replication: a connection of
 * that kind.
 */
extern CdcStatus sink_look(const CdcOptions *options, PGconn *replication,
						   const volatile int *interrupted, SinkLook *look,
						   CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_SINK_LOOK_H */
