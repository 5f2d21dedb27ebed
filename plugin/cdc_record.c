/*
 * cdc_record.c
 *		One function per record kind: what becomes of it, whatever its format; see cdc_record.h.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "utils/datum.h"
#include "utils/memutils.h"

#include "cdc_format.h"
#include "cdc_json.h"
#include "cdc_protocol.h"
#include "cdc_record.h"
#include "cdc_record_bound.h"
#include "cdc_try.h"

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
	initStringInfo(&recorder->scratch);
	recorder->scratch_writer.encoding = output->writer.encoding;
}

void
cdc_recorder_configure(CdcRecorder *recorder, const char *source, const char *metadata)
{
	static const char *const ops[CDC_NUM_HEADS] = {
		[CDC_HEAD_BEGIN] = "begin", [CDC_HEAD_COMMIT] = "commit", [CDC_HEAD_MESSAGE] = "message",
		[CDC_HEAD_DDL] = "ddl",     [CDC_HEAD_OUTBOX] = "outbox",
	};
	CdcHeadInput input = {.options = recorder->options,
						  .source = source,
						  .metadata = metadata,
						  .encoding = recorder->output->writer.encoding};

	recorder->format = cdc_format(recorder->options);
	recorder->metadata = metadata;
	recorder->rows.settings->search_path = recorder->options->search_path;
	for (int i = 0; i < CDC_NUM_HEADS; i++)
	{
		input.op = ops[i];
		recorder->heads[i] = recorder->format->make_head(&input);
		recorder->targets[i] =
			recorder->format->make_target ? recorder->format->make_target(&input) : NULL;
	}
}

void
cdc_recorder_begin(CdcRecorder *recorder, CdcTransaction *transaction)
{
	recorder->transaction = transaction;
	recorder->format->begin_transaction(recorder, transaction);
	cdc_output_begin(recorder->output, transaction);
}

bool
cdc_key_is_known(const CdcRelation *relation, const CdcImage *image)
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

/* Where a key begins that is no part of the record, and so not bounded by it: index entries are small. */
static Size
start_key(CdcRecorder *recorder)
{
	cdc_writer_start_record(&recorder->output->writer, MaxAllocSize);
	return cdc_writer_offset(&recorder->output->writer);
}

/* Behind the payload, where keys can be pointed to: the key, if the format has no place for it in a record. */
static void
put_key_behind(CdcRecorder *recorder, CdcChange *change)
{
	CdcWriter *writer = &recorder->output->writer;
	CdcFrame *frame = &change->frame;
	const CdcImage *image =
		change->kind == CDC_DELETE ? &recorder->rows.before : &recorder->rows.after;

	if (change->key_omitted || !cdc_key_is_known(change->relation, image))
		return;
	frame->key = start_key(recorder);
	recorder->format->put_key(writer, change->relation, image);
	frame->key_len = cdc_writer_offset(writer) - frame->key;
}

/* Behind an update's payload: the key that it had before. */
static void
put_old_key(CdcRecorder *recorder, CdcChange *change)
{
	CdcWriter *writer = &recorder->output->writer;
	CdcFrame *frame = &change->frame;
	const CdcRelation *relation = change->relation;
	const char *message;

	if (frame->key_len == 0 || !cdc_key_is_known(relation, &recorder->rows.before) ||
		keys_are_identical(relation, &recorder->rows.before, &recorder->rows.after))
		return;
	frame->old_key = start_key(recorder);
	recorder->format->put_key(writer, relation, &recorder->rows.before);
	frame->old_key_len = cdc_writer_offset(writer) - frame->old_key;
	message = writer->message->data;
	if (frame->old_key_len == frame->key_len &&
		memcmp(message + frame->key, message + frame->old_key, frame->key_len) == 0)
	{
		cdc_writer_restart_record(writer);
		frame->old_key_len = 0;
	}
}

/*
 * The key of a schema record is its version, as it stands in it: consumers tell versions of a relation
 * apart by it.  The definition begins with it (cdc_schema.c), behind its label.
 */
static void
note_schema_key(CdcFrame *frame, Size definition)
{
	frame->key = definition + strlen("\"version\":");
	frame->key_len = CDC_SCHEMA_VERSION_DIGITS + 2; /* its quotes */
}

