/*
 * cdc_format_cloudevents.c
 *		format=cloudevents: CloudEvents 1.0 in the JSON event format (doc/format-cloudevents.md).
 *
 * data is what our own records have (cdc_members.h).  Attributes are text, since a CloudEvents integer
 * has 32 bits with sign: too few for seq and xid.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "cdc_format.h"
#include "cdc_json.h"
#include "cdc_members.h"

/* What a record's second identity begins with. */
#define BEFORE_SEQUENCE "\",\"sequence\":\""

/* /name, percent-encoded (RFC 3986, section 2): all but unreserved characters. */
static void
put_path_segment(CdcWriter *writer, const char *name)
{
	const char *text = cdc_encoding_to_utf8(writer->encoding, name);
	/* a segment of nothing but points would stand for another */
	bool points = strcmp(text, ".") == 0 || strcmp(text, "..") == 0;

	cdc_put_byte(writer, '/');
	for (const char *c = text; *c; c++)
	{
		bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
					 (*c >= '0' && *c <= '9') || strchr("-._~", *c) != NULL;

		if (plain && !points)
			cdc_put_byte(writer, *c);
		else
		{
			char encoded[4];

			snprintf(encoded, sizeof(encoded), "%%%02X", (unsigned char) *c);
			cdc_put_short(writer, encoded, 3);
		}
	}
}

/*
 * Text: {"specversion":"1.0","type":"cdc.insert","source":"/cdc/shop/public/orders","datacontenttype":"application/json"
 * Tail: ,"data":{"op":"insert","schema":"public","table":"orders"
 */
