/*
 * kafka_record.h
 *		From a record to messages: topic, key, headers, tombstones.
 */
#ifndef CDC_KAFKA_RECORD_H
#define CDC_KAFKA_RECORD_H

#include <stdbool.h>

#include "kafka/kafka_config.h"
#include "kafka/kafka_producer.h"
#include "sink.h"
#include "target.h"

typedef struct KafkaRecords
{
	KafkaProducer *producer; /* borrowed */
	TargetNames *names;      /* data: rd_kafka_topic_t */
	KafkaTombstones tombstones;
	int sent;            /* messages already sent of a record that was not wholly taken */
	uint64_t commit_lsn; /* that commit_lsn_text is of */
	char commit_lsn_text[LSN_TEXT_SIZE];
	size_t commit_lsn_length;
	char topic[256]; /* of the record that failed, for messages */
} KafkaRecords;

extern CdcStatus kafka_records_open(KafkaRecords *records, KafkaProducer *producer,
									const KafkaConfig *config, const char *source,
									CdcError *err) CDC_MUST_CHECK;

/* Before the producer's kafka_producer_close(). */
extern void kafka_records_close(KafkaRecords *records);

/*
 * Sends a record's messages, each with opaque; *messages is how many were sent by this call.	 *full: the
 * library takes no more, come again with the same record.	 *code is librdkafka's where a message was not
 * sent for another reason, with CDC_OK: what follows from it is the caller's to say.  CDC_STOP: the
 * target can be no topic.
 */
extern CdcStatus kafka_record_send(KafkaRecords *records, const SinkRecord *record, void *opaque,
								   int *messages, bool *full, rd_kafka_resp_err_t *code,
								   CdcError *err) CDC_MUST_CHECK;

/* The record that a message of ours belongs to; false where it has no headers that say so. */
extern bool kafka_record_identify(const rd_kafka_message_t *message, RecordId *id);

#endif /* CDC_KAFKA_RECORD_H */
