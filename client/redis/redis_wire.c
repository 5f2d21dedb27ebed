/*
 * redis_wire.c
 *		One connection to a Redis server, and what its errors mean.
 */
#include "redis_wire.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

/* SinkConfig asks for a tick() every 500 ms. */
#define TICK_MS 200

/* A record of TLS at most (RFC 8446, 5.1). */
#define TLS_READ_SIZE (16 * 1024)

/* A server that does not answer a single command while a sink is opened is not there. */
#define REQUEST_TIMEOUT (10 * CLOCK_SECOND)

/*
 * What the server's errors mean; the first whose text an answer begins with.  The words are those
 * of Redis 5 to 7 (its server.c, script.c and cluster.c).  Whatever is not listed ends the stream:
 * nobody has thought about it.
 */
static const struct
{
	const char *begins;
	CdcStatus status;
	const char *hint;
} meanings[] = {
	{"LOADING", CDC_RETRY, "The server is starting."},
	{"BUSY ", CDC_RETRY, "A script keeps the server busy."},
	{"MASTERDOWN", CDC_RETRY, ""},
	{"CLUSTERDOWN", CDC_RETRY, "The cluster does not serve all of its slots."},
	{"TRYAGAIN", CDC_RETRY, "The cluster is moving the slot."},
	{"MOVED", CDC_RETRY, "The cluster has moved the slot."},
	{"ASK", CDC_RETRY, "The cluster is moving the slot."},
	{"READONLY", CDC_RETRY,
	 "The server is a replica: a failover may be under way; else name the primary in the sink's "
	 "URI."},
	{"NOREPLICAS", CDC_RETRY,
	 "The server wants more replicas than it has (min-replicas-to-write)."},
	{"MISCONF", CDC_RETRY,
	 "The server cannot write its snapshot or log to disk, and takes no writes until it can."},
	{"OOM", CDC_RETRY,
	 "The server has used its maxmemory, and takes no writes until there is room: give it more, "
	 "or let streams be trimmed (maxlen=N in the sink's URI, XTRIM)."},
	{"NOSCRIPT", CDC_RETRY, "The server's scripts were flushed."},
	{"EXECABORT", CDC_RETRY, ""}, /* for a reason that was said before, if memory sufficed */
	{"ERR max number of clients", CDC_RETRY, ""},
	{"NOAUTH", CDC_USAGE, "Give user and password in the sink's URI: redis://user:password@host/."},
	{"WRONGPASS", CDC_USAGE, "Correct user and password in the sink's URI."},
	{"ERR invalid password", CDC_USAGE, "Correct the password in the sink's URI."},
	{"ERR Client sent AUTH, but no password is set", CDC_USAGE,
	 "Leave the password out of the sink's URI."},
	{"ERR AUTH ", CDC_USAGE, "Correct user and password in the sink's URI."},
	{"NOPERM", CDC_USAGE,
	 "The user of the sink's URI needs the commands that doc/sink-redis.md lists, on all keys that "
	 "begin as the streams do."},
	{"CROSSSLOT", CDC_USAGE,
	 "In a cluster all keys must lie in one slot: give the streams' names one hash tag, as in "
	 "redis://host/{{cdc}:{schema}.{table}, also those given by cdc.set_target()."},
	{"ERR SELECT is not allowed in cluster mode", CDC_USAGE, "Leave db out of the sink's URI."},
	{"ERR DB index is out of range", CDC_USAGE, "Correct db in the sink's URI."},
	{"ERR unknown command", CDC_USAGE, "The server must be Redis 5.0 or newer."},
	{"WRONGTYPE", CDC_STOP, "Another program uses the key; give the streams other names."},
	{"ERR Protocol error: invalid bulk length", CDC_REFUSED, ""},
	{"ERR Elements are too large", CDC_REFUSED, ""},
};

static bool
begins_with(const char *text, const char *begin)
{
	return strncmp(text, begin, strlen(begin)) == 0;
}

CdcStatus
redis_wire_error(const RedisWire *wire, const char *answer, const char *what, CdcError *err)
{
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (begins_with(answer, meanings[i].begins))
		{
			cdc_error(err, meanings[i].status, "%s: %s failed: %s", wire->name, what, answer);
			cdc_error_hint(err, "%s", meanings[i].hint);
			return meanings[i].status;
		}
	return cdc_error(err, CDC_STOP, "%s: %s failed: %s", wire->name, what, answer);
}

