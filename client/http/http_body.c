/*
 * http_body.c
 *		What is done to a body before it is sent.
 */
#include "http_body.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#define ZLIB_CONST /* next_in points to const */
#include <zlib.h>
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

/* A step: some 5 ms of gzip, 2 ms of zstd; some 3 ms of SHA-256 where the processor has no help for it. */
#define COMPRESS_STEP (256 * 1024)
#define SIGN_STEP (1024 * 1024)

/* zlib's default; deflateInit2()'s 15 + 16 asks for gzip's header in place of zlib's. */
#define GZIP_LEVEL 6
#define GZIP_WINDOW (15 + 16)
#define GZIP_MEMORY 8

#define SHA256_SIZE 32

struct HttpBody
{
	HttpCoding coding;
	const char *data;
	size_t length;
	size_t compressed; /* of data, so far */
	bool compressing;
	char *out;
	size_t out_length;
	size_t out_capacity;
	bool zlib_open;
	z_stream zlib;
#ifdef HAVE_ZSTD
	ZSTD_CCtx *zstd;
#endif
	EVP_MAC_CTX *mac; /* NULL: nothing is signed */
	size_t signed_length;
	int64_t timestamp;
	char signature[24 + 2 * SHA256_SIZE + 8];
};

static CdcStatus
open_mac(HttpBody *body, const char *secret, size_t length, CdcError *err)
{
	EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};

	if (hmac != NULL)
		body->mac = EVP_MAC_CTX_new(hmac);
	EVP_MAC_free(hmac);
	if (body->mac == NULL ||
		EVP_MAC_init(body->mac, (const unsigned char *) secret, length, params) != 1)
		return cdc_error(err, CDC_USAGE,
						 "libcrypto cannot compute HMAC-SHA256 with this secret of %zu bytes",
						 length);
	return CDC_OK;
}

