/*
 * cdc_format_debezium.c
 *		format=debezium: keys and values as the Debezium connector for PostgreSQL has them (doc/format-debezium.md).
 *
 * All bytes follow from WAL and the options, so times of processing are the commit's time.	What the connector has no
 * member for (see cdc_members.h) stands at the record's end by the names that our own records have.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"

#include "cdc_format.h"
#include "cdc_format_debezium.h"
#include "cdc_format_debezium_transaction.h"
#include "cdc_json.h"
#include "cdc_members.h"

#define VERSION "cdc_decoder 1.0"

static const char ops[CDC_NUM_CHANGE_KINDS] = {
	[CDC_INSERT] = 'c',   [CDC_UPDATE] = 'u',   [CDC_DELETE] = 'd',
	[CDC_TRUNCATE] = 't', [CDC_SNAPSHOT] = 'r',
};

/* ---------------------------------------------------------------------------------------------
 * Heads and labels
 * --------------------------------------------------------------------------------------------- */

static const char *
prefix_of(const CdcHeadInput *input)
{
	return input->options->topic_prefix ? input->options->topic_prefix : input->source;
}

/*
 * Of a relation, text: {"before":  or with its schema before that; tail: ,"schema":"public","table":"orders","txId":
 * Of none, text: ,"source":{"version":...,"name":"shop","ts_ms":  and tail: ,"snapshot":"false","db":"shop","sequence":"[\"
 */
static CdcHead
make_head(const CdcHeadInput *input)
{
	CdcWriter writer = {.encoding = input->encoding};
	uint64 replaced_before = input->encoding->replaced;
	const char *db = get_database_name(MyDatabaseId);
	StringInfoData text;
	CdcHead head = {0};

	if (input->table)
	{
		if (input->options->schema)
			head.text = cdc_debezium_value_schema(input, &head.len);
		else
		{
			head.text = cdc_pad("{\"before\":", strlen("{\"before\":"));
			head.len = strlen("{\"before\":");
		}
	}
	else
	{
		initStringInfo(&text);
		cdc_writer_attach(&writer, &text);
		cdc_put_literal(&writer, ",\"source\":{\"version\":\"" VERSION
								 "\",\"connector\":\"postgresql\",\"name\":");
		cdc_put_string(&writer, prefix_of(input), strlen(prefix_of(input)));
		cdc_put_literal(&writer, ",\"ts_ms\":");
		head.text = cdc_writer_finish(&writer, &head.len);
	}
	initStringInfo(&text);
	cdc_writer_attach(&writer, &text);
	if (input->table)
	{
		cdc_put_literal(&writer, ",\"schema\":");
		cdc_put_string(&writer, input->schema, strlen(input->schema));
		cdc_put_literal(&writer, ",\"table\":");
		cdc_put_string(&writer, input->table, strlen(input->table));
		cdc_put_literal(&writer, ",\"txId\":");
	}
	else
	{
		cdc_put_literal(&writer, "\",\"db\":");
		cdc_put_string(&writer, db, strlen(db));
		cdc_put_literal(&writer, ",\"sequence\":\"[\\\"");
	}
	head.tail = cdc_writer_finish(&writer, &head.tail_len);
	head.replaced = input->encoding->replaced - replaced_before;
	input->encoding->replaced = replaced_before;
	return head;
}

static char *
make_key_head(const CdcHeadInput *input, int *len)
{
	return input->options->schema ? cdc_debezium_key_schema(input, len) : NULL;
}

static char *
make_target(const CdcHeadInput *input)
{
	const char *kind = "message";

	if (input->table)
		return cdc_debezium_topic(input->encoding, prefix_of(input), input->schema, input->table);
	if (strcmp(input->op, "begin") == 0 || strcmp(input->op, "commit") == 0)
		kind = "transaction";
	return cdc_debezium_topic(input->encoding, prefix_of(input), NULL, kind);
}

/* ,"name": */
static char *
make_label(const CdcLabelInput *input, int *len)
{
	return cdc_make_label(input->member, input->encoding, len);
}

/* ---------------------------------------------------------------------------------------------
 * Records
 * --------------------------------------------------------------------------------------------- */

static inline void
put_text(CdcWriter *writer, const char *text, int len)
{
	if (likely(len <= CDC_WRITER_MAX_RESERVE - CDC_PADDING))
		cdc_put_padded(writer, text, len);
	else
		cdc_put_bytes(writer, text, len);
}

