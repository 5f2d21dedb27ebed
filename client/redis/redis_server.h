/*
 * redis_server.h
 *		What is asked of a Redis server while the sink is opened: limits, the guard, the position.
 */
#ifndef CDC_REDIS_SERVER_H
#define CDC_REDIS_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "position.h"
#include "redis_wire.h"

typedef struct RedisServer
{
	uint64_t max_record; /* bytes */
	char guard_sha[64];
	long long epoch; /* ours; raised by whoever opens the sink next */
} RedisServer;

/*
 * Learns the server's limits, loads the guard and takes the position's hash over.  CDC_USAGE: the
 * server evicts keys.  *redirected: not this node of the cluster; open the wire anew.
 */
extern CdcStatus redis_server_take(RedisWire *wire, const char *position_key, RedisServer *server,
								   bool *redirected, CdcError *err) CDC_MUST_CHECK;

/* Reads the position that key holds; *found is false where it holds none. */
extern CdcStatus redis_server_position(RedisWire *wire, const char *position_key, Source *source,
									   Position *position, bool *found, bool *redirected,
									   CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_REDIS_SERVER_H */
