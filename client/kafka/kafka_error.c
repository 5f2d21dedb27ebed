/*
 * kafka_error.c
 *		The table of errors.
 *
 * What is not in it may pass: a broker restarts, a leader moves, a network breaks.	 Brokers' codes are
 * those of Kafka's protocol (org.apache.kafka.common.protocol.Errors).
 */
#include "kafka/kafka_error.h"

#include <stdarg.h>
#include <stdio.h>

typedef struct KafkaErrorRule
{
	rd_kafka_resp_err_t code;
	CdcStatus status;
	const char *hint;
} KafkaErrorRule;

static const char no_topic[] =
	"Create the topic (kafka-topics.sh --create --topic ...), or let brokers do so "
	"(auto.create.topics.enable=true).";
static const char no_login[] =
	"Look at security.protocol, sasl.mechanism, sasl.username and sasl.password of the sink.";

static const KafkaErrorRule rules[] = {
	/* the record's own fault, or the request's that carries it */
	{RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, CDC_REFUSED,
	 "The topic's max.message.bytes and the sink's message.max.bytes say how large a record may "
	 "be."},
	{RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, CDC_REFUSED,
	 "The topic's segment.bytes says how large a record may be."},
	{RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE, CDC_REFUSED,
	 "The topic's max.message.bytes says how large a record may be."},
	{RD_KAFKA_RESP_ERR_INVALID_RECORD, CDC_REFUSED,
	 "A compacted topic takes no record without a key."},
	{RD_KAFKA_RESP_ERR_INVALID_MSG, CDC_REFUSED,
	 "A compacted topic takes no record without a key."},

	/* the topic's */
	{RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, CDC_STOP, no_topic},
	{RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, CDC_STOP, no_topic},
	{RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, CDC_STOP, no_topic},
	{RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, CDC_STOP,
	 "A topic's name is made of up to 249 letters, digits, \".\", \"_\" and \"-\"."},
	{RD_KAFKA_RESP_ERR_POLICY_VIOLATION, CDC_STOP,
	 "The brokers have a policy for topics: create the topic by hand, as it demands."},
	{RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, CDC_STOP,
	 "Grant Write and Describe on the topics, and on the topic of positions Read and "
	 "DescribeConfigs "
	 "too (kafka-acls.sh)."},
	{RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE, CDC_USAGE, "Choose another compression.type."},

	/* the producer's */
	{RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, CDC_STOP,
	 "Grant IdempotentWrite on the cluster (kafka-acls.sh), and Create where the topic of "
	 "positions "
	 "is to be made."},
	{RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, CDC_STOP,
	 "Grant Write and Describe on transactional ids that begin as transactional-prefix says "
	 "(kafka-acls.sh --resource-pattern-type prefixed)."},
	{RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT, CDC_USAGE,
	 "The brokers' transaction.max.timeout.ms is the longest; give a shorter "
	 "transaction.timeout.ms."},
	{RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, CDC_STOP,
	 "Brokers of version 0.11 or later are needed."},
	{RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION, CDC_STOP,
	 "Brokers of version 0.11 or later are needed."},
	{RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT, CDC_STOP,
	 "The topic's message.format.version must be 0.11 or later."},

	/* the login's */
	{RD_KAFKA_RESP_ERR__AUTHENTICATION, CDC_STOP, no_login},
	{RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, CDC_STOP, no_login},
	{RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM, CDC_STOP, no_login},
	{RD_KAFKA_RESP_ERR_SECURITY_DISABLED, CDC_STOP, no_login},
	{RD_KAFKA_RESP_ERR__SSL, CDC_RETRY, /* a broker that restarts can look so too */
	 "Look at security.protocol and ssl.ca.location of the sink, and at the brokers' "
	 "certificates."},

	/* ours */
	{RD_KAFKA_RESP_ERR__INVALID_ARG, CDC_USAGE, NULL},
};

static const KafkaErrorRule *
find_rule(rd_kafka_resp_err_t code)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (rules[i].code == code)
			return &rules[i];
	return NULL;
}

CdcStatus
kafka_error_status(rd_kafka_resp_err_t code)
{
	const KafkaErrorRule *rule = find_rule(code);

	return rule != NULL ? rule->status : CDC_RETRY;
}

bool
kafka_error_is_fenced(rd_kafka_resp_err_t code)
{
	return code == RD_KAFKA_RESP_ERR__FENCED || code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
		   code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH ||
		   code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING;
}

CdcStatus
kafka_error(CdcError *err, rd_kafka_resp_err_t code, const char *reason, const char *fmt, ...)
{
	const KafkaErrorRule *rule = find_rule(code);
	char what[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	cdc_error(err, CDC_RETRY, "%s: %s (%s)", what,
			  reason != NULL && reason[0] != '\0' ? reason : rd_kafka_err2str(code),
			  rd_kafka_err2name(code));
	if (rule != NULL && rule->hint != NULL)
		cdc_error_hint(err, "%s", rule->hint);
	return rule != NULL ? rule->status : CDC_RETRY;
}
