/*
 * cdc_format_wal2json.c
 *		format=wal2json: records as format-version 2 of wal2json has them (doc/format-wal2json.md).
 *
 * The members and their order are wal2json's.  What it has no member for (see cdc_members.h) stands at
 * the record's end by the names that our own records have, and only where there is something to tell.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "nodes/nodes.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/ruleutils.h"

#include "cdc_format.h"
#include "cdc_format_wal2json.h"
#include "cdc_json.h"
#include "cdc_members.h"

/* Between a column's description and its value. */
#define BEFORE_VALUE ",\"value\":"

static const char actions[CDC_NUM_CHANGE_KINDS] = {
	[CDC_INSERT] = 'I',   [CDC_UPDATE] = 'U',   [CDC_DELETE] = 'D',
	[CDC_TRUNCATE] = 'T', [CDC_SNAPSHOT] = 'I',
};

/* ,"schema":"public","table":"orders" */
static CdcHead
make_head(const CdcHeadInput *input)
{
	CdcWriter writer = {.encoding = input->encoding};
	uint64 replaced_before = input->encoding->replaced;
	StringInfoData text;
	CdcHead head = {0};

	initStringInfo(&text);
	cdc_writer_attach(&writer, &text);
	if (input->table && input->options->include_schemas)
	{
		cdc_put_literal(&writer, ",\"schema\":");
		cdc_put_string(&writer, input->schema, strlen(input->schema));
	}
	if (input->table)
	{
		cdc_put_literal(&writer, ",\"table\":");
		cdc_put_string(&writer, input->table, strlen(input->table));
	}
	cdc_put_bytes(&writer, input->metadata, strlen(input->metadata));
	head.text = cdc_writer_finish(&writer, &head.len);
	head.replaced = input->encoding->replaced - replaced_before;
	input->encoding->replaced = replaced_before;
	return head;
}

static char *
type_name(const CdcLabelInput *input)
{
	int32 typmod = input->typmod;
	/* one step down, as wal2json does it: a domain over a domain has that domain's name */
	Oid over = input->options->include_domain_data_type ? cdc_domain_over(input->type, &typmod)
														: InvalidOid;

	return format_type_with_typemod(OidIsValid(over) ? over : input->type, typmod);
}

/*
 * wal2json takes a name that is quoted for SQL as a JSON string that is finished.  Where it is one ("Mood"), the
 * reader is to see the same; where it is not ("S"."Mood", "a""b"), or an array's, it is escaped.
 */
static void
put_type_name(CdcWriter *writer, const char *name)
{
	Size len = strlen(name);

	if (len > 2 && name[0] == '"' && name[len - 1] == '"' && memchr(name + 1, '"', len - 2) == NULL)
	{
		name++;
		len -= 2;
	}
	cdc_put_string(writer, name, len);
}

/* ,{"name":"id","type":"integer","typeoid":23,"value": */
static char *
make_label(const CdcLabelInput *input, int *len)
{
	CdcWriter writer = {.encoding = input->encoding};
	StringInfoData text;

	initStringInfo(&text);
	cdc_writer_attach(&writer, &text);
	cdc_put_literal(&writer, ",{\"name\":");
	cdc_put_string(&writer, input->member, strlen(input->member));
	if (input->options->include_types)
	{
		int nest_level = cdc_settings_begin_session_like(input->settings);
		char *name = type_name(input);

		cdc_settings_end_session_like(nest_level);
		cdc_put_literal(&writer, ",\"type\":");
		put_type_name(&writer, name);
	}
	if (input->options->include_type_oids)
	{
		cdc_put_literal(&writer, ",\"typeoid\":");
		cdc_put_uint64(&writer, input->type);
	}
	cdc_put_literal(&writer, BEFORE_VALUE);
	return cdc_writer_finish(&writer, len);
}

/* The column's default as pg_get_expr() prints it, NULL if it has none. */
static char *
default_expression(const CdcLabelInput *input)
{
	Node *expression;
	char *text;
	int nest_level;

	if (input->attr == NULL || !input->attr->atthasdef || input->attr->attgenerated != '\0')
		return NULL;
	expression = build_column_default(input->relation, input->attr->attnum);
	nest_level = cdc_settings_begin_session_like(input->settings);
	text = deparse_expression(expression, NIL, false, false);
	cdc_settings_end_session_like(nest_level);
	return text;
}

/* ,"optional":true,"position":1,"default":"0"} */
static char *
make_tail(const CdcLabelInput *input, int *len)
{
	const CdcOptions *options = input->options;
	CdcWriter writer = {.encoding = input->encoding};
	StringInfoData text;

	initStringInfo(&text);
	cdc_writer_attach(&writer, &text);
	if (options->include_not_null && input->attr && input->attr->attnotnull)
		cdc_put_literal(&writer, ",\"optional\":false");
	else if (options->include_not_null)
		cdc_put_literal(&writer, ",\"optional\":true");
	if (options->include_column_positions && input->attr)
	{
		cdc_put_literal(&writer, ",\"position\":");
		cdc_put_int64(&writer, input->attr->attnum);
	}
	if (options->include_default)
	{
		const char *expression = default_expression(input);

		cdc_put_literal(&writer, ",\"default\":");
		if (expression)
			cdc_put_string(&writer, expression, strlen(expression));
		else
			cdc_put_literal(&writer, "null");
	}
	cdc_put_byte(&writer, '}');
	return cdc_writer_finish(&writer, len);
}

