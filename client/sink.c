/*
 * sink.c
 *		The sinks there are, which one a URI names, and what all of them need.
 */
#include "sink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

static const SinkOps *const all_sinks[] = {
	&sink_stdout_ops,     &sink_file_ops,
#ifdef HAVE_KAFKA
	&sink_kafka_ops,
#endif
#ifdef HAVE_POSTGRESQL
	&sink_postgresql_ops,
#endif
#ifdef HAVE_HTTP
	&sink_http_ops,
#endif
#ifdef HAVE_NATS
	&sink_nats_ops,
#endif
#ifdef HAVE_REDIS
	&sink_redis_ops,
#endif
#ifdef HAVE_GRPC
	&sink_grpc_ops,
#endif
};

#define NUM_SINKS ((int) (sizeof(all_sinks) / sizeof(all_sinks[0])))

/* Sinks whose library was not there when this program was built. */
static const struct
{
	const char *name;
	const char *alias;
	const char *packages; /* of Debian, to build it with */
} left_out[] = {
#ifndef HAVE_KAFKA
	{"kafka", NULL, "librdkafka-dev"},
#endif
#ifndef HAVE_HTTP
	{"http", "https", "libcurl4-openssl-dev libssl-dev zlib1g-dev"},
#endif
#ifndef HAVE_NATS
	{"nats", NULL, "libnats-dev"},
#endif
#ifndef HAVE_POSTGRESQL
	{"postgresql", "postgres", "libpq-dev"},
#endif
#ifndef HAVE_REDIS
	{"redis", "rediss", "libhiredis-dev libssl-dev"},
#endif
#ifndef HAVE_GRPC
	{"grpc", "grpcs", "libgrpc-dev libprotobuf-c-dev protobuf-c-compiler"},
#endif
	{NULL, NULL, NULL},
};

/* A stop signal that arrives between a look at it and poll() is noticed after this at the latest. */
#define LONGEST_SLEEP_MS 500

const SinkOps *
sink_ops(int i)
{
	return i < NUM_SINKS ? all_sinks[i] : NULL;
}

/* Whether uri is name itself ("-") or begins with "name:". */
static bool
names_sink(const char *uri, const char *name)
{
	size_t length = name == NULL ? 0 : strlen(name);

	if (name == NULL || strncmp(uri, name, length) != 0)
		return false;
	return strcmp(name, "-") == 0 ? uri[length] == '\0' : uri[length] == ':';
}

/* Of a URI that names no sink of this program: is it one that could have been built in? */
static CdcStatus
unknown_sink(const char *uri, const char *known, CdcError *err)
{
	/* what may hold a password is not shown */
	bool is_path = uri[0] == '/' && strchr(uri, '@') == NULL;

	for (int i = 0; left_out[i].name != NULL; i++)
		if (names_sink(uri, left_out[i].name) || names_sink(uri, left_out[i].alias))
		{
			cdc_error(err, CDC_USAGE, "this cdc_client was built without the sink \"%s\"",
					  left_out[i].name);
			cdc_error_hint(err, "Its library was not there.  apt-get install %s, and build anew.",
						   left_out[i].packages);
			return CDC_USAGE;
		}
	cdc_error(err, CDC_USAGE, "sink \"%.*s\" is none of those that this cdc_client has",
			  is_path ? (int) strlen(uri) : (int) strcspn(uri, ":/?@"), uri);
	if (is_path)
		cdc_error_hint(err, "For a file: file://%s.  Possible are: %s.", uri, known);
	else
		cdc_error_hint(err, "Possible are: %s.", known);
	return CDC_USAGE;
}

/* NULL: none of this program's. */
static const SinkOps *
find_ops(const char *uri)
{
	for (int i = 0; i < NUM_SINKS; i++)
		if (names_sink(uri, all_sinks[i]->name) || names_sink(uri, all_sinks[i]->alias))
			return all_sinks[i];
	return NULL;
}

int64_t
sink_commit_interval(const char *uri, int64_t given)
{
	const SinkOps *ops = find_ops(uri);

	if (given >= 0)
		return given;
	return ops != NULL && ops->commit_interval > 0 ? ops->commit_interval : SINK_COMMIT_INTERVAL;
}

CdcStatus
sink_create(Sink **sink, const SinkConfig *config, CdcError *err)
{
	const SinkOps *ops = find_ops(config->uri);
	char known[1536] = "";

	*sink = NULL;
	if (ops != NULL)
		return ops->create(sink, config, err);
	for (int i = 0; i < NUM_SINKS; i++)
	{
		size_t at = strlen(known);

		snprintf(known + at, sizeof(known) - at, "%s%s (%s)", i > 0 ? ", " : "",
				 all_sinks[i]->syntax, all_sinks[i]->summary);
	}
	return unknown_sink(config->uri, known, err);
}

void
sink_destroy(Sink *sink)
{
	if (sink == NULL)
		return;
	sink->base.ops->close(sink);
	sink->base.ops->destroy(sink);
}

