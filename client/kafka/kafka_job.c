/*
 * kafka_job.c
 *		What blocks.
 *
 * librdkafka's transactional calls can be resumed after their timeout, so each is made in slices,
 * between which patience is looked at.
 */
#include "kafka/kafka_job.h"

#include <string.h>

#include "kafka/kafka_error.h"

#define SLICE_MS 500

/* Calls it until it has ended, or patience has.  NULL: it went well; else the caller's to destroy. */
static rd_kafka_error_t *
call_in_slices(KafkaJob *job, rd_kafka_error_t *(*call)(rd_kafka_t *, int) )
{
	rd_kafka_error_t *error;

	while ((error = call(job->producer, SLICE_MS)) != NULL && rd_kafka_error_is_retriable(error) &&
		   !rd_kafka_error_txn_requires_abort(error) && !kafka_patience_over(&job->patience))
		rd_kafka_error_destroy(error);
	return error;
}

/* The code that says most: a fatal error's own stands behind it. */
static CdcStatus
say_error(KafkaJob *job, rd_kafka_error_t *error, const char *what, CdcError *err)
{
	rd_kafka_resp_err_t code = rd_kafka_error_code(error);
	char text[512] = "";
	CdcStatus status;

	if (rd_kafka_error_is_fatal(error) || code == RD_KAFKA_RESP_ERR__FATAL)
		code = rd_kafka_fatal_error(job->producer, text, sizeof(text));
	job->fenced = kafka_error_is_fenced(code);
	status = kafka_error(err, code, text[0] != '\0' ? text : rd_kafka_error_string(error),
						 "%s, brokers %s, transactional.id \"%s%s\"", what, job->config->brokers,
						 job->config->prefix, job->key);
	rd_kafka_error_destroy(error);
	return status;
}

static CdcStatus
fence(KafkaJob *job, CdcError *err)
{
	rd_kafka_error_t *error = call_in_slices(job, rd_kafka_init_transactions);

	return error == NULL ? CDC_OK : say_error(job, error, "could not begin transactions", err);
}

static CdcStatus
read_position(KafkaJob *job, bool opening, CdcError *err)
{
	KafkaPositions positions = {0};
	bool exists = false;
	CdcStatus status = kafka_positions_open(&positions, job->config, err);

	memset(&job->stored, 0, sizeof(job->stored));
	if (status == CDC_OK)
		status = kafka_positions_check(&positions, opening, &job->patience, &exists, err);
	if (status == CDC_OK && opening && job->producer != NULL)
		status = fence(job, err);
	if (status == CDC_OK && exists)
		status = kafka_positions_read(&positions, job->key, &job->patience, &job->stored, err);
	kafka_positions_close(&positions);
	return status;
}

CdcStatus
kafka_job_open(void *job, CdcError *err)
{
	return read_position(job, true, err);
}

CdcStatus
kafka_job_look(void *job, CdcError *err)
{
	return read_position(job, false, err);
}

CdcStatus
kafka_job_commit(void *arg, CdcError *err)
{
	KafkaJob *job = arg;
	rd_kafka_error_t *error = call_in_slices(job, rd_kafka_commit_transaction);

	job->fenced = false;
	return error == NULL ? CDC_OK : say_error(job, error, "could not commit a transaction", err);
}

CdcStatus
kafka_job_abort(void *arg, CdcError *err)
{
	KafkaJob *job = arg;
	rd_kafka_error_t *error = call_in_slices(job, rd_kafka_abort_transaction);

	return error == NULL ? CDC_OK : say_error(job, error, "could not abort a transaction", err);
}

CdcStatus
kafka_job_explain_fence(void *arg, CdcError *err)
{
	KafkaJob *job = arg;
	const KafkaClientId *other = &job->stored.client;
	CdcStatus status = read_position(job, false, err);

	if (status != CDC_OK)
		return status;
	if (!job->stored.found || strcmp(other->id, job->client->id) == 0)
	{
		cdc_error(err, CDC_RETRY,
				  "the brokers %s have ended our transaction: it took longer than "
				  "transaction.timeout.ms=%d, or the transactional.id \"%s%s\" was used elsewhere",
				  job->config->brokers, job->config->transaction_timeout_ms, job->config->prefix,
				  job->key);
		cdc_error_detail(err, "Nothing of it is visible to readers of what is committed; it is "
							  "delivered again.");
		return CDC_RETRY;
	}
	cdc_error(err, CDC_STOP,
			  "another client has taken over the stream %s of topic \"%s\": pid %d on host \"%s\", "
			  "since %s",
			  job->key, job->config->positions, other->pid, other->host, other->since);
	cdc_error_hint(err,
				   "One client at a time streams a slot.	Nothing is lost or doubled: what this "
				   "one had not committed was not seen by anybody.	 Stop one of the two.");
	return CDC_STOP;
}
