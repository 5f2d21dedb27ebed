/*
 * nats_link.c
 *		One connection to NATS.
 */
#include "nats_link.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nats_error.h"

#define CONNECT_TIMEOUT_MS 3000
#define REQUEST_TIMEOUT_MS 5000

/* SinkConfig asks for a tick() every 500 ms. */
#define TICK_MS 200

/* So much is read at a time, and gathered before the library asks to write. */
#define IO_SIZE (64 * 1024)

/*
 * The library's own pings would come from a thread of its own; who waits for an answer has a
 * timeout.
 */
#define PING_INTERVAL_MS (INT64_C(365) * 24 * 3600 * 1000)

void
nats_link_init(NatsLink *link)
{
	memset(link, 0, sizeof(*link));
	link->wake_fd = -1;
	atomic_init(&link->socket, -1);
	atomic_init(&link->want_write, false);
}

/*
 * Since 3.10 the library leaves it to whoever drives the socket to say that it may be closed, and
 * later versions that nothing refers to the connection any more (its adapters for libuv and
 * libevent); before that there are no such functions.
 */
extern void natsConnection_ProcessCloseEvent(natsSock *socket) __attribute__((weak));
extern void natsConnection_ProcessDetachedEvent(natsConnection *nc) __attribute__((weak));

/* The library's event loop: what it asks for is kept, and nats_link_wait() tells the real loop. */
static natsStatus
attach_socket(void **user_data, void *loop, natsConnection *nc, natsSock socket)
{
	NatsLink *link = loop;

	*user_data = link;
	link->attached = nc;
	atomic_store(&link->socket, (int) socket);
	return NATS_OK;
}

static natsStatus
ask_read(void *user_data, bool add)
{
	(void) user_data;
	(void) add; /* it is read whenever there is something */
	return NATS_OK;
}

static natsStatus
ask_write(void *user_data, bool add)
{
	NatsLink *link = user_data;
	uint64_t one = 1;
	ssize_t written = 0;

	if (atomic_exchange(&link->want_write, add) != add && add)
		written = write(link->wake_fd, &one, sizeof(one));
	(void) written; /* fails only where the loop is to be woken already */
	return NATS_OK;
}

static natsStatus
detach_socket(void *user_data)
{
	NatsLink *link = user_data;
	natsSock socket = (natsSock) atomic_exchange(&link->socket, -1);

	if (natsConnection_ProcessCloseEvent != NULL)
		natsConnection_ProcessCloseEvent(&socket);
	if (natsConnection_ProcessDetachedEvent != NULL)
		natsConnection_ProcessDetachedEvent(link->attached);
	return NATS_OK;
}

/* The library's own would print; nats_link_error() asks for the last error instead. */
static void
ignore_error(natsConnection *nc, natsSubscription *sub, natsStatus status, void *closure)
{
	(void) nc;
	(void) sub;
	(void) status;
	(void) closure;
}

CdcStatus
nats_link_error(NatsLink *link, natsStatus status, const char *what, CdcError *err)
{
	const char *last;
	char text[700];

	snprintf(text, sizeof(text), "%s: %s", link->name, what);
	last = nats_last_error();
	if (link->nc != NULL)
	{
		natsStatus code = natsConnection_GetLastError(link->nc, &last);

		if (code == NATS_NOT_PERMITTED || code == NATS_CONNECTION_AUTH_FAILED)
			status = code;
	}
	return nats_library_error(status, text, last, err);
}

static natsStatus
set_servers(natsOptions *options, const NatsConfig *config)
{
	const Authority *authority = &config->authority;
	char urls[AUTHORITY_MAX_HOSTS][300];
	const char *servers[AUTHORITY_MAX_HOSTS];

	for (int i = 0; i < authority->num_hosts; i++)
	{
		const char *host = authority->hosts[i].host;
		bool ipv6 = strchr(host, ':') != NULL;

		snprintf(urls[i], sizeof(urls[i]), "%s://%s%s%s:%u", config->tls ? "tls" : "nats",
				 ipv6 ? "[" : "", host, ipv6 ? "]" : "", (unsigned) authority->hosts[i].port);
		servers[i] = urls[i];
	}
	return natsOptions_SetServers(options, servers, authority->num_hosts);
}

/* User and password, or the user alone as a token, as in the URLs of NATS. */
static natsStatus
set_user(natsOptions *options, const NatsConfig *config)
{
	const Authority *authority = &config->authority;
	natsStatus status = NATS_OK;

	if (authority->password != NULL)
		status = natsOptions_SetUserInfo(options, authority->user, authority->password);
	else if (authority->user != NULL)
		status = natsOptions_SetToken(options, authority->user);
	if (status == NATS_OK && config->credentials != NULL)
		status = natsOptions_SetUserCredentialsFromFiles(options, config->credentials, NULL);
	return status;
}

