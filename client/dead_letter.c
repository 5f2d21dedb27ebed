/*
 * dead_letter.c
 *		A second sink for records that the first can never take.
 */
#include "dead_letter.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../plugin/cdc_protocol.h"
#include "clock.h"
#include "json_out.h"

/* Hyphens are in no slot's name, and mean nothing in a topic, key or subject. */
#define SLOT_SUFFIX "-dead-letters"

/* A letter that is not durable after so long has failed; the session's retries begin. */
#define WRITE_TIMEOUT (60 * CLOCK_SECOND)

#define LONGEST_SLEEP_MS 200

struct DeadLetters
{
	Sink *sink;
	bool (*tick)(void *tick_arg);
	void *tick_arg;
	bool opened;
	bool found; /* last holds what the sink remembers */
	Position last;
};

/* Two URIs that differ in their parameters at most lead to the same place. */
static bool
same_place(const char *left, const char *right)
{
	size_t length = strcspn(left, "?");

	return length == strcspn(right, "?") && strncmp(left, right, length) == 0;
}

CdcStatus
dead_letters_create(DeadLetters **result, const CdcOptions *options, bool (*tick)(void *tick_arg),
					void *tick_arg, CdcError *err)
{
	const char *uri = options->dead_letter;
	SinkConfig config = {.uri = uri,
						 .commit_interval = sink_commit_interval(uri, options->commit_interval),
						 .max_in_flight = options->max_in_flight,
						 .tick = tick,
						 .tick_arg = tick_arg};
	DeadLetters *letters;
	CdcStatus status;

	if (same_place(uri, options->sink))
	{
		cdc_error(err, CDC_USAGE, "--on-error=dead-letter: leads to the sink that refuses records");
		cdc_error_hint(err, "Name another place, for example "
							"--on-error=dead-letter:file:///var/lib/cdc/dead.ndjson.");
		return CDC_USAGE;
	}
	letters = calloc(1, sizeof(*letters));
	if (letters == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	letters->tick = tick;
	letters->tick_arg = tick_arg;
	status = sink_create(&letters->sink, &config, err);
	if (status != CDC_OK)
		free(letters);
	else
		*result = letters;
	return status;
}

void
dead_letters_close(DeadLetters *letters)
{
	if (letters == NULL || !letters->opened)
		return;
	letters->sink->base.ops->close(letters->sink);
	letters->opened = false;
}

void
dead_letters_destroy(DeadLetters *letters)
{
	if (letters == NULL)
		return;
	dead_letters_close(letters);
	sink_destroy(letters->sink);
	free(letters);
}

static CdcStatus
open_sink(DeadLetters *letters, const Source *source, CdcError *err)
{
	Source own = *source;
	Source stored;
	CdcStatus status;

	snprintf(own.slot, sizeof(own.slot), "%.63s" SLOT_SUFFIX, source->slot);
	letters->opened = true; /* close() is safe after a failed open() */
	status = letters->sink->base.ops->open(letters->sink, &own, &stored, &letters->last,
										   &letters->found, err);
	if (status != CDC_OK || !letters->found || source_equal(&own, &stored))
		return status;
	cdc_error(err, CDC_STOP, "the dead-letter sink belongs to another stream");
	cdc_error_detail(err, "It holds what slot \"%s\" of database \"%s\" left.", stored.slot,
					 stored.database);
	cdc_error_hint(err, "Give each stream a dead-letter sink of its own.");
	return CDC_STOP;
}

static void
add_id(struct json_object *object, const RecordId *id)
{
	char lsn[LSN_TEXT_SIZE];

	json_add_text(object, "commit_lsn", lsn_format(lsn, id->commit_lsn));
	json_add_uint(object, "seq", id->seq);
	if (id->part > 0)
		json_add_uint(object, "part", id->part);
}

static void
add_time(struct json_object *object, const char *name, int64_t timestamp)
{
	char text[TIME_TEXT_SIZE];

	json_add_text(object, name, commit_time_format(text, timestamp));
}

/* All members but key and record, which are JSON already. */
static struct json_object *
describe(const DeadLetter *letter, int64_t timestamp)
{
	const Frame *frame = letter->record->frame;
	const CdcError *answer = letter->answer;
	struct json_object *object = json_object_new_object();
	char reason[120];

	json_add_text(object, "source", letter->source->name);
	json_add_text(object, "system_identifier", letter->source->system_identifier);
	json_add_text(object, "database", letter->source->database);
	json_add_text(object, "slot", letter->source->slot);
	json_add_uint(object, "incarnation", letter->record->incarnation);
	add_id(object, &letter->record->id);
	if (letter->record->message->commit_time != 0)
		add_time(object, "ts", letter->record->message->commit_time);
	json_add_text(object, "op", frame_op_name(frame->op));
	if (frame->relation != NULL)
	{
		json_add_text(object, "schema", frame->relation->schema);
		json_add_text(object, "table", frame->relation->table);
		if (frame->relation->target[0] != '\0')
			json_add_text(object, "target", frame->relation->target);
	}
	add_time(object, "time", timestamp);
	snprintf(reason, sizeof(reason), "refused by sink \"%s\"", letter->sink);
	json_add_text(object, "reason", reason);
	json_add_text(object, "answer", answer->message);
	if (answer->detail[0] != '\0')
		json_add_text(object, "detail", answer->detail);
	if (answer->sqlstate[0] != '\0')
		json_add_text(object, "sqlstate", answer->sqlstate);
	return object;
}

char *
dead_letter_format(const DeadLetter *letter, int64_t timestamp, size_t *length)
{
	const Frame *frame = letter->record->frame;
	struct json_object *object = describe(letter, timestamp);
	const char *head = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
																  JSON_C_TO_STRING_NOSLASHESCAPE);
	size_t size = strlen(head) + frame->key_length + (size_t) frame->payload_length + 32;
	char *text = malloc(size);
	size_t at = strlen(head) - 1; /* without the closing brace */

	if (text != NULL)
	{
		memcpy(text, head, at);
		if (frame->key != NULL)
			at += (size_t) snprintf(text + at, size - at, ",\"key\":%.*s", (int) frame->key_length,
									frame->key);
		at += (size_t) snprintf(text + at, size - at, ",\"record\":");
		memcpy(text + at, frame->payload, frame->payload_length);
		at += frame->payload_length;
		text[at++] = '}';
		*length = at;
	}
	json_object_put(object);
	return text;
}

