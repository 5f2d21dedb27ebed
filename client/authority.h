/*
 * authority.h
 *		The authority of a sink's URI taken apart: [user[:password]@]host[:port][,host[:port]...].
 *
 * Pure.  No error shows what stands before the '@'.
 */
#ifndef CDC_AUTHORITY_H
#define CDC_AUTHORITY_H

#include <stdint.h>

#include "error.h"

#define AUTHORITY_MAX_HOSTS 16

/* A zeroed one is empty, and may be freed. */
typedef struct Authority
{
	char *buffer;         /* what the strings point into */
	const char *user;     /* percent-decoded; NULL: none */
	const char *password; /* the same; "" where there is a ':' with nothing behind it */
	int num_hosts;
	struct
	{
		const char *host; /* a name or an address, an IPv6 address without its brackets */
		uint16_t port;
	} hosts[AUTHORITY_MAX_HOSTS];
} Authority;

/* text NULL or without a host is localhost.  CDC_USAGE says what is wrong and what is allowed. */
extern CdcStatus authority_parse(Authority *authority, const char *text, uint16_t default_port,
								 CdcError *err) CDC_MUST_CHECK;
extern void authority_free(Authority *authority);

#endif /* CDC_AUTHORITY_H */
