/*
 * test_resume.c
 *		Where to go on: at the slot, at the sink's position, over a promotion, and what is refused; and
 *		positions that are set by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "offset_plan.h"
#include "resume.h"

static const Source here = {"7301234567890123456", "shop", "cdc", "shop"};

static CdcError err;

/* A server on timeline 3, which it took from 1 at 1000 and from 2 at 2000; its WAL ends at 5000. */
static TimelineEntry entries[] = {{1, 0x1000}, {2, 0x2000}};
static const TimelineHistory history3 = {3, 2, entries};

static ResumeInput
input_at(uint32_t timeline, uint64_t commit_lsn, uint64_t seq, uint64_t end_lsn, uint64_t confirmed,
		 uint64_t slot_confirmed)
{
	return (ResumeInput){.source = &here,
						 .history = &history3,
						 .wal_end = 0x5000,
						 .slot_confirmed = slot_confirmed,
						 .found = true,
						 .stored_source = here,
						 .stored = {.timeline = timeline,
									.incarnation = 4,
									.id = {commit_lsn, seq, 0},
									.end_lsn = end_lsn,
									.confirmed = confirmed}};
}

static ResumePlan plan;

static void
goes_on(const ResumeInput *input, uint64_t commit_lsn, uint64_t seq, uint64_t confirmed,
		uint32_t incarnation)
{
	CdcStatus status;

	memset(&err, 0, sizeof(err));
	status = resume_decide(input, &plan, &err);
	if (status != CDC_OK)
		fail_msg("%s: %s", err.message, err.detail);
	assert_int_equal(plan.start.id.commit_lsn, commit_lsn);
	assert_int_equal(plan.start.id.seq, seq);
	assert_int_equal(plan.start.confirmed, confirmed);
	assert_int_equal(plan.start.incarnation, incarnation);
	assert_int_equal(plan.start.timeline, 3);
}

static void
refuses(const ResumeInput *input, const char *message, const char *hint)
{
	assert_int_equal(resume_decide(input, &plan, &err), CDC_STOP);
	if (strstr(err.message, message) == NULL || strstr(err.hint, hint) == NULL)
		fail_msg("\"%s\" \"%s\" expected, not \"%s\" \"%s\"", message, hint, err.message, err.hint);
	assert_string_not_equal(err.detail, "");
}

static void
first_use_starts_at_the_slot(void **state)
{
	ResumeInput input = input_at(3, 0, 0, 0, 0, 0x4000);

	(void) state;
	input.found = false;
	goes_on(&input, 0, 0, 0x4000, 0);
	assert_true(plan.changed);
	assert_int_equal(plan.num_notes, 1);
	assert_false(plan.notes[0].warning);
	input.require_position = true;
	refuses(&input, "has no position", "--require-position");
}

static void
a_sink_without_memory_starts_at_the_slot(void **state)
{
	ResumeInput input = input_at(3, 0, 0, 0, 0, 0x4000);

	(void) state;
	input.found = false;
	input.sink_forgets = true;
	goes_on(&input, 0, 0, 0x4000, 0);
	assert_non_null(strstr(plan.notes[0].text, "keeps no position"));
	input.require_position = true;
	assert_int_equal(resume_decide(&input, &plan, &err), CDC_USAGE);
	assert_non_null(strstr(err.message, "--require-position"));
}

/* What it was told to keep in this very run it must have. */
static void
refuses_a_sink_that_forgot(void **state)
{
	ResumeInput input = input_at(3, 0, 0, 0, 0, 0x4000);

	(void) state;
	input.found = false;
	input.had_position = true;
	assert_int_equal(resume_decide(&input, &plan, &err), CDC_STOP);
	assert_non_null(strstr(err.message, "has forgotten its position for slot \"cdc\""));
	assert_non_null(strstr(err.detail, "0/4000"));
	assert_non_null(strstr(err.hint, "start cdc_client again"));
}

static void
goes_on_where_it_was(void **state)
{
	ResumeInput input = input_at(3, 0x3f00, 7, 0x3e00, 0x3e00, 0x3e00);

	(void) state;
	goes_on(&input, 0x3f00, 7, 0x3e00, 4);
	assert_false(plan.changed);
	assert_int_equal(plan.num_notes, 0);
	assert_int_equal(plan.start.end_lsn, 0x3e00);
	/* the slot may be behind: what was confirmed last did not reach the server */
	input.slot_confirmed = 0x100;
	goes_on(&input, 0x3f00, 7, 0x3e00, 4);
}

