/*
 * redis_tls.h
 *		TLS over a Redis connection's socket, which does not block.
 *
 * By OpenSSL itself: hiredis' own TLS does not look at the name in a certificate, and older ones have none.
 */
#ifndef CDC_REDIS_TLS_H
#define CDC_REDIS_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"
#include "redis_uri.h"

typedef struct RedisTls RedisTls;

/*
 * Prepares TLS 1.2 or newer on a connected socket, which stays the caller's, to a server whose certificate
 * has to be of host (a name or an address).  name is for messages and is borrowed.  CDC_USAGE: a file of the
 * URI's is not what it should be.
 */
extern CdcStatus redis_tls_open(RedisTls **tls, const RedisConfig *config, const char *host, int fd,
								const char *name, CdcError *err) CDC_MUST_CHECK;

/* Takes NULL. */
extern void redis_tls_close(RedisTls *tls);

/*
 * These go as far as the socket lets them; *events is what it has to be ready for to go on, 0 where
 * nothing is left to do.  CDC_USAGE: the certificate is not trusted, or ours is not.  CDC_RETRY: the connection
 * broke.
 */
extern CdcStatus redis_tls_handshake(RedisTls *tls, short *events, CdcError *err) CDC_MUST_CHECK;
extern CdcStatus redis_tls_write(RedisTls *tls, const char *data, size_t length, size_t *written,
								 CdcError *err) CDC_MUST_CHECK;

/* *length: what was read; 0: nothing is there. */
extern CdcStatus redis_tls_read(RedisTls *tls, char *data, size_t size, size_t *length,
								CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_REDIS_TLS_H */