static CdcHead
make_head(const CdcHeadInput *input)
{
	CdcWriter writer = {.encoding = input->encoding};
	uint64 replaced_before = input->encoding->replaced;
	StringInfoData text;
	CdcHead head;

	initStringInfo(&text);
	cdc_writer_attach(&writer, &text);
	cdc_put_literal(&writer, "{\"specversion\":\"1.0\",\"type\":\"cdc.");
	cdc_put_short(&writer, input->op, strlen(input->op));
	cdc_put_literal(&writer, "\",\"source\":\"/cdc");
	put_path_segment(&writer, input->source);
	if (input->table)
	{
		put_path_segment(&writer, input->schema);
		put_path_segment(&writer, input->table);
	}
	cdc_put_literal(&writer, "\",\"datacontenttype\":\"application/json\"");
	head.text = cdc_writer_finish(&writer, &head.len);
	input->encoding->replaced = replaced_before; /* what the path has, data has again */

	initStringInfo(&text);
	cdc_writer_attach(&writer, &text);
	cdc_put_literal(&writer, ",\"data\":{\"op\":\"");
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
	head.tail = cdc_writer_finish(&writer, &head.tail_len);
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

/*
 * Stamp: ,"time":"2026-01-31T23:59:59.123456Z","xid":"771","id":"0/16E2A10-
 * Identity: ","sequence":"00000000016E2A10-
 */
static void
begin_transaction(CdcRecorder *recorder, CdcTransaction *transaction)
{
	CdcWriter writer = {.encoding = recorder->output->writer.encoding};
	StringInfoData text;

	initStringInfo(&text);
	cdc_writer_attach(&writer, &text);
	if (transaction->commit_time != 0)
	{
		cdc_put_literal(&writer, ",\"time\":");
		cdc_put_commit_time(&writer, transaction->commit_time);
	}
	if (TransactionIdIsValid(transaction->xid))
	{
		cdc_put_literal(&writer, ",\"xid\":\"");
		cdc_put_uint64(&writer, transaction->xid);
		cdc_put_byte(&writer, '"');
	}
	cdc_put_literal(&writer, ",\"id\":\"");
	transaction->lsn_at = cdc_writer_offset(&writer);
	cdc_put_lsn(&writer, transaction->commit_lsn);
	cdc_put_byte(&writer, '-');
	transaction->stamp_len = cdc_writer_offset(&writer);
	cdc_put_literal(&writer, BEFORE_SEQUENCE);
	cdc_put_hex64(&writer, transaction->commit_lsn);
	cdc_put_byte(&writer, '-');
	cdc_writer_detach(&writer);
	transaction->identity_len = text.len - transaction->stamp_len;
	Assert(transaction->stamp_len <= sizeof(transaction->stamp));
	Assert(transaction->identity_len <= sizeof(transaction->identity));
	memcpy(transaction->stamp, text.data, transaction->stamp_len);
	memcpy(transaction->identity, text.data + transaction->stamp_len, transaction->identity_len);
	pfree(text.data);
}

/* All attributes but the subject. */
static void
put_attributes(CdcRecorder *recorder, const CdcHead *head, uint64 seq, uint16 part)
{
	const CdcTransaction *transaction = recorder->transaction;
	CdcWriter *writer = &recorder->output->writer;

	writer->encoding->replaced = 0;
	cdc_put_padded(writer, head->text, head->len);
	cdc_writer_note_lsn(writer, transaction->lsn_at, CDC_LSN_TEXT);
	cdc_put_padded(writer, transaction->stamp, transaction->stamp_len);
	cdc_put_uint64(writer, seq);
	if (part != 0)
	{
		cdc_put_byte(writer, '-');
		cdc_put_uint64(writer, part);
	}
	cdc_writer_note_lsn(writer, strlen(BEFORE_SEQUENCE), CDC_LSN_HEX);
	cdc_put_padded(writer, transaction->identity, transaction->identity_len);
	cdc_put_hex64(writer, seq);
	cdc_put_byte(writer, '-');
	cdc_put_hex16(writer, part);
	cdc_put_byte(writer, '"');
}

static inline void
put_data(CdcWriter *writer, const CdcHead *head)
{
	cdc_put_padded(writer, head->tail, head->tail_len);
}

static inline void
put_end(CdcWriter *writer, uint64 replaced)
{
	cdc_put_replaced(writer, replaced);
	cdc_put_literal(writer, "}}");
}

/*
 * The key as text, in scratch, since it is wanted twice: as a string in an attribute, which comes first, and as it is
 * in data.  False if it is too long for any record.
 */
static bool
write_key(CdcRecorder *recorder, const CdcRelation *relation, const CdcImage *image)
{
	CdcWriter *writer = &recorder->scratch_writer;
	bool fits;

	resetStringInfo(&recorder->scratch);
	cdc_writer_attach(writer, &recorder->scratch);
	cdc_writer_start_record(writer, recorder->options->max_record_bytes);
	cdc_put_row_key(writer, relation, image);
	fits = !cdc_writer_overflowed(writer);
	cdc_writer_detach(writer);
	return fits;
}

/*
 * May it be an attribute?  Control characters and noncharacters may not (CloudEvents 1.0, "Type System"), nor may an
 * attribute be empty.
 */
static bool
is_attribute_text(const char *utf8, Size len)
{
	const unsigned char *at = (const unsigned char *) utf8;
	const unsigned char *end = at + len;

	for (; at < end; at += pg_utf_mblen(at))
	{
		pg_wchar c = *at < 0x80 ? *at : utf8_to_unicode(at);

		if (c < 0x20 || (c >= 0x7F && c <= 0x9F) || (c >= 0xFDD0 && c <= 0xFDEF) ||
			(c & 0xFFFE) == 0xFFFE)
			return false;
	}
	return len > 0;
}

/* What cannot be an attribute is in data only. */
static void
put_subject(CdcWriter *writer, const char *utf8, Size len)
{
	if (!is_attribute_text(utf8, len))
		return;
	cdc_put_literal(writer, ",\"subject\":\"");
	cdc_put_escaped_utf8(writer, utf8, len);
	cdc_put_byte(writer, '"');
}

static void
put_change(CdcRecorder *recorder, CdcChange *change, bool omitting)
{
	const CdcRelation *relation = change->relation;
	const CdcHead *head = &relation->heads[change->kind];
	const CdcImage *image =
		change->kind == CDC_DELETE ? &recorder->rows.before : &recorder->rows.after;
	const StringInfoData *key = &recorder->scratch;
	CdcWriter *writer = &recorder->output->writer;
	CdcFrame *frame = &change->frame;
	bool has_key = cdc_key_is_known(relation, image);

	bool key_fits = has_key && write_key(recorder, relation, image);

	put_attributes(recorder, head, frame->seq, 0);
	frame->key_len = 0;
	if (key_fits)
		put_subject(writer, key->data, key->len);
	put_data(writer, head);
	if (has_key)
	{
		cdc_put_literal(writer, ",\"key\":");
		frame->key = cdc_writer_offset(writer);
		if (key_fits)
			cdc_put_bytes(writer, key->data, key->len);
		else
			cdc_put_row_key(writer, relation,
							image); /* which tells how much too long the record is */
		frame->key_len = cdc_writer_offset(writer) - frame->key;
	}
	cdc_put_row_images(recorder, change, has_key, omitting);
	put_end(writer, head->replaced + relation->replaced);
}

static void
put_stripped(CdcRecorder *recorder, CdcChange *change, int sqlstate)
{
	const CdcHead *head = &change->relation->heads[change->kind];
	CdcWriter *writer = &recorder->output->writer;

	put_attributes(recorder, head, change->frame.seq, 0);
	put_data(writer, head);
	cdc_put_stripped_members(writer, sqlstate);
	put_end(writer, head->replaced);
}

static void
put_truncate(CdcRecorder *recorder, CdcChange *change)
{
	const CdcHead *head = &change->relation->heads[CDC_TRUNCATE];

	put_attributes(recorder, head, change->frame.seq, 0);
	put_data(&recorder->output->writer, head);
	put_end(&recorder->output->writer, head->replaced);
}

static void
put_message_subject(CdcWriter *writer, const char *subject)
{
	uint64 replaced = writer->encoding->replaced;
	const char *utf8 = cdc_encoding_to_utf8(writer->encoding, subject);

	if (is_attribute_text(utf8, strlen(utf8)))
	{
		cdc_put_literal(writer, ",\"subject\":");
		cdc_put_string(writer, subject, strlen(subject));
	}
	writer->encoding->replaced = replaced; /* data has it again */
}

/* The subject is the message's prefix, or the key of an outbox record. */
static void
put_message(CdcRecorder *recorder, const CdcMessage *message, uint64 seq,
			CdcMessageOmission omission)
{
	const CdcHead *head = &recorder->heads[cdc_message_head(message)];
	const char *subject = message->kind == CDC_MESSAGE_OUTBOX ? message->key : message->prefix;
	CdcWriter *writer = &recorder->output->writer;

	put_attributes(recorder, head, seq, 0);
	if (message->kind != CDC_MESSAGE_DDL && omission != CDC_OMIT_PREFIX_TOO)
		put_message_subject(writer, subject);
	put_data(writer, head);
	cdc_put_message_members(recorder, message, omission);
	put_end(writer, head->replaced);
}

static void
put_boundary(CdcRecorder *recorder, const CdcHead *head, const CdcFrame *frame)
{
	put_attributes(recorder, head, frame->seq, frame->part);
	put_data(&recorder->output->writer, head);
	put_end(&recorder->output->writer, head->replaced);
}

static void
put_begin(CdcRecorder *recorder, const CdcFrame *frame)
{
	put_boundary(recorder, &recorder->heads[CDC_HEAD_BEGIN], frame);
}

static void
put_commit(CdcRecorder *recorder, const CdcFrame *frame)
{
	put_boundary(recorder, &recorder->heads[CDC_HEAD_COMMIT], frame);
}

const CdcRecordFormat cdc_format_cloudevents = {
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