static CdcStatus
connection_error(RedisWire *wire, CdcError *err)
{
	return cdc_error(err, CDC_RETRY, "the connection to %s failed: %s", wire->name,
					 wire->context->errstr);
}

size_t
redis_wire_unsent(const RedisWire *wire)
{
	return sdslen(wire->context->obuf);
}

CdcStatus
redis_wire_feed(RedisWire *wire, const char *data, size_t length, CdcError *err)
{
	if (redisAppendFormattedCommand(wire->context, data, length) != REDIS_OK)
		return connection_error(wire, err);
	return CDC_OK;
}

/* As redisBufferWrite() and redisBufferRead() do, but over TLS. */
static CdcStatus
write_tls(RedisWire *wire, CdcError *err)
{
	sds buffer = wire->context->obuf;
	size_t length = sdslen(buffer);
	size_t written = 0;
	CdcStatus status = CDC_OK;

	if (length > 0)
		status = redis_tls_write(wire->tls, buffer, length, &written, err);
	if (written == length)
		sdsclear(buffer);
	else if (written > 0)
		(void) sdsrange(buffer, (int) written, -1);
	return status;
}

static CdcStatus
read_tls(RedisWire *wire, bool *got, CdcError *err)
{
	char data[TLS_READ_SIZE];
	size_t length;
	CdcStatus status = redis_tls_read(wire->tls, data, sizeof(data), &length, err);

	*got = length > 0;
	if (status == CDC_OK && *got &&
		redisReaderFeed(wire->context->reader, data, length) != REDIS_OK)
		return cdc_error(err, CDC_RETRY, "out of memory for what %s sent", wire->name);
	return status;
}

CdcStatus
redis_wire_write(RedisWire *wire, CdcError *err)
{
	int done;

	if (wire->tls != NULL)
		return write_tls(wire, err);
	if (redisBufferWrite(wire->context, &done) != REDIS_OK)
		return connection_error(wire, err);
	return CDC_OK;
}

CdcStatus
redis_wire_read(RedisWire *wire, bool *got, CdcError *err)
{
	size_t before = wire->context->reader->len;

	if (wire->tls != NULL)
		return read_tls(wire, got, err);
	if (redisBufferRead(wire->context) != REDIS_OK)
		return connection_error(wire, err);
	*got = wire->context->reader->len != before;
	return CDC_OK;
}

CdcStatus
redis_wire_reply(RedisWire *wire, redisReply **reply, CdcError *err)
{
	void *object = NULL;

	*reply = NULL;
	if (redisGetReplyFromReader(wire->context, &object) != REDIS_OK)
		return connection_error(wire, err);
	*reply = object;
	return CDC_OK;
}

/*
 * Waits until the socket is ready for events (*ready), the time for a tick() has come, or deadline has
 * passed.
 */
static CdcStatus
wait_for_socket(RedisWire *wire, short events, int64_t deadline, bool *ready, CdcError *err)
{
	struct pollfd fd = {.fd = wire->context->fd, .events = events};
	int count = poll(&fd, 1, TICK_MS);

	*ready = count > 0;
	if (count < 0 && errno != EINTR)
		return cdc_error(err, CDC_RETRY, "poll() failed: %s", strerror(errno));
	if (!wire->tick(wire->tick_arg))
		return cdc_error(err, CDC_RETRY, "gave up waiting for %s", wire->name);
	if (!*ready && clock_now() >= deadline)
		return cdc_error(err, CDC_RETRY, "%s has not answered for %d s", wire->name,
						 (int) (REQUEST_TIMEOUT / CLOCK_SECOND));
	return CDC_OK;
}

CdcStatus
redis_wire_request(RedisWire *wire, int argc, const char **argv, redisReply **reply, CdcError *err)
{
	int64_t deadline = clock_now() + REQUEST_TIMEOUT;
	CdcStatus status;
	bool ready;
	bool got;

	*reply = NULL;
	if (redisAppendCommandArgv(wire->context, argc, argv, NULL) != REDIS_OK)
		return connection_error(wire, err);
	do
	{
		status = redis_wire_write(wire, err);
		if (status == CDC_OK)
			status = redis_wire_read(wire, &got, err);
		if (status == CDC_OK)
			status = redis_wire_reply(wire, reply, err);
		if (status == CDC_OK && *reply == NULL)
			status = wait_for_socket(wire, redis_wire_unsent(wire) > 0 ? POLLIN | POLLOUT : POLLIN,
									 deadline, &ready, err);
	} while (status == CDC_OK && *reply == NULL);
	return status;
}