CdcStatus
sink_drain(Sink *sink, const Position *until, int64_t deadline, const volatile int *interrupted,
		   SinkProgress *progress, CdcError *err)
{
	const SinkOps *ops = sink->base.ops;
	CdcStatus status = ops->flush(sink, err);

	while (status == CDC_OK)
	{
		SinkWait wait = {0};
		int64_t now = clock_now();

		status = ops->poll(sink, now, progress, err);
		if (status != CDC_OK || progress->closed || position_covers(&progress->durable, until))
			return status;
		if (now >= deadline || (interrupted != NULL && *interrupted > 1))
			return cdc_error(err, CDC_RETRY,
							 "the sink has not made durable in time what it was given");
		ops->wait(sink, now, &wait);
		if (wait.deadline == 0 || wait.deadline > deadline)
			wait.deadline = deadline;
		if (poll(wait.fds, (nfds_t) wait.num_fds,
				 clock_timeout_ms(now, wait.deadline, LONGEST_SLEEP_MS)) < 0 &&
			errno != EINTR)
			return cdc_error(err, CDC_RETRY, "poll() failed: %s", strerror(errno));
	}
	return status;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes %XX in place; false where it is not two digits, or NUL. */
static bool
percent_decode(char *text)
{
	char *to = text;

	for (const char *from = text; *from != '\0'; from++)
	{
		if (*from == '%')
		{
			int high = hex_digit(from[1]);
			int low = high < 0 ? -1 : hex_digit(from[2]);

			if (low < 0 || (high == 0 && low == 0))
				return false;
			*to++ = (char) (high * 16 + low);
			from += 2;
		}
		else
			*to++ = *from;
	}
	*to = '\0';
	return true;
}

/*
 * A password with a raw '/' or '?' in it ends the authority too early, and what is behind that must not be
 * taken for a path or parameter, which messages show: "redis://user:pa?ss@host".  What is cut off
 * then has no '@', and is no host and port.
 */
static CdcStatus
check_cut(const char *authority, const char *rest, CdcError *err)
{
	const char *colon = strrchr(authority, ':');

	if (strchr(authority, '@') != NULL || colon == NULL || strchr(rest, '@') == NULL ||
		authority[0] == '[' || colon[1 + strspn(colon + 1, "0123456789")] == '\0')
		return CDC_OK;
	cdc_error(err, CDC_USAGE, "user or password in the sink's URI has a '/' or '?' in it");
	cdc_error_hint(err, "In user and password write %%XX for /, @, :, ?, & and %%: %%2F for /, "
						"%%3F for ?.");
	return CDC_USAGE;
}

/* A parameter as messages may show it: what has an '@' may be the rest of a password. */
static const char *
showable(const char *param)
{
	return strchr(param, '@') == NULL ? param : "...";
}

static CdcStatus
parse_params(SinkUri *uri, char *query, CdcError *err)
{
	for (char *param = query; param != NULL;)
	{
		char *next = strchr(param, '&');
		char *value;

		if (next != NULL)
			*next++ = '\0';
		value = strchr(param, '=');
		if (value == NULL || value == param)
			return cdc_error(err, CDC_USAGE,
							 "\"%s\" in the sink's URI is not of the form name=value",
							 showable(param));
		*value++ = '\0';
		if (uri->num_params == SINK_URI_MAX_PARAMS)
			return cdc_error(err, CDC_USAGE, "the sink's URI has more than %d parameters",
							 SINK_URI_MAX_PARAMS);
		if (!percent_decode(param) || !percent_decode(value))
			return cdc_error(err, CDC_USAGE,
							 "parameter \"%s\" of the sink's URI has a %% that is not followed by "
							 "two hexadecimal digits; a %% itself is written %%25",
							 showable(param));
		for (int i = 0; i < uri->num_params; i++)
			if (strcmp(uri->params[i].name, param) == 0)
				return cdc_error(err, CDC_USAGE, "parameter \"%s\" is in the sink's URI twice",
								 param);
		uri->params[uri->num_params].name = param;
		uri->params[uri->num_params++].value = value;
		param = next;
	}
	return CDC_OK;
}

CdcStatus
sink_uri_parse(SinkUri *uri, const char *text, CdcError *err)
{
	char *query;
	char *path;
	CdcStatus status;

	memset(uri, 0, sizeof(*uri));
	/* Twice: the authority is a copy of its own, since no byte stands between it and the path. */
	uri->buffer = malloc(2 * strlen(text) + 2);
	if (uri->buffer == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	path = strcpy(uri->buffer, text);
	query = strchr(path, '?');
	if (query != NULL)
		*query++ = '\0';
	path = strchr(path, ':');
	if (path == NULL)
		return cdc_error(err, CDC_USAGE, "sink \"%s\" is not a URI: it has no scheme",
						 showable(uri->buffer));
	path++;
	if (strncmp(path, "//", 2) == 0)
	{
		size_t length = strcspn(path + 2, "/");
		char *authority = uri->buffer + strlen(text) + 1;

		memcpy(authority, path + 2, length);
		authority[length] = '\0';
		uri->authority = authority;
		path += 2 + length;
		status = check_cut(authority, text + (path - uri->buffer), err);
		if (status != CDC_OK)
			return status;
	}
	uri->path = path;
	if (!percent_decode(path))
		return cdc_error(
			err, CDC_USAGE,
			"the path in the sink's URI has a %% that is not followed by two hexadecimal "
			"digits; a %% itself is written %%25");
	return query == NULL ? CDC_OK : parse_params(uri, query, err);
}

void
sink_uri_free(SinkUri *uri)
{
	free(uri->buffer);
	memset(uri, 0, sizeof(*uri));
}
