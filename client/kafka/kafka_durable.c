/*
 * kafka_durable.c
 *		Making durable: transactions or acknowledgements, positions, and what their errors mean.
 *
 * Exactly once: all records since the last commit, and the position behind them, are one transaction of
 * the producer.  While the worker commits it nothing is taken, since a transaction in librdkafka begins
 * when the last one has ended.
 *
 * At least once: a position is sent when all records up to it are acknowledged; one is on its way at a
 * time.
 */
#include "kafka/kafka_sink.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "kafka/kafka_error.h"

/* A broker that acknowledges nothing for so long is not there (exactly once: the transaction ends). */
#define LONGEST_SILENCE (60 * CLOCK_SECOND)

/* librdkafka's queue is full (the user's limits): a look again after this. */
#define FULL_PAUSE (CLOCK_SECOND / 100)

/* Requests this small are no better than one record each. */
#define MIN_BATCH_BYTES 1024

void
kafka_sink_fail(KafkaSink *sink, CdcStatus status, const CdcError *err)
{
	if (sink->failure != CDC_OK)
		return;
	sink->failure = status;
	sink->failure_error = *err;
}

/* The request was refused for a record in it, or for its size: which record, is found one by one. */
static CdcStatus
narrow_down(KafkaSink *sink, const RecordId *id, CdcError *err)
{
	if (sink->batching.messages == 1 && id == NULL)
		return CDC_STOP; /* a schema record: there is no going on without it */
	if (sink->batching.messages == 1)
	{
		sink->progress.refused = *id;
		sink->batching.messages = 0;
		return CDC_REFUSED;
	}
	sink->batching.messages = 1;
	sink->single_until = sink->taken.id;
	sink->refused_bytes = 0;
	cdc_error_detail(err,
					 "A broker refuses a request as a whole: going on with one record each, to "
					 "find the one that it does not take.");
	return CDC_RETRY;
}

void
kafka_sink_note_error(KafkaSink *sink, rd_kafka_resp_err_t code, const char *reason,
					  const char *topic, const RecordId *id)
{
	char fatal_text[512];
	char lsn[LSN_TEXT_SIZE];
	CdcError err;
	CdcStatus status;

	if (sink->failure != CDC_OK)
		return; /* what fails after that fails because of it */
	/* What was dropped, or not taken, was so because of something else that failed. */
	if (code == RD_KAFKA_RESP_ERR__PURGE_QUEUE || code == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT ||
		code == RD_KAFKA_RESP_ERR__FATAL)
	{
		rd_kafka_resp_err_t fatal =
			rd_kafka_fatal_error(sink->producer.rk, fatal_text, sizeof(fatal_text));

		if (fatal != RD_KAFKA_RESP_ERR_NO_ERROR)
		{
			code = fatal;
			reason = fatal_text;
		}
		else if (sink->in_transaction)
		{
			sink->produce_failed = true; /* committing says of what */
			return;
		}
	}
	if (kafka_error_is_fenced(code))
	{
		sink->fenced = true;
		return;
	}
	if (id != NULL)
		status = kafka_error(&err, code, reason, "brokers %s, topic \"%s\", record %s seq %" PRIu64,
							 sink->config.brokers, topic, lsn_format(lsn, id->commit_lsn), id->seq);
	else
		status = kafka_error(&err, code, reason, "brokers %s, topic \"%s\"", sink->config.brokers,
							 topic);
	if (status == CDC_REFUSED)
		status =
			strcmp(topic, sink->config.positions) != 0 ? narrow_down(sink, id, &err) : CDC_STOP;
	kafka_sink_fail(sink, status, &err);
}

