/*
 * divert.c
 *		What becomes of a record that the sink refuses.
 */
#include "divert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "log.h"

/* Thousands of refusals in a row are no thousands of warnings. */
#define LOG_INTERVAL CLOCK_SECOND

bool
divert_remember(Session *session, const RecordId *id, const CdcError *answer)
{
	Refusal *refusal = &session->state->refusal;
	bool again = refusal->incarnation == session->taken.incarnation &&
				 record_id_compare(id, &refusal->id) <= 0 && refusal->known;

	refusal->known = true;
	refusal->id = *id;
	refusal->incarnation = session->taken.incarnation;
	refusal->answer = *answer;
	return !again;
}

bool
divert_wanted(const Session *session, const RecordId *id)
{
	const Refusal *refusal = &session->state->refusal;

	return refusal->known && refusal->incarnation == session->taken.incarnation &&
		   record_id_compare(id, &refusal->id) == 0;
}

/* "record 0/16E2A10 seq 3 part 1 of public.orders" */
static void
describe_record(char *text, size_t size, const SinkRecord *record)
{
	const Relation *relation = record->frame->relation;
	char lsn[LSN_TEXT_SIZE];
	char part[16] = "";

	if (record->id.part > 0)
		snprintf(part, sizeof(part), " part %u", (unsigned) record->id.part);
	snprintf(text, size, "record %s seq %" PRIu64 "%s%s%s%s%s",
			 lsn_format(lsn, record->id.commit_lsn), record->id.seq, part,
			 relation != NULL ? " of " : "", relation != NULL ? relation->schema : "",
			 relation != NULL ? "." : "", relation != NULL ? relation->table : "");
}

static CdcStatus
stop_at(const Session *session, const SinkRecord *record, CdcError *err)
{
	const StreamState *state = session->state;
	const CdcError *answer = &state->refusal.answer;
	char what[256];

	describe_record(what, sizeof(what), record);
	cdc_error(err, CDC_STOP, "%s was refused by sink \"%s\": %.1500s", what,
			  state->sink->base.ops->name, answer->message);
	snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", answer->sqlstate);
	cdc_error_detail(err,
					 "%.1800s%sAll that was committed before it is durable; it comes again at "
					 "the next start.",
					 answer->detail, answer->detail[0] != '\0' ? " " : "");
	cdc_error_hint(err,
				   "%.1500s%sRepair what refuses it; or set such records aside and go on: "
				   "--on-error=dead-letter:URI, for example "
				   "--on-error=dead-letter:file:///var/lib/cdc/%s-dead.ndjson.",
				   answer->hint, answer->hint[0] != '\0' ? " " : "", state->options->slot);
	return CDC_STOP;
}

static void
log_diverted(StreamState *state, const SinkRecord *record)
{
	char what[256];
	int64_t now = clock_now();
	bool quiet = state->dead_letter_logged != 0 && now - state->dead_letter_logged < LOG_INTERVAL;

	describe_record(what, sizeof(what), record);
	log_line(quiet ? LOG_DEBUG : LOG_WARNING,
			 "%s was refused and is in the dead-letter sink (%" PRIu64 " since the start): %s",
			 what, state->dead_letters_written, state->refusal.answer.message);
	if (!quiet)
		state->dead_letter_logged = now;
}

CdcStatus
divert_record(Delivery *delivery, const SinkRecord *record, const Position *after, bool *done,
			  CdcError *err)
{
	Session *session = delivery->session;
	StreamState *state = session->state;
	const SinkOps *ops = state->sink->base.ops;
	DeadLetter letter = {.record = record,
						 .source = &session->source,
						 .after = after,
						 .sink = ops->name,
						 .answer = &state->refusal.answer};
	CdcStatus status;

	*done = false;
	if (!position_covers(&session->progress.durable, &session->taken))
		return session_sink_status(session, ops->flush(state->sink, err));
	if (state->dead_letters == NULL)
		return stop_at(session, record, err);
	status = dead_letters_write(state->dead_letters, &letter, err);
	if (status == CDC_OK)
		status = session_sink_status(session, ops->store(state->sink, after, err));
	if (status != CDC_OK)
		return status;
	state->dead_letters_written++;
	log_diverted(state, record);
	session->taken = *after;
	delivery->settling = true;
	*done = true;
	return CDC_OK;
}

bool
divert_settling(Delivery *delivery)
{
	const Session *session = delivery->session;

	if (delivery->settling && position_covers(&session->progress.durable, &session->taken))
		delivery->settling = false;
	return delivery->settling;
}
