/*
 * resume.c
 *		Where to go on.
 */
#include "resume.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void note(ResumePlan *plan, bool warning, const char *fmt, ...) CDC_PRINTF(3, 4);

static void
note(ResumePlan *plan, bool warning, const char *fmt, ...)
{
	va_list args;

	if (plan->num_notes == RESUME_MAX_NOTES)
		/* untested: there are as many as can be said at once */
		return;
	va_start(args, fmt);
	vsnprintf(plan->notes[plan->num_notes].text, sizeof(plan->notes[0].text), fmt, args);
	va_end(args);
	plan->notes[plan->num_notes++].warning = warning;
}

/* "Sink: ...; server: ...": the detail of every refusal. */
static void
both_positions(const ResumeInput *input, CdcError *err)
{
	char stored[POSITION_TEXT_SIZE];
	char confirmed[LSN_TEXT_SIZE];
	char wal_end[LSN_TEXT_SIZE];

	cdc_error_detail(err,
					 "The sink is at %s. The slot is at confirmed_flush_lsn %s, the server's WAL "
					 "ends at %s on timeline %" PRIu32 ".",
					 position_describe(stored, &input->stored),
					 lsn_format(confirmed, input->slot_confirmed),
					 lsn_format(wal_end, input->wal_end), input->history->current);
}

/* A sink's first use, or one that is to be taken as such: everything the slot gives is delivered. */
static void
start_at_slot(const ResumeInput *input, ResumePlan *plan, uint32_t incarnation)
{
	memset(&plan->start, 0, sizeof(plan->start));
	plan->start.timeline = input->history->current;
	plan->start.timeline_began = timeline_history_began(input->history, plan->start.timeline);
	plan->start.incarnation = incarnation;
	plan->start.confirmed = input->slot_confirmed;
	plan->changed = true;
}

static CdcStatus
check_first_use(const ResumeInput *input, ResumePlan *plan, CdcError *err)
{
	char lsn[LSN_TEXT_SIZE];

	lsn_format(lsn, input->slot_confirmed);
	if (input->had_position)
	{
		cdc_error(err, CDC_STOP,
				  "the sink has forgotten its position for slot \"%s\" of database \"%s\"",
				  input->source->slot, input->source->database);
		cdc_error_detail(
			err, "It was stored during this run. The slot is at confirmed_flush_lsn %s.", lsn);
		cdc_error_hint(err, "It was emptied, made anew or replaced: records that it held may be "
							"missing. Restore it; or, where what is missing is not needed, start "
							"cdc_client again, which takes the sink for new.");
		return CDC_STOP;
	}
	if (input->require_position && input->sink_forgets)
	{
		cdc_error(err, CDC_USAGE,
				  "--require-position is given, but the sink keeps no position from one start to "
				  "the next");
		cdc_error_hint(err, "Leave it out: each start begins at the slot's confirmed position, and "
							"delivery is at least once.");
		return CDC_USAGE;
	}
	if (input->require_position)
	{
		cdc_error(err, CDC_STOP,
				  "the sink has no position for slot \"%s\" of database \"%s\", and "
				  "--require-position is given",
				  input->source->slot, input->source->database);
		cdc_error_detail(err, "The slot is at confirmed_flush_lsn %s.", lsn);
		cdc_error_hint(
			err,
			"If the sink is new, leave --require-position out once: it then begins behind "
			"%s.",
			lsn);
		return CDC_STOP;
	}
	if (input->sink_forgets)
		note(plan, false,
			 "the sink keeps no position: starting at the confirmed position %s of slot \"%s\"; "
			 "what was delivered beyond it comes again",
			 lsn, input->source->slot);
	else
		note(plan, false,
			 "the sink has no position for slot \"%s\" yet: starting at the slot's confirmed "
			 "position %s",
			 input->source->slot, lsn);
	start_at_slot(input, plan, 0);
	return CDC_OK;
}