/* A command that has to succeed, and whose answer is of no interest. */
static CdcStatus
command(RedisWire *wire, int argc, const char **argv, CdcError *err)
{
	redisReply *reply;
	CdcStatus status = redis_wire_request(wire, argc, argv, &reply, err);

	if (status == CDC_OK && reply != NULL && reply->type == REDIS_REPLY_ERROR)
		status = redis_wire_error(wire, reply->str, argv[0], err);
	freeReplyObject(reply);
	return status;
}

static CdcStatus
log_in(RedisWire *wire, CdcError *err)
{
	const Authority *authority = &wire->config->authority;
	const char *auth[3] = {"AUTH"};
	int argc = 1;

	if (authority->password == NULL && authority->user == NULL)
		return CDC_OK;
	/* Before Redis 6 there are no users, and AUTH takes the password only. */
	if (authority->user[0] != '\0')
		auth[argc++] = authority->user;
	auth[argc++] = authority->password != NULL ? authority->password : "";
	return command(wire, argc, auth, err);
}

static CdcStatus
select_database(RedisWire *wire, CdcError *err)
{
	char number[16];
	const char *select[] = {"SELECT", number};

	if (wire->config->database == 0)
		return CDC_OK;
	snprintf(number, sizeof(number), "%u", (unsigned) wire->config->database);
	return command(wire, 2, select, err);
}

static CdcStatus
start_tls(RedisWire *wire, CdcError *err)
{
	int64_t deadline = clock_now() + REQUEST_TIMEOUT;
	short events = POLLOUT; /* the handshake cannot begin before there is a connection */
	CdcStatus status = CDC_OK;

	while (status == CDC_OK && events != 0)
	{
		bool ready = false;

		while (status == CDC_OK && !ready)
			status = wait_for_socket(wire, events, deadline, &ready, err);
		if (status == CDC_OK && wire->tls == NULL)
			status = redis_tls_open(&wire->tls, wire->config, wire->host, wire->context->fd,
									wire->name, err);
		if (status == CDC_OK)
			status = redis_tls_handshake(wire->tls, &events, err);
	}
	/* one without TLS waits for the rest of a command */
	if (status == CDC_RETRY && err->hint[0] == '\0')
		cdc_error_hint(err, "The server may have no TLS on this port.");
	return status;
}

CdcStatus
redis_wire_open(RedisWire *wire, const RedisConfig *config, const SinkConfig *sink_config,
				CdcError *err)
{
	CdcStatus status = CDC_OK;

	redis_wire_close(wire);
	wire->config = config;
	wire->tick = sink_config->tick;
	wire->tick_arg = sink_config->tick_arg;
	if (wire->host[0] == '\0')
	{
		snprintf(wire->host, sizeof(wire->host), "%s", config->authority.hosts[0].host);
		wire->port = config->authority.hosts[0].port;
	}
	snprintf(wire->name, sizeof(wire->name), "Redis at %s:%u", wire->host, (unsigned) wire->port);
	wire->context = redisConnectNonBlock(wire->host, wire->port);
	if (wire->context == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	if (wire->context->err != 0)
		return connection_error(wire, err);
	if (config->tls)
		status = start_tls(wire, err);
	if (status == CDC_OK)
		status = log_in(wire, err);
	if (status == CDC_OK)
		status = select_database(wire, err);
	return status;
}

void
redis_wire_close(RedisWire *wire)
{
	redis_tls_close(wire->tls);
	wire->tls = NULL;
	if (wire->context != NULL)
		redisFree(wire->context);
	wire->context = NULL;
}

/* "MOVED 3999 127.0.0.1:6381"; no host there means the one that answered. */
bool
redis_wire_redirected(RedisWire *wire, const redisReply *reply)
{
	const char *address;
	const char *port;
	int length;

	if (reply->type != REDIS_REPLY_ERROR || !begins_with(reply->str, "MOVED "))
		return false;
	address = strchr(reply->str + sizeof("MOVED ") - 1, ' ');
	port = address == NULL ? NULL : strrchr(address, ':');
	if (port == NULL)
		return false;
	length = (int) (port - ++address);
	if (length >= (int) sizeof(wire->host))
		return false;
	if (length > 0)
		snprintf(wire->host, sizeof(wire->host), "%.*s", length, address);
	wire->port = (uint16_t) strtoul(port + 1, NULL, 10);
	return wire->port != 0;
}