static void
refuses_a_gap(void **state)
{
	ResumeInput input = input_at(3, 0x3f00, 7, 0x3e00, 0x3e00, 0x3e01);

	(void) state;
	refuses(&input, "records are missing", "--accept=gap");
	assert_non_null(strstr(err.message, "0/3E01"));
	assert_non_null(strstr(err.detail, "0/3E00"));
	input.accepts.divergence = input.accepts.other_source = true; /* these are others */
	refuses(&input, "records are missing", "--accept=gap");
	input.accepts.gap = true;
	goes_on(&input, 0x3f00, 7, 0x3e01, 4);
	assert_true(plan.changed);
	assert_true(plan.notes[0].warning);
}

static void
refuses_another_source(void **state)
{
	ResumeInput input = input_at(3, 0x3f00, 7, 0x3e00, 0x3e00, 0x200);

	(void) state;
	strcpy(input.stored_source.slot, "other");
	refuses(&input, "another source", "--accept=other-source");
	assert_non_null(strstr(err.detail, "\"other\""));
	assert_non_null(strstr(err.detail, "\"cdc\""));
	input.accepts.other_source = true;
	goes_on(&input, 0, 0, 0x200, 5);
	assert_true(plan.changed && plan.notes[0].warning);
}

static void
follows_a_promotion(void **state)
{
	/* all that it has was on the old timeline before the switch; confirmed counts up to there */
	ResumeInput input = input_at(1, 0xf00, 9, 0x1000, 0x1800, 0x1000);

	(void) state;
	goes_on(&input, 0xf00, 9, 0x1000, 4);
	assert_true(plan.changed);
	/* somebody else consumed on the new timeline, below what was confirmed on the old one */
	input.slot_confirmed = 0x1001;
	refuses(&input, "records are missing", "--accept=gap");
	/* a message outside transactions that ends at the switch point is before it */
	input = input_at(1, 0x1000, 0, 0x1000, 0x1000, 0x1000);
	goes_on(&input, 0x1000, 0, 0x1000, 4);
}

static void
refuses_a_divergence(void **state)
{
	static const struct
	{
		uint64_t commit_lsn;
		uint64_t seq;
		uint64_t end_lsn;
	} bad[] = {
		{0xfff, 3, 0x1001},  /* whole beyond the switch point */
		{0x1000, 1, 0x0f00}, /* part of a transaction that commits at the switch point */
		{0x1200, 1, 0x0f00},
	};

	(void) state;
	for (size_t i = 0; i < 3; i++)
	{
		ResumeInput input =
			input_at(1, bad[i].commit_lsn, bad[i].seq, bad[i].end_lsn, 0x1800, 0x0f00);

		refuses(&input, "left timeline 1 at 0/1000", "--accept=divergence");
		assert_non_null(strstr(err.detail, "timeline 3"));
		input.accepts.gap = input.accepts.other_source = true;
		refuses(&input, "diverged", "--accept=divergence");
		input.accepts = (ResumeAccepts){.divergence = true};
		goes_on(&input, 0x1000, 0, 0x1000, 5);
		assert_true(plan.start.end_lsn <= 0x1000);
		assert_true(plan.changed && plan.notes[0].warning);
		/* accepting the one is not accepting the other */
		input.slot_confirmed = 0x1400;
		refuses(&input, "records are missing", "--accept=gap");
	}
}