CdcStatus
http_body_create(HttpBody **result, HttpCoding coding, const char *secret, size_t secret_length,
				 CdcError *err)
{
	HttpBody *body = calloc(1, sizeof(*body));
	CdcStatus status = CDC_OK;

	*result = NULL;
	if (body == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	body->coding = coding;
	if (coding == HTTP_GZIP)
		body->zlib_open = deflateInit2(&body->zlib, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW,
									   GZIP_MEMORY, Z_DEFAULT_STRATEGY) == Z_OK;
	if (coding == HTTP_GZIP && !body->zlib_open)
		status = cdc_error(err, CDC_RETRY, "zlib could not be set up: out of memory");
#ifdef HAVE_ZSTD
	if (coding == HTTP_ZSTD)
		body->zstd = ZSTD_createCCtx();
	if (coding == HTTP_ZSTD && body->zstd == NULL)
		status = cdc_error(err, CDC_RETRY, "libzstd could not be set up: out of memory");
#endif
	if (status == CDC_OK && secret != NULL)
		status = open_mac(body, secret, secret_length, err);
	if (status != CDC_OK)
	{
		http_body_free(body);
		return status;
	}
	*result = body;
	return CDC_OK;
}

void
http_body_free(HttpBody *body)
{
	if (body == NULL)
		return;
	if (body->zlib_open)
		deflateEnd(&body->zlib);
#ifdef HAVE_ZSTD
	ZSTD_freeCCtx(body->zstd);
#endif
	EVP_MAC_CTX_free(body->mac);
	free(body->out);
	free(body);
}

/* Room for what the whole of data can become, so that no step has to look for more. */
static CdcStatus
reserve_out(HttpBody *body, CdcError *err)
{
	size_t bound = 0;

	if (body->coding == HTTP_GZIP)
		bound = deflateBound(&body->zlib, body->length);
#ifdef HAVE_ZSTD
	if (body->coding == HTTP_ZSTD)
		bound = ZSTD_compressBound(body->length);
#endif
	/* a buffer that one huge record made is given back */
	if (bound > 0 && (bound > body->out_capacity || body->out_capacity / 4 > bound))
	{
		free(body->out);
		body->out = malloc(bound);
		body->out_capacity = body->out != NULL ? bound : 0;
		if (body->out == NULL)
			return cdc_error(err, CDC_RETRY, "out of memory for a compressed body of %zu bytes",
							 body->length);
	}
	return CDC_OK;
}

CdcStatus
http_body_begin(HttpBody *body, const char *data, size_t length, CdcError *err)
{
	CdcStatus status = CDC_OK;

	body->data = data;
	body->length = length;
	body->compressed = body->out_length = 0;
	body->compressing = body->coding != HTTP_IDENTITY;
	/* before deflateBound() is asked, which counts no header for a stream that has ended */
	if (body->coding == HTTP_GZIP)
		deflateReset(&body->zlib);
#ifdef HAVE_ZSTD
	if (body->coding == HTTP_ZSTD)
		ZSTD_CCtx_reset(body->zstd, ZSTD_reset_session_only);
#endif
	if (body->compressing)
		status = reserve_out(body, err);
	return status == CDC_OK ? http_body_resign(body, err) : status;
}

CdcStatus
http_body_resign(HttpBody *body, CdcError *err)
{
	/* without a key: the one it has, from the beginning */
	if (body->mac != NULL && EVP_MAC_init(body->mac, NULL, 0, NULL) != 1)
		return cdc_error(err, CDC_RETRY, "libcrypto could not begin a signature");
	body->signed_length = 0;
	body->timestamp = 0;
	body->signature[0] = '\0';
	return CDC_OK;
}

static bool
gzip_piece(HttpBody *body, size_t piece, bool last)
{
	int code;

	body->zlib.next_in = (const unsigned char *) body->data + body->compressed;
	body->zlib.avail_in = (unsigned) piece;
	body->zlib.next_out = (unsigned char *) body->out + body->out_length;
	/* at most the bound of one record, so below 4 GiB */
	body->zlib.avail_out = (unsigned) (body->out_capacity - body->out_length);
	code = deflate(&body->zlib, last ? Z_FINISH : Z_NO_FLUSH);
	body->out_length = body->out_capacity - body->zlib.avail_out;
	return code == (last ? Z_STREAM_END : Z_OK) && body->zlib.avail_in == 0;
}

#ifdef HAVE_ZSTD
static bool
zstd_piece(HttpBody *body, size_t piece, bool last)
{
	ZSTD_inBuffer in = {body->data + body->compressed, piece, 0};
	ZSTD_outBuffer out = {body->out, body->out_capacity, body->out_length};
	size_t left = ZSTD_compressStream2(body->zstd, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);

	body->out_length = out.pos;
	return !ZSTD_isError(left) && in.pos == piece && (!last || left == 0);
}
#endif

static CdcStatus
compress_step(HttpBody *body, CdcError *err)
{
	size_t left = body->length - body->compressed;
	size_t piece = left < COMPRESS_STEP ? left : COMPRESS_STEP;
	bool last = piece == left;
	bool good = false;

	if (body->coding == HTTP_GZIP)
		good = gzip_piece(body, piece, last);
#ifdef HAVE_ZSTD
	if (body->coding == HTTP_ZSTD)
		good = zstd_piece(body, piece, last);
#endif
	if (!good)
		return cdc_error(err, CDC_RETRY, "%s could not compress a body of %zu bytes",
						 http_coding_name(body->coding), body->length);
	body->compressed += piece;
	body->compressing = !last;
	return CDC_OK;
}

static bool
finish_signature(HttpBody *body)
{
	unsigned char mac[SHA256_SIZE];
	size_t length = 0;
	int at;

	if (EVP_MAC_final(body->mac, mac, &length, sizeof(mac)) != 1 || length != sizeof(mac))
		return false;
	at = snprintf(body->signature, sizeof(body->signature), "t=%" PRId64 ",v1=", body->timestamp);
	for (size_t i = 0; i < sizeof(mac); i++)
		at += sprintf(body->signature + at, "%02x", mac[i]);
	return true;
}

/* HMAC-SHA256 over the time, a dot, and the bytes as they are sent. */
static CdcStatus
sign_step(HttpBody *body, CdcError *err)
{
	char prefix[32];
	size_t length;
	const char *data = http_body_data(body, &length);
	size_t piece = length - body->signed_length;
	bool good = true;

	if (body->timestamp == 0)
	{
		body->timestamp = (int64_t) time(NULL);
		snprintf(prefix, sizeof(prefix), "%" PRId64 ".", body->timestamp);
		good = EVP_MAC_update(body->mac, (unsigned char *) prefix, strlen(prefix)) == 1;
	}
	if (piece > SIGN_STEP)
		piece = SIGN_STEP;
	good = good && EVP_MAC_update(body->mac, (const unsigned char *) data + body->signed_length,
								  piece) == 1;
	body->signed_length += piece;
	if (good && body->signed_length == length)
		good = finish_signature(body);
	return good ? CDC_OK : cdc_error(err, CDC_RETRY, "libcrypto could not compute a signature");
}

CdcStatus
http_body_step(HttpBody *body, bool *done, CdcError *err)
{
	CdcStatus status = CDC_OK;

	if (body->compressing)
		status = compress_step(body, err);
	else if (body->mac != NULL && body->signature[0] == '\0')
		status = sign_step(body, err);
	*done = !body->compressing && (body->mac == NULL || body->signature[0] != '\0');
	return status;
}

const char *
http_body_data(const HttpBody *body, size_t *length)
{
	if (body->coding == HTTP_IDENTITY)
	{
		*length = body->length;
		return body->data;
	}
	*length = body->out_length;
	return body->out;
}

const char *
http_body_signature(const HttpBody *body)
{
	return body->mac != NULL ? body->signature : NULL;
}

const char *
http_coding_name(HttpCoding coding)
{
	static const char *const names[] = {
		[HTTP_IDENTITY] = NULL, [HTTP_GZIP] = "gzip", [HTTP_ZSTD] = "zstd"};

	return names[coding];
}
