/*
 * cdc_decoder.c
 *		Logical decoding output plugin: each change a finished JSON record.
 *
 * The callbacks, and nothing else: they count, select, and hand over to cdc_record.c.  What holds for
 * the session is set up in cdc_decoder_setup.c.
 */
#include "postgres.h"

#include "access/xlogreader.h"
#include "replication/logical.h"
#include "replication/origin.h"
#include "replication/output_plugin.h"
#include "utils/memutils.h"

#include "cdc_backfill_bell.h"
#include "cdc_compat.h"
#include "cdc_decoder.h"
#include "cdc_format.h"
#include "cdc_relation_build.h"
#include "cdc_selector.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_output_plugin_init(OutputPluginCallbacks *callbacks);

/* As often as the core does it from 16 on (CHANGES_THRESHOLD in reorderbuffer.c). */
#define CHANGES_PER_PROGRESS_REPORT 100

static void
startup(LogicalDecodingContext *ctx, OutputPluginOptions *opt, bool is_init)
{
	CdcDecoder *decoder = palloc0(sizeof(CdcDecoder));

	cdc_options_read(&decoder->options, NIL, ctx->output_plugin_options);
	decoder->pipeline_name = decoder->options.pipeline;
	decoder->tells_empty = decoder->options.empty_transactions;
	opt->output_type = decoder->options.framing == CDC_FRAMING_FRAMES
						   ? OUTPUT_PLUGIN_BINARY_OUTPUT
						   : OUTPUT_PLUGIN_TEXTUAL_OUTPUT;
	opt->receive_rewrites = false;
	ctx->streaming = false; /* which stream_abort_cb would ask for */
	decoder->change_context =
		AllocSetContextCreate(ctx->context, "cdc_decoder change", ALLOCSET_DEFAULT_SIZES);
	ctx->output_plugin_private = decoder;
}

static inline void
ensure_configured(LogicalDecodingContext *ctx)
{
	CdcDecoder *decoder = ctx->output_plugin_private;

	if (unlikely(decoder->configured != cdc_relation_cache_generation(decoder->relations)))
		cdc_decoder_configure(ctx);
}

/* What stands for the target of records that belong to no relation, where the format names one. */
static CdcRelation *
target_of(CdcDecoder *decoder, CdcHeadKind kind)
{
	const char *target = decoder->recorder.targets[kind];

	if (target == NULL || !cdc_output_has_frames(&decoder->output))
		return NULL;
	return cdc_relation_for_fixed_target(decoder->relations, target);
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
		cdc_record_begin(&decoder->recorder, target_of(decoder, CDC_HEAD_BEGIN));
}

/*
 * Where begin and commit are told of transactions of which nothing else is, begin is told here: what it is sent
 * with is then the place in WAL where the transaction begins.
 */
static void
begin_if_told_empty(LogicalDecodingContext *ctx, const ReorderBufferTXN *txn)
{
	CdcDecoder *decoder = ctx->output_plugin_private;
	MemoryContext caller;

	if (likely(!decoder->tells_empty))
		return;
	ensure_configured(ctx);
	if (!decoder->options.transaction_records || decoder->selects_nothing ||
		!cdc_selector_wants_origin(&decoder->options, txn->origin_id))
		return;
	caller = MemoryContextSwitchTo(decoder->change_context);
	ensure_begun(decoder);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(decoder->change_context);
}