/* Each of two standbys was promoted without the other: timelines of one number that began at different places. */
static void
refuses_a_twin(void **state)
{
	ResumeInput input = input_at(3, 0x3f00, 7, 0x3e00, 0x3e00, 0x1800);

	(void) state;
	goes_on(&input, 0x3f00, 7, 0x3e00, 4); /* a position that does not tell */
	assert_int_equal(plan.start.timeline_began, 0x2000);
	input.stored.timeline_began = 0x2000;
	goes_on(&input, 0x3f00, 7, 0x3e00, 4);
	assert_false(plan.changed);
	input.stored.timeline_began = 0x2800;
	refuses(&input, "began at 0/2800, and the server's at 0/2000", "--accept=divergence");
	input.accepts.divergence = true;
	goes_on(&input, 0x2000, 0, 0x2000, 5);
	assert_int_equal(plan.start.timeline_began, 0x2000);
	input.stored.timeline_began = 0x1900;
	goes_on(&input, 0x1900, 0, 0x1900, 5);
	/* what it has is from before they parted */
	input = input_at(3, 0x1f00, 7, 0x1f80, 0x3e00, 0x1800);
	input.stored.timeline_began = 0x2800;
	goes_on(&input, 0x1f00, 7, 0x2000, 4);
	assert_true(plan.changed);
	assert_int_equal(plan.start.timeline_began, 0x2000);
	/* of a timeline that the server has left since */
	input = input_at(2, 0x1900, 7, 0x1800, 0x1800, 0x1000);
	goes_on(&input, 0x1900, 7, 0x1800, 4);
	input.stored.timeline_began = 0x1200;
	refuses(&input, "timeline 2 of the sink's position began at 0/1200", "--accept=divergence");
}

static void
refuses_an_old_primary(void **state)
{
	ResumeInput input = input_at(4, 0x1200, 1, 0x1100, 0x1100, 0x1000);

	(void) state;
	refuses(&input, "not in the server's history", "--accept=divergence");
	input.accepts.divergence = true;
	goes_on(&input, 0, 0, 0x1000, 5);
}

static const SnapshotCursor *
half_a_snapshot(void)
{
	SnapshotState half = {.kind = SNAPSHOT_INITIAL,
						  .relation = 16400,
						  .name = "public.t",
						  .key = "[\"id\"]",
						  .rows = 7};
	const SnapshotCursor *cursor;

	snapshot_ranges_add(&half.ranges, "[\"7\"]", "");
	cursor = snapshot_cursor_create(&half, NULL);
	snapshot_ranges_clear(&half.ranges);
	return cursor;
}

static void
is_half_a_snapshot(const Position *position)
{
	struct json_object *object = snapshot_cursor_to_json(position->snapshot, &position->id);

	assert_non_null(object);
	assert_string_equal(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN),
						"{\"kind\":\"initial\",\"relation\":16400,\"table\":\"public.t\","
						"\"key\":[\"id\"],\"after\":[\"7\"],\"rows\":\"7\"}");
	json_object_put(object);
}

/* What is left of a snapshot is neither forgotten nor taken for another source's. */
static void
a_snapshot_is_not_dropped(void **state)
{
	ResumeInput input = input_at(1, 0xfff, 3, 0x1001, 0x1800, 0x0f00);

	(void) state;
	input.stored.snapshot = half_a_snapshot();
	input.accepts.divergence = true;
	goes_on(&input, 0x1000, 0, 0x1000, 5);
	is_half_a_snapshot(&plan.start);
	assert_false(plan.begins_anew);
	assert_non_null(strstr(plan.notes[0].text, "snapshot of existing rows goes on"));
	strcpy(input.stored_source.slot, "other");
	input.accepts = (ResumeAccepts){.other_source = true};
	refuses(&input, "snapshot of existing rows that is not through", "--snapshot=never");
	input.snapshot_said = true;
	goes_on(&input, 0, 0, 0x0f00, 5);
	assert_null(plan.start.snapshot);
	assert_true(plan.begins_anew);
	input.stored.snapshot = NULL;
	input.snapshot_said = false;
	goes_on(&input, 0, 0, 0x0f00, 5);
	assert_false(plan.begins_anew);
}

static void
refuses_a_server_that_lost_wal(void **state)
{
	ResumeInput input = input_at(3, 0x5001, 1, 0x4000, 0x4000, 0x4000);

	(void) state;
	refuses(&input, "WAL ends before", "--accept=divergence");
	input.in_recovery = true; /* a standby may lag */
	goes_on(&input, 0x5001, 1, 0x4000, 4);
}

/* A position set by hand: what the sink has of it, and what is said to follow. */
static OffsetPlan
plan_offset(const OffsetInput *input, const char *meaning)
{
	OffsetPlan made;

	assert_int_equal(offset_plan_make(input, &made, &err), CDC_OK);
	if (strstr(made.meaning, meaning) == NULL)
		fail_msg("\"%s\" expected, not \"%s\"", meaning, made.meaning);
	return made;
}

