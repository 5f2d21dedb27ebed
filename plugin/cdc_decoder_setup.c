/*
 * cdc_decoder_setup.c
 *		What a decoding session is made of, and what it is told to do.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "cdc_decoder.h"
#include "cdc_pipeline.h"

void
cdc_decoder_prepare(LogicalDecodingContext *ctx)
{
	CdcDecoder *decoder = ctx->output_plugin_private;
	MemoryContext caller;

	if (likely(decoder->ready))
		return;
	caller = MemoryContextSwitchTo(ctx->context);
	cdc_encoding_init(&decoder->encoding);
	decoder->encoding.escape = decoder->encoding.convert && ctx->output_writer_private != NULL &&
							   decoder->options.framing == CDC_FRAMING_LINES;
	decoder->output.ops = &cdc_output_to_consumer;
	decoder->output.target = ctx;
	decoder->output.options = &decoder->options;
	decoder->output.writer.encoding = &decoder->encoding;
	decoder->lookups = cdc_lookups_create(ctx->context, ctx);
	cdc_recorder_init(&decoder->recorder, &decoder->output, &decoder->settings, decoder->lookups);
	decoder->relations = cdc_relation_cache_create(ctx->context, ctx->reader, &decoder->encoding,
												   &decoder->settings, decoder->lookups);
	decoder->publications = cdc_publications_create(ctx->context);
	decoder->configuration =
		AllocSetContextCreate(ctx->context, "cdc_decoder configuration", ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(caller);
	decoder->ready = true;
}

/* The pipeline as it is at this place in the WAL; NULL if it does not exist yet. */
static CdcPipeline *
read_pipeline(CdcDecoder *decoder, const char *name)
{
	Oid tables[2];
	CdcPipeline *pipeline = cdc_pipeline_read(name, tables);

	for (int i = 0; i < lengthof(tables); i++)
	{
		if (OidIsValid(tables[i]))
			cdc_relation_cache_watch(decoder->relations, tables[i]);
	}
	if (pipeline && pipeline->dropped)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("pipeline \"%s\" was dropped at this place in the WAL", name),
				errdetail("Without it, changes would be sent as they are, untransformed."),
				errhint("Start the stream with option \"pipeline\" naming another pipeline that "
						"exists here, or without that option."));
	if (pipeline == NULL && !decoder->warned)
	{
		decoder->warned = true;
		ereport(WARNING, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("pipeline \"%s\" does not exist at this place in the WAL", name),
				errdetail("Nothing is selected until the place where it was created."),
				errhint("Create it with cdc.create_pipeline(), or correct option \"pipeline\"."));
	}
	return pipeline;
}

void
cdc_decoder_configure(LogicalDecodingContext *ctx)
{
	CdcDecoder *decoder = ctx->output_plugin_private;
	CdcOptions *options = &decoder->options;
	CdcPipeline *pipeline = NULL;
	MemoryContext caller;
	const char *source;
	const char *metadata;

	MemoryContextReset(decoder->configuration);
	caller = MemoryContextSwitchTo(decoder->configuration);
	if (decoder->pipeline_name)
		pipeline = read_pipeline(decoder, decoder->pipeline_name);
	decoder->selects_nothing = decoder->pipeline_name != NULL && pipeline == NULL;
	cdc_options_read(options, pipeline ? pipeline->options : NIL, ctx->output_plugin_options);
	source = options->source ? options->source : get_database_name(MyDatabaseId);
	metadata = pipeline ? pipeline->metadata : "";
	cdc_publications_set_names(decoder->publications, options->publication_names == NIL && pipeline
														  ? pipeline->publications
														  : options->publication_names);
	cdc_recorder_configure(&decoder->recorder, source, metadata);
	cdc_relation_cache_configure(decoder->relations, options, source, metadata, pipeline,
								 decoder->publications);
	decoder->configured = cdc_relation_cache_generation(decoder->relations);
	decoder->stale = false;
	MemoryContextSwitchTo(caller);
}

void
cdc_decoder_configure_outside(LogicalDecodingContext *ctx)
{
	CdcDecoder *decoder = ctx->output_plugin_private;
	MemoryContext caller = CurrentMemoryContext;
	bool own_transaction = !IsTransactionState();

	if (decoder->pipeline_name == NULL && decoder->configured != 0)
		return;
	if (own_transaction)
		StartTransactionCommand();
	cdc_decoder_configure(ctx);
	if (own_transaction)
		CommitTransactionCommand();
	MemoryContextSwitchTo(caller);
	decoder->stale = true;
}
