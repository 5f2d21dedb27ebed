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
	char key[KAFKA_KEY_SIZE];
	KafkaStored stored; /* result of opening and looking */
	bool fenced;        /* result of committing */
} KafkaJob;

/* The topic of positions is made, other clients are shut out, and only then the position is read. */
extern CdcStatus kafka_job_open(void *job, CdcError *err) CDC_MUST_CHECK;

/* Reads the position. */
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
