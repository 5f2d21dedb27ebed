/*
 * pgconn.c
 *		Opening connections.
 */
#include "pgconn.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

#define MAX_PARAMS 32

/* How long a wait may last before the signal is looked at again. */
#define POLL_SLICE_MS 200

typedef struct Params
{
	const char *keywords[MAX_PARAMS + 1];
	const char *values[MAX_PARAMS + 1];
	int count;
} Params;

/* Ours, where the user has not set them; a dead peer is noticed after 10 + 3 * 5 seconds. */
static const struct
{
	const char *keyword;
	const char *value;
	const char *variable; /* of the environment, where libpq knows one */
} defaults[] = {
	{"connect_timeout", "10", "PGCONNECT_TIMEOUT"},
	{"keepalives_idle", "10", NULL},
	{"keepalives_interval", "5", NULL},
	{"keepalives_count", "3", NULL},
};

#define NUM_DEFAULTS (sizeof(defaults) / sizeof(defaults[0]))

/* The hosts that are left to try, where one of several did not answer in time. */
typedef struct HostList
{
	char *host;
	char *hostaddr;
	char *port;
} HostList;

static PgConnNotice notice_hook;

void
pgconn_set_notice(PgConnNotice notice)
{
	notice_hook = notice;
}

static void
receive_notice(void *arg, const PGresult *result)
{
	const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
	const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	CdcError notice;

	(void) arg;
	if (notice_hook == NULL)
		return;
	cdc_error(&notice, CDC_OK, "%s", primary ? primary : PQresultErrorMessage(result));
	cdc_error_detail(&notice, "%s", detail ? detail : "");
	cdc_error_hint(&notice, "%s", hint ? hint : "");
	snprintf(notice.sqlstate, sizeof(notice.sqlstate), "%s", sqlstate ? sqlstate : "");
	notice_hook(severity ? severity : "NOTICE", &notice);
}

static void
add_param(Params *params, const char *keyword, const char *value)
{
	if (value == NULL || params->count >= MAX_PARAMS)
		return;
	params->keywords[params->count] = keyword;
	params->values[params->count] = value;
	params->count++;
	params->keywords[params->count] = NULL;
	params->values[params->count] = NULL;
}

static const char *
find_param(const PQconninfoOption *parsed, const char *keyword)
{
	for (; parsed != NULL && parsed->keyword != NULL; parsed++)
		if (strcmp(parsed->keyword, keyword) == 0)
			return parsed->val != NULL && *parsed->val != '\0' ? parsed->val : NULL;
	return NULL;
}

/* As libpq decides whether a dbname is a connection string. */
static bool
is_conninfo(const char *text)
{
	return strchr(text, '=') != NULL || strncmp(text, "postgres://", 11) == 0 ||
		   strncmp(text, "postgresql://", 13) == 0;
}

/* libpq's message may quote a piece of the string, and the piece may be one of a password. */
static CdcStatus
parse_conninfo(const char *conninfo, PQconninfoOption **parsed, CdcError *err)
{
	char *message = NULL;

	*parsed = NULL;
	if (conninfo == NULL || !is_conninfo(conninfo))
		return CDC_OK;
	*parsed = PQconninfoParse(conninfo, &message);
	if (*parsed != NULL)
		return CDC_OK;
	if (strstr(conninfo, "password") != NULL || strchr(conninfo, '@') != NULL)
		cdc_error(err, CDC_USAGE, "the connection string cannot be read");
	else
		cdc_error(err, CDC_USAGE, "the connection string cannot be read: %s",
				  message ? message : "out of memory");
	cdc_error_hint(err, "Write it as \"host=db1 port=5432 dbname=shop user=cdc\" or as "
						"postgresql://cdc@db1:5432/shop; quote a value that has spaces in it.");
	PQfreemem(message);
	return CDC_USAGE;
}

/*
 * What a service file sets can be learned from a connection only, as libpq reads it then.  It is
 * started and given up at once.
 */
static PQconninfoOption *
read_service(const char *conninfo, const PQconninfoOption *parsed)
{
	Params params = {0};
	PQconninfoOption *resolved = NULL;
	PGconn *conn;

	if (find_param(parsed, "service") == NULL && getenv("PGSERVICE") == NULL)
		return NULL;
	add_param(&params, "dbname", conninfo);
	conn = PQconnectStartParams(params.keywords, params.values, 1);
	if (conn != NULL)
		resolved = PQconninfo(conn);
	PQfinish(conn);
	return resolved;
}

