/*
 * kafka_config.c
 *		The URI of a kafka:// sink.
 */
#include "kafka/kafka_config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "config_file.h"

#define DEFAULT_POSITIONS "cdc-positions"
#define DEFAULT_PREFIX "cdc_decoder/"

/* org.apache.kafka.common.internals.Topic.MAX_NAME_LENGTH */
#define MAX_TOPIC_NAME 249

/* A transaction may last two commit intervals and so long besides before the broker ends it. */
#define TRANSACTION_ROOM_MS 800

/* What stands for the URI in errors: itself it may hold a password. */
#define URI "the kafka sink's URI"

#define OUR_PARAMETERS                                                                             \
	"delivery=exactly-once|at-least-once, tombstones=on|off, positions=TOPIC, "                    \
	"transactional-prefix=TEXT, config=FILE, and the properties of librdkafka "                    \
	"(https://github.com/confluentinc/librdkafka/blob/v2.0.2/CONFIGURATION.md)"

/* Properties that are not the user's, since what is promised depends on them. */
static const struct
{
	const char *name;
	const char *why;
} refused[] = {
	{"bootstrap.servers", "the brokers stand behind kafka://"},
	{"metadata.broker.list", "the brokers stand behind kafka://"},
	{"transactional.id",
	 "it is made of what identifies the stream, so that a second client is shut "
	 "out; transactional-prefix=TEXT says what it begins with"},
	{"enable.idempotence", "it is always on"},
	{"acks", "it is always all"},
	{"request.required.acks", "it is always all"},
	{"retries", "a record is never given up"},
	{"message.send.max.retries", "a record is never given up"},
	{"message.timeout.ms",
	 "a record is never given up; transaction.timeout.ms bounds a transaction"},
	{"delivery.timeout.ms",
	 "a record is never given up; transaction.timeout.ms bounds a transaction"},
	{"enable.gapless.guarantee", "a gap ends the session anyhow"},
	{"queuing.strategy", "records keep their order"},
	{"delivery.report.only.error", "each record is waited for"},
	{"isolation.level", "positions are always read committed"},
	{"enable.partition.eof", "positions are always read to their end"},
};

bool
kafka_topic_byte_is_valid(unsigned char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
		   (byte >= '0' && byte <= '9') || byte == '.' || byte == '_' || byte == '-';
}

bool
kafka_topic_is_valid(const char *name)
{
	size_t length = strlen(name);

	for (const char *c = name; *c != '\0'; c++)
		if (!kafka_topic_byte_is_valid((unsigned char) *c))
			return false;
	return length > 0 && length <= MAX_TOPIC_NAME && strcmp(name, ".") != 0 &&
		   strcmp(name, "..") != 0;
}

typedef struct FileReading
{
	KafkaConfig *config;
	CdcError *err;
} FileReading;

static CdcStatus
choose(const char *name, const char *value, const char *yes, const char *no, bool *choice,
	   CdcError *err)
{
	*choice = strcmp(value, yes) == 0;
	if (*choice || strcmp(value, no) == 0)
		return CDC_OK;
	return cdc_error(err, CDC_USAGE, URI ": %s=%s is not possible; allowed are %s and %s", name,
					 value, yes, no);
}

/* A property of librdkafka's, which checks it.	where: "FILE:LINE", or what stands for the URI. */
static CdcStatus
set_property(KafkaConfig *config, const char *where, const char *name, const char *value,
			 CdcError *err)
{
	char text[512];

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (strcmp(name, refused[i].name) == 0)
			return cdc_error(err, CDC_USAGE, "%s: \"%s\" cannot be set: %s", where, name,
							 refused[i].why);
	switch (rd_kafka_conf_set(config->conf, name, value, text, sizeof(text)))
	{
		case RD_KAFKA_CONF_OK:
			break;
		case RD_KAFKA_CONF_UNKNOWN:
			cdc_error(err, CDC_USAGE, "%s: the kafka sink has no parameter \"%s\"", where, name);
			cdc_error_hint(err, "It has: " OUR_PARAMETERS ".");
			return CDC_USAGE;
		default:
			return cdc_error(err, CDC_USAGE, "%s: \"%s\" cannot be so: %s", where, name, text);
	}
	if (strncmp(name, "queue.buffering.", strlen("queue.buffering.")) == 0)
		config->queue_given = true;
	return CDC_OK;
}

/* What config_file_read() calls for each line. */
static CdcStatus
read_line(void *context, const char *where, const char *name, const char *value)
{
	FileReading *reading = context;

	return set_property(reading->config, where, name, value, reading->err);
}

