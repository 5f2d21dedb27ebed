/*
 * redis_uri.c
 *		What a URI of the Redis sink says.
 */
#include "redis_uri.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

#define DEFAULT_PORT 6379
#define DEFAULT_TIMEOUT (30 * INT64_C(1000000))
#define MIN_TIMEOUT (1 * INT64_C(1000000))

#define PARAMETERS "maxlen=N, db=N, timeout=DURATION, tls-ca=FILE, tls-cert=FILE, tls-key=FILE"

static CdcStatus
parse_number(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *value,
			 CdcError *err)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || *value < min || *value > max)
		return cdc_error(err, CDC_USAGE,
						 "%s=%s in the sink's URI: a whole number from %llu to %llu is allowed",
						 name, text, (unsigned long long) min, (unsigned long long) max);
	return CDC_OK;
}

static CdcStatus
read_timeout(RedisConfig *config, const char *text, CdcError *err)
{
	CdcStatus status =
		options_parse_duration(text, "timeout in the sink's URI", &config->timeout, err);

	if (status == CDC_OK && config->timeout < MIN_TIMEOUT)
		return cdc_error(err, CDC_USAGE,
						 "timeout=%s in the sink's URI is too short; at least 1s is allowed", text);
	return status;
}

static CdcStatus
read_param(RedisConfig *config, const char *name, const char *value, CdcError *err)
{
	uint64_t number = 0;
	CdcStatus status = CDC_OK;

	if (strcmp(name, "maxlen") == 0)
		status = parse_number(name, value, 1, INT64_MAX, &config->maxlen, err);
	else if (strcmp(name, "db") == 0)
	{
		status = parse_number(name, value, 0, INT32_MAX, &number, err);
		config->database = (uint32_t) number;
	}
	else if (strcmp(name, "timeout") == 0)
		status = read_timeout(config, value, err);
	else if (strcmp(name, "tls-ca") == 0)
		config->tls_ca = value;
	else if (strcmp(name, "tls-cert") == 0)
		config->tls_cert = value;
	else if (strcmp(name, "tls-key") == 0)
		config->tls_key = value;
	else
		status = cdc_error(err, CDC_USAGE,
						   "the redis sink has no parameter \"%s\"; it has: " PARAMETERS, name);
	return status;
}

static CdcStatus
check_tls(const RedisConfig *config, CdcError *err)
{
	bool wanted = config->tls_ca != NULL || config->tls_cert != NULL || config->tls_key != NULL;

	if (wanted && !config->tls)
		return cdc_error(err, CDC_USAGE,
						 "tls-ca, tls-cert and tls-key in the sink's URI are for rediss:// only");
	if ((config->tls_cert == NULL) != (config->tls_key == NULL))
		return cdc_error(err, CDC_USAGE,
						 "tls-cert and tls-key in the sink's URI are given together or not at all");
	return CDC_OK;
}

CdcStatus
redis_config_parse(RedisConfig *config, const char *uri, CdcError *err)
{
	CdcStatus status;

	memset(config, 0, sizeof(*config));
	config->tls = strncmp(uri, "rediss:", 7) == 0;
	config->timeout = DEFAULT_TIMEOUT;
	status = sink_uri_parse(&config->uri, uri, err);
	if (status == CDC_OK && config->uri.authority == NULL)
	{
		status = cdc_error(err, CDC_USAGE, "the redis sink's URI has no // behind its scheme");
		cdc_error_hint(err, "For example: redis://localhost/cdc:{table}.");
	}
	if (status == CDC_OK)
		status = authority_parse(&config->authority, config->uri.authority, DEFAULT_PORT, err);
	if (status == CDC_OK && config->authority.num_hosts > 1)
		status = cdc_error(err, CDC_USAGE,
						   "the redis sink's URI names %d servers; one is allowed, of a cluster "
						   "any one of its nodes",
						   config->authority.num_hosts);
	for (int i = 0; i < config->uri.num_params && status == CDC_OK; i++)
		status = read_param(config, config->uri.params[i].name, config->uri.params[i].value, err);
	if (status == CDC_OK)
		status = check_tls(config, err);
	if (status != CDC_OK)
	{
		redis_config_free(config);
		return status;
	}
	config->template = config->uri.path + (config->uri.path[0] == '/' ? 1 : 0);
	if (config->template[0] == '\0')
		config->template = REDIS_DEFAULT_TEMPLATE;
	return CDC_OK;
}

void
redis_config_free(RedisConfig *config)
{
	authority_free(&config->authority);
	sink_uri_free(&config->uri);
}