/*
 * Defaults stand before dbname, whose string then overrides them; what is forced stands behind it.
 * The values are borrowed.
 */
static void
build_params(Params *params, const char *conninfo, PgConnKind kind, const HostList *hosts,
			 const PQconninfoOption *service)
{
	for (size_t i = 0; i < NUM_DEFAULTS; i++)
	{
		const char *from_environment = defaults[i].variable ? getenv(defaults[i].variable) : NULL;

		if (from_environment == NULL && find_param(service, defaults[i].keyword) == NULL)
			add_param(params, defaults[i].keyword, defaults[i].value);
	}
	add_param(params, "fallback_application_name", "cdc_client");
	add_param(params, "dbname", conninfo);
	add_param(params, "host", hosts->host);
	add_param(params, "hostaddr", hosts->hostaddr);
	add_param(params, "port", hosts->port);
	add_param(params, "client_encoding", "UTF8");
	add_param(params, "replication", kind == PGCONN_REPLICATION ? "database" : "false");
}

/* connect_timeout as libpq counts it: per host, 0 or less waits for ever, 1 is taken for 2. */
static int64_t
timeout_of(PGconn *conn)
{
	PQconninfoOption *resolved = PQconninfo(conn);
	const char *text = find_param(resolved, "connect_timeout");
	long seconds = text != NULL ? strtol(text, NULL, 10) : 0;

	PQconninfoFree(resolved);
	if (seconds <= 0)
		return 0;
	return (seconds == 1 ? 2 : seconds) * 1000;
}

typedef enum PollEnd
{
	POLL_CONNECTED,
	POLL_FAILED,
	POLL_TIMED_OUT,
	POLL_INTERRUPTED,
} PollEnd;

/* PQconnectPoll() until it ends, or one host has had its time, or a signal came. */
static PollEnd
poll_connection(PGconn *conn, const volatile int *interrupted)
{
	int64_t timeout = timeout_of(conn);
	int64_t started = clock_now() / 1000;
	const char *host = PQhost(conn);
	PostgresPollingStatusType state = PGRES_POLLING_WRITING;

	if (PQstatus(conn) == CONNECTION_BAD)
		return POLL_FAILED;
	while (state == PGRES_POLLING_READING || state == PGRES_POLLING_WRITING)
	{
		struct pollfd fd = {.fd = PQsocket(conn),
							.events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT};
		int ready = poll(&fd, 1, POLL_SLICE_MS);

		if (interrupted != NULL && *interrupted)
			return POLL_INTERRUPTED;
		if (ready > 0)
			state = PQconnectPoll(conn);
		if (PQhost(conn) != host)
		{
			/* libpq went on to the next host by itself */
			host = PQhost(conn);
			started = clock_now() / 1000;
		}
		if (ready <= 0 && timeout > 0 && clock_now() / 1000 - started >= timeout)
			return POLL_TIMED_OUT;
	}
	return state == PGRES_POLLING_OK ? POLL_CONNECTED : POLL_FAILED;
}

static void
free_hosts(HostList *hosts)
{
	free(hosts->host);
	free(hosts->hostaddr);
	free(hosts->port);
	memset(hosts, 0, sizeof(*hosts));
}

/* A copy of a list without its element at index; NULL where it has no second one. */
static char *
list_without(const char *list, int index)
{
	char *copy;
	char *to;
	int at = 0;

	if (list == NULL || strchr(list, ',') == NULL)
		return NULL;
	copy = to = malloc(strlen(list) + 1);
	if (copy == NULL)
		abort();
	while (true)
	{
		size_t length = strcspn(list, ",");

		if (at != index)
		{
			if (to != copy)
				*to++ = ',';
			memcpy(to, list, length);
			to += length;
		}
		at++;
		list += length;
		if (*list++ == '\0')
			break;
	}
	*to = '\0';
	return copy;
}

static int
list_index(const char *list, const char *element)
{
	for (int at = 0; list != NULL; at++)
	{
		size_t length = strcspn(list, ",");

		if (strlen(element) == length && strncmp(list, element, length) == 0)
			return at;
		list = list[length] == ',' ? list + length + 1 : NULL;
	}
	return -1;
}