/* ,"source":{...}; head: of the relation, whose names are in its tail */
static void
put_source(CdcRecorder *recorder, const char *names, int names_len, bool snapshot)
{
	const CdcHead *common = &recorder->heads[CDC_HEAD_MESSAGE];
	CdcWriter *writer = &recorder->output->writer;

	cdc_put_padded(writer, common->text, common->len);
	cdc_debezium_put_stamp(recorder, STAMP_TIME);
	if (unlikely(snapshot))
		cdc_put_literal(writer, "true");
	else
		cdc_put_literal(writer, "false");
	cdc_put_padded(writer, common->tail, common->tail_len);
	cdc_writer_note_lsn(writer, 0, CDC_LSN_DECIMAL);
	cdc_debezium_put_stamp(recorder, STAMP_COMMIT);
	cdc_writer_note_lsn(writer, 0, CDC_LSN_DECIMAL);
	cdc_put_uint64(writer, recorder->change_lsn);
	cdc_debezium_put_stamp(recorder, STAMP_TIMES);
	put_text(writer, names, names_len);
	cdc_debezium_put_stamp(recorder, STAMP_XID);
	cdc_writer_note_lsn(writer, 0, CDC_LSN_DECIMAL);
	cdc_put_uint64(writer, recorder->change_lsn);
	cdc_debezium_put_stamp(recorder, STAMP_ORIGIN);
}

/* What is behind the rows. */
static void
put_envelope(CdcRecorder *recorder, const CdcChange *change)
{
	const CdcRelation *relation = change->relation;
	const CdcHead *head = &relation->heads[change->kind];
	CdcWriter *writer = &recorder->output->writer;

	put_source(recorder, head->tail, head->tail_len, change->kind == CDC_SNAPSHOT);
	cdc_debezium_put_transaction(recorder, relation->schema, relation->table, change->frame.seq,
								 change->frame.part);
	cdc_put_literal(writer, ",\"op\":\"");
	cdc_put_byte(writer, ops[change->kind]);
	cdc_put_byte(writer, '"');
	cdc_debezium_put_stamp(recorder, STAMP_NOW);
	cdc_put_bytes(writer, recorder->metadata, strlen(recorder->metadata));
}

static void
put_end(CdcRecorder *recorder, uint64 replaced)
{
	CdcWriter *writer = &recorder->output->writer;

	cdc_put_replaced(writer, replaced);
	cdc_put_byte(writer, '}');
	if (recorder->options->schema)
		cdc_put_byte(writer, '}');
}

/* known_only: an old row of which the identity's columns only were logged */
static void
put_row(CdcWriter *writer, const CdcRelation *relation, const CdcImage *image, bool known_only)
{
	int comma = 1; /* the first label is written without its comma */

	cdc_put_byte(writer, '{');
	for (int i = 0; i < relation->ncolumns; i++)
	{
		const CdcColumn *column = &relation->columns[i];

		cdc_put_padded(writer, column->label + comma, column->label_len - comma);
		comma = 0;
		if (known_only && !column->logged)
			cdc_put_padded(writer, column->unlogged, column->unlogged_len);
		else if (unlikely(column->omitted) || cdc_is_missing(image, column->index))
			put_text(writer, column->unchanged, column->unchanged_len);
		else if (image->nulls[column->index])
			cdc_put_literal(writer, "null");
		else
			cdc_put_value(writer, image->values[column->index], &column->type);
	}
	cdc_put_byte(writer, '}');
}

/*
 * Names the columns whose values were not logged and for which the connector has null: with that alone nobody could tell
 * them from such as are null.
 */
static void
put_unchanged(CdcWriter *writer, const CdcRelation *relation, const CdcImage *image)
{
	bool any = false;

	for (int i = 0; i < relation->ncolumns; i++)
	{
		const CdcColumn *column = &relation->columns[i];

		if (column->omitted || !image->missing[column->index] ||
			strncmp(column->unchanged, "null", column->unchanged_len) != 0)
			continue;
		if (any)
			cdc_put_byte(writer, ',');
		else
			cdc_put_literal(writer, ",\"unchanged\":[");
		cdc_put_bytes(writer, column->name, column->name_len);
		any = true;
	}
	if (any)
		cdc_put_byte(writer, ']');
}

static void
put_change(CdcRecorder *recorder, CdcChange *change, bool omitting)
{
	const CdcRelation *relation = change->relation;
	const CdcHead *head = &relation->heads[change->kind];
	const CdcImage *before = &recorder->rows.before;
	const CdcImage *after = &recorder->rows.after;
	CdcWriter *writer = &recorder->output->writer;

	writer->encoding->replaced = 0;
	put_text(writer, head->text, head->len);
	if (before->present)
		put_row(writer, relation, before,
				relation->identity != REPLICA_IDENTITY_FULL ||
					(change->kind == CDC_DELETE && relation->delete_key &&
					 cdc_key_is_known(relation, before)));
	else
		cdc_put_literal(writer, "null");
	cdc_put_literal(writer, ",\"after\":");
	if (after->present)
		put_row(writer, relation, after, false);
	else
		cdc_put_literal(writer, "null");
	put_envelope(recorder, change);
	if (after->present && unlikely(after->any_missing))
		put_unchanged(writer, relation, after);
	if (unlikely(recorder->rows.any_failed || omitting))
		cdc_put_exceptions(recorder, relation, false, omitting);
	put_end(recorder, head->replaced + relation->replaced);
}