/* Before the first record of a relation, and of each version of it. */
static inline void
tell_schema(CdcRecorder *recorder, CdcRelation *relation)
{
	CdcOutput *output = recorder->output;
	CdcWriter *writer = &output->writer;
	CdcFrame frame = {.kind = CDC_FRAME_SCHEMA, .relation = relation};
	const CdcHead *head = &relation->schema_head;

	if (likely(relation->schema_record == NULL) ||
		strcmp(relation->schema_sent, relation->schema_version) == 0)
		return;
	cdc_output_start_record(output, &frame);
	cdc_put_padded(writer, head->text, head->len);
	note_schema_key(&frame, cdc_writer_offset(writer));
	cdc_put_bytes(writer, relation->schema_record, strlen(relation->schema_record));
	if (cdc_writer_overflowed(writer))
	{
		cdc_writer_restart_record(writer);
		cdc_put_padded(writer, head->text, head->len);
		cdc_put_literal(writer, "\"version\":\"");
		cdc_put_short(writer, relation->schema_version, strlen(relation->schema_version));
		cdc_put_literal(writer, "\",\"oversized\":[\"columns\"]}");
	}
	cdc_output_end_payload(output, &frame);
	cdc_output_end_record(output, &frame);
	strlcpy(relation->schema_sent, relation->schema_version, sizeof(relation->schema_sent));
}

/* The key of a record that belongs to no relation. */
static void
put_head_key(CdcRecorder *recorder, CdcFrame *frame, CdcHeadKind kind, const CdcMessage *message)
{
	if (recorder->format->put_head_key == NULL || !cdc_output_has_frames(recorder->output))
		return;
	frame->key = start_key(recorder);
	recorder->format->put_head_key(recorder, kind, message);
	frame->key_len = cdc_writer_offset(&recorder->output->writer) - frame->key;
}

static inline void
put_change(CdcRecorder *recorder, CdcChange *change)
{
	CdcOutput *output = recorder->output;

	cdc_output_start_record(output, &change->frame);
	recorder->format->put_change(recorder, change, false);
	if (unlikely(cdc_writer_overflowed(&output->writer)))
		cdc_record_shorten(recorder, change);
	cdc_output_end_payload(output, &change->frame);
	if (recorder->format->key_behind && cdc_output_has_frames(output))
		put_key_behind(recorder, change);
}

/* Is it an update that changes the key's text? */
static bool
changes_key(CdcRecorder *recorder, const CdcRelation *relation)
{
	const CdcImage *before = &recorder->rows.before;
	const CdcImage *after = &recorder->rows.after;
	CdcWriter *writer = &recorder->scratch_writer;
	Size len;
	bool differ;

	if (!cdc_key_is_known(relation, before) || !cdc_key_is_known(relation, after) ||
		keys_are_identical(relation, before, after))
		return false;
	resetStringInfo(&recorder->scratch);
	cdc_writer_attach(writer, &recorder->scratch);
	recorder->format->put_key(writer, relation, before);
	len = cdc_writer_offset(writer);
	recorder->format->put_key(writer, relation, after);
	differ = cdc_writer_offset(writer) != 2 * len ||
			 memcmp(recorder->scratch.data, recorder->scratch.data + len, len) != 0;
	cdc_writer_detach(writer);
	return differ;
}

/* Of a format that tells updates of keys as others: is it one of the operations that are not to be told? */
static inline bool
is_skipped(const CdcRecorder *recorder, CdcChangeKind kind)
{
	return recorder->format->splits_key_changes &&
		   (recorder->options->skipped_operations & (1 << kind)) != 0;
}

bool
cdc_record_wants_change(CdcRecorder *recorder, CdcChangeKind kind, const CdcRelation *relation)
{
	/* what is computed is only there when it is recorded */
	return kind != CDC_UPDATE || !is_skipped(recorder, kind) || relation->is_computed ||
		   (recorder->rows.before.present && changes_key(recorder, relation));
}

