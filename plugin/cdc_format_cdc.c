/*
 * cdc_format_cdc.c
 *		format=cdc: our own records (doc/records.md).
 */
#include "postgres.h"

#include "catalog/pg_class.h"

#include "cdc_format.h"
#include "cdc_json.h"

/* {"op":...,"source":...,"schema":...,"table":...,"commit_lsn":" */
static CdcHead
make_head(const CdcHeadInput *input)
{
	CdcWriter writer = {.encoding = input->encoding};
	uint64 replaced_before = input->encoding->replaced;
	StringInfoData text;
	CdcHead head;

	initStringInfo(&text);
	cdc_writer_attach(&writer, &text);
	cdc_put_literal(&writer, "{\"op\":\"");
	cdc_put_short(&writer, input->op, strlen(input->op));
	cdc_put_literal(&writer, "\",\"source\":");
	cdc_put_string(&writer, input->source, strlen(input->source));
	cdc_put_bytes(&writer, input->metadata, strlen(input->metadata));
	if (input->table)
	{
		cdc_put_literal(&writer, ",\"schema\":");
		cdc_put_string(&writer, input->schema, strlen(input->schema));
		cdc_put_literal(&writer, ",\"table\":");
		cdc_put_string(&writer, input->table, strlen(input->table));
	}
	cdc_put_literal(&writer, ",\"commit_lsn\":\"");
	cdc_writer_detach(&writer);
	/* heads live long: without the room that is left over */
	head.text = cdc_pad(text.data, text.len);
	head.len = text.len;
	head.replaced = input->encoding->replaced - replaced_before;
	input->encoding->replaced = replaced_before;
	pfree(text.data);
	return head;
}

/* ,"name": */
static char *
make_label(const CdcLabelInput *input, int *len)
{
	return cdc_make_label(input->member, input->encoding, len);
}

/* What all of a transaction's records have in common, as text. */
static void
begin_transaction(CdcRecorder *recorder, CdcTransaction *transaction)
{
	StringInfoData text;
	CdcWriter writer = {.encoding = recorder->output->writer.encoding};

	initStringInfo(&text);
	cdc_writer_attach(&writer, &text);
	cdc_put_lsn(&writer, transaction->commit_lsn);
	cdc_put_literal(&writer, "\",\"seq\":");
	transaction->identity_len = cdc_writer_offset(&writer);
	if (TransactionIdIsValid(transaction->xid))
	{
		cdc_put_literal(&writer, ",\"xid\":");
		cdc_put_uint64(&writer, transaction->xid);
	}
	if (transaction->commit_time != 0)
	{
		cdc_put_literal(&writer, ",\"ts\":");
		cdc_put_commit_time(&writer, transaction->commit_time);
	}
	cdc_writer_detach(&writer);
	transaction->stamp_len = text.len - transaction->identity_len;
	Assert(transaction->identity_len <= sizeof(transaction->identity));
	Assert(transaction->stamp_len <= sizeof(transaction->stamp));
	memcpy(transaction->identity, text.data, transaction->identity_len);
	memcpy(transaction->stamp, text.data + transaction->identity_len, transaction->stamp_len);
	pfree(text.data);
}

/* op, source, schema, table, commit_lsn, seq, part, xid, ts: what every record begins with. */
static void
put_start(CdcRecorder *recorder, const CdcHead *head, uint64 seq, uint16 part)
{
	const CdcTransaction *transaction = recorder->transaction;
	CdcWriter *writer = &recorder->output->writer;

	cdc_put_padded(writer, head->text, head->len);
	cdc_put_padded(writer, transaction->identity, transaction->identity_len);
	cdc_put_uint64(writer, seq);
	if (part != 0)
	{
		cdc_put_literal(writer, ",\"part\":");
		cdc_put_uint64(writer, part);
	}
	cdc_put_padded(writer, transaction->stamp, transaction->stamp_len);
}

/* What every record ends with. */
static void
put_end(CdcWriter *writer, uint64 replaced)
{
	replaced += writer->encoding->replaced;
	if (unlikely(replaced > 0))
	{
		cdc_put_literal(writer, ",\"replaced\":");
		cdc_put_uint64(writer, replaced);
	}
	cdc_put_byte(writer, '}');
}

static inline void
put_column(CdcWriter *writer, const CdcColumn *column, const CdcImage *image, int comma)
{
	cdc_put_padded(writer, column->label + comma, column->label_len - comma);
	if (image->nulls[column->index])
		cdc_put_literal(writer, "null");
	else
		cdc_put_value(writer, image->values[column->index], &column->type);
}

