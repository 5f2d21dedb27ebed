/*
 * offset_plan.c
 *		A sink's position set by hand.
 */
#include "offset_plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static CdcStatus
check_range(const OffsetInput *input, CdcError *err)
{
	char lsn[LSN_TEXT_SIZE];
	char confirmed[LSN_TEXT_SIZE];
	char wal_end[LSN_TEXT_SIZE];

	lsn_format(lsn, input->lsn);
	lsn_format(confirmed, input->slot_confirmed);
	lsn_format(wal_end, input->wal_end);
	if (input->lsn < input->slot_confirmed)
	{
		cdc_error(
			err, CDC_USAGE,
			"--lsn: %s lies before %s, where slot \"%s\" begins: the server has forgotten for "
			"this slot what was committed before",
			lsn, confirmed, input->source->slot);
		cdc_error_hint(err, "An earlier record can be had through a copy of the slot that was made "
							"then, if there is one (cdc_client slot list).");
		return CDC_USAGE;
	}
	if (input->lsn > input->wal_end)
	{
		cdc_error(err, CDC_USAGE, "--lsn: %s lies beyond %s, where the server's WAL ends", lsn,
				  wal_end);
		cdc_error_hint(err, "Allowed is %s to %s.", confirmed, wal_end);
		return CDC_USAGE;
	}
	return CDC_OK;
}

/* Whether records come that the sink has. */
static bool
goes_back(const OffsetInput *input)
{
	const Position *stored = &input->stored;

	return stored->id.commit_lsn > input->lsn ||
		   (stored->id.commit_lsn == input->lsn && stored->id.seq > 0);
}

static void
explain(const OffsetInput *input, OffsetPlan *plan, bool back)
{
	char lsn[LSN_TEXT_SIZE];
	char old[LSN_TEXT_SIZE];
	size_t size = sizeof(plan->meaning);

	lsn_format(lsn, plan->position.confirmed);
	lsn_format(old, input->found ? input->stored.confirmed : input->slot_confirmed);
	if (input->found && !source_equal(input->source, &input->stored_source))
		snprintf(
			plan->meaning, size,
			"The sink had a position of another stream (slot \"%s\" of database \"%s\"), which "
			"is replaced. What commits from %s on is delivered, under incarnation %" PRIu32 ".",
			input->stored_source.slot, input->stored_source.database, lsn,
			plan->position.incarnation);
	else if (back)
		snprintf(plan->meaning, size,
				 "What commits from %s on is delivered, also what the sink has already up to %s: "
				 "that comes a second time, under incarnation %" PRIu32 ".",
				 lsn, old, plan->position.incarnation);
	else if (plan->position.confirmed >
			 (input->found ? input->stored.confirmed : input->slot_confirmed))
		snprintf(
			plan->meaning, size,
			"What commits from %s on is delivered. What was committed between %s and there and "
			"is not in the sink yet is skipped for good.",
			lsn, old);
	else
		snprintf(plan->meaning, size, "Nothing is skipped and nothing comes again.");
}

static void
explain_snapshot(const OffsetInput *input, OffsetPlan *plan)
{
	size_t length = strlen(plan->meaning);

	if (!input->found || !snapshot_cursor_is_unfinished(input->stored.snapshot, &input->stored.id))
		return;
	snprintf(plan->meaning + length, sizeof(plan->meaning) - length, "%s",
			 plan->position.snapshot != NULL
				 ? " The snapshot of existing rows goes on where it was."
				 : " That stream's snapshot of existing rows, which is not through, is given up.");
}

CdcStatus
offset_plan_make(const OffsetInput *input, OffsetPlan *plan, CdcError *err)
{
	Position *position = &plan->position;
	bool same = input->found && source_equal(input->source, &input->stored_source);
	bool back = input->found && (input->reset || goes_back(input));
	CdcStatus status = input->reset ? CDC_OK : check_range(input, err);

	memset(plan, 0, sizeof(*plan));
	if (status != CDC_OK)
		return status;
	position->timeline = input->timeline;
	if (input->found)
		position->incarnation = input->stored.incarnation + (!same || back ? 1 : 0);
	position->confirmed = input->slot_confirmed;
	if (!input->reset)
	{
		/* (LSN, 0, 0) is the last id that a record of what ended before it can have */
		position->id.commit_lsn = input->lsn;
		position->end_lsn = input->lsn;
		position->confirmed = input->lsn;
	}
	if (same)
		position->snapshot = snapshot_cursor_carry(input->stored.snapshot, &input->stored.id);
	explain(input, plan, back);
	explain_snapshot(input, plan);
	return CDC_OK;
}
