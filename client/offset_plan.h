/*
 * offset_plan.h
 *		A sink's position set by hand: the new position, and what follows from it.
 *
 * Pure.	Refuses what the slot could not deliver from there anyway.
 */
#ifndef CDC_OFFSET_PLAN_H
#define CDC_OFFSET_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "position.h"

typedef struct OffsetInput
{
	const Source *source; /* the slot's */
	uint32_t timeline;    /* of the server */
	uint64_t wal_end;     /* of the server */
	uint64_t slot_confirmed;

	bool found; /* the sink has a position */
	Source stored_source;
	Position stored;

	bool reset;   /* begin anew at the slot's confirmed position */
	uint64_t lsn; /* else from the transactions on that commit there or later */
} OffsetInput;

typedef struct OffsetPlan
{
	Position position;
	char meaning[1024]; /* what is skipped or comes again, in a sentence or two */
} OffsetPlan;

/*
 * What the sink's position becomes.	 Where records come again, or could be taken for others that the sink
 * has, the incarnation is raised.  CDC_USAGE: the LSN lies outside of what the slot has.
 */
extern CdcStatus offset_plan_make(const OffsetInput *input, OffsetPlan *plan,
								  CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_OFFSET_PLAN_H */
