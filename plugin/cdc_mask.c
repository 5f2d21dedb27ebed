/*
 * cdc_mask.c
 *		Functions for the expressions of rules that hide what is in a value.
 */
#include "postgres.h"

#include "common/hmac.h"
#include "common/sha2.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "cdc_compat.h"

CDC_SQL_FUNCTION(cdc_mask_hash);
CDC_SQL_FUNCTION(cdc_mask_partial);
CDC_SQL_FUNCTION(cdc_redact);

/* HMAC-SHA256 (RFC 2104) of a text under a salt, in hex. */
Datum
cdc_mask_hash(PG_FUNCTION_ARGS)
{
	uint8 digest[PG_SHA256_DIGEST_LENGTH];
	text *value;
	text *salt;
	text *result;
	pg_hmac_ctx *hmac;

	if (PG_ARGISNULL(1))
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("the salt of cdc.mask_hash() must not be NULL"));
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	value = PG_GETARG_TEXT_PP(0);
	salt = PG_GETARG_TEXT_PP(1);
	hmac = pg_hmac_create(PG_SHA256);
	if (hmac == NULL ||
		pg_hmac_init(hmac, (uint8 *) VARDATA_ANY(salt), VARSIZE_ANY_EXHDR(salt)) < 0 ||
		pg_hmac_update(hmac, (uint8 *) VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)) < 0 ||
		pg_hmac_final(hmac, digest, sizeof(digest)) < 0)
		ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not compute HMAC-SHA256"));
	pg_hmac_free(hmac);

	result = palloc(VARHDRSZ + 2 * sizeof(digest));
	SET_VARSIZE(result, VARHDRSZ + 2 * sizeof(digest));
	hex_encode((char *) digest, sizeof(digest), VARDATA(result));
	PG_RETURN_TEXT_P(result);
}

/* The first and last characters stay; where they would be all of it, none does. */
Datum
cdc_mask_partial(PG_FUNCTION_ARGS)
{
	text *value = PG_GETARG_TEXT_PP(0);
	int32 keep_left = PG_GETARG_INT32(1);
	int32 keep_right = PG_GETARG_INT32(2);
	const char *bytes = VARDATA_ANY(value);
	int len = VARSIZE_ANY_EXHDR(value);
	int chars = pg_mbstrlen_with_len(bytes, len);
	int left_bytes;
	int right_bytes;
	text *result;
	char *out;

	if (keep_left < 0 || keep_right < 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("cdc.mask_partial() cannot keep a negative number of characters"));
	if ((int64) keep_left + keep_right >= chars)
		keep_left = keep_right = 0;
	left_bytes = pg_mbcharcliplen(bytes, len, keep_left);
	right_bytes = len - pg_mbcharcliplen(bytes, len, chars - keep_right);
	chars -= keep_left + keep_right;

	result = palloc(VARHDRSZ + left_bytes + chars + right_bytes);
	SET_VARSIZE(result, VARHDRSZ + left_bytes + chars + right_bytes);
	out = VARDATA(result);
	memcpy(out, bytes, left_bytes);
	memset(out + left_bytes, '*', chars);
	memcpy(out + left_bytes + chars, bytes + len - right_bytes, right_bytes);
	PG_RETURN_TEXT_P(result);
}

Datum
cdc_redact(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text("[redacted]"));
}