/* Without its rows. */
static void
put_bare(CdcRecorder *recorder, CdcChange *change)
{
	const CdcHead *head = &change->relation->heads[change->kind];
	CdcWriter *writer = &recorder->output->writer;

	writer->encoding->replaced = 0;
	put_text(writer, head->text, head->len);
	cdc_put_literal(writer, "null,\"after\":null");
	put_envelope(recorder, change);
}

static void
put_stripped(CdcRecorder *recorder, CdcChange *change, int sqlstate)
{
	put_bare(recorder, change);
	cdc_put_stripped_members(&recorder->output->writer, sqlstate);
	put_end(recorder, change->relation->heads[change->kind].replaced);
}

static void
put_truncate(CdcRecorder *recorder, CdcChange *change)
{
	put_bare(recorder, change);
	put_end(recorder, change->relation->heads[CDC_TRUNCATE].replaced);
}

static void
put_key(CdcWriter *writer, const CdcRelation *relation, const CdcImage *image)
{
	if (relation->key_head)
		put_text(writer, relation->key_head, relation->key_head_len);
	cdc_put_row_key(writer, relation, image);
	if (relation->key_head)
		cdc_put_byte(writer, '}');
}

/* {"op":"m","ts_ms":...,"source":{...},"transaction":null,"message":{"prefix":"p","content":"..."}} */
static void
put_message(CdcRecorder *recorder, const CdcMessage *message, uint64 seq,
			CdcMessageOmission omission)
{
	static const char no_names[] =
		",\"schema\":\"\",\"table\":\"\",\"txId\":                                ";
	CdcWriter *writer = &recorder->output->writer;

	writer->encoding->replaced = 0;
	if (recorder->options->schema)
		cdc_debezium_put_message_schema(writer, recorder->options, false);
	cdc_put_literal(writer, "{\"op\":\"m\",\"ts_ms\":");
	cdc_put_int64(writer, cdc_debezium_milliseconds(recorder->transaction));
	put_source(recorder, no_names, strlen(",\"schema\":\"\",\"table\":\"\",\"txId\":"), false);
	cdc_debezium_put_transaction(recorder, NULL, "message", seq, 0);
	cdc_put_literal(writer, ",\"message\":{\"prefix\":");
	if (omission == CDC_OMIT_PREFIX_TOO)
		cdc_put_literal(writer, "null");
	else
		cdc_put_string(writer, message->prefix, strlen(message->prefix));
	cdc_put_literal(writer, ",\"content\":");
	if (omission == CDC_OMIT_NOTHING)
		cdc_debezium_put_bytes(writer, message->content, message->content_len,
							   recorder->options->binary_mode);
	else
		cdc_put_literal(writer, "null");
	cdc_put_byte(writer, '}');
	cdc_put_bytes(writer, recorder->metadata, strlen(recorder->metadata));
	if (omission == CDC_OMIT_CONTENT)
		cdc_put_literal(writer, ",\"oversized\":[\"content\"]");
	else if (omission == CDC_OMIT_PREFIX_TOO)
		cdc_put_literal(writer, ",\"oversized\":[\"prefix\",\"content\"]");
	put_end(recorder, recorder->heads[CDC_HEAD_MESSAGE].replaced);
}

static void
put_begin(CdcRecorder *recorder, const CdcFrame *frame)
{
	cdc_debezium_put_boundary(recorder, false);
}

static void
put_commit(CdcRecorder *recorder, const CdcFrame *frame)
{
	cdc_debezium_put_boundary(recorder, true);
}

/* {"id":"771:23994232"} of begin and commit, {"prefix":"p"} of a message */
static void
put_head_key(CdcRecorder *recorder, CdcHeadKind kind, const CdcMessage *message)
{
	const CdcTransaction *transaction = recorder->transaction;
	CdcWriter *writer = &recorder->output->writer;

	if (recorder->options->schema && message)
		cdc_debezium_put_message_schema(writer, recorder->options, true);
	else if (recorder->options->schema)
		cdc_debezium_put_transaction_schema(writer, true);
	if (message)
	{
		cdc_put_literal(writer, "{\"prefix\":");
		cdc_put_string(writer, message->prefix, strlen(message->prefix));
	}
	else
	{
		cdc_put_literal(writer, "{\"id\":");
		cdc_debezium_put_transaction_id(recorder, kind == CDC_HEAD_COMMIT ? transaction->end_lsn
																		  : recorder->change_lsn);
	}
	cdc_put_byte(writer, '}');
	if (recorder->options->schema)
		cdc_put_byte(writer, '}');
}

const CdcRecordFormat cdc_format_debezium = {
	.splits_key_changes = true,
	.make_head = make_head,
	.make_key_head = make_key_head,
	.make_target = make_target,
	.make_label = make_label,
	.make_stand_in = cdc_debezium_stand_in,
	.build_type = cdc_debezium_build_type,
	.begin_transaction = cdc_debezium_begin_transaction,
	.put_change = put_change,
	.put_key = put_key,
	.key_behind = true,
	.put_stripped = put_stripped,
	.put_truncate = put_truncate,
	.put_message = put_message,
	.put_begin = put_begin,
	.put_commit = put_commit,
	.put_head_key = put_head_key,
};
