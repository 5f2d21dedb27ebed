/*
 * rpc_channel.c
 *		How a server is reached.
 */
#include "rpc_channel.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>

#include "clock.h"
#include "options.h"
#include "small_file.h"

/* A connection that cannot be made is reported; the loop, not gRPC, decides when to try again. */
#define MAX_RECONNECT_MS 1000

#define MAX_METADATA 64

/*
 * *text stays NULL where no file is named.  what: the label that PEM (RFC 7468) has to have in it; with
 * anything else gRPC would just find no address to connect to.
 */
static CdcStatus
read_pem(const char *path, const char *param, const char *what, char **text, CdcError *err)
{
	size_t length;
	CdcStatus status;

	if (path == NULL)
		return CDC_OK;
	status = small_file_read(path, param, text, &length, err);
	if (status == CDC_OK && strstr(*text, what) == NULL)
		status = cdc_error(err, CDC_USAGE, "\"%s\" (%s) is not a PEM file: it has no \"%s\"", path,
						   param, what);
	return status;
}

static void
free_pem(char *text)
{
	small_file_free(text, text != NULL ? strlen(text) : 0);
}

static CdcStatus
make_credentials(const RpcParams *params, grpc_channel_credentials **credentials, CdcError *err)
{
	char *ca = NULL;
	char *cert = NULL;
	char *key = NULL;
	CdcStatus status;

	*credentials = NULL;
	if (!params->tls)
	{
		*credentials = grpc_insecure_credentials_create();
		return CDC_OK;
	}
	status = read_pem(params->ca_file, "cafile", "BEGIN CERTIFICATE", &ca, err);
	if (status == CDC_OK)
		status = read_pem(params->cert_file, "cert", "BEGIN CERTIFICATE", &cert, err);
	if (status == CDC_OK)
		status = read_pem(params->key_file, "key", "PRIVATE KEY", &key, err);
	if (status == CDC_OK)
	{
		grpc_ssl_pem_key_cert_pair pair = {.private_key = key, .cert_chain = cert};

		*credentials = grpc_ssl_credentials_create(ca, cert != NULL ? &pair : NULL, NULL, NULL);
	}
	free_pem(ca);
	free_pem(cert);
	free_pem(key);
	return status;
}

CdcStatus
rpc_channel_create(grpc_channel **channel, const RpcParams *params, CdcError *err)
{
	char target[300];
	char user_agent[] = "cdc_client/" CDC_CLIENT_VERSION;
	char *authority = params->authority != NULL ? strdup(params->authority) : NULL;
	grpc_arg args[6];
	grpc_channel_args all = {.args = args};
	grpc_channel_credentials *credentials;
	CdcStatus status = make_credentials(params, &credentials, err);

	*channel = NULL;
	args[all.num_args++] = (grpc_arg){.type = GRPC_ARG_STRING,
									  .key = GRPC_ARG_PRIMARY_USER_AGENT_STRING,
									  .value.string = user_agent};
	args[all.num_args++] = (grpc_arg){.type = GRPC_ARG_INTEGER,
									  .key = GRPC_ARG_MAX_RECONNECT_BACKOFF_MS,
									  .value.integer = MAX_RECONNECT_MS};
	/* a new session begins with a connection of its own: the old one may be what is broken */
	args[all.num_args++] = (grpc_arg){
		.type = GRPC_ARG_INTEGER, .key = GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, .value.integer = 1};
	if (authority != NULL)
		args[all.num_args++] = (grpc_arg){
			.type = GRPC_ARG_STRING, .key = GRPC_ARG_DEFAULT_AUTHORITY, .value.string = authority};
	if (authority != NULL && params->tls)
		args[all.num_args++] = (grpc_arg){.type = GRPC_ARG_STRING,
										  .key = GRPC_SSL_TARGET_NAME_OVERRIDE_ARG,
										  .value.string = authority};
	if (params->keepalive > 0)
		args[all.num_args++] = (grpc_arg){.type = GRPC_ARG_INTEGER,
										  .key = GRPC_ARG_KEEPALIVE_TIME_MS,
										  .value.integer = (int) (params->keepalive / 1000)};
	snprintf(target, sizeof(target), "dns:///%s", params->address);
	if (status == CDC_OK && credentials != NULL)
		*channel = grpc_channel_create(target, credentials, &all);
	if (status == CDC_OK && *channel == NULL)
	{
		status = cdc_error(err, CDC_USAGE, "gRPC takes neither \"%s\" nor the credentials",
						   params->address);
		cdc_error_hint(err, "See cafile, cert and key in the sink's URI: PEM files.");
	}
	grpc_channel_credentials_release(credentials);
	free(authority);
	return status;
}

static CdcStatus
add_metadata(void *metadata_arg, char *name, char *value, CdcError *err)
{
	grpc_metadata_array *metadata = metadata_arg;
	grpc_slice key;
	grpc_slice content;

	for (char *at = name; *at != '\0'; at++)
		*at = (char) tolower((unsigned char) *at);
	if (strncmp(name, "grpc-", 5) == 0)
		return cdc_error(err, CDC_USAGE, "sets %s, which is gRPC's own", name);
	if (metadata->count == metadata->capacity)
		return cdc_error(err, CDC_USAGE, "more than %d headers", MAX_METADATA);
	key = grpc_slice_from_copied_string(name);
	content = grpc_slice_from_copied_string(value);
	if (!grpc_header_key_is_legal(key) || grpc_is_binary_header(key) ||
		!grpc_header_nonbin_value_is_legal(content))
	{
		grpc_slice_unref(key);
		grpc_slice_unref(content);
		return cdc_error(err, CDC_USAGE, "%s is not metadata that gRPC allows", name);
	}
	metadata->metadata[metadata->count].key = key;
	metadata->metadata[metadata->count++].value = content;
	return CDC_OK;
}

CdcStatus
rpc_metadata_read(grpc_metadata_array *metadata, const RpcParams *params, CdcError *err)
{
	grpc_metadata_array_init(metadata);
	if (params->metadata_file == NULL)
		return CDC_OK;
	metadata->metadata = gpr_zalloc(MAX_METADATA * sizeof(grpc_metadata));
	metadata->capacity = MAX_METADATA;
	return small_file_read_headers(params->metadata_file, "metadata-file", add_metadata, metadata,
								   err);
}

void
rpc_metadata_free(grpc_metadata_array *metadata)
{
	for (size_t i = 0; i < metadata->count; i++)
	{
		grpc_slice_unref(metadata->metadata[i].key);
		grpc_slice_unref(metadata->metadata[i].value);
	}
	grpc_metadata_array_destroy(metadata);
	grpc_metadata_array_init(metadata);
}