/* Files that cannot be read, or hold something else, are found here. */
static natsStatus
set_tls(natsOptions *options, const NatsConfig *config)
{
	natsStatus status = NATS_OK;

	if (!config->tls)
		return NATS_OK;
	status = natsOptions_SetSecure(options, true);
	if (status == NATS_OK && config->tls_ca != NULL)
		status = natsOptions_LoadCATrustedCertificates(options, config->tls_ca);
	if (status == NATS_OK && config->tls_cert != NULL)
		status = natsOptions_LoadCertificatesChain(options, config->tls_cert, config->tls_key);
	return status;
}

static natsStatus
set_options(NatsLink *link, natsOptions *options)
{
	natsStatus status = set_servers(options, link->config);

	if (status == NATS_OK)
		status = natsOptions_SetName(options, "cdc_client");
	/* each session of the loop is one connection: what was in flight has to be found out first */
	if (status == NATS_OK)
		status = natsOptions_SetAllowReconnect(options, false);
	if (status == NATS_OK)
		status = natsOptions_SetTimeout(options, CONNECT_TIMEOUT_MS);
	if (status == NATS_OK)
		status = natsOptions_SetPingInterval(options, PING_INTERVAL_MS);
	if (status == NATS_OK)
		status = natsOptions_SetIOBufSize(options, IO_SIZE);
	/* no thread that asks for what is to be written: who sends asks at once */
	if (status == NATS_OK)
		status = natsOptions_SetSendAsap(options, true);
	if (status == NATS_OK)
		status = natsOptions_SetErrorHandler(options, ignore_error, NULL);
	if (status == NATS_OK)
		status = natsOptions_SetEventLoop(options, link, attach_socket, ask_read, ask_write,
										  detach_socket);
	return status;
}

static CdcStatus
connect_job(void *arg, CdcError *err)
{
	NatsLink *link = arg;
	natsOptions *options = NULL;
	natsStatus status = natsOptions_Create(&options);
	const char *what = "connecting";
	jsOptions js_options;

	if (status == NATS_OK)
		status = set_options(link, options);
	if (status == NATS_OK)
	{
		status = set_user(options, link->config);
		if (status == NATS_OK)
			status = set_tls(options, link->config);
		if (status != NATS_OK)
			what = "reading user, credentials or certificates";
	}
	if (status == NATS_OK)
		status = natsConnection_Connect(&link->nc, options);
	natsOptions_Destroy(options);
	jsOptions_Init(&js_options);
	js_options.Wait = REQUEST_TIMEOUT_MS;
	if (status == NATS_OK)
		status = natsConnection_JetStream(&link->js, link->nc, &js_options);
	if (status == NATS_OK)
		return CDC_OK;
	if (link->nc == NULL && strcmp(what, "connecting") != 0)
	{
		cdc_error(err, CDC_USAGE, "%s failed: %s", what, nats_last_error());
		cdc_error_hint(err, "See to credentials, tls-ca, tls-cert and tls-key in the sink's URI.");
		return CDC_USAGE;
	}
	return nats_link_error(link, status, what, err);
}

/* Waits a little, moves bytes, calls tick(); false: give up. */
static bool
wait_for_job(NatsLink *link)
{
	SinkWait wait = {0};
	CdcError ignored;
	CdcStatus status;

	wait.fds[wait.num_fds].fd = worker_fd(link->worker);
	wait.fds[wait.num_fds++].events = POLLIN;
	nats_link_wait(link, &wait);
	if (poll(wait.fds, (nfds_t) wait.num_fds, TICK_MS) < 0 && errno != EINTR)
		return false;
	if (link->connected)
	{
		/* an error ends what the job waits for, and is the job's to say */
		status = nats_link_move(link, &ignored);
		(void) status;
	}
	return link->sink_config->tick(link->sink_config->tick_arg);
}

CdcStatus
nats_link_run(NatsLink *link, WorkerJob job, void *arg, CdcError *err)
{
	CdcStatus status;
	bool patient = true;

	worker_submit(link->worker, job, arg);
	while (!worker_collect(link->worker, &status, err))
	{
		if (patient && !wait_for_job(link))
		{
			patient = false;
			if (link->connected)
				natsConnection_Close(link->nc);
		}
		else if (!patient)
			poll(&(struct pollfd){.fd = worker_fd(link->worker), .events = POLLIN}, 1, TICK_MS);
	}
	if (!patient)
		return cdc_error(err, CDC_RETRY, "gave up waiting for %s", link->name);
	return status;
}

