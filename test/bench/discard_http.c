/*
 * discard_http.c
 *		An HTTP endpoint that takes whatever is posted and says 204: as fast as an endpoint can be.
 *
 *	discard_http PORT_FILE COUNT_FILE
 *
 * Listens on a free port of 127.0.0.1 and writes its number into PORT_FILE; after each request
 * COUNT_FILE holds the number of newlines in all bodies so far.  One connection at a time; ends by a
 * signal.  Knows Content-Length only, as the two clients that are measured send it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

static const char answer[] = "HTTP/1.1 204 No Content\r\n\r\n";
static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

static int count_file;
static uint64_t count = 0;

static void
write_number(int fd, uint64_t number)
{
	char text[32];
	int length = snprintf(text, sizeof(text), "%" PRIu64 "\n", number);

	if (pwrite(fd, text, (size_t) length, 0) != length)
		bench_fail("cannot write: %s", strerror(errno));
}

static void
send_all(int fd, const char *text, size_t length)
{
	if (send(fd, text, length, MSG_NOSIGNAL) != (ssize_t) length && errno != EPIPE &&
		errno != ECONNRESET)
		bench_fail("cannot send: %s", strerror(errno));
}

/* A header's value in the head, which ends with a zero byte; NULL: not there. */
static const char *
find_header(const char *head, const char *name)
{
	const char *line = head;

	while ((line = strstr(line, "\r\n")) != NULL)
	{
		line += 2;
		if (strncasecmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
			return line + strlen(name) + 1;
	}
	return NULL;
}

static void
count_newlines(const char *bytes, size_t length)
{
	const char *end = bytes + length;

	while ((bytes = memchr(bytes, '\n', (size_t) (end - bytes))) != NULL)
	{
		count++;
		bytes++;
	}
}

/* Requests of one connection until it ends. */
static void
serve(int fd)
{
	static char buffer[256 * 1024];
	size_t have = 0;

	for (;;)
	{
		char *end;
		const char *length_text;
		uint64_t body;
		size_t head;
		ssize_t got;

		while ((end = memmem(buffer, have, "\r\n\r\n", 4)) == NULL)
		{
			if (have == sizeof(buffer))
				bench_fail("a request's head is longer than %zu bytes", sizeof(buffer));
			got = recv(fd, buffer + have, sizeof(buffer) - have, 0);
			if (got <= 0)
				return;
			have += (size_t) got;
		}
		*end = '\0';
		length_text = find_header(buffer, "Content-Length");
		if (length_text == NULL)
			bench_fail("a request has no Content-Length: %s", buffer);
		body = strtoull(length_text, NULL, 10);
		if (find_header(buffer, "Expect") != NULL)
			send_all(fd, go_on, sizeof(go_on) - 1);
		head = (size_t) (end - buffer) + 4;
		have -= head;
		memmove(buffer, buffer + head, have);
		while (body > 0)
		{
			size_t part = have < body ? have : (size_t) body;

			count_newlines(buffer, part);
			body -= part;
			have -= part;
			memmove(buffer, buffer + part, have);
			if (body == 0)
				break;
			got = recv(fd, buffer, sizeof(buffer), 0);
			if (got <= 0)
				return;
			have = (size_t) got;
		}
		write_number(count_file, count);
		send_all(fd, answer, sizeof(answer) - 1);
	}
}

static int
open_file(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		bench_fail("cannot open \"%s\": %s", name, strerror(errno));
	return fd;
}

int
main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int listener;
	int on = 1;

	bench_program = "discard_http";
	if (argc != 3)
		bench_fail("usage: discard_http PORT_FILE COUNT_FILE");
	count_file = open_file(argv[2]);
	write_number(count_file, 0);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *) &address, size) != 0 ||
		listen(listener, 5) != 0 || getsockname(listener, (struct sockaddr *) &address, &size) != 0)
		bench_fail("cannot listen: %s", strerror(errno));
	write_number(open_file(argv[1]), ntohs(address.sin_port));
	for (;;)
	{
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			bench_fail("cannot accept: %s", strerror(errno));
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		serve(fd);
		close(fd);
	}
}
