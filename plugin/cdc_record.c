/*
 * cdc_record.c
 *		One function per record kind; see cdc_record.h.
 *
 * A record is a pure function of what WAL says and of the options, so it can be written again: that
 * is how one that turns out too long gets shorter.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "utils/datum.h"
#include "utils/memutils.h"

#include "cdc_json.h"
#include "cdc_protocol.h"
#include "cdc_record.h"
#include "cdc_try.h"

/* A row change on its way into a record. */
typedef struct Change
{
	CdcChangeKind kind;
	CdcRelation *relation;
	CdcFrame frame;
} Change;

static const char change_ops[CDC_NUM_CHANGE_KINDS] = {
	[CDC_INSERT] = CDC_OP_INSERT,     [CDC_UPDATE] = CDC_OP_UPDATE,
	[CDC_DELETE] = CDC_OP_DELETE,     [CDC_TRUNCATE] = CDC_OP_TRUNCATE,
	[CDC_SNAPSHOT] = CDC_OP_SNAPSHOT,
};

void
cdc_recorder_init(CdcRecorder *recorder, CdcOutput *output, CdcSettings *settings,
				  CdcLookups *lookups)
{
	memset(recorder, 0, sizeof(*recorder));
	recorder->options = output->options;
	recorder->output = output;
	recorder->rows.options = output->options;
	recorder->rows.settings = settings;
	recorder->rows.lookups = lookups;
	recorder->rows.context = CurrentMemoryContext;
}

void
cdc_recorder_configure(CdcRecorder *recorder, const char *source, const char *metadata)
{
	CdcEncoding *encoding = recorder->output->writer.encoding;

	recorder->begin_head = cdc_head_make("begin", source, metadata, NULL, NULL, encoding);
	recorder->commit_head = cdc_head_make("commit", source, metadata, NULL, NULL, encoding);
	recorder->message_head = cdc_head_make("message", source, metadata, NULL, NULL, encoding);
}