CdcStatus
nats_link_open(NatsLink *link, const NatsConfig *config, const SinkConfig *sink_config,
			   CdcError *err)
{
	char servers[400];
	CdcStatus status;

	link->config = config;
	link->sink_config = sink_config;
	snprintf(link->name, sizeof(link->name), "NATS at %s",
			 nats_config_servers(config, servers, sizeof(servers)));
	link->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (link->wake_fd < 0)
		return cdc_error(err, CDC_RETRY, "could not create an eventfd: %s", strerror(errno));
	status = worker_start(&link->worker, err);
	if (status == CDC_OK)
		status = nats_link_run(link, connect_job, link, err);
	link->connected = status == CDC_OK;
	return status;
}

/*
 * With TLS the library comes back from reading and writing only when it is done.  So the kernel
 * gets room for a piece of NATS_MAX_BUFFERED (it says that a socket can be written to when a third
 * of that is free), and a server that takes nothing any more is given up in the end.
 */
static void
prepare_tls(const NatsLink *link, int socket)
{
	int size = 8 * NATS_MAX_BUFFERED;
	unsigned timeout = (unsigned) (link->config->timeout / 1000);

	/* where they are not granted it is slower at worst */
	(void) setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	(void) setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
}

/*
 * Whether the socket can be read without waiting: with TLS, whether a record has come as a whole
 * (RFC 8446, 5.1: type, version, length).  The first byte of all tells: NATS itself sends text.
 */
static bool
can_read(NatsLink *link, int socket)
{
	uint8_t header[5];
	int available = 0;
	ssize_t got;

	if (link->seen && !link->tls)
		return true;
	got = recv(socket, header, sizeof(header), MSG_PEEK | MSG_DONTWAIT);
	if (got < 0)
		return errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR;
	if (got > 0 && !link->seen)
	{
		link->seen = true;
		link->tls = header[0] >= 20 && header[0] <= 23;
		if (link->tls)
			prepare_tls(link, socket);
	}
	if (got == 0 || !link->tls)
		return true;
	return got == sizeof(header) && ioctl(socket, FIONREAD, &available) == 0 &&
		   available >= (int) sizeof(header) + (header[3] << 8 | header[4]);
}

static bool
can_write(int socket)
{
	struct pollfd fd = {.fd = socket, .events = POLLOUT};

	return poll(&fd, 1, 0) == 1;
}

CdcStatus
nats_link_move(NatsLink *link, CdcError *err)
{
	uint64_t count;
	ssize_t got = read(link->wake_fd, &count, sizeof(count));
	int socket = atomic_load(&link->socket);

	(void) got; /* nothing there: nobody woke us */
	if (socket >= 0 && can_read(link, socket))
		natsConnection_ProcessReadEvent(link->nc);
	if (!natsConnection_IsClosed(link->nc) && atomic_load(&link->want_write) && can_write(socket))
		natsConnection_ProcessWriteEvent(link->nc);
	if (natsConnection_IsClosed(link->nc))
		return nats_link_error(link, NATS_CONNECTION_CLOSED, "the connection", err);
	return CDC_OK;
}

void
nats_link_disconnect(NatsLink *link)
{
	if (link->nc == NULL)
		return;
	/* With anything left to write the library would wait half a second for an answer to a ping. */
	if (atomic_load(&link->want_write) && !natsConnection_IsClosed(link->nc) &&
		can_write(atomic_load(&link->socket)))
		natsConnection_ProcessWriteEvent(link->nc);
	natsConnection_Close(link->nc);
}

void
nats_link_close(NatsLink *link)
{
	worker_stop(link->worker);
	nats_link_disconnect(link);
	jsCtx_Destroy(link->js);
	/* From here on the library calls none of the functions above. */
	natsConnection_Destroy(link->nc);
	if (link->wake_fd >= 0)
		close(link->wake_fd);
	nats_link_init(link);
}

void
nats_link_wait(NatsLink *link, SinkWait *wait)
{
	int socket = atomic_load(&link->socket);

	wait->fds[wait->num_fds].fd = link->wake_fd;
	wait->fds[wait->num_fds++].events = POLLIN;
	if (socket < 0 || !link->connected)
		return;
	wait->fds[wait->num_fds].fd = socket;
	wait->fds[wait->num_fds].events = POLLIN;
	if (atomic_load(&link->want_write))
		wait->fds[wait->num_fds].events |= POLLOUT;
	wait->num_fds++;
}