static void
begin_transaction(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
	CdcDecoder *decoder = ctx->output_plugin_private;

	cdc_decoder_prepare(ctx);
	cdc_relation_cache_begin(decoder->relations, txn->base_snapshot_lsn);
	cdc_lookups_begin(decoder->lookups, txn);
	if (unlikely(decoder->stale || decoder->selects_nothing))
		cdc_decoder_configure(ctx);
	decoder->transaction.commit_lsn = txn->final_lsn;
	decoder->transaction.end_lsn = txn->end_lsn;
	decoder->transaction.commit_time = cdc_commit_time(txn);
	decoder->transaction.xid = txn->xid;
	decoder->transaction.origin = txn->origin_id;
	decoder->transaction.origin_lsn = txn->origin_lsn;
	decoder->transaction.transactional = true;
	decoder->seq = 0;
	decoder->backfill = 0;
	decoder->begun = false;
	begin_if_told_empty(ctx, txn);
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

static bool
message_is_selected(const CdcDecoder *decoder, const CdcMessage *message)
{
	const CdcOptions *options = &decoder->options;

	if (decoder->selects_nothing || message->kind == CDC_MESSAGE_SPACER)
		return false;
	if (message->kind == CDC_MESSAGE_DDL)
		return options->ddl == CDC_DDL_ON ||
			   (options->ddl == CDC_DDL_AUTO && decoder->pipeline_name == NULL &&
				decoder->recorder.format->tells_ddl);
	return cdc_options_want_message(options, message->prefix);
}

static void
record_message(CdcDecoder *decoder, CdcMessage *message, uint64 seq)
{
	ensure_begun(decoder);
	if (message->kind == CDC_MESSAGE_OUTBOX && cdc_output_has_frames(&decoder->output))
	{
		cdc_record_outbox(&decoder->recorder,
						  cdc_relation_for_target(decoder->relations, message->target), message,
						  seq);
		return;
	}
	if (message->kind == CDC_MESSAGE_OUTBOX && !decoder->recorder.format->tells_outbox)
	{
		/* a row of an outbox table has no prefix that would tell its target and key */
		message->prefix =
			psprintf("outbox:%s%s%s", message->target, message->key[0] ? ":" : "", message->key);
		message->kind = CDC_MESSAGE_PLAIN;
	}
	if (message->kind == CDC_MESSAGE_DDL && !decoder->recorder.format->tells_ddl)
		message->kind = CDC_MESSAGE_PLAIN;
	cdc_record_message(&decoder->recorder, target_of(decoder, cdc_message_head(message)), message,
					   seq);
}

/* A row of an outbox table: what it holds is sent, not the row, nor that it was deleted later. */
static void
record_outbox_row(CdcDecoder *decoder, CdcChangeKind kind, CdcRelation *relation)
{
	const CdcImage *after = &decoder->recorder.rows.after;
	CdcMessage message;

	if (kind != CDC_INSERT)
		return;
	if (cdc_outbox_read(relation->outbox, after->values, after->nulls,
						after->any_missing ? after->missing : NULL, &message))
		record_message(decoder, &message, decoder->seq);
	else
	{
		/* nothing is skipped in silence: the row itself then */
		ensure_begun(decoder);
		cdc_record_change(&decoder->recorder, kind, relation, decoder->seq);
	}
}

/*
 * Rules have changed, perhaps.	 A session that has met nothing yet but a watermark has not read its
 * pipeline, so it does not hear of it by an invalidation (cdc_relation_cache_watch()).
 */
static void
note_own_change(CdcDecoder *decoder, Relation relation)
{
	const char *name = RelationGetRelationName(relation);

	if (decoder->windows.nopen > 0 && (strcmp(name, "pipeline") == 0 || strcmp(name, "rule") == 0))
		cdc_relation_cache_note_change(decoder->relations);
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
	/* while a pipeline is dropped and made again there is none, but nothing to send either */
	if (unlikely(cdc_relation_is_own(relation)))
	{
		note_own_change(decoder, relation);
		cdc_lookups_note_change(decoder->lookups, relation, txn->xid, before, after);
		return;
	}
	ensure_configured(ctx);
	if (decoder->selects_nothing ||
		!cdc_selector_wants_origin(&decoder->options, change->origin_id))
		return;
	decoder->recorder.change_lsn = change->lsn;

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
		bool recorded = true;

		cdc_rows_load(&decoder->recorder.rows, known, RelationGetDescr(relation), before, after);
		if (unlikely(decoder->options.strip_records != NIL) &&
			cdc_options_strip(&decoder->options, decoder->transaction.commit_lsn, decoder->seq))
		{
			ensure_begun(decoder);
			cdc_record_stripped(&decoder->recorder, kind, known, decoder->seq);
		}
		else if (!cdc_rows_filter(&decoder->recorder.rows, known, &kind) ||
				 !cdc_record_wants_change(&decoder->recorder, kind, known))
			recorded = false;
		else if (unlikely(known->outbox != NULL))
			record_outbox_row(decoder, kind, known);
		else
		{
			ensure_begun(decoder);
			cdc_record_change(&decoder->recorder, kind, known, decoder->seq);
		}
		if (unlikely(decoder->windows.nopen > 0) && recorded && known->outbox == NULL)
			cdc_windows_note_change(&decoder->windows, &decoder->output, known,
									&decoder->recorder.rows);
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
	decoder->recorder.change_lsn = change->lsn;
	for (int i = 0; i < nrelations; i++)
	{
		CdcRelation *known;

		decoder->seq++;
		if (cdc_relation_is_own(relations[i]))
		{
			note_own_change(decoder, relations[i]);
			cdc_lookups_note_change(decoder->lookups, relations[i], txn->xid, NULL, NULL);
			continue;
		}
		ensure_configured(ctx);
		if (decoder->selects_nothing ||
			!cdc_selector_wants_origin(&decoder->options, change->origin_id))
			continue;
		known = cdc_relation_get(decoder->relations, relations[i]);
		if (!known->selected[CDC_TRUNCATE])
			continue;
		ensure_begun(decoder);
		cdc_record_truncate(&decoder->recorder, known, decoder->seq);
	}
	/* what none of was told is none of the stream's concern */
	for (int i = 0; decoder->windows.nopen > 0 && decoder->begun && i < nrelations; i++)
		cdc_windows_note_truncate(&decoder->windows, &decoder->output,
								  RelationGetRelid(relations[i]));
	MemoryContextSwitchTo(caller);
	MemoryContextReset(decoder->change_context);
}

static void
end_transaction(LogicalDecodingContext *ctx)
{
	CdcDecoder *decoder = ctx->output_plugin_private;

	if (decoder->begun)
	{
		cdc_record_commit(&decoder->recorder, target_of(decoder, CDC_HEAD_COMMIT),
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

	if (unlikely(decoder->backfill != 0))
		cdc_backfill_bell_ring(&decoder->output, &decoder->transaction, decoder->backfill,
							   decoder->begun, decoder->seq + 1);
	end_transaction(ctx);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(decoder->change_context);
	OutputPluginUpdateProgress(ctx, !decoder->begun && decoder->backfill == 0);
}

/* A message outside transactions is a unit of its own, delivered at once. */
static void
decode_lone_message(LogicalDecodingContext *ctx, XLogRecPtr end_lsn, CdcMessage *message)
{
	CdcDecoder *decoder = ctx->output_plugin_private;

	if (!cdc_selector_wants_origin(&decoder->options, XLogRecGetOrigin(ctx->reader)))
		return;
	memset(&decoder->transaction, 0, sizeof(decoder->transaction));
	decoder->transaction.commit_lsn = end_lsn;
	decoder->transaction.end_lsn = end_lsn;
	decoder->transaction.xid = XLogRecGetXid(ctx->reader);
	decoder->begun = false;
	record_message(decoder, message, 0);
	end_transaction(ctx);
}

/* A watermark, of this session or another; where it lies is where its record starts, as no other's does. */
static void
decode_watermark(LogicalDecodingContext *ctx, const char *content, Size content_len)
{
	CdcDecoder *decoder = ctx->output_plugin_private;
	CdcWatermark watermark;

	if (decoder->options.watermarks == NULL || decoder->options.framing != CDC_FRAMING_FRAMES ||
		!cdc_watermark_parse(&watermark, content, content_len) ||
		strcmp(watermark.token, decoder->options.watermarks) != 0)
		return;
	memset(&decoder->transaction, 0, sizeof(decoder->transaction));
	decoder->transaction.commit_lsn = ctx->reader->ReadRecPtr;
	decoder->transaction.end_lsn = ctx->reader->EndRecPtr;
	cdc_relation_cache_listen(decoder->relations, cdc_windows_note_relation, &decoder->windows);
	cdc_windows_mark(&decoder->windows, &decoder->output, &decoder->transaction, &watermark,
					 cdc_relation_cache_changed_at(decoder->relations));
}

/* Is there anybody to be told what requests for existing rows there are? */
static void
note_backfill(CdcDecoder *decoder, const char *content, Size content_len)
{
	uint64 number;

	if (decoder->options.watermarks == NULL || decoder->pipeline_name == NULL ||
		decoder->options.framing != CDC_FRAMING_FRAMES)
		return;
	number = cdc_backfill_bell_read(decoder->pipeline_name, content, content_len);
	if (number > decoder->backfill)
		decoder->backfill = number;
}

static void
decode_message(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, XLogRecPtr lsn,
			   bool transactional, const char *prefix, Size content_len, const char *content)
{
	CdcDecoder *decoder = ctx->output_plugin_private;
	CdcMessage message;
	MemoryContext caller;

	cdc_decoder_prepare(ctx);
	report_progress(ctx);
	if (transactional)
		decoder->seq++;
	if (cdc_is_watermark(prefix))
	{
		if (!transactional)
			decode_watermark(ctx, content, content_len);
		return;
	}
	if (cdc_is_backfill_bell(prefix))
	{
		if (transactional)
			note_backfill(decoder, content, content_len);
		return;
	}
	if (transactional)
		ensure_configured(ctx);
	else
		cdc_decoder_configure_outside(ctx);
	decoder->recorder.change_lsn = lsn;
	caller = MemoryContextSwitchTo(decoder->change_context);
	cdc_message_read(&message, transactional, prefix, content, content_len);
	if (!message_is_selected(decoder, &message))
		;
	else if (!transactional)
		decode_lone_message(ctx, lsn, &message);
	else if (cdc_selector_wants_origin(&decoder->options, txn->origin_id))
		record_message(decoder, &message, decoder->seq);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(decoder->change_context);
}

/* Nothing of a transaction is sent before its commit, so there is nothing to take back. */
static void
ignore_abort(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, XLogRecPtr abort_lsn)
{
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
	if (CDC_NEEDS_STREAM_ABORT)
		callbacks->stream_abort_cb = ignore_abort;
}
