/*
 * authority.c
 *		The authority of a sink's URI taken apart.
 */
#include "authority.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char *const allowed =
	"A server is written [user[:password]@]host[:port]; an IPv6 address stands in brackets, and "
	"what is not a letter or digit in user and password is written as % and two hexadecimal "
	"digits.";

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes %XX in place; false where it is not two digits, or NUL. */
static bool
decode(char *text)
{
	char *to = text;

	for (const char *from = text; *from != '\0'; from++)
	{
		int high = 0;
		int low = 0;

		if (*from != '%')
		{
			*to++ = *from;
			continue;
		}
		high = hex_value(from[1]);
		low = high < 0 ? -1 : hex_value(from[2]);
		if (low < 0 || (high == 0 && low == 0))
			return false;
		*to++ = (char) (high * 16 + low);
		from += 2;
	}
	*to = '\0';
	return true;
}

/* 1 to 65535; 0: text is no port. */
static uint16_t
parse_port(const char *text)
{
	unsigned value = 0;

	for (const char *at = text; *at != '\0'; at++)
	{
		if (!isdigit((unsigned char) *at) || at - text >= 5)
			return 0;
		value = value * 10 + (unsigned) (*at - '0');
	}
	return value <= UINT16_MAX ? (uint16_t) value : 0;
}

static CdcStatus
refuse_host(CdcError *err, const char *what, const char *text)
{
	cdc_error(err, CDC_USAGE, "%s in the sink's URI%s%s", what, *text != '\0' ? ": " : "", text);
	cdc_error_hint(err, "%s", allowed);
	return CDC_USAGE;
}

static CdcStatus
parse_host(Authority *authority, char *text, uint16_t default_port, CdcError *err)
{
	char *host = text;
	char *port = strchr(text, ':');
	uint16_t number = default_port;

	if (authority->num_hosts == AUTHORITY_MAX_HOSTS)
		return cdc_error(err, CDC_USAGE, "the sink's URI names more than %d servers",
						 AUTHORITY_MAX_HOSTS);
	if (*text == '[')
	{
		char *end = strchr(++host, ']');

		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			return refuse_host(err, "not an address in brackets", text);
		port = end[1] == ':' ? end + 1 : NULL;
		*end = '\0';
	}
	if (port != NULL)
	{
		*port++ = '\0';
		number = parse_port(port);
		if (number == 0)
			/* without a host in front, this is where a password stands */
			return refuse_host(err, "not a port",
							   port[strspn(port, "0123456789")] == '\0' ? port : "");
	}
	if (*host == '\0')
		return refuse_host(err, "a host is missing", "");
	authority->hosts[authority->num_hosts].host = host;
	authority->hosts[authority->num_hosts++].port = number;
	return CDC_OK;
}

/* Splits off and decodes what stands before the '@'. */
static CdcStatus
parse_user(Authority *authority, char *text, CdcError *err)
{
	char *password = strchr(text, ':');

	if (password != NULL)
		*password++ = '\0';
	if (!decode(text) || (password != NULL && !decode(password)))
	{
		cdc_error(err, CDC_USAGE,
				  "user or password in the sink's URI has a %% that is not followed by two "
				  "hexadecimal digits");
		cdc_error_hint(err, "%s", allowed);
		return CDC_USAGE;
	}
	authority->user = text;
	authority->password = password;
	return CDC_OK;
}

CdcStatus
authority_parse(Authority *authority, const char *text, uint16_t default_port, CdcError *err)
{
	char *host;
	char *at;
	CdcStatus status = CDC_OK;

	memset(authority, 0, sizeof(*authority));
	if (text == NULL)
		text = "";
	/* room for localhost behind it, where it names no host */
	authority->buffer = malloc(strlen(text) + sizeof("localhost"));
	if (authority->buffer == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	host = strcpy(authority->buffer, text);
	at = strrchr(host, '@');
	if (at != NULL)
	{
		*at = '\0';
		status = parse_user(authority, host, err);
		host = at + 1;
	}
	if (*host == '\0')
		strcpy(host, "localhost");
	while (status == CDC_OK && host != NULL)
	{
		char *next = strchr(host, ',');

		if (next != NULL)
			*next++ = '\0';
		status = parse_host(authority, host, default_port, err);
		host = next;
	}
	if (status != CDC_OK)
		authority_free(authority);
	return status;
}

void
authority_free(Authority *authority)
{
	free(authority->buffer);
	memset(authority, 0, sizeof(*authority));
}