/*
 * libpq goes to the next host by itself when one refuses, not when one says nothing: then it is
 * taken off the list here.  False where no other is left.
 */
static bool
drop_silent_host(PGconn *conn, HostList *hosts)
{
	PQconninfoOption *resolved = PQconninfo(conn);
	const char *host = find_param(resolved, "host");
	const char *hostaddr = find_param(resolved, "hostaddr");
	int index = list_index(host != NULL ? host : hostaddr, PQhost(conn));
	HostList left = {0};

	if (index >= 0)
	{
		left.host = list_without(host, index);
		left.hostaddr = list_without(hostaddr, index);
		left.port = list_without(find_param(resolved, "port"), index);
	}
	PQconninfoFree(resolved);
	free_hosts(hosts);
	*hosts = left;
	return left.host != NULL || left.hostaddr != NULL;
}

/*
 * wal_sender_timeout: one that the server's administrator chose for all may be too short for a
 * sink that is slow, or off; one that was chosen for this role, database or connection stays.
 */
static CdcStatus
prepare_session(PGconn *conn, PgConnKind kind, CdcError *err)
{
	CdcStatus status;

	PQsetNoticeReceiver(conn, receive_notice, NULL);
	status = pgconn_query(conn,
						  "SELECT pg_catalog.set_config('search_path', '', false), "
						  "pg_catalog.set_config('statement_timeout', '0', false), "
						  "pg_catalog.set_config('lock_timeout', '0', false)",
						  NULL, err);
	if (status == CDC_OK && kind == PGCONN_REPLICATION)
		status = pgconn_query(conn,
							  "SELECT pg_catalog.set_config(name, '" PGCONN_WAL_SENDER_TIMEOUT
							  "', false) FROM pg_catalog.pg_settings "
							  "WHERE name = 'wal_sender_timeout' AND source NOT IN "
							  "('client', 'user', 'database', 'database user')",
							  NULL, err);
	return status;
}

/* One try with the hosts given; *timed_out: one of them was silent. */
static CdcStatus
open_once(PGconn **conn, const Params *params, PgConnKind kind, const volatile int *interrupted,
		  bool *timed_out, CdcError *err)
{
	PollEnd end;

	*conn = PQconnectStartParams(params->keywords, params->values, 1);
	if (*conn == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory while connecting");
	/* The only way to learn the SQLSTATE of a connection that is refused is a verbose message. */
	PQsetErrorVerbosity(*conn, PQERRORS_VERBOSE);
	PQsetNoticeReceiver(*conn, receive_notice, NULL);
	end = poll_connection(*conn, interrupted);
	switch (end)
	{
		case POLL_CONNECTED:
			PQsetErrorVerbosity(*conn, PQERRORS_DEFAULT);
			return prepare_session(*conn, kind, err);
		case POLL_TIMED_OUT:
			*timed_out = true;
			cdc_error(err, CDC_RETRY, "connection to server at \"%s\", port %s: no answer in %d s",
					  PQhost(*conn), PQport(*conn), (int) (timeout_of(*conn) / 1000));
			cdc_error_hint(err, "Check host, port and firewall; connect_timeout in --dbname sets "
								"how long to wait.");
			return CDC_RETRY;
		case POLL_INTERRUPTED:
			return cdc_error(err, CDC_RETRY, "interrupted while connecting");
		case POLL_FAILED:
			break;
	}
	return pgconn_connect_error(*conn, kind, err);
}

CdcStatus
pgconn_open(PGconn **conn, const char *conninfo, PgConnKind kind, const volatile int *interrupted,
			CdcError *err)
{
	HostList hosts = {0};
	PQconninfoOption *parsed = NULL;
	PQconninfoOption *service = NULL;
	CdcStatus status = parse_conninfo(conninfo, &parsed, err);
	bool again = status == CDC_OK;

	*conn = NULL;
	if (again)
		service = read_service(conninfo, parsed);
	while (again)
	{
		Params params = {0};
		bool timed_out = false;

		build_params(&params, conninfo, kind, &hosts, service);
		status = open_once(conn, &params, kind, interrupted, &timed_out, err);
		again = timed_out && drop_silent_host(*conn, &hosts);
		if (status != CDC_OK)
		{
			PQfinish(*conn);
			*conn = NULL;
		}
	}
	PQconninfoFree(service);
	PQconninfoFree(parsed);
	free_hosts(&hosts);
	return status;
}