/* The row as an object, as far as it is known. */
static void
put_image(CdcWriter *writer, const CdcRelation *relation, const CdcImage *image, bool logged_only)
{
	int comma = 1; /* the first label is written without its comma */

	cdc_put_byte(writer, '{');
	for (int i = 0; i < relation->ncolumns; i++)
	{
		const CdcColumn *column = &relation->columns[i];

		if ((logged_only && !column->logged) || unlikely(column->omitted) ||
			cdc_is_missing(image, column->index))
			continue;
		put_column(writer, column, image, comma);
		comma = 0;
	}
	cdc_put_byte(writer, '}');
}

static void
put_key(CdcWriter *writer, const CdcRelation *relation, const CdcImage *image)
{
	cdc_put_byte(writer, '{');
	for (int i = 0; i < relation->nkeys; i++)
		put_column(writer, relation->keys[i], image, i == 0 ? 1 : 0);
	cdc_put_byte(writer, '}');
}

/* Ends a list of names that has been begun with its opening text; false if no name was written. */
static void
put_name_in_list(CdcWriter *writer, const CdcColumn *column, const char *opening, bool *any)
{
	if (!*any)
		cdc_put_short(writer, opening, strlen(opening));
	else
		cdc_put_byte(writer, ',');
	/* the label without its comma and colon */
	cdc_put_short(writer, column->label + 1, column->label_len - 2);
	*any = true;
}

/* unchanged, errors, oversized: the columns that are not, or not truly, in the record, and why. */
static void
put_exceptions(CdcRecorder *recorder, const CdcRelation *relation, bool omitting)
{
	CdcWriter *writer = &recorder->output->writer;
	const CdcImage *after = &recorder->rows.after;
	bool unchanged = false;
	bool errors = false;
	bool oversized = false;

	for (int i = 0; after->present && after->any_missing && i < relation->ncolumns; i++)
	{
		const CdcColumn *column = &relation->columns[i];

		if (!column->omitted && after->missing[column->index])
			put_name_in_list(writer, column, ",\"unchanged\":[", &unchanged);
	}
	if (unchanged)
		cdc_put_byte(writer, ']');
	for (int i = 0; recorder->rows.any_failed && i < relation->ncolumns; i++)
	{
		if (recorder->rows.failed[relation->columns[i].index])
			put_name_in_list(writer, &relation->columns[i], ",\"errors\":[", &errors);
	}
	if (errors)
		cdc_put_byte(writer, ']');
	for (int i = 0; omitting && i < relation->ncolumns; i++)
	{
		if (relation->columns[i].omitted)
			put_name_in_list(writer, &relation->columns[i], ",\"oversized\":[", &oversized);
	}
	if (oversized)
		cdc_put_byte(writer, ']');
}

static void
put_change(CdcRecorder *recorder, CdcChange *change, bool omitting)
{
	const CdcRelation *relation = change->relation;
	CdcWriter *writer = &recorder->output->writer;
	const CdcImage *before = &recorder->rows.before;
	const CdcImage *after = &recorder->rows.after;
	CdcFrame *frame = &change->frame;
	const CdcImage *key_image = change->kind == CDC_DELETE ? before : after;
	bool has_key = cdc_key_is_known(relation, key_image);

	writer->encoding->replaced = 0;
	put_start(recorder, &relation->heads[change->kind], frame->seq, 0);
	frame->key_len = 0;
	if (has_key)
	{
		cdc_put_literal(writer, ",\"key\":");
		frame->key = cdc_writer_offset(writer);
		put_key(writer, relation, key_image);
		frame->key_len = cdc_writer_offset(writer) - frame->key;
	}
	if (before->present && !(change->kind == CDC_DELETE && has_key && relation->delete_key))
	{
		cdc_put_literal(writer, ",\"before\":");
		put_image(writer, relation, before, relation->identity != REPLICA_IDENTITY_FULL);
	}
	if (after->present)
	{
		cdc_put_literal(writer, ",\"after\":");
		put_image(writer, relation, after, false);
	}
	if (unlikely(after->any_missing || recorder->rows.any_failed || omitting))
		put_exceptions(recorder, relation, omitting);
	put_end(writer, relation->heads[change->kind].replaced + relation->replaced);
}

/* In place of a row's members: which error they would have been. */
static void
put_stripped(CdcRecorder *recorder, CdcChange *change, int sqlstate)
{
	CdcWriter *writer = &recorder->output->writer;
	const CdcHead *head = &change->relation->heads[change->kind];

	writer->encoding->replaced = 0;
	put_start(recorder, head, change->frame.seq, 0);
	cdc_put_literal(writer, ",\"stripped\":true");
	if (sqlstate != 0)
	{
		cdc_put_literal(writer, ",\"sqlstate\":");
		cdc_put_string(writer, unpack_sql_state(sqlstate), 5);
	}
	put_end(writer, head->replaced);
}

