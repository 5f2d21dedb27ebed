/*
 * rpc_params.c
 *		A grpc sink's URI taken apart.
 */
#include "rpc_params.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "sink_param.h"

#define KNOWN_PARAMS                                                                               \
	"batch-bytes=SIZE, batch-records=N, timeout=DURATION, ack-timeout=DURATION, "                  \
	"keepalive=DURATION, authority=NAME, metadata-file=PATH, cafile=PATH, cert=PATH, key=PATH"

/* A server takes messages of 4 MiB if nothing else is configured. */
#define DEFAULT_BATCH_BYTES (1 << 20)
#define DEFAULT_BATCH_RECORDS 10000

static CdcStatus
read_text(void *field, const char *name, const char *value, CdcError *err)
{
	if (*value == '\0')
		return cdc_error(err, CDC_USAGE, "%s in the sink's URI is empty", name);
	*(const char **) field = value;
	return CDC_OK;
}

static const struct
{
	const char *name;
	SinkParamReader read;
	size_t field;
} known_params[] = {
	{"batch-bytes", sink_param_batch_bytes, offsetof(RpcParams, batch_bytes)},
	{"batch-records", sink_param_batch_records, offsetof(RpcParams, batch_records)},
	{"timeout", sink_param_timeout, offsetof(RpcParams, timeout)},
	{"ack-timeout", sink_param_timeout, offsetof(RpcParams, ack_timeout)},
	{"keepalive", sink_param_timeout, offsetof(RpcParams, keepalive)},
	{"authority", read_text, offsetof(RpcParams, authority)},
	{"metadata-file", read_text, offsetof(RpcParams, metadata_file)},
	{"cafile", read_text, offsetof(RpcParams, ca_file)},
	{"cert", read_text, offsetof(RpcParams, cert_file)},
	{"key", read_text, offsetof(RpcParams, key_file)},
};

static CdcStatus
read_param(RpcParams *params, const char *name, const char *value, CdcError *err)
{
	for (size_t i = 0; i < sizeof(known_params) / sizeof(known_params[0]); i++)
		if (strcmp(name, known_params[i].name) == 0)
			return known_params[i].read((char *) params + known_params[i].field, name, value, err);
	cdc_error(err, CDC_USAGE, "the grpc sink has no parameter \"%s\"", name);
	cdc_error_hint(err, "It has: %s.", KNOWN_PARAMS);
	return CDC_USAGE;
}

/* host:port, or [::1]:port. */
static CdcStatus
check_address(const RpcParams *params, CdcError *err)
{
	const char *address = params->address != NULL ? params->address : "";
	const char *colon = strrchr(address, ':');
	const char *digits = colon != NULL ? colon + 1 : "";
	bool good = colon != NULL && colon != address && digits[0] != '\0' && strlen(digits) <= 5 &&
				strspn(digits, "0123456789") == strlen(digits) && atol(digits) >= 1 &&
				atol(digits) <= 65535;

	if (good && address[0] == '[')
		good = colon[-1] == ']';
	else if (good)
		good = memchr(address, ':', (size_t) (colon - address)) == NULL;
	/* user:password@ has no meaning here, and must not be shown */
	if (strchr(address, '@') != NULL)
	{
		cdc_error(err, CDC_USAGE, "the sink's URI has a user, which gRPC has no place for");
		cdc_error_hint(err, "Credentials go into the file that metadata-file names.");
		return CDC_USAGE;
	}
	if (good)
		return CDC_OK;
	/* without a host in front, a password stands where the port should */
	cdc_error(err, CDC_USAGE, "\"%.*s\" in the sink's URI is not a host and a port",
			  digits[strspn(digits, "0123456789")] == '\0' ? (int) strlen(address)
														   : (int) (digits - address),
			  address);
	cdc_error_hint(err, "For example: grpc://localhost:50051, or grpcs://[::1]:50051.");
	return CDC_USAGE;
}

static CdcStatus
check_tls(const RpcParams *params, CdcError *err)
{
	if (!params->tls && (params->ca_file != NULL || params->cert_file != NULL))
		return cdc_error(err, CDC_USAGE, "%s in the sink's URI means something for grpcs:// only",
						 params->ca_file != NULL ? "cafile" : "cert");
	if ((params->key_file != NULL) != (params->cert_file != NULL))
		return cdc_error(err, CDC_USAGE, "the sink's URI has %s, but no %s",
						 params->key_file != NULL ? "key" : "cert",
						 params->key_file != NULL ? "cert" : "key");
	return CDC_OK;
}

CdcStatus
rpc_params_parse(RpcParams *params, const char *uri, CdcError *err)
{
	CdcStatus status = sink_uri_parse(&params->uri, uri, err);

	params->tls = strncmp(uri, "grpcs:", 6) == 0;
	params->address = params->uri.authority;
	params->batch_bytes = DEFAULT_BATCH_BYTES;
	params->batch_records = DEFAULT_BATCH_RECORDS;
	params->timeout = 10 * CLOCK_SECOND;
	params->ack_timeout = 60 * CLOCK_SECOND;
	if (status == CDC_OK)
		status = check_address(params, err);
	for (int i = 0; i < params->uri.num_params && status == CDC_OK; i++)
		status = read_param(params, params->uri.params[i].name, params->uri.params[i].value, err);
	if (status != CDC_OK)
		return status;
	/* grpc://host:port/{table}: the path without its slash; without one, the table */
	params->target = strlen(params->uri.path) > 1 ? params->uri.path + 1 : "{schema}.{table}";
	return check_tls(params, err);
}

void
rpc_params_free(RpcParams *params)
{
	sink_uri_free(&params->uri);
	memset(params, 0, sizeof(*params));
}
