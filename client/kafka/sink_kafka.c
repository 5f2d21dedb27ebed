/*
 * sink_kafka.c
 *		kafka://BROKERS/TOPIC[?PARAMETERS]: each record a message, exactly once or at least once.
 *
 * The loop's thread hands records to librdkafka, whose threads send them; what blocks (transactions'
 * ends, reading positions) a worker does.	Reports come by a queue with an eventfd, so that all of the
 * sink's state belongs to the loop's thread.
 */
#include "kafka/kafka_sink.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../plugin/cdc_protocol.h"
#include "clock.h"
#include "kafka/kafka_error.h"

/* Brokers are found and the transactional.id is taken in this time, and so the position is read. */
#define OPEN_TIMEOUT (30 * CLOCK_SECOND)

/* For readers' sake a transaction under way is aborted in the end, if that can be had quickly. */
#define ABORT_TIMEOUT (2 * CLOCK_SECOND)

/*
 * So many requests' bytes the producer has at a time.	A connection has five under way at most (max.in.flight of an
 * idempotent producer); with more to send than that, librdkafka's thread polls without waiting until
 * there is room, which costs as much as all the rest.
 */
#define WINDOW_REQUESTS 4

/* SinkConfig's tick() is wanted every 500 ms. */
#define TICK_MS 200

static void
kafka_destroy(Sink *base)
{
	KafkaSink *sink = (KafkaSink *) base;

	kafka_config_free(&sink->config);
	free(sink);
}