/* An update as a delete and an insert.	 The frame of each has the other's key as its old key. */
static void
put_split_change(CdcRecorder *recorder, CdcRelation *relation, uint64 seq)
{
	static const CdcChangeKind kinds[] = {CDC_DELETE, CDC_INSERT};
	CdcOutput *output = recorder->output;

	for (int part = 0; part < lengthof(kinds); part++)
	{
		CdcImage *image = part == 0 ? &recorder->rows.before : &recorder->rows.after;
		CdcImage *other = part == 0 ? &recorder->rows.after : &recorder->rows.before;
		CdcChange change = {.kind = kinds[part],
							.relation = relation,
							.frame = {.kind = CDC_FRAME_RECORD,
									  .op = change_ops[kinds[part]],
									  .part = part,
									  .seq = seq,
									  .relation = relation}};
		CdcFrame *frame = &change.frame;

		if (is_skipped(recorder, kinds[part]))
			continue;
		image->present = true;
		other->present = false;
		put_change(recorder, &change);
		if (frame->key_len > 0)
		{
			frame->old_key = start_key(recorder);
			recorder->format->put_key(&output->writer, relation, other);
			frame->old_key_len = cdc_writer_offset(&output->writer) - frame->old_key;
		}
		cdc_output_end_record(output, frame);
	}
	/* both are there, for whoever looks at the change after us */
	recorder->rows.before.present = recorder->rows.after.present = true;
}

void
cdc_record_change(CdcRecorder *recorder, CdcChangeKind kind, CdcRelation *relation, uint64 seq)
{
	CdcOutput *output = recorder->output;
	CdcChange change = {
		.kind = kind,
		.relation = relation,
		.frame = {
			.kind = CDC_FRAME_RECORD, .op = change_ops[kind], .seq = seq, .relation = relation}};

	if (unlikely(relation->is_computed))
		cdc_rows_compute(&recorder->rows, relation, recorder->transaction->commit_lsn, seq);
	tell_schema(recorder, relation);
	if (kind == CDC_UPDATE && recorder->rows.before.present &&
		recorder->format->splits_key_changes && changes_key(recorder, relation))
	{
		put_split_change(recorder, relation, seq);
		return;
	}
	if (unlikely(is_skipped(recorder, kind)))
		return;
	put_change(recorder, &change);
	if (kind == CDC_UPDATE && recorder->rows.before.present && cdc_output_has_frames(output))
		put_old_key(recorder, &change);
	cdc_output_end_record(output, &change.frame);
}

/* All that a record of the change takes, and that may fail. */
typedef struct Attempt
{
	CdcRecorder *recorder;
	CdcChange *change;
} Attempt;

static void
attempt_change(void *arg)
{
	Attempt *attempt = arg;
	CdcRecorder *recorder = attempt->recorder;
	CdcChange *change = attempt->change;

	if (change->relation->is_computed)
		cdc_rows_compute(&recorder->rows, change->relation, recorder->transaction->commit_lsn,
						 change->frame.seq);
	recorder->format->put_change(recorder, change, false);
}

void
cdc_record_stripped(CdcRecorder *recorder, CdcChangeKind kind, CdcRelation *relation, uint64 seq)
{
	CdcOutput *output = recorder->output;
	CdcWriter *writer = &output->writer;
	CdcChange change = {
		.kind = kind,
		.relation = relation,
		.frame = {
			.kind = CDC_FRAME_RECORD, .op = change_ops[kind], .seq = seq, .relation = relation}};
	Attempt attempt = {recorder, &change};
	int sqlstate = 0;

	/* outside of the attempt, whose end would undo it */
	cdc_settings_pin(recorder->rows.settings);
	tell_schema(recorder, relation);
	cdc_output_start_record(output, &change.frame);
	(void) cdc_try(attempt_change, &attempt, &sqlstate);
	cdc_writer_restart_record(writer);
	change.frame.key_len = 0;
	recorder->format->put_stripped(recorder, &change, sqlstate);
	cdc_output_end_payload(output, &change.frame);
	cdc_output_end_record(output, &change.frame);
}

void
cdc_record_truncate(CdcRecorder *recorder, CdcRelation *relation, uint64 seq)
{
	CdcChange change = {
		.kind = CDC_TRUNCATE,
		.relation = relation,
		.frame = {
			.kind = CDC_FRAME_RECORD, .op = CDC_OP_TRUNCATE, .seq = seq, .relation = relation}};

	tell_schema(recorder, relation);
	cdc_output_start_record(recorder->output, &change.frame);
	recorder->format->put_truncate(recorder, &change);
	cdc_output_end_payload(recorder->output, &change.frame);
	cdc_output_end_record(recorder->output, &change.frame);
}

