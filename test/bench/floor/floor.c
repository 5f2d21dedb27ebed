/*
 * floor.c
 *		What logical decoding itself costs: every change is decoded, none is looked at.
 *
 * One byte is written per commit, so that the positions still travel as they do for any plugin.
 * No other plugin can cost less than this one; test/bench/decode shows each as a multiple of it.
 */
#include "postgres.h"

#include "fmgr.h"
#include "nodes/parsenodes.h"
#include "replication/logical.h"
#include "replication/output_plugin.h"
#include "replication/reorderbuffer.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_output_plugin_init(OutputPluginCallbacks *callbacks);

static void
floor_startup(LogicalDecodingContext *ctx, OutputPluginOptions *options, bool is_init)
{
	(void) is_init;
	if (ctx->output_plugin_options != NIL)
	{
		DefElem *option = (DefElem *) linitial(ctx->output_plugin_options);

		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("unknown option \"%s\" of output plugin \"floor\"", option->defname),
						errhint("This plugin takes no options.")));
	}
	options->output_type = OUTPUT_PLUGIN_TEXTUAL_OUTPUT;
}

static void
floor_begin(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
	(void) ctx;
	(void) txn;
}

static void
floor_change(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, Relation relation,
			 ReorderBufferChange *change)
{
	(void) ctx;
	(void) txn;
	(void) relation;
	(void) change;
}

static void
floor_commit(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, XLogRecPtr commit_lsn)
{
	(void) txn;
	(void) commit_lsn;
	OutputPluginPrepareWrite(ctx, true);
	appendStringInfoChar(ctx->out, 'c');
	OutputPluginWrite(ctx, true);
}

void
_PG_output_plugin_init(OutputPluginCallbacks *callbacks)
{
	callbacks->startup_cb = floor_startup;
	callbacks->begin_cb = floor_begin;
	callbacks->change_cb = floor_change;
	callbacks->commit_cb = floor_commit;
}