/* What kafka_producer_serve() calls for each message. */
static void
note_report(void *arg, const rd_kafka_message_t *message)
{
	KafkaSink *sink = arg;
	void *opaque = message->_private;
	RecordId id;

	sink->last_report = clock_now();
	if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		bool known = opaque != KAFKA_POSITION_MARK && opaque != KAFKA_CLAIM_MARK &&
					 kafka_record_identify(message, &id);

		kafka_sink_note_error(sink, message->err, NULL, rd_kafka_topic_name(message->rkt),
							  known ? &id : NULL);
		if (kafka_error_status(message->err) == CDC_REFUSED)
			sink->refused_bytes += message->len + message->key_len;
		return;
	}
	if (opaque == KAFKA_CLAIM_MARK)
		sink->claim_offset = message->offset;
	if (sink->config.exactly_once || opaque == KAFKA_CLAIM_MARK)
		return; /* the commit tells */
	if (opaque != KAFKA_POSITION_MARK)
		kafka_acks_received(&sink->acks, opaque);
	else
	{
		sink->position_sent = false;
		sink->progress.durable = sink->sent;
	}
}

void
kafka_sink_serve(KafkaSink *sink)
{
	KafkaProducer *producer = &sink->producer;
	CdcError err;
	CdcStatus status;

	kafka_producer_serve(producer, note_report, sink);
	if (producer->fatal == RD_KAFKA_RESP_ERR_NO_ERROR)
		return;
	if (kafka_error_is_fenced(producer->fatal))
		sink->fenced = true;
	else if (sink->failure == CDC_OK)
	{
		status = kafka_error(&err, producer->fatal, producer->fatal_text, "brokers %s",
							 sink->config.brokers);
		kafka_sink_fail(sink, status == CDC_REFUSED ? CDC_RETRY : status, &err);
	}
}

/* One message to the topic of positions.  object is used up. */
static rd_kafka_resp_err_t
send_value(KafkaSink *sink, const char *key, struct json_object *object, void *mark)
{
	size_t length;
	const char *value = json_object_to_json_string_length(object, JSON_C_TO_STRING_PLAIN, &length);
	size_t key_length = strlen(key);
	const rd_kafka_vu_t vus[] = {
		{.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = sink->positions},
		{.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = KAFKA_POSITION_PARTITION},
		{.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *) key, key_length}},
		{.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {(void *) value, length}},
		{.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
		{.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = mark},
	};
	rd_kafka_resp_err_t code = kafka_producer_send(
		&sink->producer, vus, sizeof(vus) / sizeof(vus[0]), key_length + length);

	json_object_put(object);
	return code;
}

static rd_kafka_resp_err_t
send_position(KafkaSink *sink, const Position *position)
{
	return send_value(sink, sink->job.position_key, position_to_json(&sink->source, position),
					  KAFKA_POSITION_MARK);
}

bool
kafka_sink_send_claim(KafkaSink *sink)
{
	rd_kafka_resp_err_t code;

	sink->claim_offset = -1;
	if (sink->config.exactly_once && !kafka_sink_begin(sink))
		return false;
	code =
		send_value(sink, sink->job.claim_key, kafka_claim_value(&sink->client), KAFKA_CLAIM_MARK);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		kafka_sink_note_error(sink, code, NULL, sink->config.positions, NULL);
	return code == RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* ---------------------------------------------------------------------------------------------
 * Exactly once
 * --------------------------------------------------------------------------------------------- */

bool
kafka_sink_begin(KafkaSink *sink)
{
	rd_kafka_error_t *error;
	rd_kafka_resp_err_t code;

	if (sink->in_transaction)
		return true;
	error = rd_kafka_begin_transaction(sink->producer.rk);
	if (error == NULL)
	{
		sink->in_transaction = true;
		return true;
	}
	code = rd_kafka_error_code(error);
	if (rd_kafka_error_is_fatal(error))
		code = rd_kafka_fatal_error(sink->producer.rk, NULL, 0);
	kafka_sink_note_error(sink, code, rd_kafka_error_string(error), sink->config.positions, NULL);
	rd_kafka_error_destroy(error);
	return false;
}

void
kafka_sink_submit_commit(KafkaSink *sink)
{
	sink->job.patience.deadline =
		clock_now() + sink->config.transaction_timeout_ms * (CLOCK_SECOND / 1000);
	sink->under_way = KAFKA_JOB_COMMIT;
	worker_submit(sink->worker, kafka_job_commit, &sink->job);
}

/*
 * Whether librdkafka has only a part of a record (its queue was full before the tombstone): no position
 * speaks of it yet, so it must not be committed, or after a crash it would come again.  The loop brings the
 * rest when there is room; who wants to flush brings nothing more.
 */
static bool
has_part_of_record(KafkaSink *sink)
{
	CdcError err;

	if (sink->records.sent == 0 || sink->produce_failed)
		return false;
	if (!sink->flush_wanted)
		return true;
	cdc_error(&err, CDC_RETRY,
			  "brokers %s: the end came in the midst of a record, of which librdkafka, whose queue "
			  "is full, has a part: it is delivered again",
			  sink->config.brokers);
	cdc_error_hint(&err, "queue.buffering.max.messages or queue.buffering.max.kbytes of the sink "
						 "is small: leave it out.");
	kafka_sink_fail(sink, CDC_RETRY, &err);
	return true;
}

bool
kafka_sink_start_commit(KafkaSink *sink)
{
	rd_kafka_resp_err_t code;

	if (has_part_of_record(sink))
		return false;
	if (!kafka_sink_begin(sink))
		return true; /* a failure is noted */
	code = send_position(sink, &sink->taken);
	if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL)
		return false;
	/* A transaction that has failed takes no message; what it failed of, its commit says. */
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR__STATE)
	{
		kafka_sink_note_error(sink, code, NULL, sink->config.positions, NULL);
		return true;
	}
	sink->produce_failed = code == RD_KAFKA_RESP_ERR__STATE;
	sink->committing = sink->taken;
	sink->committing_bytes = sink->taken_bytes;
	sink->dirty = sink->flush_wanted = false;
	sink->dirty_since = 0;
	kafka_sink_submit_commit(sink);
	return true;
}