static CdcStatus
check_source(const ResumeInput *input, ResumePlan *plan, CdcError *err)
{
	const Source *stored = &input->stored_source;
	const Source *here = input->source;
	bool unfinished = snapshot_cursor_is_unfinished(input->stored.snapshot, &input->stored.id);

	if (!input->accepts.other_source)
	{
		cdc_error(err, CDC_STOP, "the sink's position belongs to another source");
		cdc_error_detail(err,
						 "The sink has one of slot \"%s\", database \"%s\", system identifier %s; "
						 "this is slot \"%s\", database \"%s\", system identifier %s.",
						 stored->slot, stored->database, stored->system_identifier, here->slot,
						 here->database, here->system_identifier);
		cdc_error_hint(
			err, "Use another sink for this source; or, where this source replaces that one "
				 "(after pg_upgrade, say), start once with --accept=other-source: records then "
				 "begin at the slot's confirmed position.");
		return CDC_STOP;
	}
	if (unfinished && !input->snapshot_said)
	{
		cdc_error(
			err, CDC_STOP,
			"the sink's position belongs to another source, and tells of a snapshot of existing "
			"rows that is not through");
		cdc_error_detail(err, "It is of slot \"%s\", database \"%s\", system identifier %s.",
						 stored->slot, stored->database, stored->system_identifier);
		cdc_error_hint(err, "Say what is wanted of this source, besides --accept=other-source: "
							"--snapshot=initial delivers its existing rows, all of them; "
							"--snapshot=never delivers changes only.");
		return CDC_STOP;
	}
	plan->begins_anew = unfinished;
	note(
		plan, true,
		"accepted: the sink's position belonged to slot \"%s\", database \"%s\", system identifier "
		"%s; starting at the slot's confirmed position",
		stored->slot, stored->database, stored->system_identifier);
	start_at_slot(input, plan, input->stored.incarnation + 1);
	return CDC_OK;
}

/*
 * Where the WAL that the sink's position is of and the server's part, 0: nowhere that a history tells.  Two standbys
 * that were promoted, each without the other, have timelines of one number that began at different places.
 * false: the server never had the position's timeline.
 */
static bool
find_parting(const ResumeInput *input, uint64_t *at, uint64_t *twin_began)
{
	const Position *stored = &input->stored;
	uint64_t began = timeline_history_began(input->history, stored->timeline);

	*at = *twin_began = 0;
	if (stored->timeline != input->history->current &&
		!timeline_history_find(input->history, stored->timeline, at))
		return false;
	if (began == 0 || stored->timeline_began == 0 || began == stored->timeline_began)
		return true;
	*twin_began = began;
	*at = began < stored->timeline_began ? began : stored->timeline_began;
	return true;
}

/*
 * Whether the server's WAL holds what the sink was given.	*why says why not.	*back_to: the last LSN
 * that both have in common, 0 where the server cannot tell.
 */
static bool
has_diverged(const ResumeInput *input, char *why, size_t size, uint64_t *back_to)
{
	const Position *stored = &input->stored;
	char lsn[LSN_TEXT_SIZE];
	char stored_lsn[LSN_TEXT_SIZE];
	uint64_t twin_began;

	if (!find_parting(input, back_to, &twin_began))
	{
		snprintf(why, size,
				 "timeline %" PRIu32 " of the sink's position is not in the server's history",
				 stored->timeline);
		return true;
	}
	if (*back_to > 0)
	{
		if (twin_began > 0)
			snprintf(why, size,
					 "timeline %" PRIu32 " of the sink's position began at %s, and the server's at "
					 "%s: two servers were promoted to it, and this is the other one",
					 stored->timeline, lsn_format(stored_lsn, stored->timeline_began),
					 lsn_format(lsn, twin_began));
		else
			snprintf(why, size,
					 "the server left timeline %" PRIu32 " at %s, before the sink's position",
					 stored->timeline, lsn_format(lsn, *back_to));
		/* A commit record that starts at the switch point was written on the old timeline only. */
		return stored->end_lsn > *back_to || stored->id.commit_lsn > *back_to ||
			   (stored->id.commit_lsn == *back_to && stored->id.seq > 0);
	}
	snprintf(why, size, "the server's WAL ends before the sink's position");
	return !input->in_recovery &&
		   (stored->end_lsn > input->wal_end || stored->id.commit_lsn > input->wal_end);
}

