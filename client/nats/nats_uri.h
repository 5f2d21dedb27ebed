/*
 * nats_uri.h
 *		What a URI of the NATS sink says: nats://[user:password@]host[:port][,...]/SUBJECT?...
 *
 * Pure.
 */
#ifndef CDC_NATS_URI_H
#define CDC_NATS_URI_H

#include <stdbool.h>
#include <stdint.h>

#include "authority.h"
#include "error.h"
#include "sink.h"

#define NATS_DEFAULT_TEMPLATE "cdc.{schema}.{table}"
#define NATS_DEFAULT_POSITIONS "cdc-positions"
#define NATS_DEFAULT_SCHEMAS "cdc-schemas"

/* Strings point into uri and authority. */
typedef struct NatsConfig
{
	SinkUri uri;
	Authority authority;
	const char *template; /* of the subjects, see target.h */
	char stream[256];     /* JetStream's */
	const char *positions;
	const char *schemas;     /* the stream of schema records */
	int replicas;            /* of streams that the sink makes */
	int64_t timeout;         /* microseconds without an answer after which the connection is dead */
	const char *credentials; /* files; NULL: none */
	bool tls;
	const char *tls_ca; /* NULL: the system's authorities */
	const char *tls_cert;
	const char *tls_key;
} NatsConfig;

/* On failure nothing is to be freed. */
extern CdcStatus nats_config_parse(NatsConfig *config, const char *uri,
								   CdcError *err) CDC_MUST_CHECK;
extern void nats_config_free(NatsConfig *config);

/* "nats.example:4222, other:4222": the servers, for messages.  Returns text. */
extern char *nats_config_servers(const NatsConfig *config, char *text, size_t size);

#endif /* CDC_NATS_URI_H */
