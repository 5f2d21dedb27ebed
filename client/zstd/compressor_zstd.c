/*
 * compressor_zstd.c
 *		zstd's frames (RFC 8878), as zstd -d reads them.
 */
#include "compressor.h"

#include <stdbool.h>
#include <stdlib.h>

#include <zstd.h>

struct Compressor
{
	ZSTD_CCtx *context;
	CompressorOutput output;
	void *output_arg;
	bool in_frame; /* something went in that no frame's end followed */
	size_t size;   /* of buffer */
	char buffer[];
};

static CdcStatus
zstd_error(size_t code, CdcError *err)
{
	return cdc_error(err, CDC_RETRY, "zstd could not compress: %s", ZSTD_getErrorName(code));
}

static void
zstd_destroy(Compressor *compressor)
{
	if (compressor != NULL)
		ZSTD_freeCCtx(compressor->context);
	free(compressor);
}

static CdcStatus
zstd_create(Compressor **result, CompressorOutput output, void *output_arg, CdcError *err)
{
	size_t size = ZSTD_CStreamOutSize();
	Compressor *compressor = malloc(sizeof(*compressor) + size);
	size_t code;

	*result = NULL;
	if (compressor == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	*compressor = (Compressor){
		.context = ZSTD_createCCtx(), .output = output, .output_arg = output_arg, .size = size};
	if (compressor->context == NULL)
	{
		zstd_destroy(compressor);
		return cdc_error(err, CDC_RETRY, "out of memory");
	}
	/* So that whoever reads a damaged file is told. */
	code = ZSTD_CCtx_setParameter(compressor->context, ZSTD_c_checksumFlag, 1);
	if (ZSTD_isError(code))
	{
		zstd_destroy(compressor);
		return zstd_error(code, err);
	}
	*result = compressor;
	return CDC_OK;
}

static CdcStatus
zstd_write(Compressor *compressor, const void *data, size_t length, CompressorStep step,
		   CdcError *err)
{
	static const ZSTD_EndDirective directives[] = {
		[COMPRESSOR_GO_ON] = ZSTD_e_continue,
		[COMPRESSOR_FLUSH] = ZSTD_e_flush,
		[COMPRESSOR_END] = ZSTD_e_end,
	};
	ZSTD_inBuffer in = {.src = data, .size = length};
	bool finished = length == 0 && (step == COMPRESSOR_GO_ON || !compressor->in_frame);

	while (!finished)
	{
		ZSTD_outBuffer out = {.dst = compressor->buffer, .size = compressor->size};
		size_t left = ZSTD_compressStream2(compressor->context, &out, &in, directives[step]);
		CdcStatus status = CDC_OK;

		if (ZSTD_isError(left))
			return zstd_error(left, err);
		if (out.pos > 0)
			status = compressor->output(compressor->output_arg, out.dst, out.pos, err);
		if (status != CDC_OK)
			return status;
		compressor->in_frame = true;
		finished = step == COMPRESSOR_GO_ON ? in.pos == in.size : left == 0;
	}
	if (step == COMPRESSOR_END)
		compressor->in_frame = false;
	return CDC_OK;
}

static size_t
zstd_bound(size_t length)
{
	/* the frame's checksum, which ZSTD_compressBound() leaves out (doc of ZSTD_c_checksumFlag) */
	return ZSTD_compressBound(length) + 4;
}

const CompressorOps compressor_zstd = {
	.name = "zstd",
	.create = zstd_create,
	.write = zstd_write,
	.bound = zstd_bound,
	.destroy = zstd_destroy,
};
