/*
 * redis_tls.c
 *		TLS over a Redis connection's socket.
 */
#include "redis_tls.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct RedisTls
{
	SSL *ssl;
	const char *name;
};

/* What OpenSSL says of the failure, and nothing of it left for the next one. */
static const char *
reason(void)
{
	const char *text = ERR_reason_error_string(ERR_peek_last_error());

	ERR_clear_error();
	return text != NULL ? text : "unknown error";
}

static CdcStatus
bad_file(const char *what, const char *file, CdcError *err)
{
	return cdc_error(err, CDC_USAGE, "%s \"%s\" in the sink's URI cannot be used: %s", what, file,
					 reason());
}

static CdcStatus
load_files(SSL_CTX *context, const RedisConfig *config, CdcError *err)
{
	if (config->tls_ca == NULL)
		SSL_CTX_set_default_verify_paths(context);
	else if (SSL_CTX_load_verify_locations(context, config->tls_ca, NULL) != 1)
		return bad_file("tls-ca", config->tls_ca, err);
	if (config->tls_cert == NULL)
		return CDC_OK;
	if (SSL_CTX_use_certificate_chain_file(context, config->tls_cert) != 1)
		return bad_file("tls-cert", config->tls_cert, err);
	if (SSL_CTX_use_PrivateKey_file(context, config->tls_key, SSL_FILETYPE_PEM) != 1)
		return bad_file("tls-key", config->tls_key, err);
	return CDC_OK;
}

/* A passphrase is not asked for at the terminal. */
static int
no_passphrase(char *buffer, int size, int for_writing, void *arg)
{
	(void) buffer;
	(void) size;
	(void) for_writing;
	(void) arg;
	return 0;
}

/* The certificate has to be of this name or address. */
static bool
expect_host(SSL *ssl, const char *host)
{
	if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1)
		return true;
	ERR_clear_error(); /* it is a name */
	return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static SSL *
make_ssl(SSL_CTX *context, const char *host, int fd)
{
	SSL *ssl = SSL_new(context);

	if (ssl != NULL && expect_host(ssl, host) && SSL_set_fd(ssl, fd) == 1)
	{
		SSL_set_connect_state(ssl);
		return ssl;
	}
	SSL_free(ssl);
	return NULL;
}

static SSL_CTX *
make_context(void)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	if (context == NULL)
		return NULL;
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_default_passwd_cb(context, no_passphrase);
	/* a buffer may have grown, and moved, before the rest of it is written */
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	return context;
}

CdcStatus
redis_tls_open(RedisTls **result, const RedisConfig *config, const char *host, int fd,
			   const char *name, CdcError *err)
{
	SSL_CTX *context = make_context();
	RedisTls *tls = calloc(1, sizeof(*tls));
	CdcStatus status;

	*result = tls;
	if (context == NULL || tls == NULL)
	{
		SSL_CTX_free(context);
		return cdc_error(err, CDC_RETRY, "TLS could not be set up: out of memory");
	}
	tls->name = name;
	status = load_files(context, config, err);
	if (status == CDC_OK)
		tls->ssl = make_ssl(context, host, fd);
	if (status == CDC_OK && tls->ssl == NULL)
		status =
			cdc_error(err, CDC_RETRY, "TLS could not be set up for \"%s\": %s", host, reason());
	SSL_CTX_free(context);
	return status;
}

void
redis_tls_close(RedisTls *tls)
{
	if (tls == NULL)
		return;
	SSL_free(tls->ssl);
	free(tls);
}

static CdcStatus
not_trusted(const RedisTls *tls, long verdict, CdcError *err)
{
	cdc_error(err, CDC_USAGE, "the certificate of %s is not trusted: %s", tls->name,
			  X509_verify_cert_error_string(verdict));
	cdc_error_hint(err, "tls-ca=FILE in the sink's URI names the authority that it is of; the "
						"host's name or address has to be in it.");
	return CDC_USAGE;
}

/* What a call's result means: an error; or *events to wait for. */
static CdcStatus
judge(RedisTls *tls, int result, short *events, CdcError *err)
{
	int saved_errno = errno;
	long verdict = SSL_get_verify_result(tls->ssl);

	*events = 0;
	switch (SSL_get_error(tls->ssl, result))
	{
		case SSL_ERROR_NONE:
			return CDC_OK;
		case SSL_ERROR_WANT_READ:
			*events = POLLIN;
			return CDC_OK;
		case SSL_ERROR_WANT_WRITE:
			*events = POLLOUT;
			return CDC_OK;
		case SSL_ERROR_ZERO_RETURN:
			return cdc_error(err, CDC_RETRY, "%s has closed the connection", tls->name);
		case SSL_ERROR_SYSCALL:
			return cdc_error(err, CDC_RETRY, "the connection to %s failed: %s", tls->name,
							 saved_errno != 0 ? strerror(saved_errno) : "it was closed");
		default:
			break;
	}
	if (verdict != X509_V_OK)
	{
		ERR_clear_error();
		return not_trusted(tls, verdict, err);
	}
	cdc_error(err, CDC_RETRY, "TLS with %s failed: %s", tls->name, reason());
	cdc_error_hint(err, "The server may have no TLS on this port, or want a certificate of ours: "
						"tls-cert and tls-key in the sink's URI.");
	return CDC_RETRY;
}

CdcStatus
redis_tls_handshake(RedisTls *tls, short *events, CdcError *err)
{
	errno = 0;
	return judge(tls, SSL_do_handshake(tls->ssl), events, err);
}

CdcStatus
redis_tls_write(RedisTls *tls, const char *data, size_t length, size_t *written, CdcError *err)
{
	CdcStatus status = CDC_OK;
	short events = 0;

	*written = 0;
	while (status == CDC_OK && events == 0 && *written < length)
	{
		size_t count = 0;
		int result;

		errno = 0;
		result = SSL_write_ex(tls->ssl, data + *written, length - *written, &count);
		*written += count;
		status = judge(tls, result, &events, err);
	}
	return status;
}

CdcStatus
redis_tls_read(RedisTls *tls, char *data, size_t size, size_t *length, CdcError *err)
{
	short events;

	*length = 0;
	errno = 0;
	return judge(tls, SSL_read_ex(tls->ssl, data, size, length), &events, err);
}
