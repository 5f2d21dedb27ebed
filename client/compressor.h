/*
 * compressor.h
 *		What compresses a sink's bytes: a table of calls, so that a library which is not there at build
 *		time is a table which is not there.
 *
 * A compressor makes one frame after the other.  Where a frame has ended, all that went in can be read
 * back from what came out.
 */
#ifndef CDC_COMPRESSOR_H
#define CDC_COMPRESSOR_H

#include <stddef.h>

#include "error.h"

typedef struct Compressor Compressor;

/* Takes what comes out; data is borrowed. */
typedef CdcStatus (*CompressorOutput)(void *arg, const void *data, size_t length, CdcError *err);

typedef enum CompressorStep
{
	COMPRESSOR_GO_ON, /* what comes out, comes out */
	COMPRESSOR_FLUSH, /* all that went in has come out, and the frame goes on */
	COMPRESSOR_END,   /* the same, and the frame is whole; a frame of nothing is none */
} CompressorStep;

typedef struct CompressorOps
{
	const char *name;
	CdcStatus (*create)(Compressor **compressor, CompressorOutput output, void *output_arg,
						CdcError *err);
	CdcStatus (*write)(Compressor *compressor, const void *data, size_t length, CompressorStep step,
					   CdcError *err);
	/* The most that a frame of length bytes can have. */
	size_t (*bound)(size_t length);
	void (*destroy)(Compressor *compressor); /* takes NULL */
} CompressorOps;

#ifdef HAVE_ZSTD
extern const CompressorOps compressor_zstd;
#endif

#endif /* CDC_COMPRESSOR_H */
