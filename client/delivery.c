/*
 * delivery.c
 *		From a message's frames to the sink.
 */
#include "delivery.h"

#include <inttypes.h>

#include "../plugin/cdc_protocol.h"
#include "divert.h"
#include "snapshot.h"

/* Records rise strictly; otherwise one would be taken for a double and lost in silence. */
static CdcStatus
check_order(Delivery *delivery, const RecordId *id, CdcError *err)
{
	char lsn[LSN_TEXT_SIZE];
	char seen_lsn[LSN_TEXT_SIZE];
	const MessageHeader *message = &delivery->session->reader.message;

	if (delivery->in_transaction && delivery->transaction_lsn != id->commit_lsn)
		return cdc_error(
			err, CDC_STOP, "the server began transaction %s before it ended transaction %s",
			lsn_format(lsn, id->commit_lsn), lsn_format(seen_lsn, delivery->transaction_lsn));
	if (delivery->frame.kind == CDC_FRAME_COMMIT && !message->transactional)
		return CDC_OK; /* has the id of the message that it ends */
	if (delivery->frame.kind == CDC_FRAME_SCHEMA || delivery->frame.kind == CDC_FRAME_WATERMARK)
		return CDC_OK; /* has none */
	if (record_id_compare(id, &delivery->seen) <= 0)
		return cdc_error(err, CDC_STOP,
						 "the server sent record %s seq %" PRIu64 " after record %s seq %" PRIu64,
						 lsn_format(lsn, id->commit_lsn), id->seq,
						 lsn_format(seen_lsn, delivery->seen.commit_lsn), delivery->seen.seq);
	delivery->seen = *id;
	return CDC_OK;
}

/*
 * The position that holds once this record, or end of a transaction, is durable.
 *
 * It never goes back: where the sink's records tell more than the position stored beside them, the
 * server begins again with transactions that are delivered.  Their ends are news to end_lsn only.
 */
static Position
position_after(const Session *session, const RecordId *id)
{
	const MessageHeader *message = &session->reader.message;
	Position after = session->taken;

	if (message->timeline > after.timeline)
	{
		after.timeline = message->timeline;
		after.timeline_began = 0;
	}
	if (record_id_compare(id, &after.id) <= 0)
		return after;
	after.id = *id;
	if (message->commit_time != 0)
		after.commit_time = message->commit_time;
	return after;
}

/* Hands one record to the sink, unless the window is full or the sink is. */
static CdcStatus
deliver_record(Delivery *delivery, const MessageHeader *message, const Frame *frame,
			   const RecordId *id, CdcError *err)
{
	Session *session = delivery->session;
	StreamState *state = session->state;
	const SinkOps *ops = state->sink->base.ops;
	uint64_t in_flight = session->taken_bytes - session->progress.durable_bytes;
	uint32_t length = frame->payload_length;
	Position after = position_after(session, id);
	SinkRecord record = {
		.message = message, .frame = frame, .id = *id, .incarnation = after.incarnation};
	bool taken;
	CdcStatus status;

	if (delivery->cursor != NULL)
		after.snapshot = delivery->cursor;

	if (divert_wanted(session, id))
	{
		status = divert_record(delivery, &record, &after, &delivery->record_taken, err);
		delivery->sink_full = !delivery->record_taken;
		return status;
	}
	if (in_flight > 0 && in_flight + length > state->options->max_in_flight)
	{
		delivery->sink_full = true;
		return session_sink_status(session, ops->flush(state->sink, err));
	}
	status = ops->deliver(state->sink, &record, &after, &taken, err);
	if (status == CDC_REFUSED)
	{
		/* the sink goes on, and the record is diverted when it is tried again */
		divert_remember(session, id, err);
		delivery->sink_full = true;
		return CDC_OK;
	}
	status = session_sink_status(session, status);
	if (status != CDC_OK || !taken)
	{
		delivery->sink_full = true;
		return status;
	}
	session->taken = after;
	session->taken_bytes += length;
	delivery->record_taken = true;
	state->records++;
	state->bytes += length;
	if (record_id_compare(id, &state->handed_over) > 0)
		state->handed_over = *id;
	return CDC_OK;
}

/* A fact about a relation: however often it comes, it moves no position. */
static CdcStatus
deliver_schema(Delivery *delivery, const MessageHeader *message, const Frame *frame, CdcError *err)
{
	Session *session = delivery->session;
	const SinkOps *ops = session->state->sink->base.ops;
	SinkRecord record = {
		.message = message, .frame = frame, .incarnation = session->taken.incarnation};
	CdcStatus status;

	if (!ops->takes_schemas)
	{
		cdc_error(err, CDC_STOP, "the stream has schema records, which the sink %s does not take",
				  ops->name);
		cdc_error_hint(err, "Stream without them: --option=schemas=off.");
		return CDC_STOP;
	}
	status =
		session_sink_status(session, ops->deliver(session->state->sink, &record, &session->taken,
												  &delivery->record_taken, err));
	if (status == CDC_OK && delivery->record_taken)
		session->taken_bytes += frame->payload_length;
	else
		delivery->sink_full = true;
	return status;
}

