/*
 * cdc_format_cdc.c
 *		format=cdc: our own records (doc/records.md).
 */
#include "postgres.h"

#include "cdc_format.h"
#include "cdc_json.h"
#include "cdc_members.h"

/* {"op":...,"source":...,"schema":...,"table":...,"schema_version":...,"commit_lsn":" */
static CdcHead
make_head(const CdcHeadInput *input)
{
	CdcWriter writer = {.encoding = input->encoding};
	uint64 replaced_before = input->encoding->replaced;
	StringInfoData text;
	CdcHead head = {0};

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
	if (input->schema_version)
	{
		cdc_put_literal(&writer, ",\"schema_version\":");
		cdc_put_string(&writer, input->schema_version, strlen(input->schema_version));
	}
	if (input->is_schema)
		cdc_put_byte(&writer, ',');
	else
		cdc_put_literal(&writer, ",\"commit_lsn\":\"");
	head.text = cdc_writer_finish(&writer, &head.len);
	head.replaced = input->encoding->replaced - replaced_before;
	input->encoding->replaced = replaced_before;
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
	cdc_writer_note_lsn(writer, 0, CDC_LSN_TEXT);
	cdc_put_padded(writer, transaction->identity, transaction->identity_len);
	cdc_put_uint64(writer, seq);
	if (part != 0)
	{
		cdc_put_literal(writer, ",\"part\":");
		cdc_put_uint64(writer, part);
	}
	cdc_put_padded(writer, transaction->stamp, transaction->stamp_len);
}

static inline void
put_end(CdcWriter *writer, uint64 replaced)
{
	cdc_put_replaced(writer, replaced);
	cdc_put_byte(writer, '}');
}

static void
put_change(CdcRecorder *recorder, CdcChange *change, bool omitting)
{
	const CdcRelation *relation = change->relation;
	CdcWriter *writer = &recorder->output->writer;

	writer->encoding->replaced = 0;
	put_start(recorder, &relation->heads[change->kind], change->frame.seq, 0);
	cdc_put_row_members(recorder, change, omitting);
	put_end(writer, relation->heads[change->kind].replaced + relation->replaced);
}

static void
put_stripped(CdcRecorder *recorder, CdcChange *change, int sqlstate)
{
	CdcWriter *writer = &recorder->output->writer;
	const CdcHead *head = &change->relation->heads[change->kind];

	writer->encoding->replaced = 0;
	put_start(recorder, head, change->frame.seq, 0);
	cdc_put_stripped_members(writer, sqlstate);
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

static void
put_message(CdcRecorder *recorder, const CdcMessage *message, uint64 seq,
			CdcMessageOmission omission)
{
	const CdcHead *head = &recorder->heads[cdc_message_head(message)];

	recorder->output->writer.encoding->replaced = 0;
	put_start(recorder, head, seq, 0);
	cdc_put_message_members(recorder, message, omission);
	put_end(&recorder->output->writer, head->replaced);
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
	.put_key = cdc_put_row_key,
	.put_stripped = put_stripped,
	.put_truncate = put_truncate,
	.put_message = put_message,
	.put_begin = put_begin,
	.put_commit = put_commit,
};
