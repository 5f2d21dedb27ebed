/*
 * cdc_decoder.h
 *		One decoding session, for the plugin's callbacks alone.
 *
 * Memory has two lifetimes, both below ctx->context, so that an ERROR leaves nothing behind: that of the
 * session (options, relations), and that of one change.
 */
#ifndef CDC_DECODER_H
#define CDC_DECODER_H

#include "replication/logical.h"

#include "cdc_options.h"
#include "cdc_record.h"
#include "cdc_relation.h"
#include "cdc_snapshot_window.h"

typedef struct CdcDecoder
{
	CdcOptions options;
	CdcEncoding encoding;
	CdcSettings settings;
	CdcOutput output;
	CdcRecorder recorder;
	CdcLookups *lookups;
	CdcRelationCache *relations;
	CdcTransaction transaction;
	CdcWindows windows;          /* of chunks of existing rows that are being read */
	uint64 configured;           /* generation of relations that configuration is of */
	MemoryContext configuration; /* of what follows from options, catalogs and pipeline */
	CdcPublications *publications;
	char *pipeline_name;  /* option pipeline */
	bool selects_nothing; /* the pipeline does not exist yet at this place in the WAL */
	bool warned;          /* that has been said */
	bool
		tells_empty; /* begin and commit are told where nothing else is; by the stream's own options */
	bool stale;      /* configured from the catalogs' present state, not that of the WAL */
	MemoryContext change_context; /* reset after each change */
	uint64 seq;                   /* of the last change, in the present transaction */
	int changes_unreported;       /* since progress was last reported */
	bool ready;                   /* what prepare() makes is there */
	bool begun;                   /* the present transaction's first record has been written */
	uint64 backfill;              /* the last request for existing rows in it; 0: none */
} CdcDecoder;

/*
 * The rest of the set-up, at the first transaction or message: only then it can be told whether the
 * output goes to a client or through the SQL functions (which set output_writer_private after
 * startup), where text must be in the database's encoding.
 */
extern void cdc_decoder_prepare(LogicalDecodingContext *ctx);

/*
 * What options, catalogs and the pipeline say, which may change between transactions and within one.
 * Needs a transaction.
 */
extern void cdc_decoder_configure(LogicalDecodingContext *ctx);

/*
 * The same for a message outside transactions: its callback is outside of one, and of any place in the
 * catalogs' history, so their present state has to do.
 */
extern void cdc_decoder_configure_outside(LogicalDecodingContext *ctx);

#endif /* CDC_DECODER_H */