static CdcStatus
read_param(KafkaConfig *config, const char *name, const char *value, CdcError *err)
{
	if (strcmp(name, "delivery") == 0)
		return choose(name, value, "exactly-once", "at-least-once", &config->exactly_once, err);
	if (strcmp(name, "tombstones") == 0)
	{
		bool on = false;
		CdcStatus status = choose(name, value, "on", "off", &on, err);

		config->tombstones = on ? KAFKA_TOMBSTONES_ON : KAFKA_TOMBSTONES_OFF;
		return status;
	}
	if (strcmp(name, "config") == 0)
		return CDC_OK; /* was read before all others, which go before it */
	if (strcmp(name, "transactional-prefix") == 0)
		config->prefix = value;
	else if (strcmp(name, "positions") != 0)
		return set_property(config, URI, name, value, err);
	else if (!kafka_topic_is_valid(value))
		return cdc_error(err, CDC_USAGE,
						 URI ": positions=%s cannot be a topic; allowed are up to %d letters, "
							 "digits, \".\", \"_\" and \"-\"",
						 value, MAX_TOPIC_NAME);
	else
		config->positions = value;
	return CDC_OK;
}

static CdcStatus
read_params(KafkaConfig *config, CdcError *err)
{
	FileReading reading = {config, err};
	CdcStatus status = CDC_OK;

	for (int i = 0; i < config->uri.num_params && status == CDC_OK; i++)
		if (strcmp(config->uri.params[i].name, "config") == 0)
			status = config_file_read(config->uri.params[i].value, URI, read_line, &reading, err);
	for (int i = 0; i < config->uri.num_params && status == CDC_OK; i++)
		status = read_param(config, config->uri.params[i].name, config->uri.params[i].value, err);
	return status;
}

/* kafka://b1:9092,b2:9092/TEMPLATE */
static CdcStatus
read_address(KafkaConfig *config, CdcError *err)
{
	const char *topic = config->uri.path;
	const char *at;

	config->brokers = config->uri.authority;
	if (config->brokers == NULL || config->brokers[0] == '\0')
	{
		cdc_error(err, CDC_USAGE, URI " names no broker");
		cdc_error_hint(err, "For example: kafka://b1:9092,b2:9092/cdc.{schema}.{table}.");
		return CDC_USAGE;
	}
	if (strchr(config->brokers, '@') != NULL)
	{
		cdc_error(err, CDC_USAGE, URI " has a \"@\" where brokers stand");
		cdc_error_hint(err, "User and password are properties: security.protocol=sasl_ssl, "
							"sasl.mechanism=..., sasl.username=..., sasl.password=..., best in the "
							"file that config=FILE names.");
		return CDC_USAGE;
	}
	config->topic = topic[0] == '/' ? topic + 1 : topic;
	for (at = config->topic;
		 kafka_topic_byte_is_valid((unsigned char) *at) || *at == '{' || *at == '}'; at++)
		;
	if (config->topic[0] != '\0' && *at == '\0')
		return CDC_OK;
	if (config->topic[0] == '\0')
		cdc_error(err, CDC_USAGE, URI " names no topic");
	else
		cdc_error(err, CDC_USAGE, URI ": the topic, \"%s\", cannot have \"%s\" in it",
				  config->topic, at);
	cdc_error_hint(err,
				   "A topic is made of letters, digits, \".\", \"_\" and \"-\", and of {schema}, "
				   "{table}, {source} and {op}, for example "
				   "kafka://b1:9092,b2:9092/cdc.{schema}.{table}.");
	return CDC_USAGE;
}

/* A transaction must not be ended by the broker while we still gather records for it. */
static CdcStatus
check_transaction_timeout(KafkaConfig *config, int64_t commit_interval, CdcError *err)
{
	static const char name[] = "transaction.timeout.ms";
	int64_t least = commit_interval / (CLOCK_SECOND / 1000) * 2 + TRANSACTION_ROOM_MS;
	char text[32] = "";
	size_t size = sizeof(text);

	if (rd_kafka_conf_get(config->conf, name, text, &size) != RD_KAFKA_CONF_OK)
		return cdc_error(err, CDC_USAGE, "librdkafka does not know %s", name);
	config->transaction_timeout_ms = atoi(text);
	if (config->transaction_timeout_ms >= least || !config->exactly_once)
		return CDC_OK;
	cdc_error(err, CDC_USAGE, "%s=%s is too short for a commit interval of %" PRId64 " ms", name,
			  text, commit_interval / (CLOCK_SECOND / 1000));
	cdc_error_hint(err,
				   "Give %s=%" PRId64 " at least (the brokers' transaction.max.timeout.ms bounds "
				   "it), or a shorter --commit-interval.",
				   name, least);
	return CDC_USAGE;
}

/* What we set ourselves; the values come from here, so librdkafka refuses none of them. */
static CdcStatus
set_all(rd_kafka_conf_t *conf, const char *const (*pairs)[2], CdcError *err)
{
	char text[512];

	for (; (*pairs)[0] != NULL; pairs++)
		if ((*pairs)[1] != NULL && rd_kafka_conf_set(conf, (*pairs)[0], (*pairs)[1], text,
													 sizeof(text)) != RD_KAFKA_CONF_OK)
			return cdc_error(err, CDC_USAGE, "librdkafka %s refuses %s=%s: %s",
							 rd_kafka_version_str(), (*pairs)[0], (*pairs)[1], text);
	return CDC_OK;
}