static CdcStatus
check_divergence(const ResumeInput *input, ResumePlan *plan, CdcError *err)
{
	char why[200];
	char lsn[LSN_TEXT_SIZE];
	uint64_t back_to;
	Position *start = &plan->start;

	if (!has_diverged(input, why, sizeof(why), &back_to))
	{
		/* What was confirmed on a timeline that the server left counts up to where it left it. */
		if (back_to > 0 && start->confirmed > back_to)
			start->confirmed = back_to;
		if (start->timeline != input->history->current || back_to > 0)
			plan->changed = true;
		start->timeline = input->history->current;
		start->timeline_began = timeline_history_began(input->history, start->timeline);
		return CDC_OK;
	}
	if (!input->accepts.divergence)
	{
		cdc_error(err, CDC_STOP, "the sink and the server have diverged: %s", why);
		both_positions(input, err);
		cdc_error_hint(
			err,
			"The sink holds records of transactions that this server does not have. "
			"Connect to the server that has them; or start once with --accept=divergence: "
			"the records from %s on are then delivered, under a new incarnation.",
			back_to > 0 ? "the switch point" : "the slot's confirmed position");
		return CDC_STOP;
	}
	start_at_slot(input, plan, input->stored.incarnation + 1);
	/* rows of the snapshot that were delivered stay so, as records before the switch point do */
	start->snapshot = snapshot_cursor_carry(input->stored.snapshot, &input->stored.id);
	if (snapshot_cursor_is_unfinished(input->stored.snapshot, &input->stored.id))
		note(plan, true,
			 "accepted: the snapshot of existing rows goes on where it was; a row that was read "
			 "from "
			 "what this server does not have is not delivered again");
	if (back_to > 0)
	{
		/* (LSN, 0, 0) is the last id that a record before the switch point can have. */
		start->id.commit_lsn = back_to;
		start->end_lsn = input->stored.end_lsn < back_to ? input->stored.end_lsn : back_to;
		start->confirmed = input->stored.confirmed < back_to ? input->stored.confirmed : back_to;
	}
	note(plan, true, "accepted: %s; records from %s on are delivered under incarnation %" PRIu32,
		 why, lsn_format(lsn, back_to > 0 ? back_to : input->slot_confirmed), start->incarnation);
	return CDC_OK;
}

static CdcStatus
check_gap(const ResumeInput *input, ResumePlan *plan, CdcError *err)
{
	char from[LSN_TEXT_SIZE];
	char to[LSN_TEXT_SIZE];

	if (input->slot_confirmed <= plan->start.confirmed)
		return CDC_OK;
	lsn_format(from, plan->start.confirmed);
	lsn_format(to, input->slot_confirmed);
	if (!input->accepts.gap)
	{
		cdc_error(err, CDC_STOP,
				  "records are missing: slot \"%s\" has moved on to %s, but the sink has confirmed "
				  "%s only",
				  input->source->slot, to, from);
		both_positions(input, err);
		cdc_error_hint(
			err,
			"Somebody else read from the slot, it was dropped and created anew, or the "
			"sink was restored to an earlier state. Replay what is missing through a copy "
			"of the slot made earlier, if there is one; or start once with --accept=gap to "
			"go on without what was committed between %s and %s.",
			from, to);
		return CDC_STOP;
	}
	note(plan, true, "accepted: what was committed between %s and %s is not delivered", from, to);
	plan->start.confirmed = input->slot_confirmed;
	plan->changed = true;
	return CDC_OK;
}

CdcStatus
resume_decide(const ResumeInput *input, ResumePlan *plan, CdcError *err)
{
	CdcStatus status;

	memset(plan, 0, sizeof(*plan));
	if (!input->found)
		return check_first_use(input, plan, err);
	if (!source_equal(input->source, &input->stored_source))
		return check_source(input, plan, err);
	plan->start = input->stored;
	status = check_divergence(input, plan, err);
	if (status == CDC_OK)
		status = check_gap(input, plan, err);
	return status;
}
