/*
 * redis_uri.h
 *		What a URI of the Redis sink says: redis[s]://[user:password@][host[:port]]/STREAM?...
 *
 * Pure.
 */
#ifndef CDC_REDIS_URI_H
#define CDC_REDIS_URI_H

#include <stdbool.h>
#include <stdint.h>

#include "authority.h"
#include "error.h"
#include "sink.h"

/* One hash tag for all keys: a transaction of Redis Cluster keeps within one slot. */
#define REDIS_DEFAULT_TEMPLATE "{{cdc}:{schema}.{table}"

/* Strings point into uri and authority. */
typedef struct RedisConfig
{
	SinkUri uri;
	Authority authority; /* one host */
	bool tls;
	const char *template; /* of the streams' names, see target.h */
	uint32_t database;
	uint64_t maxlen;      /* entries that a stream keeps, about; 0: all */
	int64_t timeout;      /* microseconds without an answer after which the connection is dead */
	const char *tls_ca;   /* files; NULL: the system's authorities */
	const char *tls_cert; /* NULL: none */
	const char *tls_key;
} RedisConfig;

/* On failure nothing is to be freed. */
extern CdcStatus redis_config_parse(RedisConfig *config, const char *uri,
									CdcError *err) CDC_MUST_CHECK;
extern void redis_config_free(RedisConfig *config);

#endif /* CDC_REDIS_URI_H */