static void
put_truncate(CdcRecorder *recorder, CdcChange *change)
{
	CdcWriter *writer = &recorder->output->writer;
	const CdcHead *head = &change->relation->heads[CDC_TRUNCATE];

	writer->encoding->replaced = 0;
	put_start(recorder, head, change->frame.seq, 0);
	put_end(writer, head->replaced);
}

/* DDL as the event trigger told it, an outbox record that has no frame around it: JSON as it is. */
static void
put_json_message(CdcRecorder *recorder, const CdcMessage *message, uint64 seq, bool omit_content)
{
	CdcWriter *writer = &recorder->output->writer;
	bool is_ddl = message->kind == CDC_MESSAGE_DDL;
	const CdcHead *head = &recorder->heads[is_ddl ? CDC_HEAD_DDL : CDC_HEAD_OUTBOX];

	writer->encoding->replaced = head->replaced;
	put_start(recorder, head, seq, 0);
	if (!is_ddl)
	{
		cdc_put_literal(writer, ",\"target\":");
		cdc_put_string(writer, message->target, strlen(message->target));
		cdc_put_literal(writer, ",\"key\":");
		cdc_put_string(writer, message->key, strlen(message->key));
	}
	if (omit_content)
	{
		cdc_put_literal(writer, ",\"oversized\":[\"");
		cdc_put_short(writer, is_ddl ? "ddl" : "payload", is_ddl ? 3 : 7);
		cdc_put_literal(writer, "\"]");
	}
	else
	{
		cdc_put_literal(writer, ",\"");
		cdc_put_short(writer, is_ddl ? "ddl" : "payload", is_ddl ? 3 : 7);
		cdc_put_literal(writer, "\":");
		cdc_put_json_text(writer, message->content, message->content_len);
	}
	put_end(writer, 0);
}

static void
put_message(CdcRecorder *recorder, const CdcMessage *message, uint64 seq,
			CdcMessageOmission omission)
{
	CdcWriter *writer = &recorder->output->writer;

	if (message->kind != CDC_MESSAGE_PLAIN)
	{
		put_json_message(recorder, message, seq, omission != CDC_OMIT_NOTHING);
		return;
	}
	writer->encoding->replaced = recorder->heads[CDC_HEAD_MESSAGE].replaced;
	put_start(recorder, &recorder->heads[CDC_HEAD_MESSAGE], seq, 0);
	if (recorder->transaction->transactional)
		cdc_put_literal(writer, ",\"transactional\":true");
	else
		cdc_put_literal(writer, ",\"transactional\":false");
	if (omission != CDC_OMIT_PREFIX_TOO)
	{
		cdc_put_literal(writer, ",\"prefix\":");
		cdc_put_string(writer, message->prefix, strlen(message->prefix));
	}
	if (omission == CDC_OMIT_CONTENT)
		cdc_put_literal(writer, ",\"oversized\":[\"content\"]");
	else if (omission == CDC_OMIT_PREFIX_TOO)
		cdc_put_literal(writer, ",\"oversized\":[\"prefix\",\"content\"]");
	else if (cdc_encoding_is_text(writer->encoding, message->content, message->content_len))
	{
		cdc_put_literal(writer, ",\"content\":");
		cdc_put_string(writer, message->content, message->content_len);
	}
	else
	{
		cdc_put_literal(writer, ",\"content_base64\":\"");
		cdc_put_base64(writer, message->content, message->content_len);
		cdc_put_byte(writer, '"');
	}
	put_end(writer, 0);
}

static void
put_begin(CdcRecorder *recorder, const CdcFrame *frame)
{
	const CdcHead *head = &recorder->heads[CDC_HEAD_BEGIN];

	recorder->output->writer.encoding->replaced = 0;
	put_start(recorder, head, frame->seq, frame->part);
	put_end(&recorder->output->writer, head->replaced);
}

static void
put_commit(CdcRecorder *recorder, const CdcFrame *frame)
{
	const CdcHead *head = &recorder->heads[CDC_HEAD_COMMIT];

	recorder->output->writer.encoding->replaced = 0;
	put_start(recorder, head, frame->seq, 0);
	put_end(&recorder->output->writer, head->replaced);
}

const CdcRecordFormat cdc_format_cdc = {
	.tells_ddl = true,
	.tells_outbox = true,
	.make_head = make_head,
	.make_label = make_label,
	.begin_transaction = begin_transaction,
	.put_change = put_change,
	.put_key = put_key,
	.put_stripped = put_stripped,
	.put_truncate = put_truncate,
	.put_message = put_message,
	.put_begin = put_begin,
	.put_commit = put_commit,
};
