/*
 * cdc_members.c
 *		Members that several formats have in their records; see cdc_members.h.
 */
#include "postgres.h"

#include "catalog/pg_class.h"

#include "cdc_members.h"

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

/* By the names, since a label may hold more than that. */
void
cdc_put_row_key(CdcWriter *writer, const CdcRelation *relation, const CdcImage *image)
{
	cdc_put_byte(writer, '{');
	for (int i = 0; i < relation->nkeys; i++)
	{
		const CdcColumn *column = relation->keys[i];

		if (i > 0)
			cdc_put_byte(writer, ',');
		cdc_put_padded(writer, column->name, column->name_len);
		cdc_put_byte(writer, ':');
		if (image->nulls[column->index])
			cdc_put_literal(writer, "null");
		else
			cdc_put_value(writer, image->values[column->index], &column->type);
	}
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
	cdc_put_padded(writer, column->name, column->name_len);
	*any = true;
}

void
cdc_put_exceptions(CdcRecorder *recorder, const CdcRelation *relation, bool tell_unchanged,
				   bool omitting)
{
	CdcWriter *writer = &recorder->output->writer;
	const CdcImage *after = &recorder->rows.after;
	bool unchanged = false;
	bool errors = false;
	bool oversized = false;

	for (int i = 0;
		 tell_unchanged && after->present && after->any_missing && i < relation->ncolumns; i++)
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

void
cdc_put_row_images(CdcRecorder *recorder, const CdcChange *change, bool has_key, bool omitting)
{
	const CdcRelation *relation = change->relation;
	CdcWriter *writer = &recorder->output->writer;
	const CdcImage *before = &recorder->rows.before;
	const CdcImage *after = &recorder->rows.after;

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
		cdc_put_exceptions(recorder, relation, true, omitting);
}

void
cdc_put_row_members(CdcRecorder *recorder, CdcChange *change, bool omitting)
{
	const CdcRelation *relation = change->relation;
	CdcWriter *writer = &recorder->output->writer;
	const CdcImage *image =
		change->kind == CDC_DELETE ? &recorder->rows.before : &recorder->rows.after;
	CdcFrame *frame = &change->frame;
	bool has_key = cdc_key_is_known(relation, image);

	frame->key_len = 0;
	if (has_key)
	{
		cdc_put_literal(writer, ",\"key\":");
		frame->key = cdc_writer_offset(writer);
		/* as cdc_put_row_key() has it; labels are what is at hand here */
		cdc_put_byte(writer, '{');
		for (int i = 0; i < relation->nkeys; i++)
			put_column(writer, relation->keys[i], image, i == 0 ? 1 : 0);
		cdc_put_byte(writer, '}');
		frame->key_len = cdc_writer_offset(writer) - frame->key;
	}
	cdc_put_row_images(recorder, change, has_key, omitting);
}

void
cdc_put_stripped_members(CdcWriter *writer, int sqlstate)
{
	cdc_put_literal(writer, ",\"stripped\":true");
	if (sqlstate != 0)
	{
		cdc_put_literal(writer, ",\"sqlstate\":");
		cdc_put_string(writer, unpack_sql_state(sqlstate), 5);
	}
}

/* DDL as the event trigger told it, an outbox record that has no frame around it: JSON as it is. */
static void
put_json_message(CdcWriter *writer, const CdcMessage *message, bool omit_content)
{
	bool is_ddl = message->kind == CDC_MESSAGE_DDL;

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
}

void
cdc_put_message_members(CdcRecorder *recorder, const CdcMessage *message,
						CdcMessageOmission omission)
{
	CdcWriter *writer = &recorder->output->writer;

	if (message->kind != CDC_MESSAGE_PLAIN)
	{
		put_json_message(writer, message, omission != CDC_OMIT_NOTHING);
		return;
	}
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
}