/* Lets the sink work until something happens, or it is time to tick. */
static CdcStatus
wait_for_sink(DeadLetters *letters, int64_t deadline, SinkProgress *progress, CdcError *err)
{
	const SinkOps *ops = letters->sink->base.ops;
	int64_t now = clock_now();
	SinkWait wait = {0};
	CdcStatus status = ops->poll(letters->sink, now, progress, err);

	if (status != CDC_OK)
		return status;
	if (progress->closed)
		return cdc_error(err, CDC_STOP, "whoever read it has gone");
	if (!letters->tick(letters->tick_arg))
		return cdc_error(err, CDC_RETRY, "stopped while a letter was being written");
	if (now >= deadline)
		return cdc_error(err, CDC_RETRY, "a letter was not durable after %d s",
						 (int) (WRITE_TIMEOUT / CLOCK_SECOND));
	ops->wait(letters->sink, now, &wait);
	if (wait.deadline == 0 || wait.deadline > deadline)
		wait.deadline = deadline;
	if (poll(wait.fds, (nfds_t) wait.num_fds,
			 clock_timeout_ms(now, wait.deadline, LONGEST_SLEEP_MS)) < 0 &&
		errno != EINTR)
		return cdc_error(err, CDC_RETRY, "poll() failed: %s", strerror(errno));
	return CDC_OK;
}