/*
 * How long records wait for others to share a request, unless the user says it.  librdkafka's own 5 ms make many
 * small requests of a fast stream, which cost client and brokers half as much again; a commit does not
 * wait for them to pass, but without transactions each record does.
 */
static CdcStatus
set_linger(const KafkaConfig *config, CdcError *err)
{
	static const char *const linger[][2] = {{"linger.ms", "20"}, {NULL, NULL}};

	for (int i = 0; i < config->uri.num_params; i++)
		if (strcmp(config->uri.params[i].name, "delivery") == 0 &&
			strcmp(config->uri.params[i].value, "exactly-once") != 0)
			return CDC_OK;
	return set_all(config->conf, linger, err);
}

static void
read_batch_bytes(KafkaConfig *config)
{
	char text[32] = "";
	size_t size = sizeof(text);

	if (rd_kafka_conf_get(config->conf, "batch.size", text, &size) == RD_KAFKA_CONF_OK)
		config->batch_bytes = atoi(text);
}

CdcStatus
kafka_config_read(KafkaConfig *config, const SinkConfig *sink, CdcError *err)
{
	/* Keys lead to the partitions that Kafka's own clients choose for them. */
	static const char *const defaults[][2] = {
		{"client.id", "cdc_client"}, {"partitioner", "murmur2_random"}, {NULL, NULL}};
	CdcStatus status;

	*config = (KafkaConfig){
		.positions = DEFAULT_POSITIONS, .prefix = DEFAULT_PREFIX, .exactly_once = true};
	config->conf = rd_kafka_conf_new();
	rd_kafka_conf_set_log_cb(config->conf, NULL);
	status = set_all(config->conf, defaults, err);
	if (status != CDC_OK)
		return status;
	status = sink_uri_parse(&config->uri, sink->uri, err);
	if (status == CDC_OK)
		status = set_linger(config, err);
	if (status == CDC_OK)
		status = read_address(config, err);
	if (status == CDC_OK)
		status = read_params(config, err);
	if (status == CDC_OK)
		status = check_transaction_timeout(config, sink->commit_interval, err);
	read_batch_bytes(config);
	return status;
}

void
kafka_config_free(KafkaConfig *config)
{
	sink_uri_free(&config->uri);
	if (config->conf != NULL)
		rd_kafka_conf_destroy(config->conf);
	config->conf = NULL;
}

/* The user's configuration with the brokers; *conf is NULL after a failure. */
static CdcStatus
start_conf(const KafkaConfig *config, const char *const (*pairs)[2], rd_kafka_conf_t **conf,
		   CdcError *err)
{
	const char *const common[][2] = {{"bootstrap.servers", config->brokers}, {NULL, NULL}};
	CdcStatus status;

	*conf = rd_kafka_conf_dup(config->conf);
	status = set_all(*conf, common, err);
	if (status == CDC_OK)
		status = set_all(*conf, pairs, err);
	if (status != CDC_OK)
	{
		rd_kafka_conf_destroy(*conf);
		*conf = NULL;
	}
	return status;
}

CdcStatus
kafka_config_producer(const KafkaConfig *config, const char *transactional_id,
					  const KafkaBatching *batching, rd_kafka_conf_t **conf, CdcError *err)
{
	char messages[16];
	char bytes[16];
	/*
	 * How much is in flight the sink counts itself, by bytes; librdkafka's limits only have to be
	 * out of the way.
	 */
	const char *const pairs[][2] = {
		{"transactional.id", transactional_id},
		{"enable.idempotence", "true"},
		{"message.timeout.ms", transactional_id == NULL ? "0" : NULL},
		{"queue.buffering.max.messages", config->queue_given ? NULL : "10000000"},
		{"queue.buffering.max.kbytes", config->queue_given ? NULL : "2097151"},
		{"batch.num.messages", batching->messages > 0 ? messages : NULL},
		{"batch.size", batching->bytes > 0 ? bytes : NULL},
		{NULL, NULL},
	};
	CdcStatus status;

	snprintf(messages, sizeof(messages), "%d", batching->messages);
	snprintf(bytes, sizeof(bytes), "%d", batching->bytes);
	status = start_conf(config, pairs, conf, err);
	if (status == CDC_OK)
		rd_kafka_conf_set_events(*conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
	return status;
}

CdcStatus
kafka_config_reader(const KafkaConfig *config, rd_kafka_conf_t **conf, CdcError *err)
{
	/* A topic that is missing is made by us, with the settings it needs, or not at all. */
	static const char *const pairs[][2] = {
		{"isolation.level", "read_committed"},
		{"enable.partition.eof", "true"},
		{"allow.auto.create.topics", "false"},
		{"enable.auto.commit", "false"},
		{"auto.offset.reset", "earliest"},
		{"fetch.wait.max.ms", "10"}, /* the end is known only when nothing more comes */
		{NULL, NULL},
	};
	CdcStatus status = start_conf(config, pairs, conf, err);

	if (status == CDC_OK)
		rd_kafka_conf_set_events(*conf, RD_KAFKA_EVENT_ERROR);
	return status;
}
