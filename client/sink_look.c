/*
 * sink_look.c
 *		Looking at a sink without streaming to it.
 */
#include "sink_look.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "sink.h"
#include "source_name.h"

/* A sink that cannot be opened for so long is not reachable. */
#define LOOK_FOR (15 * CLOCK_SECOND)

typedef struct Patience
{
	const volatile int *interrupted;
	int64_t deadline;
} Patience;

static bool
still_patient(void *arg)
{
	const Patience *patience = arg;

	return !(patience->interrupted != NULL && *patience->interrupted) &&
		   clock_now() < patience->deadline;
}

static CdcStatus
read_position(Sink *sink, const Source *source, SinkLook *look, CdcError *err)
{
	CdcStatus status;

	look->source = *source;
	status = sink->base.ops->look(sink, source, &look->source, &look->position, &look->found, err);
	look->opened = status == CDC_OK;
	look->same_source = source_equal(source, &look->source);
	return status;
}

CdcStatus
sink_look(const CdcOptions *options, PGconn *replication, const volatile int *interrupted,
		  SinkLook *look, CdcError *err)
{
	Patience patience = {interrupted, clock_now() + LOOK_FOR};
	SinkConfig config = {.uri = options->sink,
						 .table = options->sink_table,
						 .commit_interval =
							 sink_commit_interval(options->sink, options->commit_interval),
						 .max_in_flight = options->max_in_flight,
						 .tick = still_patient,
						 .tick_arg = &patience};
	ServerIdentity identity;
	Source source;
	Sink *sink = NULL;
	CdcStatus status;

	memset(look, 0, sizeof(*look));
	status = sink_create(&sink, &config, err);
	if (status == CDC_OK && options->slot == NULL)
		snprintf(look->why, sizeof(look->why),
				 "not opened, since no --slot says whose records it gets");
	else if (status == CDC_OK && sink->base.ops->keeps_no_position)
		snprintf(look->why, sizeof(look->why),
				 "not opened, since it keeps no position that could be looked at");
	else if (status == CDC_OK)
	{
		status = pgconn_identify(replication, &identity, err);
		if (status == CDC_OK)
			status = source_fill(replication, options, &identity, &source, err);
		if (status == CDC_OK)
			status = read_position(sink, &source, look, err);
	}
	sink_destroy(sink);
	return status;
}