static CdcStatus
deliver(DeadLetters *letters, const SinkRecord *record, const Position *after, CdcError *err)
{
	const SinkOps *ops = letters->sink->base.ops;
	int64_t deadline = clock_now() + WRITE_TIMEOUT;
	SinkProgress progress = {0};
	bool taken = false;
	CdcStatus status = CDC_OK;

	while (status == CDC_OK && !taken)
	{
		status = ops->deliver(letters->sink, record, after, &taken, err);
		if (status == CDC_OK && !taken)
			status = wait_for_sink(letters, deadline, &progress, err);
	}
	if (status == CDC_OK)
		status = ops->flush(letters->sink, err);
	if (status == CDC_OK)
		status = ops->poll(letters->sink, clock_now(), &progress, err);
	while (status == CDC_OK && !position_covers(&progress.durable, after))
		status = wait_for_sink(letters, deadline, &progress, err);
	return status;
}

/* The failure is the dead-letter sink's own, and no answer to the record. */
static CdcStatus
as_own_failure(CdcStatus status, const DeadLetter *letter, CdcError *err)
{
	CdcError cause = *err;
	char lsn[LSN_TEXT_SIZE];

	if (status == CDC_REFUSED)
	{
		status = CDC_STOP;
		cdc_error(
			err, status, "the dead-letter sink refuses record %s seq %" PRIu64 " too: %.1500s",
			lsn_format(lsn, letter->record->id.commit_lsn), letter->record->id.seq, cause.message);
		cdc_error_detail(err, "%s", cause.detail);
		cdc_error_hint(err, "Choose one that takes anything, for example "
							"--on-error=dead-letter:file:///var/lib/cdc/dead.ndjson.");
		return status;
	}
	cdc_error(err, status, "dead-letter sink: %.2000s", cause.message);
	snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", cause.sqlstate);
	cdc_error_detail(err, "%s", cause.detail);
	cdc_error_hint(err, "%s", cause.hint);
	return status;
}

CdcStatus
dead_letters_write(DeadLetters *letters, const DeadLetter *letter, CdcError *err)
{
	const SinkRecord *record = letter->record;
	Relation relation = {0};
	Frame frame = {.kind = CDC_FRAME_RECORD,
				   .op = CDC_OP_MESSAGE, /* a delete's letter deletes nothing */
				   .part = record->frame->part,
				   .seq = record->frame->seq,
				   .key = record->frame->key,
				   .key_length = record->frame->key_length};
	SinkRecord copy = *record;
	char *text = NULL;
	size_t length = 0;
	CdcStatus status = CDC_OK;

	if (!letters->opened)
		status = open_sink(letters, letter->source, err);
	if (status == CDC_OK && letters->found && letters->last.incarnation == record->incarnation &&
		record_id_compare(&letters->last.id, &record->id) >= 0)
		return CDC_OK; /* written before a crash */
	if (status == CDC_OK)
	{
		text = dead_letter_format(letter, clock_timestamp(), &length);
		if (text == NULL)
			status = cdc_error(err, CDC_RETRY, "out of memory for a letter of %" PRIu32 " bytes",
							   record->frame->payload_length);
		else if (length > UINT32_MAX)
			status = cdc_error(err, CDC_STOP, "a letter of %zu bytes is too large", length);
	}
	if (status == CDC_OK)
	{
		/* a rule's target names a place in the first sink */
		if (record->frame->relation != NULL)
		{
			relation = *record->frame->relation;
			relation.target = "";
			frame.relation = &relation;
		}
		frame.payload = text;
		frame.payload_length = (uint32_t) length;
		copy.frame = &frame;
		status = deliver(letters, &copy, letter->after, err);
	}
	free(text);
	if (status == CDC_OK)
		return CDC_OK;
	dead_letters_close(letters);
	return as_own_failure(status, letter, err);
}
