/*
 * resume.h
 *		Where to go on: the sink's position held against the server's slot and timelines.
 *
 * Pure.  Refuses rather than guesses: records missing, doubled or skipped in silence are the one
 * thing that the client must never cause.
 */
#ifndef CDC_RESUME_H
#define CDC_RESUME_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "position.h"
#include "timeline.h"

/* What the user accepts, by name; each holds for one start. */
typedef struct ResumeAccepts
{
	bool gap;
	bool divergence;
	bool other_source;
} ResumeAccepts;

typedef struct ResumeInput
{
	const Source *source; /* of the server and slot at hand */
	const TimelineHistory *history;
	uint64_t wal_end;        /* of the server; not before the sink's position was reached */
	bool in_recovery;        /* a standby: its WAL end may lag behind what its primary sent */
	uint64_t slot_confirmed; /* confirmed_flush_lsn, read after the slot was acquired */

	bool sink_forgets; /* SinkOps.keeps_no_position */
	bool found;        /* the sink has a position */
	bool had_position; /* of this source, in this run */
	Source stored_source;
	Position stored;

	bool require_position;
	bool snapshot_said; /* the user says what becomes of existing rows (--snapshot) */
	ResumeAccepts accepts;
} ResumeInput;

/* What follows: where to start, and what is to be said about it (a line each). */
#define RESUME_MAX_NOTES 4
typedef struct ResumePlan
{
	Position start;
	bool changed;     /* start is to be stored: it is not what the sink has */
	bool begins_anew; /* also with existing rows, of which the sink had another source's in part */
	int num_notes;
	struct
	{
		bool warning; /* something was accepted */
		char text[1024];
	} notes[RESUME_MAX_NOTES];
} ResumePlan;

/*
 * CDC_STOP: refused; message, detail (both positions) and hint (the ways out) say all.  CDC_USAGE: a
 * position is required of a sink that can have none.
 */
extern CdcStatus resume_decide(const ResumeInput *input, ResumePlan *plan,
							   CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_RESUME_H */
