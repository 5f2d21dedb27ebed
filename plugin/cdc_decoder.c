/*
 * cdc_decoder.c
 *		Logical decoding output plugin: each change a finished JSON record.
 *
 * The callbacks, and nothing else: they count, select, and hand over to cdc_record.c.  Memory has two
 * lifetimes, both below ctx->context, so that an ERROR leaves nothing behind: that of the decoding
 * session (options, relations), and that of one change.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlogreader.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "replication/logical.h"
#include "replication/origin.h"
#include "replication/output_plugin.h"
#include "utils/memutils.h"

#include "cdc_compat.h"
#include "cdc_options.h"
#include "cdc_record.h"
#include "cdc_relation.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_output_plugin_init(OutputPluginCallbacks *callbacks);

typedef struct CdcDecoder
{
	CdcOptions options;
	CdcEncoding encoding;
	CdcSettings settings;
	CdcOutput output;
	CdcRecorder recorder;
	CdcRelationCache *relations;
	CdcTransaction transaction;
	MemoryContext change_context; /* reset after each change */
	uint64 seq;                   /* of the last change, in the present transaction */
	int changes_unreported;       /* since progress was last reported */
	bool ready;                   /* what prepare() makes is there */
	bool begun;                   /* the present transaction's first record has been written */
} CdcDecoder;

/* As often as the core does it from 16 on (CHANGES_THRESHOLD in reorderbuffer.c). */
#define CHANGES_PER_PROGRESS_REPORT 100

static void
startup(LogicalDecodingContext *ctx, OutputPluginOptions *opt, bool is_init)
{
	CdcDecoder *decoder = palloc0(sizeof(CdcDecoder));

	cdc_options_read(&decoder->options, ctx->output_plugin_options);
	opt->output_type = decoder->options.framing == CDC_FRAMING_FRAMES
						   ? OUTPUT_PLUGIN_BINARY_OUTPUT
						   : OUTPUT_PLUGIN_TEXTUAL_OUTPUT;
	opt->receive_rewrites = false;
	decoder->change_context =
		AllocSetContextCreate(ctx->context, "cdc_decoder change", ALLOCSET_DEFAULT_SIZES);
	ctx->output_plugin_private = decoder;
}

/* In CurrentMemoryContext. */
static char *
database_name(void)
{
	MemoryContext caller = CurrentMemoryContext;
	char *name;

	if (IsTransactionState())
		return get_database_name(MyDatabaseId);
	/* a logical message outside transactions came first: its callback is outside of one, too */
	StartTransactionCommand();
	name = MemoryContextStrdup(caller, get_database_name(MyDatabaseId));
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller);
	return name;
}

/*
 * The rest of the set-up, at the first transaction or message: only then it can be told whether the
 * output goes to a client or through the SQL functions (which set output_writer_private after
 * startup), where text must be in the database's encoding.
 */
static void
prepare(LogicalDecodingContext *ctx)
{
	CdcDecoder *decoder = ctx->output_plugin_private;
	MemoryContext caller;
	const char *source;

	if (likely(decoder->ready))
		return;
	caller = MemoryContextSwitchTo(ctx->context);
	cdc_encoding_init(&decoder->encoding);
	decoder->encoding.escape = decoder->encoding.convert && ctx->output_writer_private != NULL &&
							   decoder->options.framing == CDC_FRAMING_LINES;
	decoder->output.ctx = ctx;
	decoder->output.options = &decoder->options;
	decoder->output.writer.encoding = &decoder->encoding;
	source = decoder->options.source ? decoder->options.source : database_name();
	cdc_recorder_init(&decoder->recorder, &decoder->output, source);
	decoder->relations = cdc_relation_cache_create(ctx->context, &decoder->options, source,
												   &decoder->encoding, &decoder->settings);
	MemoryContextSwitchTo(caller);
	decoder->ready = true;
}

/* The first record of a transaction is about to be written. */
static inline void
ensure_begun(CdcDecoder *decoder)
{
	if (decoder->begun)
		return;
	cdc_recorder_begin(&decoder->recorder, &decoder->transaction);
	decoder->begun = true;
	if (decoder->options.transaction_records && decoder->transaction.transactional)
		cdc_record_begin(&decoder->recorder);
}

static inline bool
origin_is_selected(const CdcDecoder *decoder, RepOriginId origin)
{
	return decoder->options.origin == CDC_ORIGIN_ANY || origin == InvalidRepOriginId;
}

static void
begin_transaction(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
	CdcDecoder *decoder = ctx->output_plugin_private;

	prepare(ctx);
	decoder->transaction.commit_lsn = txn->final_lsn;
	decoder->transaction.end_lsn = txn->end_lsn;
	decoder->transaction.commit_time = txn->xact_time.commit_time;
	decoder->transaction.xid = txn->xid;
	decoder->transaction.transactional = true;
	decoder->seq = 0;
	decoder->begun = false;
}

/* Before 16 the consumer of a large transaction of which nothing is selected would time out. */
static inline void
report_progress(LogicalDecodingContext *ctx)
{
	CdcDecoder *decoder = ctx->output_plugin_private;

	if (!CDC_CORE_REPORTS_PROGRESS && ++decoder->changes_unreported >= CHANGES_PER_PROGRESS_REPORT)
	{
		decoder->changes_unreported = 0;
		OutputPluginUpdateProgress(ctx, false);
	}
}