static void
finish_commit(KafkaSink *sink, CdcStatus status, const CdcError *err)
{
	CdcError wrong;

	if (status == CDC_OK && sink->produce_failed)
	{
		/* librdkafka does not do so: what it refused to take it cannot have committed */
		cdc_error(&wrong, CDC_RETRY, "brokers %s: a transaction was committed without its position",
				  sink->config.brokers);
		kafka_sink_fail(sink, CDC_RETRY, &wrong);
	}
	else if (status == CDC_OK)
	{
		sink->in_transaction = false;
		sink->progress.durable = sink->committing;
		sink->progress.durable_bytes = sink->committing_bytes;
	}
	else if (sink->job.fenced)
		sink->fenced = true;
	else
		/* a record that was refused has said so itself */
		kafka_sink_fail(sink, status == CDC_REFUSED ? CDC_RETRY : status, err);
}

static void
advance_transaction(KafkaSink *sink, int64_t now)
{
	uint64_t gathered = sink->taken_bytes - sink->progress.durable_bytes;

	if (!sink->dirty)
	{
		sink->flush_wanted = false;
		if (!sink->produce_failed)
			return;
	}
	if (sink->dirty_since == 0)
		sink->dirty_since = now;
	/* Short of the whole window, so that what has come by then fits still. */
	if (sink->flush_wanted || sink->produce_failed || gathered >= sink->max_in_flight / 4 * 3 ||
		now - sink->dirty_since >= sink->commit_interval)
		if (!kafka_sink_start_commit(sink))
			sink->not_before = now + FULL_PAUSE;
}

/* ---------------------------------------------------------------------------------------------
 * At least once
 * --------------------------------------------------------------------------------------------- */

static void
check_silence(KafkaSink *sink, int64_t now)
{
	CdcError err;

	if (sink->producer.cost == 0)
		sink->last_report = now;
	if (now - sink->last_report < LONGEST_SILENCE)
		return;
	cdc_error(&err, CDC_RETRY, "the brokers %s have acknowledged nothing for %d s%s%s",
			  sink->config.brokers, (int) (LONGEST_SILENCE / CLOCK_SECOND),
			  sink->producer.trouble_text[0] != '\0' ? "; the last error was: " : "",
			  sink->producer.trouble_text);
	kafka_sink_fail(sink, CDC_RETRY, &err);
}

