/*
 * kafka_job.h
 *		What blocks: a worker's jobs, while the loop goes on.
 */
#ifndef CDC_KAFKA_JOB_H
#define CDC_KAFKA_JOB_H

#include <stdbool.h>

#include "kafka/kafka_config.h"
#include "kafka/kafka_positions.h"

/* Belongs to the job while it runs, but for patience.cancelled. */
typedef struct KafkaJob
{
	const KafkaConfig *config;
	const KafkaClientId *client; /* ours */
	rd_kafka_t *producer;        /* NULL: none, or one without transactions */
	KafkaPatience patience;
	char position_key[KAFKA_KEY_SIZE];
	char claim_key[KAFKA_KEY_SIZE];
	int64_t until; /* of reading */
	bool fenced;   /* result of committing */

	/* results of reading and looking */
	bool found;
	Source source;
	Position position;

	KafkaPositions positions; /* between the jobs that open */
} KafkaJob;

extern void kafka_job_init(KafkaJob *job, const KafkaConfig *config, const KafkaClientId *client,
						   const Source *source);

/* Frees what is left of jobs that did not come to their end. */
extern void kafka_job_end(KafkaJob *job);

/* The first step of opening: the topic of positions is made, and other clients are shut out. */
extern CdcStatus kafka_job_fence(void *job, CdcError *err) CDC_MUST_CHECK;

/* The last one, when the claim is made: reads the position before offset "until". */
extern CdcStatus kafka_job_read(void *job, CdcError *err) CDC_MUST_CHECK;

/* Reads the position as it seems to be, where nothing is to be written. */
extern CdcStatus kafka_job_look(void *job, CdcError *err) CDC_MUST_CHECK;

/* Ends the producer's transaction so, or so. */
extern CdcStatus kafka_job_commit(void *job, CdcError *err) CDC_MUST_CHECK;
extern CdcStatus kafka_job_abort(void *job, CdcError *err) CDC_MUST_CHECK;

/*
 * Says why the producer has lost its transactional.id: CDC_STOP, another client has it; CDC_RETRY, the
 * brokers have ended a transaction that took too long.
 */
extern CdcStatus kafka_job_explain_fence(void *job, CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_KAFKA_JOB_H */