static CdcStatus
end_transaction(Delivery *delivery, const RecordId *id, CdcError *err)
{
	Session *session = delivery->session;
	uint64_t end_lsn = session->reader.message.end_lsn;
	Position after;

	delivery->in_transaction = false;
	delivery->ended_lsn = end_lsn;
	if (end_lsn <= session->taken.end_lsn)
		return CDC_OK; /* was whole before this session */
	after = position_after(session, id);
	if (delivery->cursor != NULL)
	{
		after.id.seq = delivery->chunk_end;
		after.snapshot = delivery->cursor;
		delivery->cursor = NULL;
	}
	after.end_lsn = end_lsn;
	if (after.confirmed < end_lsn)
		after.confirmed = end_lsn;
	session->taken = after;
	return session_sink_status(session, session->state->sink->base.ops->end_transaction(
											session->state->sink, &after, err));
}

/*
 * A watermark: what changed since the first one, or, at the second one, what is left of the chunk.  *done:
 * nothing more.
 */
static CdcStatus
deliver_chunk(Delivery *delivery, bool *done, CdcError *err)
{
	Snapshot *snapshot = delivery->session->snapshot;
	const Frame *watermark = &delivery->frame;
	SnapshotItem item;
	SnapshotStep step = SNAPSHOT_RECORD;
	CdcStatus status = CDC_OK;

	*done = true;
	if (watermark->op == CDC_WATERMARK_BACKFILL)
	{
		snapshot_bell(snapshot, watermark->seq);
		return CDC_OK;
	}
	if (watermark->op != CDC_WATERMARK_HIGH && watermark->op != CDC_WATERMARK_HIGH_VOID)
	{
		snapshot_note(snapshot, watermark);
		return CDC_OK;
	}
	while (status == CDC_OK && !delivery->sink_full)
	{
		status = snapshot_next(snapshot, watermark, &step, &item, err);
		if (status != CDC_OK || step != SNAPSHOT_RECORD)
			break;
		delivery->cursor = item.cursor;
		delivery->record_taken = false;
		if (item.frame->kind == CDC_FRAME_SCHEMA)
			status = deliver_schema(delivery, item.message, item.frame, err);
		else
		{
			RecordId id = {delivery->session->reader.message.commit_lsn, item.frame->seq,
						   item.frame->part};

			status = deliver_record(delivery, item.message, item.frame, &id, err);
			delivery->seen = id;
		}
		if (delivery->record_taken)
			snapshot_taken(snapshot);
		if (divert_settling(delivery))
			delivery->sink_full = true;
	}
	*done = status == CDC_OK && step == SNAPSHOT_END;
	if (step == SNAPSHOT_WAIT)
		delivery->sink_full = true;
	delivery->record_taken = false;
	if (*done)
	{
		delivery->cursor = item.cursor;
		delivery->chunk_end = item.end_seq;
	}
	return status;
}

/* Hands over the frame at hand; have_frame stays set where the sink is full. */
static CdcStatus
hand_over(Delivery *delivery, CdcError *err)
{
	Session *session = delivery->session;
	const Frame *frame = &delivery->frame;
	RecordId id = {session->reader.message.commit_lsn, frame->seq, frame->part};
	bool is_record = frame->kind == CDC_FRAME_RECORD || frame->payload_length > 0;
	CdcStatus status = CDC_OK;

	if (frame->kind == CDC_FRAME_WATERMARK)
	{
		bool done;

		status = deliver_chunk(delivery, &done, err);
		if (status != CDC_OK || !done)
			return status;
	}
	else if (frame->kind == CDC_FRAME_SCHEMA)
	{
		status = deliver_schema(delivery, &session->reader.message, frame, err);
		if (status != CDC_OK || !delivery->record_taken)
			return status;
	}
	else if (is_record && !delivery->record_taken && record_id_compare(&id, &session->start.id) > 0)
	{
		status = deliver_record(delivery, &session->reader.message, frame, &id, err);
		if (status != CDC_OK || !delivery->record_taken)
			return status;
	}
	delivery->have_frame = false;
	delivery->record_taken = false;
	if (frame->kind == CDC_FRAME_COMMIT)
		status = end_transaction(delivery, &id, err);
	return status;
}

void
delivery_drop(Delivery *delivery)
{
	PQfreemem(delivery->message);
	delivery->message = NULL;
}

CdcStatus
delivery_continue(Delivery *delivery, CdcError *err)
{
	Session *session = delivery->session;

	while (delivery->message != NULL && !delivery->sink_full)
	{
		CdcStatus status = CDC_OK;

		if (divert_settling(delivery))
		{
			delivery->sink_full = true;
			return CDC_OK;
		}
		if (!delivery->have_frame)
		{
			RecordId id;

			status = frame_next(&session->reader, &delivery->frame, &delivery->have_frame, err);
			if (status == CDC_OK && !delivery->have_frame)
			{
				delivery_drop(delivery);
				return CDC_OK;
			}
			id = (RecordId){session->reader.message.commit_lsn, delivery->frame.seq,
							delivery->frame.part};
			if (status == CDC_OK)
				status = check_order(delivery, &id, err);
			delivery->in_transaction = true;
			delivery->transaction_lsn = id.commit_lsn;
		}
		if (status == CDC_OK)
			status = hand_over(delivery, err);
		if (status != CDC_OK)
			return status;
	}
	return CDC_OK;
}