static void
offsets_are_set(void **state)
{
	OffsetInput input = {
		.source = &here, .timeline = 3, .wal_end = 0x5000, .slot_confirmed = 0x1000, .lsn = 0x2000};
	OffsetPlan made;

	(void) state;
	made = plan_offset(&input,
					   "committed between 0/1000 and there and is not in the sink yet is skipped");
	assert_int_equal(made.position.id.commit_lsn, 0x2000);
	assert_int_equal(made.position.id.seq, 0);
	assert_int_equal(made.position.end_lsn, 0x2000);
	assert_int_equal(made.position.confirmed, 0x2000);
	assert_int_equal(made.position.timeline, 3);
	assert_int_equal(made.position.incarnation, 0);

	/* ahead of what the sink has */
	input.found = true;
	input.stored_source = here;
	input.stored =
		(Position){.timeline = 2, .incarnation = 4, .id = {0x1500, 7, 0}, .confirmed = 0x1600};
	made = plan_offset(&input, "between 0/1600 and there");
	assert_int_equal(made.position.incarnation, 4);

	/* back into the middle of a transaction that it has: nothing may be taken for what it is not */
	input.lsn = 0x1500;
	made =
		plan_offset(&input, "already up to 0/1600: that comes a second time, under incarnation 5");
	assert_int_equal(made.position.incarnation, 5);
	assert_int_equal(made.position.confirmed, 0x1500);
	input.stored.id.seq = 0;
	made = plan_offset(&input, "Nothing is skipped and nothing comes again");
	assert_int_equal(made.position.incarnation, 4);
	input.lsn = 0x1600;
	made = plan_offset(&input, "Nothing is skipped and nothing comes again");

	/* anew */
	input.reset = true;
	made = plan_offset(&input, "What commits from 0/1000 on is delivered, also what the sink has");
	assert_int_equal(made.position.incarnation, 5);
	assert_int_equal(made.position.id.commit_lsn, 0);
	assert_int_equal(made.position.end_lsn, 0);
	assert_int_equal(made.position.confirmed, 0x1000);
	strcpy(input.stored_source.slot, "other");
	made = plan_offset(&input, "position of another stream (slot \"other\"");
	assert_int_equal(made.position.incarnation, 5);

	/* a snapshot that is not through */
	input.stored.snapshot = half_a_snapshot();
	made = plan_offset(
		&input, "That stream's snapshot of existing rows, which is not through, is given up");
	assert_null(made.position.snapshot);
	input.stored_source = here;
	made = plan_offset(&input, "The snapshot of existing rows goes on where it was");
	is_half_a_snapshot(&made.position);
	input.reset = false;
	input.lsn = 0x2000;
	made = plan_offset(&input, "The snapshot of existing rows goes on where it was");
	is_half_a_snapshot(&made.position);

	/* what the slot cannot give */
	input.lsn = 0xfff;
	assert_int_equal(offset_plan_make(&input, &made, &err), CDC_USAGE);
	assert_non_null(strstr(err.message, "0/FFF lies before 0/1000"));
	input.lsn = 0x5001;
	assert_int_equal(offset_plan_make(&input, &made, &err), CDC_USAGE);
	assert_non_null(strstr(err.hint, "Allowed is 0/1000 to 0/5000"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_use_starts_at_the_slot),
		cmocka_unit_test(a_sink_without_memory_starts_at_the_slot),
		cmocka_unit_test(refuses_a_sink_that_forgot),
		cmocka_unit_test(goes_on_where_it_was),
		cmocka_unit_test(refuses_a_gap),
		cmocka_unit_test(refuses_another_source),
		cmocka_unit_test(follows_a_promotion),
		cmocka_unit_test(refuses_a_divergence),
		cmocka_unit_test(refuses_a_twin),
		cmocka_unit_test(refuses_an_old_primary),
		cmocka_unit_test(a_snapshot_is_not_dropped),
		cmocka_unit_test(refuses_a_server_that_lost_wal),
		cmocka_unit_test(offsets_are_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