/* ,"xid":771,"timestamp":"2026-01-31 23:59:59.123456+00","origin":0 */
static void
begin_transaction(CdcRecorder *recorder, CdcTransaction *transaction)
{
	const CdcOptions *options = recorder->options;
	CdcWriter writer = {.encoding = recorder->output->writer.encoding};
	StringInfoData text;

	initStringInfo(&text);
	cdc_writer_attach(&writer, &text);
	if (options->include_xids && transaction->transactional)
	{
		cdc_put_literal(&writer, ",\"xid\":");
		cdc_put_uint64(&writer, transaction->xid);
	}
	else if (options->include_xids)
		cdc_put_literal(&writer, ",\"xid\":null");
	if (options->include_timestamp && transaction->commit_time != 0)
	{
		cdc_put_literal(&writer, ",\"timestamp\":");
		cdc_put_timestamp_text(&writer, transaction->commit_time, true);
	}
	else if (options->include_timestamp)
		cdc_put_literal(&writer, ",\"timestamp\":null");
	if (options->include_origin && transaction->transactional)
	{
		cdc_put_literal(&writer, ",\"origin\":");
		cdc_put_uint64(&writer, transaction->origin);
	}
	else if (options->include_origin)
		cdc_put_literal(&writer, ",\"origin\":null");
	cdc_writer_detach(&writer);
	transaction->stamp_len = text.len;
	Assert(transaction->stamp_len <= sizeof(transaction->stamp));
	memcpy(transaction->stamp, text.data, text.len);
	pfree(text.data);
}

/* A quoted LSN as a member; label with its comma and colon. */
static inline void
put_lsn_member(CdcWriter *writer, const char *label, XLogRecPtr lsn)
{
	cdc_put_short(writer, label, strlen(label));
	cdc_put_byte(writer, '"');
	cdc_writer_note_lsn(writer, 0, CDC_LSN_TEXT);
	cdc_put_lsn(writer, lsn);
	cdc_put_byte(writer, '"');
}

/* {"action":"I", then xid, timestamp, origin, lsn, and the head: schema, table */
static void
put_start(CdcRecorder *recorder, char action, XLogRecPtr lsn, const CdcHead *head)
{
	const CdcTransaction *transaction = recorder->transaction;
	CdcWriter *writer = &recorder->output->writer;

	writer->encoding->replaced = 0;
	cdc_put_literal(writer, "{\"action\":\"");
	cdc_put_byte(writer, action);
	cdc_put_byte(writer, '"');
	cdc_put_padded(writer, transaction->stamp, transaction->stamp_len);
	if (recorder->options->include_lsn)
		put_lsn_member(writer, ",\"lsn\":", lsn);
	if (head)
		cdc_put_padded(writer, head->text, head->len);
}

static inline void
put_end(CdcWriter *writer, uint64 replaced)
{
	cdc_put_replaced(writer, replaced);
	cdc_put_byte(writer, '}');
}

static inline void
put_value(CdcWriter *writer, const CdcColumn *column, const CdcImage *image, int comma)
{
	cdc_put_padded(writer, column->label + comma, column->label_len - comma);
	if (image->nulls[column->index])
		cdc_put_literal(writer, "null");
	else
		cdc_put_value(writer, image->values[column->index], &column->type);
}

static void
put_columns(CdcWriter *writer, const CdcRelation *relation, const CdcImage *image)
{
	int comma = 1; /* the first label is written without its comma */

	cdc_put_literal(writer, ",\"columns\":[");
	for (int i = 0; i < relation->ncolumns; i++)
	{
		const CdcColumn *column = &relation->columns[i];

		if (unlikely(column->omitted) || cdc_is_missing(image, column->index))
			continue;
		put_value(writer, column, image, comma);
		cdc_put_padded(writer, column->tail, column->tail_len);
		comma = 0;
	}
	cdc_put_byte(writer, ']');
}

/* Which columns tell the row that was changed. */
typedef enum Identity
{
	IDENTITY_ALL,    /* of an old row that is whole */
	IDENTITY_LOGGED, /* those of the replica identity */
	IDENTITY_KEY,    /* those of the key */
} Identity;

static inline bool
is_of_key(const CdcRelation *relation, const CdcColumn *column)
{
	for (int i = 0; i < relation->nkeys; i++)
	{
		if (relation->keys[i] == column)
			return true;
	}
	return false;
}

