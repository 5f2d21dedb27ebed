/*
 * nats_uri.c
 *		What a URI of the NATS sink says.
 */
#include "nats_uri.h"

#include <stdio.h>
#include <string.h>

#include "nats_name.h"
#include "options.h"

#define DEFAULT_PORT 4222
#define DEFAULT_TIMEOUT (30 * INT64_C(1000000))
#define MIN_TIMEOUT (1 * INT64_C(1000000))

/* The most that JetStream has (nats-server, StreamMaxReplicas). */
#define MAX_REPLICAS 5

#define PARAMETERS                                                                                 \
	"stream=NAME, positions=NAME, schemas=NAME, replicas=N, timeout=DURATION, credentials=FILE, "  \
	"tls=on|off, tls-ca=FILE, tls-cert=FILE, tls-key=FILE"

static CdcStatus
read_stream(const char *param, const char *name, CdcError *err)
{
	if (nats_stream_name_valid(name))
		return CDC_OK;
	cdc_error(err, CDC_USAGE, "%s=%s in the sink's URI is not a stream's name", param, name);
	cdc_error_hint(err, "A stream's name has up to 255 letters, digits and signs, but no space, "
						"'.', '*', '>', '/' or '\\'.");
	return CDC_USAGE;
}

static CdcStatus
read_replicas(NatsConfig *config, const char *text, CdcError *err)
{
	if (text[0] < '1' || text[0] > '0' + MAX_REPLICAS || text[1] != '\0')
		return cdc_error(err, CDC_USAGE,
						 "replicas=%s in the sink's URI: a number from 1 to %d is allowed", text,
						 MAX_REPLICAS);
	config->replicas = text[0] - '0';
	return CDC_OK;
}

static CdcStatus
read_timeout(NatsConfig *config, const char *text, CdcError *err)
{
	CdcStatus status =
		options_parse_duration(text, "timeout in the sink's URI", &config->timeout, err);

	if (status == CDC_OK && config->timeout < MIN_TIMEOUT)
		return cdc_error(err, CDC_USAGE,
						 "timeout=%s in the sink's URI is too short; at least 1s is allowed", text);
	return status;
}

static CdcStatus
read_tls(NatsConfig *config, const char *text, CdcError *err)
{
	if (strcmp(text, "on") != 0 && strcmp(text, "off") != 0)
		return cdc_error(err, CDC_USAGE, "tls=%s in the sink's URI: on or off is allowed", text);
	config->tls = strcmp(text, "on") == 0;
	return CDC_OK;
}

static CdcStatus
read_param(NatsConfig *config, const char *name, const char *value, CdcError *err)
{
	CdcStatus status = CDC_OK;

	if (strcmp(name, "stream") == 0)
	{
		status = read_stream(name, value, err);
		snprintf(config->stream, sizeof(config->stream), "%s", value);
	}
	else if (strcmp(name, "positions") == 0)
	{
		status = read_stream(name, value, err);
		config->positions = value;
	}
	else if (strcmp(name, "schemas") == 0)
	{
		status = read_stream(name, value, err);
		config->schemas = value;
	}
	else if (strcmp(name, "replicas") == 0)
		status = read_replicas(config, value, err);
	else if (strcmp(name, "timeout") == 0)
		status = read_timeout(config, value, err);
	else if (strcmp(name, "credentials") == 0)
		config->credentials = value;
	else if (strcmp(name, "tls") == 0)
		status = read_tls(config, value, err);
	else if (strcmp(name, "tls-ca") == 0)
		config->tls_ca = value;
	else if (strcmp(name, "tls-cert") == 0)
		config->tls_cert = value;
	else if (strcmp(name, "tls-key") == 0)
		config->tls_key = value;
	else
		status = cdc_error(err, CDC_USAGE,
						   "the nats sink has no parameter \"%s\"; it has: " PARAMETERS, name);
	return status;
}

static CdcStatus
check_params(const NatsConfig *config, CdcError *err)
{
	if (!config->tls && (config->tls_ca != NULL || config->tls_cert != NULL))
		return cdc_error(err, CDC_USAGE,
						 "tls-ca, tls-cert and tls-key in the sink's URI need tls=on");
	if ((config->tls_cert == NULL) != (config->tls_key == NULL))
		return cdc_error(err, CDC_USAGE,
						 "tls-cert and tls-key in the sink's URI are given together or not at all");
	if (strcmp(config->stream, config->positions) == 0)
		return cdc_error(err, CDC_USAGE,
						 "stream=%s in the sink's URI is the stream that holds the positions",
						 config->stream);
	if (strcmp(config->schemas, config->stream) == 0 ||
		strcmp(config->schemas, config->positions) == 0)
		return cdc_error(err, CDC_USAGE,
						 "schemas=%s in the sink's URI is the stream that holds the %s",
						 config->schemas,
						 strcmp(config->schemas, config->stream) == 0 ? "records" : "positions");
	return CDC_OK;
}

CdcStatus
nats_config_parse(NatsConfig *config, const char *uri, CdcError *err)
{
	CdcStatus status;

	memset(config, 0, sizeof(*config));
	config->timeout = DEFAULT_TIMEOUT;
	config->positions = NATS_DEFAULT_POSITIONS;
	config->schemas = NATS_DEFAULT_SCHEMAS;
	config->replicas = 1;
	status = sink_uri_parse(&config->uri, uri, err);
	if (status == CDC_OK && config->uri.authority == NULL)
	{
		status = cdc_error(err, CDC_USAGE, "the nats sink's URI has no // behind its scheme");
		cdc_error_hint(err, "For example: nats://localhost/cdc.{schema}.{table}.");
	}
	if (status == CDC_OK)
		status = authority_parse(&config->authority, config->uri.authority, DEFAULT_PORT, err);
	for (int i = 0; i < config->uri.num_params && status == CDC_OK; i++)
		status = read_param(config, config->uri.params[i].name, config->uri.params[i].value, err);
	if (status != CDC_OK)
	{
		nats_config_free(config);
		return status;
	}
	config->template = config->uri.path + (config->uri.path[0] == '/' ? 1 : 0);
	if (config->template[0] == '\0')
		config->template = NATS_DEFAULT_TEMPLATE;
	if (config->stream[0] == '\0')
		nats_default_stream(config->template, config->stream, sizeof(config->stream));
	status = check_params(config, err);
	if (status != CDC_OK)
		nats_config_free(config);
	return status;
}

void
nats_config_free(NatsConfig *config)
{
	authority_free(&config->authority);
	sink_uri_free(&config->uri);
}

char *
nats_config_servers(const NatsConfig *config, char *text, size_t size)
{
	size_t length = 0;

	text[0] = '\0';
	for (int i = 0; i < config->authority.num_hosts && length < size; i++)
		length += (size_t) snprintf(text + length, size - length, "%s%s:%u", i > 0 ? ", " : "",
									config->authority.hosts[i].host,
									(unsigned) config->authority.hosts[i].port);
	return text;
}
