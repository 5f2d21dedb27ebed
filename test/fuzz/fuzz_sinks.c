/*
 * fuzz_sinks.c
 *		Sinks' URIs with their parameters, as the sinks that are built in read them.
 *
 * The input is a URI.  What is made of it is freed again, no rejection is without a word about it, and none
 * shows a password.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What stands for a password in the corpus and the dictionary. */
static const char password[] = "Secr3t";

/* Files are read where a sink's parameter names one, and a library is loaded: devices have no end. */
static bool
leads_outside(const char *uri)
{
	return strstr(uri, "/dev") != NULL || strstr(uri, "/proc") != NULL ||
		   strstr(uri, "plugin.") != NULL;
}

/*
 * Whether the one place in uri where the password stands is one for passwords: between "//user:" and
 * '@', or a parameter's whole value.  An escape behind it could make another one.
 */
static bool
has_password(const char *uri)
{
	const char *at = strstr(uri, password);
	const char *authority = uri + strspn(uri, "abcdefghijklmnopqrstuvwxyz");
	const char *behind;
	const char *query;

	if (at == NULL || authority > at || strncmp(authority, "://", 3) != 0)
		return false;
	behind = at + strlen(password);
	if (strstr(at + 1, password) != NULL || strchr(behind, '%') != NULL)
		return false;
	authority += 3;
	/* behind "#" stands the rest of a password that should have had that escaped */
	if (*behind == '@' && (at[-1] == ':' || (at[-1] == '#' && strncmp(uri, "http", 4) == 0)))
		return strcspn(authority, "/?#@[],") >= (size_t) (at - 1 - authority);
	query = memchr(authority, '?', (size_t) (at - authority));
	if (query == NULL || at - query < 10 || strncmp(at - 10, ".password=", 10) != 0 ||
		(*behind != '\0' && *behind != '&'))
		return false;
	/* not in the midst of another parameter's value, which messages show */
	for (const char *param = at - 2; param > query && *param != '&'; param--)
		if (*param == '=')
			return false;
	return true;
}

static void
check_error(const char *uri, const CdcError *err)
{
	if (err->message[0] == '\0')
		abort();
	if (has_password(uri) &&
		(strstr(err->message, password) != NULL || strstr(err->detail, password) != NULL ||
		 strstr(err->hint, password) != NULL))
		abort();
}

/*
 * gRPC's library is started with its first sink and stopped with its last one, which takes a thousand times as
 * long as a URI: one is kept.
 */
static void
keep_library(void)
{
#ifdef HAVE_GRPC
	static Sink *kept;
	SinkConfig config = {.uri = "grpc://localhost:50051"};
	CdcError err;

	if (kept == NULL && sink_create(&kept, &config, &err) != CDC_OK)
		abort();
#endif
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SinkConfig config = {.commit_interval = 1000000, .max_in_flight = 1 << 20};
	CdcError err = {0};
	Sink *sink = NULL;
	char *uri = malloc(size + 1);

	if (uri == NULL)
		return 0;
	memcpy(uri, data, size);
	uri[size] = '\0';
	keep_library();
	config.uri = uri;
	if (!leads_outside(uri))
	{
		if (sink_create(&sink, &config, &err) != CDC_OK)
			check_error(uri, &err);
		else if (sink == NULL)
			abort();
		sink_destroy(sink);
	}
	free(uri);
	return 0;
}
