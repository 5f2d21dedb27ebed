/*
 * kafka_sink.h
 *		The kafka:// sink's state, and how it is divided: sink_kafka.c is the life of the sink and what
 *		it is handed over; kafka_durable.c makes that durable.
 */
#ifndef CDC_KAFKA_SINK_H
#define CDC_KAFKA_SINK_H

#include "kafka/kafka_acks.h"
#include "kafka/kafka_config.h"
#include "kafka/kafka_job.h"
#include "kafka/kafka_producer.h"
#include "kafka/kafka_record.h"
#include "sink.h"
#include "worker.h"

typedef enum KafkaJobKind
{
	KAFKA_JOB_NONE,
	KAFKA_JOB_COMMIT,
	KAFKA_JOB_EXPLAIN_FENCE,
} KafkaJobKind;

typedef struct KafkaSink
{
	SinkBase base;
	KafkaConfig config;
	int64_t commit_interval;
	uint64_t max_in_flight;
	bool (*tick)(void *tick_arg);
	void *tick_arg;
	KafkaClientId client;

	/*
	 * A broker refuses a whole request for one record in it.  Then all up to here are sent one by one,
	 * to find which it is; where it is none, requests were too large, and are halved.	These last over
	 * sessions.
	 */
	KafkaBatching batching;
	RecordId single_until;
	uint64_t refused_bytes; /* of the records that were refused together */

	/* from open() to close() */
	Source source;
	KafkaProducer producer;
	uint64_t window; /* the producer is given so many bytes, until some are acknowledged */
	KafkaRecords records;
	rd_kafka_topic_t *positions; /* of the producer */
	Worker *worker;
	KafkaJob job;           /* the worker's while there is a job */
	KafkaJobKind under_way; /* what poll() is to collect */
	Position taken;         /* after all that was taken */
	uint64_t taken_bytes;   /* of payload */
	int64_t dirty_since;    /* when poll() first saw something that is not durable; 0: nothing is */
	bool flush_wanted;
	int64_t not_before; /* librdkafka took no position: try again then */
	SinkProgress progress;
	CdcStatus failure; /* ends the session: what poll() returns */
	CdcError failure_error;
	int64_t claim_offset; /* of our claim in the topic of positions; -1: not acknowledged yet */
	bool fenced;          /* another producer has our transactional.id: to be explained */

	/* delivery=exactly-once */
	bool in_transaction;
	bool dirty;          /* taken is ahead of what is committed, or being so */
	bool produce_failed; /* the transaction takes no more: committing says why */
	Position committing;
	uint64_t committing_bytes;

	/* delivery=at-least-once */
	KafkaAcks acks;
	uint64_t stored_serial; /* of acks: of the position sent last */
	bool position_sent;     /* and not yet acknowledged */
	Position sent;          /* that */
	int64_t last_report;    /* clock.h: the broker's last sign of life while messages wait */
} KafkaSink;

/* Opaques of messages that are no records. */
#define KAFKA_POSITION_MARK ((void *) 1)
#define KAFKA_CLAIM_MARK ((void *) 2)

/* Remembers the first failure. */
extern void kafka_sink_fail(KafkaSink *sink, CdcStatus status, const CdcError *err);

/* What follows from an error of a message; id is NULL for a message that is no record. */
extern void kafka_sink_note_error(KafkaSink *sink, rd_kafka_resp_err_t code, const char *reason,
								  const char *topic, const RecordId *id);

/* Takes in what librdkafka reports: acknowledgements, errors. */
extern void kafka_sink_serve(KafkaSink *sink);

/* delivery=exactly-once: begins a transaction if none is begun; false: failed, which is noted. */
extern bool kafka_sink_begin(KafkaSink *sink);

/* Says in the topic of positions that this client streams from now on; false as above. */
extern bool kafka_sink_send_claim(KafkaSink *sink);

/* Commits what was sent, in the worker. */
extern void kafka_sink_submit_commit(KafkaSink *sink);

/*
 * Ends it with the position taken, in the worker.	false: not now, librdkafka takes no more messages, or has
 * only a part of the last record.
 */
extern bool kafka_sink_start_commit(KafkaSink *sink);

/* Takes in the result of a job, and starts what is due. */
extern void kafka_sink_advance(KafkaSink *sink, int64_t now);

/* When kafka_sink_advance() has something to do by itself; 0: not before something happens. */
extern int64_t kafka_sink_deadline(const KafkaSink *sink, int64_t now);

#endif /* CDC_KAFKA_SINK_H */