static void
decode_change(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, Relation relation,
			  ReorderBufferChange *change)
{
	CdcDecoder *decoder = ctx->output_plugin_private;
	HeapTuple before = cdc_change_tuple(change->data.tp.oldtuple);
	HeapTuple after = cdc_change_tuple(change->data.tp.newtuple);
	CdcRelation *known;
	MemoryContext caller;
	CdcChangeKind kind;

	report_progress(ctx);
	decoder->seq++; /* first of all: selection must not renumber */
	if (!origin_is_selected(decoder, change->origin_id))
		return;

	switch (change->action)
	{
		case REORDER_BUFFER_CHANGE_INSERT:
			kind = CDC_INSERT;
			before = NULL;
			break;
		case REORDER_BUFFER_CHANGE_UPDATE:
			kind = CDC_UPDATE;
			break;
		case REORDER_BUFFER_CHANGE_DELETE:
			kind = CDC_DELETE;
			after = NULL;
			break;
		default:
			elog(ERROR, "unexpected change action %d", (int) change->action);
	}

	caller = MemoryContextSwitchTo(decoder->change_context);
	known = cdc_relation_get(decoder->relations, relation);
	if (known->selected[kind])
	{
		cdc_recorder_load(&decoder->recorder, known, RelationGetDescr(relation), before, after);
		if (cdc_recorder_filter(&decoder->recorder, known, &kind))
		{
			ensure_begun(decoder);
			cdc_record_change(&decoder->recorder, kind, known, decoder->seq);
		}
	}
	MemoryContextSwitchTo(caller);
	MemoryContextReset(decoder->change_context);
}

static void
decode_truncate(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, int nrelations,
				Relation relations[], ReorderBufferChange *change)
{
	CdcDecoder *decoder = ctx->output_plugin_private;
	MemoryContext caller = MemoryContextSwitchTo(decoder->change_context);

	report_progress(ctx);
	for (int i = 0; i < nrelations; i++)
	{
		CdcRelation *known;

		decoder->seq++;
		if (!origin_is_selected(decoder, change->origin_id))
			continue;
		known = cdc_relation_get(decoder->relations, relations[i]);
		if (!known->selected[CDC_TRUNCATE])
			continue;
		ensure_begun(decoder);
		cdc_record_truncate(&decoder->recorder, known, decoder->seq);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextReset(decoder->change_context);
}

static void
end_transaction(LogicalDecodingContext *ctx)
{
	CdcDecoder *decoder = ctx->output_plugin_private;

	if (decoder->begun)
	{
		cdc_record_commit(&decoder->recorder,
						  decoder->transaction.transactional ? decoder->seq + 1 : 0);
		cdc_output_finish(&decoder->output);
	}
	cdc_settings_unpin(&decoder->settings);
}

static void
commit_transaction(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, XLogRecPtr commit_lsn)
{
	CdcDecoder *decoder = ctx->output_plugin_private;
	MemoryContext caller = MemoryContextSwitchTo(decoder->change_context);

	end_transaction(ctx);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(decoder->change_context);
	OutputPluginUpdateProgress(ctx, !decoder->begun);
}

/* A message outside transactions is a unit of its own, delivered at once. */
static void
decode_lone_message(LogicalDecodingContext *ctx, XLogRecPtr end_lsn, const char *prefix,
					Size content_len, const char *content)
{
	CdcDecoder *decoder = ctx->output_plugin_private;

	if (!origin_is_selected(decoder, XLogRecGetOrigin(ctx->reader)))
		return;
	memset(&decoder->transaction, 0, sizeof(decoder->transaction));
	decoder->transaction.commit_lsn = end_lsn;
	decoder->transaction.end_lsn = end_lsn;
	decoder->transaction.xid = XLogRecGetXid(ctx->reader);
	decoder->begun = false;
	ensure_begun(decoder);
	cdc_record_message(&decoder->recorder, prefix, content, content_len, 0);
	end_transaction(ctx);
}

static void
decode_message(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, XLogRecPtr lsn,
			   bool transactional, const char *prefix, Size content_len, const char *content)
{
	CdcDecoder *decoder = ctx->output_plugin_private;
	MemoryContext caller;

	prepare(ctx);
	report_progress(ctx);
	if (transactional)
		decoder->seq++;
	if (!cdc_options_want_message(&decoder->options, prefix))
		return;

	caller = MemoryContextSwitchTo(decoder->change_context);
	if (!transactional)
		decode_lone_message(ctx, lsn, prefix, content_len, content);
	else if (origin_is_selected(decoder, txn->origin_id))
	{
		ensure_begun(decoder);
		cdc_record_message(&decoder->recorder, prefix, content, content_len, decoder->seq);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextReset(decoder->change_context);
}

void
_PG_output_plugin_init(OutputPluginCallbacks *callbacks)
{
	/*
	 * No filter_by_origin_cb: what it filters is hidden from us, so it would renumber the rest.	No
	 * streaming or two-phase callbacks: a transaction is delivered at its commit.
	 */
	callbacks->startup_cb = startup;
	callbacks->begin_cb = begin_transaction;
	callbacks->change_cb = decode_change;
	callbacks->truncate_cb = decode_truncate;
	callbacks->commit_cb = commit_transaction;
	callbacks->message_cb = decode_message;
}