CdcHeadKind
cdc_message_head(const CdcMessage *message)
{
	switch (message->kind)
	{
		case CDC_MESSAGE_DDL:
			return CDC_HEAD_DDL;
		case CDC_MESSAGE_OUTBOX:
			return CDC_HEAD_OUTBOX;
		default:
			return CDC_HEAD_MESSAGE;
	}
}

void
cdc_record_message(CdcRecorder *recorder, CdcRelation *target, const CdcMessage *message,
				   uint64 seq)
{
	CdcOutput *output = recorder->output;
	CdcFrame frame = {
		.kind = CDC_FRAME_RECORD, .op = CDC_OP_MESSAGE, .seq = seq, .relation = target};

	if (message->kind == CDC_MESSAGE_DDL)
		frame.op = CDC_OP_DDL;
	cdc_output_start_record(output, &frame);
	for (CdcMessageOmission omission = CDC_OMIT_NOTHING; omission <= CDC_OMIT_PREFIX_TOO;
		 omission++)
	{
		cdc_writer_restart_record(&output->writer);
		recorder->format->put_message(recorder, message, seq, omission);
		if (!cdc_writer_overflowed(&output->writer))
			break;
	}
	cdc_output_end_payload(output, &frame);
	put_head_key(recorder, &frame, cdc_message_head(message), message);
	cdc_output_end_record(output, &frame);
}

void
cdc_record_outbox(CdcRecorder *recorder, CdcRelation *target, CdcMessage *message, uint64 seq)
{
	CdcOutput *output = recorder->output;
	CdcWriter *writer = &output->writer;
	CdcFrame frame = {
		.kind = CDC_FRAME_RECORD, .op = CDC_OP_MESSAGE, .seq = seq, .relation = target};

	cdc_output_start_record(output, &frame);
	cdc_put_json_text(writer, message->content, message->content_len);
	if (cdc_writer_overflowed(writer))
	{
		/* what is too long to be sent as it is becomes a message that says so */
		cdc_writer_restart_record(writer);
		message->kind = CDC_MESSAGE_PLAIN;
		frame.relation = NULL;
		recorder->format->put_message(recorder, message, seq, CDC_OMIT_CONTENT);
	}
	cdc_output_end_payload(output, &frame);
	if (message->kind == CDC_MESSAGE_OUTBOX && message->key[0] != '\0')
	{
		cdc_writer_start_record(writer, MaxAllocSize);
		frame.key = cdc_writer_offset(writer);
		cdc_put_string(writer, message->key, strlen(message->key));
		frame.key_len = cdc_writer_offset(writer) - frame.key;
	}
	cdc_output_end_record(output, &frame);
}

void
cdc_record_begin(CdcRecorder *recorder, CdcRelation *target)
{
	CdcFrame frame = {
		.kind = CDC_FRAME_RECORD, .op = CDC_OP_BEGIN, .seq = 0, .part = 1, .relation = target};

	cdc_output_start_record(recorder->output, &frame);
	recorder->format->put_begin(recorder, &frame);
	cdc_output_end_payload(recorder->output, &frame);
	put_head_key(recorder, &frame, CDC_HEAD_BEGIN, NULL);
	cdc_output_end_record(recorder->output, &frame);
}

void
cdc_record_commit(CdcRecorder *recorder, CdcRelation *target, uint64 seq)
{
	CdcOutput *output = recorder->output;
	CdcFrame frame = {.kind = CDC_FRAME_COMMIT, .op = CDC_OP_COMMIT, .seq = seq};
	bool record = recorder->options->transaction_records && recorder->transaction->transactional;

	if (!record && !cdc_output_has_frames(output))
		return;
	if (record)
		frame.relation = target;
	cdc_output_start_record(output, &frame);
	if (record)
		recorder->format->put_commit(recorder, &frame);
	cdc_output_end_payload(output, &frame);
	if (record)
		put_head_key(recorder, &frame, CDC_HEAD_COMMIT, NULL);
	cdc_output_end_record(output, &frame);
}
