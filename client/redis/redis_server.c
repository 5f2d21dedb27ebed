/*
 * redis_server.c
 *		What is asked of a Redis server while the sink is opened.
 */
#include "redis_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "redis_batch.h"

/* Redis's own, for servers that do not tell (redis.conf: proto-max-bulk-len). */
#define DEFAULT_MAX_BULK (UINT64_C(512) * 1024 * 1024)

/*
 * client-query-buffer-limit counts all that a client has queued in a transaction: the record, and
 * the rest of its batch.
 */
#define QUERY_ROOM (UINT64_C(512) * 1024)

/* A parameter's value; false where the server does not tell (CONFIG is often taken away). */
static CdcStatus
get_config(RedisWire *wire, const char *name, char *value, size_t size, bool *told, CdcError *err)
{
	redisReply *reply;
	CdcStatus status =
		redis_wire_request(wire, 3, (const char *[]){"CONFIG", "GET", name}, &reply, err);

	if (status != CDC_OK)
		return status;
	*told = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
			reply->element[1]->type == REDIS_REPLY_STRING;
	if (*told)
		snprintf(value, size, "%s", reply->element[1]->str);
	freeReplyObject(reply);
	return CDC_OK;
}

static CdcStatus
learn_limits(RedisWire *wire, RedisServer *server, CdcError *err)
{
	char value[64];
	bool told;
	CdcStatus status = get_config(wire, "proto-max-bulk-len", value, sizeof(value), &told, err);

	server->max_record = DEFAULT_MAX_BULK;
	if (status == CDC_OK && told)
		server->max_record = strtoull(value, NULL, 10);
	if (status == CDC_OK)
		status = get_config(wire, "client-query-buffer-limit", value, sizeof(value), &told, err);
	if (status == CDC_OK && told)
	{
		uint64_t limit = strtoull(value, NULL, 10);

		limit = limit > QUERY_ROOM ? limit - QUERY_ROOM : 0;
		if (limit < server->max_record)
			server->max_record = limit;
	}
	return status;
}

/* A server that throws keys away when memory is short would lose records, and say nothing. */
static CdcStatus
check_eviction(RedisWire *wire, CdcError *err)
{
	char maxmemory[64];
	char policy[64];
	bool told;
	CdcStatus status = get_config(wire, "maxmemory", maxmemory, sizeof(maxmemory), &told, err);

	if (status != CDC_OK || !told || strcmp(maxmemory, "0") == 0)
		return status;
	status = get_config(wire, "maxmemory-policy", policy, sizeof(policy), &told, err);
	if (status != CDC_OK || !told || strncmp(policy, "allkeys", 7) != 0)
		return status;
	cdc_error(err, CDC_USAGE,
			  "%s evicts keys when memory is short (maxmemory-policy %s): records would be lost",
			  wire->name, policy);
	cdc_error_hint(err, "Set maxmemory-policy to noeviction, or to one of volatile-*, which leave "
						"keys alone that do not expire; or use another server.");
	return CDC_USAGE;
}

static CdcStatus
load_guard(RedisWire *wire, RedisServer *server, CdcError *err)
{
	redisReply *reply;
	CdcStatus status = redis_wire_request(
		wire, 3, (const char *[]){"SCRIPT", "LOAD", redis_guard_script}, &reply, err);

	if (status != CDC_OK)
		return status;
	if (reply->type == REDIS_REPLY_ERROR)
		status = redis_wire_error(wire, reply->str, "SCRIPT LOAD", err);
	else
		snprintf(server->guard_sha, sizeof(server->guard_sha), "%s",
				 reply->type == REDIS_REPLY_STRING ? reply->str : "");
	freeReplyObject(reply);
	return status;
}

/* From here on no transaction of a client that opened the sink before us can succeed. */
static CdcStatus
raise_epoch(RedisWire *wire, const char *position_key, RedisServer *server, bool *redirected,
			CdcError *err)
{
	redisReply *reply;
	CdcStatus status = redis_wire_request(
		wire, 4, (const char *[]){"HINCRBY", position_key, "epoch", "1"}, &reply, err);

	if (status != CDC_OK)
		return status;
	*redirected = redis_wire_redirected(wire, reply);
	if (reply->type == REDIS_REPLY_ERROR)
		status = *redirected ? CDC_OK : redis_wire_error(wire, reply->str, "HINCRBY", err);
	else
		server->epoch = reply->integer;
	freeReplyObject(reply);
	return status;
}

CdcStatus
redis_server_take(RedisWire *wire, const char *position_key, RedisServer *server, bool *redirected,
				  CdcError *err)
{
	CdcStatus status = learn_limits(wire, server, err);

	*redirected = false;
	if (status == CDC_OK)
		status = check_eviction(wire, err);
	if (status == CDC_OK)
		status = load_guard(wire, server, err);
	if (status == CDC_OK)
		status = raise_epoch(wire, position_key, server, redirected, err);
	return status;
}

static CdcStatus
read_position(RedisWire *wire, const char *position_key, const char *text, Source *source,
			  Position *position, CdcError *err)
{
	struct json_object *object = json_tokener_parse(text);
	bool good = object != NULL && position_from_json(object, source, position);

	json_object_put(object);
	if (good)
		return CDC_OK;
	cdc_error(err, CDC_STOP, "%s: field \"position\" of key \"%s\" is not a position: %.200s",
			  wire->name, position_key, text);
	cdc_error_hint(err, "Another program has changed it; give the streams other names.");
	return CDC_STOP;
}

CdcStatus
redis_server_position(RedisWire *wire, const char *position_key, Source *source, Position *position,
					  bool *found, bool *redirected, CdcError *err)
{
	redisReply *reply;
	CdcStatus status = redis_wire_request(
		wire, 3, (const char *[]){"HGET", position_key, "position"}, &reply, err);

	*found = *redirected = false;
	if (status != CDC_OK)
		return status;
	*redirected = redis_wire_redirected(wire, reply);
	if (reply->type == REDIS_REPLY_ERROR)
		status = *redirected ? CDC_OK : redis_wire_error(wire, reply->str, "HGET", err);
	else if (reply->type == REDIS_REPLY_STRING)
	{
		status = read_position(wire, position_key, reply->str, source, position, err);
		*found = status == CDC_OK;
	}
	freeReplyObject(reply);
	return status;
}