static void
advance_acks(KafkaSink *sink, int64_t now)
{
	const KafkaAcks *acks = &sink->acks;
	rd_kafka_resp_err_t code;

	check_silence(sink, now);
	kafka_acks_close_group(&sink->acks);
	sink->progress.durable_bytes = acks->acked_bytes;
	if (acks->acked_serial == acks->serial && acks->acked_serial == sink->stored_serial &&
		!sink->position_sent)
		sink->flush_wanted = false;
	if (acks->acked_serial == sink->stored_serial || sink->position_sent)
		return;
	if (sink->dirty_since == 0)
		sink->dirty_since = now;
	if (!sink->flush_wanted && now - sink->dirty_since < sink->commit_interval)
		return;
	code = send_position(sink, &acks->acked);
	if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL)
		sink->not_before = now + FULL_PAUSE;
	else if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		kafka_sink_note_error(sink, code, NULL, sink->config.positions, NULL);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		return;
	sink->position_sent = true;
	sink->sent = acks->acked;
	sink->stored_serial = acks->acked_serial;
	sink->dirty_since = 0;
}

/* ---------------------------------------------------------------------------------------------
 * Both
 * --------------------------------------------------------------------------------------------- */

/* All that had to go one by one is durable, and no record was refused: it was the requests' size. */
static void
check_batching(KafkaSink *sink)
{
	CdcError err;
	int bytes = sink->batching.bytes;

	if (sink->batching.messages == 0 ||
		record_id_compare(&sink->progress.durable.id, &sink->single_until) < 0)
		return;
	if (bytes == 0)
		bytes = sink->config.batch_bytes;
	if (sink->refused_bytes < (uint64_t) bytes)
		bytes = (int) sink->refused_bytes;
	if (bytes / 2 < MIN_BATCH_BYTES)
		return; /* then one by one is as well */
	sink->batching = (KafkaBatching){.bytes = bytes / 2};
	cdc_error(&err, CDC_RETRY,
			  "brokers %s: records were refused together that were taken one by one; requests are "
			  "of %d bytes from now on",
			  sink->config.brokers, sink->batching.bytes);
	cdc_error_hint(&err,
				   "batch.size=%d in the sink's URI avoids the detour; or raise the topic's "
				   "max.message.bytes.",
				   sink->batching.bytes);
	kafka_sink_fail(sink, CDC_RETRY, &err);
}

static void
collect_job(KafkaSink *sink)
{
	KafkaJobKind kind = sink->under_way;
	CdcError err;
	CdcStatus status;

	if (kind == KAFKA_JOB_NONE || !worker_collect(sink->worker, &status, &err))
		return;
	sink->under_way = KAFKA_JOB_NONE;
	if (kind == KAFKA_JOB_COMMIT)
		finish_commit(sink, status, &err);
	else
	{
		sink->fenced = false;
		kafka_sink_fail(sink, status, &err);
	}
}

void
kafka_sink_advance(KafkaSink *sink, int64_t now)
{
	collect_job(sink);
	if (sink->failure != CDC_OK || sink->under_way != KAFKA_JOB_NONE || now < sink->not_before)
		return;
	if (sink->fenced)
	{
		sink->job.patience.deadline = now + 10 * CLOCK_SECOND;
		sink->under_way = KAFKA_JOB_EXPLAIN_FENCE;
		worker_submit(sink->worker, kafka_job_explain_fence, &sink->job);
	}
	else if (sink->config.exactly_once)
		advance_transaction(sink, now);
	else
		advance_acks(sink, now);
	if (sink->failure == CDC_OK)
		check_batching(sink);
}

int64_t
kafka_sink_deadline(const KafkaSink *sink, int64_t now)
{
	int64_t deadline = sink->dirty_since + sink->commit_interval;
	bool something = sink->config.exactly_once
						 ? sink->dirty || sink->produce_failed
						 : !sink->position_sent && sink->acks.acked_serial != sink->stored_serial;

	if (sink->failure != CDC_OK)
		return now;
	if (sink->under_way != KAFKA_JOB_NONE || (!something && !sink->fenced))
		return 0;
	if (sink->fenced || sink->produce_failed || sink->flush_wanted)
		deadline = now;
	return deadline > sink->not_before ? deadline : sink->not_before;
}
