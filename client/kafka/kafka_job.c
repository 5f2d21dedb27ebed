/*
 * kafka_job.c
 *		What blocks.
 *
 * librdkafka's transactional calls can be resumed after their timeout, so each is made in slices,
 * between which patience is looked at.
 */
#include "kafka/kafka_job.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "kafka/kafka_error.h"

#define SLICE_MS 500

/* Some errors that may pass are said at once. */
#define PAUSE_MS 20

/* Calls it until it has ended, or patience has.  NULL: it went well; else the caller's to destroy. */
static rd_kafka_error_t *
call_in_slices(KafkaJob *job, rd_kafka_error_t *(*call)(rd_kafka_t *, int) )
{
	rd_kafka_error_t *error;

	while ((error = call(job->producer, SLICE_MS)) != NULL && rd_kafka_error_is_retriable(error) &&
		   !rd_kafka_error_txn_requires_abort(error) && !kafka_patience_over(&job->patience))
	{
		rd_kafka_error_destroy(error);
		poll(NULL, 0, PAUSE_MS);
	}
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
						 job->config->prefix, job->position_key);
	rd_kafka_error_destroy(error);
	return status;
}

void
kafka_job_init(KafkaJob *job, const KafkaConfig *config, const KafkaClientId *client,
			   const Source *source)
{
	memset(job, 0, sizeof(*job));
	job->config = config;
	job->client = client;
	job->until = KAFKA_TO_THE_END;
	kafka_position_key(job->position_key, source);
	kafka_claim_key(job->claim_key, source);
	atomic_init(&job->patience.cancelled, false);
}

void
kafka_job_end(KafkaJob *job)
{
	kafka_positions_close(&job->positions);
}

CdcStatus
kafka_job_fence(void *arg, CdcError *err)
{
	KafkaJob *job = arg;
	rd_kafka_error_t *error;
	bool exists;
	CdcStatus status = kafka_positions_open(&job->positions, job->config, err);

	/* The topic first: it tells more clearly than init_transactions() what is wrong with brokers. */
	if (status == CDC_OK)
		status = kafka_positions_check(&job->positions, true, &job->patience, &exists, err);
	if (status != CDC_OK || job->producer == NULL)
		return status;
	error = call_in_slices(job, rd_kafka_init_transactions);
	return error == NULL ? CDC_OK : say_error(job, error, "could not begin transactions", err);
}

CdcStatus
kafka_job_read(void *arg, CdcError *err)
{
	KafkaJob *job = arg;
	KafkaStored stored;
	CdcStatus status = kafka_positions_read(&job->positions, job->position_key, job->until,
											&job->patience, &stored, err);

	kafka_positions_close(&job->positions);
	if (status != CDC_OK)
		return status;
	job->found = stored.found;
	if (stored.found &&
		!kafka_position_parse(&job->source, &job->position, stored.value, stored.length))
	{
		status = cdc_error(err, CDC_STOP,
						   "what topic \"%s\" has at offset %" PRId64 " for %s is no position",
						   job->config->positions, stored.offset, job->position_key);
		cdc_error_hint(err, "Somebody else has written it.	A message with that key and no value "
							"takes it back; the stream then begins where the slot is.");
	}
	free(stored.value);
	return status;
}

CdcStatus
kafka_job_look(void *arg, CdcError *err)
{
	KafkaJob *job = arg;
	bool exists = false;
	CdcStatus status = kafka_positions_open(&job->positions, job->config, err);

	if (status == CDC_OK)
		status = kafka_positions_check(&job->positions, false, &job->patience, &exists, err);
	return status == CDC_OK && exists ? kafka_job_read(job, err) : status;
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

/* The client whose claim is the last; id is "" where there is none. */
static CdcStatus
read_claim(KafkaJob *job, KafkaClientId *owner, CdcError *err)
{
	KafkaStored stored;
	CdcStatus status = kafka_positions_open(&job->positions, job->config, err);

	memset(owner, 0, sizeof(*owner));
	if (status == CDC_OK)
		status = kafka_positions_read(&job->positions, job->claim_key, KAFKA_TO_THE_END,
									  &job->patience, &stored, err);
	kafka_positions_close(&job->positions);
	if (status != CDC_OK)
		return status;
	if (stored.found && !kafka_claim_parse(owner, stored.value, stored.length))
		owner->id[0] = '\0';
	free(stored.value);
	return CDC_OK;
}

CdcStatus
kafka_job_explain_fence(void *arg, CdcError *err)
{
	KafkaJob *job = arg;
	KafkaClientId owner;
	CdcStatus status = read_claim(job, &owner, err);

	if (status != CDC_OK)
		return status;
	if (owner.id[0] == '\0' || strcmp(owner.id, job->client->id) == 0)
	{
		cdc_error(err, CDC_RETRY,
				  "the brokers %s have ended our transaction: it took longer than "
				  "transaction.timeout.ms=%d, or the transactional.id \"%s%s\" was used elsewhere",
				  job->config->brokers, job->config->transaction_timeout_ms, job->config->prefix,
				  job->position_key);
		cdc_error_detail(err, "Nothing of it is visible to readers of what is committed; it is "
							  "delivered again.");
		return CDC_RETRY;
	}
	cdc_error(err, CDC_STOP,
			  "another client has taken over the stream %s of topic \"%s\": pid %d on host \"%s\", "
			  "which started at %s",
			  job->position_key, job->config->positions, owner.pid, owner.host, owner.since);
	cdc_error_hint(err,
				   "One client at a time streams a slot: stop one of the two.	Nothing is lost or "
				   "doubled: what this one had not committed was not seen by anybody.");
	return CDC_STOP;
}