static CdcStatus
kafka_create(Sink **result, const SinkConfig *config, CdcError *err)
{
	KafkaSink *sink = calloc(1, sizeof(*sink));
	CdcStatus status;

	if (sink == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	sink->base.ops = &sink_kafka_ops;
	sink->commit_interval = config->commit_interval;
	sink->max_in_flight = config->max_in_flight;
	sink->tick = config->tick;
	sink->tick_arg = config->tick_arg;
	kafka_client_identify(&sink->client);
	status = kafka_config_read(&sink->config, config, err);
	if (status != CDC_OK)
	{
		kafka_destroy((Sink *) sink);
		return status;
	}
	*result = (Sink *) sink;
	return CDC_OK;
}

/* Waits for the worker, serving librdkafka meanwhile: its transactions wait for that. */
static CdcStatus
wait_for_job(KafkaSink *sink, bool ticking, CdcError *err)
{
	CdcStatus status;

	while (!worker_collect(sink->worker, &status, err))
	{
		struct pollfd fds[2] = {
			{.fd = worker_fd(sink->worker), .events = POLLIN},
			{.fd = sink->producer.rk != NULL ? sink->producer.event_fd : -1, .events = POLLIN}};

		poll(fds, 2, TICK_MS);
		if (sink->producer.rk != NULL)
			kafka_sink_serve(sink);
		if (ticking && sink->tick != NULL && !sink->tick(sink->tick_arg))
			atomic_store(&sink->job.patience.cancelled, true);
	}
	return status;
}

static CdcStatus
run_job(KafkaSink *sink, WorkerJob function, CdcError *err)
{
	worker_submit(sink->worker, function, &sink->job);
	return wait_for_job(sink, true, err);
}

/* Waits, as wait_for_job() does, for the claim to be acknowledged where no commit says so. */
static void
wait_for_claim(KafkaSink *sink)
{
	while (sink->claim_offset < 0 && sink->failure == CDC_OK &&
		   !kafka_patience_over(&sink->job.patience))
	{
		struct pollfd fd = {.fd = sink->producer.event_fd, .events = POLLIN};

		poll(&fd, 1, TICK_MS);
		kafka_sink_serve(sink);
		if (sink->tick != NULL && !sink->tick(sink->tick_arg))
			atomic_store(&sink->job.patience.cancelled, true);
	}
}

/*
 * Says who streams from now on, for a client that finds itself shut out.	 Being a message of ours, it
 * is also what reading may go up to.
 */
static CdcStatus
make_claim(KafkaSink *sink, CdcError *err)
{
	CdcStatus status = CDC_OK;

	if (kafka_sink_send_claim(sink) && sink->config.exactly_once)
	{
		kafka_sink_submit_commit(sink);
		status = wait_for_job(sink, true, err);
		sink->under_way = KAFKA_JOB_NONE;
		sink->in_transaction = status != CDC_OK;
	}
	else
		wait_for_claim(sink);
	if (sink->failure != CDC_OK)
	{
		*err = sink->failure_error;
		return sink->failure == CDC_REFUSED ? CDC_STOP : sink->failure;
	}
	if (status == CDC_OK && sink->claim_offset < 0)
		status =
			cdc_error(err, CDC_RETRY, "brokers %s, topic \"%s\": no message was acknowledged%s",
					  sink->config.brokers, sink->config.positions,
					  sink->fenced ? ": another client begins at the same time" : "");
	return status == CDC_REFUSED ? CDC_STOP : status;
}

static void
reset_session(KafkaSink *sink, const Source *source)
{
	sink->source = *source;
	sink->under_way = KAFKA_JOB_NONE;
	memset(&sink->taken, 0, sizeof(sink->taken));
	memset(&sink->progress, 0, sizeof(sink->progress));
	sink->taken_bytes = sink->committing_bytes = sink->stored_serial = 0;
	sink->dirty_since = sink->not_before = 0;
	sink->flush_wanted = sink->in_transaction = sink->dirty = sink->produce_failed = false;
	sink->position_sent = sink->fenced = false;
	sink->failure = CDC_OK;
	sink->last_report = clock_now();
	sink->claim_offset = -1;
	kafka_job_init(&sink->job, &sink->config, &sink->client, source);
	sink->job.patience.deadline = clock_now() + OPEN_TIMEOUT;
}

static CdcStatus
start_producer(KafkaSink *sink, CdcError *err)
{
	char id[KAFKA_KEY_SIZE + 256];
	int request = sink->batching.bytes > 0 ? sink->batching.bytes : sink->config.batch_bytes;
	rd_kafka_conf_t *conf;
	CdcStatus status;

	sink->window = (uint64_t) request * WINDOW_REQUESTS;
	if (sink->window > sink->max_in_flight)
		sink->window = sink->max_in_flight;
	snprintf(id, sizeof(id), "%s%s", sink->config.prefix, sink->job.position_key);
	status = kafka_config_producer(&sink->config, sink->config.exactly_once ? id : NULL,
								   &sink->batching, &conf, err);
	if (status == CDC_OK)
		status = kafka_producer_open(&sink->producer, conf, err);
	if (status != CDC_OK)
		return status;
	if (sink->config.exactly_once)
		sink->job.producer = sink->producer.rk;
	return kafka_records_open(&sink->records, &sink->producer, &sink->config, sink->source.name,
							  err);
}

/*
 * Only once the topic exists as it must be: a producer asks brokers about the topics it knows, and by
 * default they create what they are asked about, with a cleanup.policy that cannot hold positions.
 */
static CdcStatus
start_positions(KafkaSink *sink, CdcError *err)
{
	sink->positions = rd_kafka_topic_new(sink->producer.rk, sink->config.positions, NULL);
	if (sink->positions == NULL)
		return cdc_error(err, CDC_RETRY, "librdkafka could not make topic \"%s\": %s",
						 sink->config.positions, rd_kafka_err2str(rd_kafka_last_error()));
	return CDC_OK;
}

static CdcStatus
kafka_open(Sink *base, const Source *source, Source *stored_source, Position *position, bool *found,
		   CdcError *err)
{
	KafkaSink *sink = (KafkaSink *) base;
	CdcStatus status;

	reset_session(sink, source);
	status = start_producer(sink, err);
	if (status == CDC_OK)
		status = worker_start(&sink->worker, err);
	if (status != CDC_OK)
		return status;
	status = run_job(sink, kafka_job_fence, err);
	if (status == CDC_OK)
		status = start_positions(sink, err);
	if (status == CDC_OK)
		status = make_claim(sink, err);
	if (status == CDC_OK)
	{
		sink->job.until = sink->claim_offset;
		sink->job.patience.deadline = clock_now() + OPEN_TIMEOUT;
		status = run_job(sink, kafka_job_read, err);
	}
	if (status != CDC_OK)
	{
		if (sink->producer.trouble_text[0] != '\0')
			cdc_error_detail(err, "The producer's last error was: %s.",
							 sink->producer.trouble_text);
		return status;
	}
	*found = sink->job.found;
	if (*found)
	{
		*stored_source = sink->job.source;
		*position = sink->job.position;
		if (source_equal(source, stored_source))
			sink->progress.durable = sink->taken = *position;
	}
	kafka_acks_start(&sink->acks, &sink->taken);
	return status;
}

static CdcStatus
kafka_look(Sink *base, const Source *source, Source *stored_source, Position *position, bool *found,
		   CdcError *err)
{
	KafkaSink *sink = (KafkaSink *) base;
	CdcStatus status;

	kafka_job_init(&sink->job, &sink->config, &sink->client, source);
	sink->job.patience.deadline = clock_now() + OPEN_TIMEOUT;
	status = worker_start(&sink->worker, err);
	if (status != CDC_OK)
		return status;
	status = run_job(sink, kafka_job_look, err);
	worker_stop(sink->worker);
	sink->worker = NULL;
	kafka_job_end(&sink->job);
	*found = status == CDC_OK && sink->job.found;
	if (*found)
	{
		*stored_source = sink->job.source;
		*position = sink->job.position;
	}
	return status;
}

/* A record was not taken, for another reason than that there was no room; what failed is noted. */
static CdcStatus
note_refusal(KafkaSink *sink, const SinkRecord *record, rd_kafka_resp_err_t code, CdcError *err)
{
	if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
	{
		kafka_error(err, code, "the record is larger than message.max.bytes of the sink",
					"brokers %s, topic \"%s\", %u bytes", sink->config.brokers, sink->records.topic,
					record->frame->payload_length);
		return CDC_REFUSED;
	}
	/* The transaction has failed; its commit says of what. */
	if (code == RD_KAFKA_RESP_ERR__STATE && sink->in_transaction)
	{
		sink->produce_failed = true;
		return CDC_OK;
	}
	kafka_sink_note_error(sink, code, NULL, sink->records.topic, &record->id);
	return CDC_OK;
}

static bool
has_room(const KafkaSink *sink, uint32_t length)
{
	if (sink->failure != CDC_OK || sink->fenced || sink->produce_failed ||
		sink->under_way != KAFKA_JOB_NONE)
		return false;
	return sink->producer.cost == 0 || sink->producer.cost + length <= sink->window;
}

static CdcStatus
kafka_deliver(Sink *base, const SinkRecord *record, const Position *after, bool *taken,
			  CdcError *err)
{
	KafkaSink *sink = (KafkaSink *) base;
	KafkaAckGroup *group;
	rd_kafka_resp_err_t code;
	bool full;
	int messages;
	CdcStatus status;

	*taken = false;
	if (!has_room(sink, record->frame->payload_length) ||
		(sink->config.exactly_once && !kafka_sink_begin(sink)))
		return CDC_OK;
	group = sink->config.exactly_once ? NULL : kafka_acks_group(&sink->acks);
	status = kafka_record_send(&sink->records, record, group, &messages, &full, &code, err);
	for (; group != NULL && messages > 0; messages--)
		kafka_acks_sent(group);
	if (status != CDC_OK || full)
		return status;
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		return note_refusal(sink, record, code, err);
	*taken = true;
	sink->taken_bytes += record->frame->payload_length;
	sink->taken = *after;
	sink->dirty = true;
	if (group != NULL)
		kafka_acks_take(&sink->acks, after, sink->taken_bytes);
	return CDC_OK;
}

static CdcStatus
kafka_end_transaction(Sink *base, const Position *after, CdcError *err)
{
	KafkaSink *sink = (KafkaSink *) base;

	(void) err;
	sink->taken = *after;
	sink->dirty = true;
	if (!sink->config.exactly_once)
		kafka_acks_take(&sink->acks, after, sink->taken_bytes);
	return CDC_OK;
}

static CdcStatus
kafka_flush(Sink *base, CdcError *err)
{
	(void) err;
	((KafkaSink *) base)->flush_wanted = true;
	return CDC_OK;
}

static CdcStatus
kafka_store(Sink *base, const Position *position, CdcError *err)
{
	CdcStatus status = kafka_end_transaction(base, position, err);

	return status == CDC_OK ? kafka_flush(base, err) : status;
}

static CdcStatus
kafka_poll(Sink *base, int64_t now, SinkProgress *progress, CdcError *err)
{
	KafkaSink *sink = (KafkaSink *) base;

	kafka_sink_serve(sink);
	kafka_sink_advance(sink, now);
	*progress = sink->progress;
	if (sink->failure != CDC_OK)
		*err = sink->failure_error;
	return sink->failure;
}

static void
kafka_wait(Sink *base, int64_t now, SinkWait *wait)
{
	KafkaSink *sink = (KafkaSink *) base;

	wait->fds[wait->num_fds].fd = sink->producer.event_fd;
	wait->fds[wait->num_fds++].events = POLLIN;
	wait->fds[wait->num_fds].fd = worker_fd(sink->worker);
	wait->fds[wait->num_fds++].events = POLLIN;
	wait->deadline = kafka_sink_deadline(sink, now);
}

/* Ends what the worker does, and a transaction that nobody will commit. */
static void
end_work(KafkaSink *sink)
{
	CdcError ignored;

	if (sink->under_way != KAFKA_JOB_NONE)
	{
		atomic_store(&sink->job.patience.cancelled, true);
		rd_kafka_purge(sink->producer.rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
											  RD_KAFKA_PURGE_F_NON_BLOCKING);
		if (wait_for_job(sink, false, &ignored) == CDC_OK && sink->under_way == KAFKA_JOB_COMMIT)
			sink->in_transaction = false;
		sink->under_way = KAFKA_JOB_NONE;
	}
	if (sink->in_transaction && !sink->fenced &&
		rd_kafka_fatal_error(sink->producer.rk, NULL, 0) == RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		atomic_store(&sink->job.patience.cancelled, false);
		sink->job.patience.deadline = clock_now() + ABORT_TIMEOUT;
		worker_submit(sink->worker, kafka_job_abort, &sink->job);
		/* what remains open ends when the next client begins, or times out */
		if (wait_for_job(sink, false, &ignored) == CDC_OK)
			sink->in_transaction = false;
	}
}

static void
kafka_close(Sink *base)
{
	KafkaSink *sink = (KafkaSink *) base;

	if (sink->worker != NULL)
		end_work(sink);
	worker_stop(sink->worker);
	sink->worker = NULL;
	kafka_job_end(&sink->job);
	kafka_records_close(&sink->records);
	if (sink->positions != NULL)
		rd_kafka_topic_destroy(sink->positions);
	sink->positions = NULL;
	kafka_producer_close(&sink->producer);
}

const SinkOps sink_kafka_ops = {
	.name = "kafka",
	.syntax = "kafka://BROKER:PORT[,...]/TOPIC[?PARAMETERS]",
	.summary = "topics of Kafka, each record exactly once",
	.commit_interval = CLOCK_SECOND / 10,
	.takes_schemas = true,
	.create = kafka_create,
	.open = kafka_open,
	.look = kafka_look,
	.deliver = kafka_deliver,
	.end_transaction = kafka_end_transaction,
	.store = kafka_store,
	.flush = kafka_flush,
	.poll = kafka_poll,
	.wait = kafka_wait,
	.close = kafka_close,
	.destroy = kafka_destroy,
};