static void
put_identity(CdcWriter *writer, const CdcRelation *relation, const CdcImage *image,
			 Identity identity)
{
	int comma = 1; /* as above */

	cdc_put_literal(writer, ",\"identity\":[");
	for (int i = 0; i < relation->ncolumns; i++)
	{
		const CdcColumn *column = &relation->columns[i];

		if ((identity == IDENTITY_LOGGED && !column->logged) ||
			(identity == IDENTITY_KEY && !is_of_key(relation, column)) ||
			unlikely(column->omitted) || cdc_is_missing(image, column->index))
			continue;
		put_value(writer, column, image, comma);
		cdc_put_byte(writer, '}');
		comma = 0;
	}
	cdc_put_byte(writer, ']');
}

/* The old row as far as it is known; of an update that did not touch the identity, the new row's. */
static void
put_old_row(CdcRecorder *recorder, const CdcChange *change)
{
	const CdcRelation *relation = change->relation;
	CdcWriter *writer = &recorder->output->writer;
	const CdcImage *before = &recorder->rows.before;

	if (before->present)
	{
		Identity identity =
			relation->identity == REPLICA_IDENTITY_FULL ? IDENTITY_ALL : IDENTITY_LOGGED;

		if (change->kind == CDC_DELETE && relation->delete_key &&
			cdc_key_is_known(relation, before))
			identity = IDENTITY_KEY;
		put_identity(writer, relation, before, identity);
	}
	else if (change->kind == CDC_UPDATE && relation->has_identity)
		put_identity(writer, relation, &recorder->rows.after, IDENTITY_LOGGED);
}

/* The names and types of the primary key's columns: their labels without the value. */
static void
put_primary_key(CdcWriter *writer, const CdcRelation *relation)
{
	int comma = 1; /* as above */

	cdc_put_literal(writer, ",\"pk\":[");
	for (int i = 0; i < relation->ncolumns; i++)
	{
		const CdcColumn *column = &relation->columns[i];

		if (!column->primary)
			continue;
		cdc_put_padded(writer, column->label + comma,
					   column->label_len - comma - strlen(BEFORE_VALUE));
		cdc_put_byte(writer, '}');
		comma = 0;
	}
	cdc_put_byte(writer, ']');
}

static void
put_change(CdcRecorder *recorder, CdcChange *change, bool omitting)
{
	const CdcRelation *relation = change->relation;
	CdcWriter *writer = &recorder->output->writer;
	const CdcHead *head = &relation->heads[change->kind];

	put_start(recorder, actions[change->kind], recorder->change_lsn, head);
	if (recorder->rows.after.present)
		put_columns(writer, relation, &recorder->rows.after);
	put_old_row(recorder, change);
	if (recorder->options->include_pk)
		put_primary_key(writer, relation);
	if (unlikely(recorder->rows.any_failed || omitting))
		cdc_put_exceptions(recorder, relation, false, omitting);
	put_end(writer, head->replaced + relation->replaced);
}

static void
put_stripped(CdcRecorder *recorder, CdcChange *change, int sqlstate)
{
	CdcWriter *writer = &recorder->output->writer;
	const CdcHead *head = &change->relation->heads[change->kind];

	put_start(recorder, actions[change->kind], recorder->change_lsn, head);
	cdc_put_stripped_members(writer, sqlstate);
	put_end(writer, head->replaced);
}

static void
put_truncate(CdcRecorder *recorder, CdcChange *change)
{
	const CdcHead *head = &change->relation->heads[CDC_TRUNCATE];

	put_start(recorder, actions[CDC_TRUNCATE], recorder->change_lsn, head);
	put_end(&recorder->output->writer, head->replaced);
}

static void
put_message(CdcRecorder *recorder, const CdcMessage *message, uint64 seq,
			CdcMessageOmission omission)
{
	const CdcHead *head = &recorder->heads[CDC_HEAD_MESSAGE];

	put_start(recorder, 'M', recorder->change_lsn, head);
	cdc_put_message_members(recorder, message, omission);
	put_end(&recorder->output->writer, head->replaced);
}

/* B and C. */
static void
put_boundary(CdcRecorder *recorder, char action)
{
	const CdcTransaction *transaction = recorder->transaction;
	CdcWriter *writer = &recorder->output->writer;
	const CdcHead *head = &recorder->heads[CDC_HEAD_BEGIN];

	put_start(recorder, action, transaction->commit_lsn, NULL);
	if (recorder->options->include_lsn)
		put_lsn_member(writer, ",\"nextlsn\":", transaction->end_lsn);
	cdc_put_padded(writer, head->text, head->len);
	put_end(writer, head->replaced);
}

static void
put_begin(CdcRecorder *recorder, const CdcFrame *frame)
{
	put_boundary(recorder, 'B');
}

static void
put_commit(CdcRecorder *recorder, const CdcFrame *frame)
{
	put_boundary(recorder, 'C');
}

const CdcRecordFormat cdc_format_wal2json = {
	.names_types = true,
	.make_head = make_head,
	.make_label = make_label,
	.make_tail = make_tail,
	.build_type = cdc_wal2json_build_type,
	.begin_transaction = begin_transaction,
	.put_change = put_change,
	.put_key = cdc_put_row_key,
	.key_behind = true,
	.put_stripped = put_stripped,
	.put_truncate = put_truncate,
	.put_message = put_message,
	.put_begin = put_begin,
	.put_commit = put_commit,
};