/* What all of a transaction's records have in common, as text. */
static void
make_transaction_text(CdcTransaction *transaction, CdcEncoding *encoding)
{
	StringInfoData text;
	CdcWriter writer = {.encoding = encoding};

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

void
cdc_recorder_begin(CdcRecorder *recorder, CdcTransaction *transaction)
{
	make_transaction_text(transaction, recorder->output->writer.encoding);
	recorder->transaction = transaction;
	cdc_output_begin(recorder->output, transaction);
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

static bool
key_is_known(const CdcRelation *relation, const CdcImage *image)
{
	if (relation->nkeys == 0 || !image->present)
		return false;
	for (int i = 0; i < relation->nkeys; i++)
	{
		if (relation->keys[i]->omitted || cdc_is_missing(image, relation->keys[i]->index))
			return false;
	}
	return true;
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
put_change(CdcRecorder *recorder, Change *change, bool omitting)
{
	const CdcRelation *relation = change->relation;
	CdcWriter *writer = &recorder->output->writer;
	const CdcImage *before = &recorder->rows.before;
	const CdcImage *after = &recorder->rows.after;
	CdcFrame *frame = &change->frame;
	const CdcImage *key_image = change->kind == CDC_DELETE ? before : after;
	bool has_key = key_is_known(relation, key_image);

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

/* How long the column's values are in the record, each image counted once. */
static uint64
measure_column(CdcRecorder *recorder, const CdcColumn *column)
{
	const CdcImage *images[] = {&recorder->rows.before, &recorder->rows.after};
	CdcWriter *writer = &recorder->output->writer;
	uint64 size;

	cdc_writer_restart_record(writer);
	for (int i = 0; i < lengthof(images); i++)
	{
		if (images[i]->present && !images[i]->nulls[column->index] &&
			!cdc_is_missing(images[i], column->index))
			cdc_put_value(writer, images[i]->values[column->index], &column->type);
	}
	size = cdc_writer_tell(writer);
	cdc_writer_restart_record(writer);
	return size;
}

typedef struct ColumnSize
{
	CdcColumn *column;
	uint64 size;
} ColumnSize;

/* Those that may go first come first: no key, largest; then the table's order. */
static int
compare_column_sizes(const void *a, const void *b)
{
	const ColumnSize *x = a;
	const ColumnSize *y = b;

	if (x->column->logged != y->column->logged)
		return x->column->logged ? 1 : -1;
	if (x->size != y->size)
		return x->size > y->size ? -1 : 1;
	return x->column->index - y->column->index;
}

/*
 * The record that was just written is too long: writes it again without its largest columns.	The
 * key's columns go last, and with any of them the key.
 */
static void
put_shorter_change(CdcRecorder *recorder, Change *change)
{
	CdcRelation *relation = change->relation;
	CdcWriter *writer = &recorder->output->writer;
	uint64 limit = recorder->options->max_record_bytes;
	uint64 size = cdc_writer_tell(writer) + strlen(",\"oversized\":[]");
	ColumnSize *sizes = palloc(sizeof(ColumnSize) * relation->ncolumns);
	/* detoasted values may be large: one at a time */
	MemoryContext value_context =
		AllocSetContextCreate(CurrentMemoryContext, "cdc_decoder value", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(value_context);

	for (int i = 0; i < relation->ncolumns; i++)
	{
		sizes[i].column = &relation->columns[i];
		sizes[i].size = measure_column(recorder, &relation->columns[i]);
		MemoryContextReset(value_context);
	}
	qsort(sizes, relation->ncolumns, sizeof(ColumnSize), compare_column_sizes);
	for (int i = 0; i < relation->ncolumns; i++)
	{
		/* its name moves to the list; what a key saves besides shows when it is tried */
		sizes[i].column->omitted = true;
		size -= Min(sizes[i].size, size);
		if (size > limit && i + 1 < relation->ncolumns && !sizes[i].column->logged)
			continue;
		cdc_writer_restart_record(writer);
		MemoryContextReset(value_context);
		put_change(recorder, change, true);
		/* without its key a delete has to say more, so even then it may be too long */
		if (!cdc_writer_overflowed(writer))
			break;
	}
	for (int i = 0; i < relation->ncolumns; i++)
		relation->columns[i].omitted = false;
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(value_context);
	pfree(sizes);
}

/* Are the key's values the same bytes in both rows?  (If not, they may still be equal.) */
static bool
keys_are_identical(const CdcRelation *relation, const CdcImage *before, const CdcImage *after)
{
	for (int i = 0; i < relation->nkeys; i++)
	{
		const CdcType *type = &relation->keys[i]->type;
		int index = relation->keys[i]->index;

		if (before->nulls[index] != after->nulls[index])
			return false;
		if (!before->nulls[index] && !datumIsEqual(before->values[index], after->values[index],
												   type->by_value, type->length))
			return false;
	}
	return true;
}

/* Behind an update's payload, where keys can be pointed to: the key that it had before. */
static void
put_old_key(CdcRecorder *recorder, Change *change)
{
	CdcWriter *writer = &recorder->output->writer;
	CdcFrame *frame = &change->frame;
	const CdcRelation *relation = change->relation;
	const char *message;

	if (frame->key_len == 0 || !key_is_known(relation, &recorder->rows.before) ||
		keys_are_identical(relation, &recorder->rows.before, &recorder->rows.after))
		return;
	/* not part of the record, so not bounded by it: index entries are small */
	cdc_writer_start_record(writer, MaxAllocSize);
	frame->old_key = cdc_writer_offset(writer);
	put_key(writer, relation, &recorder->rows.before);
	frame->old_key_len = cdc_writer_offset(writer) - frame->old_key;
	message = writer->message->data;
	if (frame->old_key_len == frame->key_len &&
		memcmp(message + frame->key, message + frame->old_key, frame->key_len) == 0)
	{
		cdc_writer_restart_record(writer);
		frame->old_key_len = 0;
	}
}

void
cdc_record_change(CdcRecorder *recorder, CdcChangeKind kind, CdcRelation *relation, uint64 seq)
{
	CdcOutput *output = recorder->output;
	Change change = {
		.kind = kind,
		.relation = relation,
		.frame = {
			.kind = CDC_FRAME_RECORD, .op = change_ops[kind], .seq = seq, .relation = relation}};

	if (unlikely(relation->is_computed))
		cdc_rows_compute(&recorder->rows, relation, recorder->transaction->commit_lsn, seq);
	cdc_output_start_record(output, &change.frame);
	put_change(recorder, &change, false);
	if (unlikely(cdc_writer_overflowed(&output->writer)))
		put_shorter_change(recorder, &change);
	cdc_output_end_payload(output, &change.frame);
	if (kind == CDC_UPDATE && recorder->rows.before.present && cdc_output_has_frames(output))
		put_old_key(recorder, &change);
	cdc_output_end_record(output, &change.frame);
}

/* All that a record of the change takes, and that may fail. */
typedef struct Attempt
{
	CdcRecorder *recorder;
	Change *change;
} Attempt;

static void
attempt_change(void *arg)
{
	Attempt *attempt = arg;
	CdcRecorder *recorder = attempt->recorder;
	Change *change = attempt->change;

	if (change->relation->is_computed)
		cdc_rows_compute(&recorder->rows, change->relation, recorder->transaction->commit_lsn,
						 change->frame.seq);
	put_change(recorder, change, false);
}

void
cdc_record_stripped(CdcRecorder *recorder, CdcChangeKind kind, CdcRelation *relation, uint64 seq)
{
	CdcOutput *output = recorder->output;
	CdcWriter *writer = &output->writer;
	Change change = {
		.kind = kind,
		.relation = relation,
		.frame = {
			.kind = CDC_FRAME_RECORD, .op = change_ops[kind], .seq = seq, .relation = relation}};
	Attempt attempt = {recorder, &change};
	int sqlstate = 0;

	/* outside of the attempt, whose end would undo it */
	cdc_settings_pin(recorder->rows.settings);
	cdc_output_start_record(output, &change.frame);
	(void) cdc_try(attempt_change, &attempt, &sqlstate);
	cdc_writer_restart_record(writer);
	change.frame.key_len = 0;
	writer->encoding->replaced = 0;
	put_start(recorder, &relation->heads[kind], seq, 0);
	cdc_put_literal(writer, ",\"stripped\":true");
	if (sqlstate != 0)
	{
		cdc_put_literal(writer, ",\"sqlstate\":");
		cdc_put_string(writer, unpack_sql_state(sqlstate), 5);
	}
	put_end(writer, relation->heads[kind].replaced);
	cdc_output_end_payload(output, &change.frame);
	cdc_output_end_record(output, &change.frame);
}

void
cdc_record_truncate(CdcRecorder *recorder, CdcRelation *relation, uint64 seq)
{
	CdcOutput *output = recorder->output;
	CdcFrame frame = {
		.kind = CDC_FRAME_RECORD, .op = CDC_OP_TRUNCATE, .seq = seq, .relation = relation};

	output->writer.encoding->replaced = 0;
	cdc_output_start_record(output, &frame);
	put_start(recorder, &relation->heads[CDC_TRUNCATE], seq, 0);
	put_end(&output->writer, relation->heads[CDC_TRUNCATE].replaced);
	cdc_output_end_payload(output, &frame);
	cdc_output_end_record(output, &frame);
}

/* What of a message is left out because the record would be too long. */
typedef enum MessageOmission
{
	OMIT_NOTHING,
	OMIT_CONTENT,
	OMIT_PREFIX_TOO,
} MessageOmission;

static void
put_message(CdcRecorder *recorder, const char *prefix, const char *content, Size content_len,
			uint64 seq, MessageOmission omission)
{
	CdcWriter *writer = &recorder->output->writer;

	writer->encoding->replaced = recorder->message_head.replaced;
	put_start(recorder, &recorder->message_head, seq, 0);
	if (recorder->transaction->transactional)
		cdc_put_literal(writer, ",\"transactional\":true");
	else
		cdc_put_literal(writer, ",\"transactional\":false");
	if (omission != OMIT_PREFIX_TOO)
	{
		cdc_put_literal(writer, ",\"prefix\":");
		cdc_put_string(writer, prefix, strlen(prefix));
	}
	if (omission == OMIT_CONTENT)
		cdc_put_literal(writer, ",\"oversized\":[\"content\"]");
	else if (omission == OMIT_PREFIX_TOO)
		cdc_put_literal(writer, ",\"oversized\":[\"prefix\",\"content\"]");
	else if (cdc_encoding_is_text(writer->encoding, content, content_len))
	{
		cdc_put_literal(writer, ",\"content\":");
		cdc_put_string(writer, content, content_len);
	}
	else
	{
		cdc_put_literal(writer, ",\"content_base64\":\"");
		cdc_put_base64(writer, content, content_len);
		cdc_put_byte(writer, '"');
	}
	put_end(writer, 0);
}

void
cdc_record_message(CdcRecorder *recorder, const char *prefix, const char *content, Size content_len,
				   uint64 seq)
{
	CdcOutput *output = recorder->output;
	CdcFrame frame = {.kind = CDC_FRAME_RECORD, .op = CDC_OP_MESSAGE, .seq = seq};

	cdc_output_start_record(output, &frame);
	for (MessageOmission omission = OMIT_NOTHING; omission <= OMIT_PREFIX_TOO; omission++)
	{
		cdc_writer_restart_record(&output->writer);
		put_message(recorder, prefix, content, content_len, seq, omission);
		if (!cdc_writer_overflowed(&output->writer))
			break;
	}
	cdc_output_end_payload(output, &frame);
	cdc_output_end_record(output, &frame);
}

void
cdc_record_begin(CdcRecorder *recorder)
{
	CdcOutput *output = recorder->output;
	CdcFrame frame = {.kind = CDC_FRAME_RECORD, .op = CDC_OP_BEGIN, .seq = 0, .part = 1};

	output->writer.encoding->replaced = 0;
	cdc_output_start_record(output, &frame);
	put_start(recorder, &recorder->begin_head, frame.seq, frame.part);
	put_end(&output->writer, recorder->begin_head.replaced);
	cdc_output_end_payload(output, &frame);
	cdc_output_end_record(output, &frame);
}

void
cdc_record_commit(CdcRecorder *recorder, uint64 seq)
{
	CdcOutput *output = recorder->output;
	CdcFrame frame = {.kind = CDC_FRAME_COMMIT, .op = CDC_OP_COMMIT, .seq = seq};
	bool record = recorder->options->transaction_records && recorder->transaction->transactional;

	if (!record && !cdc_output_has_frames(output))
		return;
	output->writer.encoding->replaced = 0;
	cdc_output_start_record(output, &frame);
	if (record)
	{
		put_start(recorder, &recorder->commit_head, seq, 0);
		put_end(&output->writer, recorder->commit_head.replaced);
	}
	cdc_output_end_payload(output, &frame);
	cdc_output_end_record(output, &frame);
}
