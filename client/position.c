/*
 * position.c
 *		How far a sink is, and in which stream.
 */
#include "position.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECONDS_1970_TO_2000 946684800

char *
lsn_format(char *text, uint64_t lsn)
{
	snprintf(text, LSN_TEXT_SIZE, "%X/%X", (unsigned) (lsn >> 32), (unsigned) lsn);
	return text;
}

/* Up to eight hexadecimal digits; NULL where there are none, or too many. */
static const char *
parse_half(const char *text, uint32_t *half)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = text;

	*half = 0;
	for (; *at != '\0' && at - text <= 8; at++)
	{
		const char *digit = strchr(digits, *at | 0x20);

		if (digit == NULL || *digit == '\0')
			break;
		*half = (*half << 4) | (uint32_t) (digit - digits);
	}
	return at == text || at - text > 8 ? NULL : at;
}

bool
lsn_parse(const char *text, uint64_t *lsn)
{
	uint32_t high;
	uint32_t low;
	const char *at = parse_half(text, &high);

	if (at == NULL || *at != '/')
		return false;
	at = parse_half(at + 1, &low);
	if (at == NULL || *at != '\0')
		return false;
	*lsn = ((uint64_t) high << 32) | low;
	return true;
}

int
record_id_compare(const RecordId *a, const RecordId *b)
{
	if (a->commit_lsn != b->commit_lsn)
		return a->commit_lsn < b->commit_lsn ? -1 : 1;
	if (a->seq != b->seq)
		return a->seq < b->seq ? -1 : 1;
	return (int) a->part - (int) b->part;
}

bool
source_equal(const Source *a, const Source *b)
{
	return strcmp(a->system_identifier, b->system_identifier) == 0 &&
		   strcmp(a->database, b->database) == 0 && strcmp(a->slot, b->slot) == 0;
}

bool
position_same_stream(const Position *a, const Position *b)
{
	bool same_beginning =
		a->timeline_began == b->timeline_began || a->timeline_began == 0 || b->timeline_began == 0;

	return a->incarnation == b->incarnation &&
		   (a->timeline > b->timeline || (a->timeline == b->timeline && same_beginning));
}

bool
position_covers(const Position *a, const Position *b)
{
	return position_same_stream(a, b) && record_id_compare(&a->id, &b->id) >= 0 &&
		   a->end_lsn >= b->end_lsn && a->confirmed >= b->confirmed;
}

char *
commit_time_format(char *text, int64_t commit_time)
{
	int64_t seconds = commit_time / 1000000;
	int64_t micros = commit_time % 1000000;
	time_t unix_seconds;
	struct tm tm;
	size_t length;

	if (micros < 0)
	{
		micros += 1000000;
		seconds--;
	}
	unix_seconds = (time_t) (seconds + SECONDS_1970_TO_2000);
	gmtime_r(&unix_seconds, &tm); /* has a year for each of 64 bits of microseconds */
	length = strftime(text, TIME_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + length, TIME_TEXT_SIZE - length, ".%06" PRId64 "Z", micros);
	return text;
}

char *
position_describe(char *text, const Position *position)
{
	char commit_lsn[LSN_TEXT_SIZE];
	char end_lsn[LSN_TEXT_SIZE];
	char confirmed[LSN_TEXT_SIZE];

	snprintf(text, POSITION_TEXT_SIZE,
			 "commit_lsn %s seq %" PRIu64 " part %u, end_lsn %s, confirmed %s, timeline %" PRIu32,
			 lsn_format(commit_lsn, position->id.commit_lsn), position->id.seq,
			 (unsigned) position->id.part, lsn_format(end_lsn, position->end_lsn),
			 lsn_format(confirmed, position->confirmed), position->timeline);
	return text;
}

static void
add_lsn(struct json_object *object, const char *key, uint64_t lsn)
{
	char text[LSN_TEXT_SIZE];

	json_object_object_add(object, key, json_object_new_string(lsn_format(text, lsn)));
}

/* As a string: many readers of JSON hold numbers in doubles. */
static void
add_int64(struct json_object *object, const char *key, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, value);
	json_object_object_add(object, key, json_object_new_string(text));
}

static void
add_uint64(struct json_object *object, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	json_object_object_add(object, key, json_object_new_string(text));
}

struct json_object *
position_to_json(const Source *source, const Position *position)
{
	struct json_object *object = json_object_new_object();
	struct json_object *snapshot;

	json_object_object_add(object, "system_identifier",
						   json_object_new_string(source->system_identifier));
	json_object_object_add(object, "database", json_object_new_string(source->database));
	json_object_object_add(object, "slot", json_object_new_string(source->slot));
	json_object_object_add(object, "timeline", json_object_new_int64(position->timeline));
	if (position->timeline_began != 0)
		add_lsn(object, "timeline_began", position->timeline_began);
	json_object_object_add(object, "incarnation", json_object_new_int64(position->incarnation));
	add_lsn(object, "commit_lsn", position->id.commit_lsn);
	add_uint64(object, "seq", position->id.seq);
	json_object_object_add(object, "part", json_object_new_int(position->id.part));
	add_lsn(object, "end_lsn", position->end_lsn);
	add_lsn(object, "confirmed", position->confirmed);
	add_int64(object, "commit_time", position->commit_time);
	snapshot = snapshot_cursor_to_json(position->snapshot, &position->id);
	if (snapshot != NULL)
		json_object_object_add(object, "snapshot", snapshot);
	return object;
}

static const char *
get_string(struct json_object *object, const char *key)
{
	struct json_object *member;

	if (!json_object_object_get_ex(object, key, &member) ||
		!json_object_is_type(member, json_type_string) ||
		strlen(json_object_get_string(member)) != (size_t) json_object_get_string_len(member))
		return NULL;
	return json_object_get_string(member);
}

static bool
get_name(struct json_object *object, const char *key, char *name, size_t size)
{
	const char *text = get_string(object, key);

	if (text == NULL || strlen(text) >= size)
		return false;
	strcpy(name, text);
	return true;
}

static bool
get_lsn(struct json_object *object, const char *key, uint64_t *lsn)
{
	const char *text = get_string(object, key);

	return text != NULL && lsn_parse(text, lsn);
}

static bool
get_int64(struct json_object *object, const char *key, int64_t *value)
{
	const char *text = get_string(object, key);
	char *end;

	if (text == NULL || *text == '\0')
		return false;
	errno = 0;
	*value = strtoll(text, &end, 10);
	return errno == 0 && *end == '\0';
}

static bool
get_uint64(struct json_object *object, const char *key, uint64_t *value)
{
	const char *text = get_string(object, key);
	char *end;

	if (text == NULL || *text < '0' || *text > '9') /* strtoull() would take a sign */
		return false;
	errno = 0;
	*value = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0';
}

static bool
get_number(struct json_object *object, const char *key, int64_t max, int64_t *value)
{
	struct json_object *member;

	if (!json_object_object_get_ex(object, key, &member) ||
		!json_object_is_type(member, json_type_int))
		return false;
	*value = json_object_get_int64(member);
	return *value >= 0 && *value <= max;
}

bool
position_from_json(struct json_object *object, Source *source, Position *position)
{
	int64_t timeline;
	int64_t incarnation;
	int64_t part;
	struct json_object *snapshot;

	if (!json_object_is_type(object, json_type_object) ||
		!get_name(object, "system_identifier", source->system_identifier,
				  sizeof(source->system_identifier)) ||
		!get_name(object, "database", source->database, sizeof(source->database)) ||
		!get_name(object, "slot", source->slot, sizeof(source->slot)) ||
		!get_number(object, "timeline", UINT32_MAX, &timeline) ||
		!get_number(object, "incarnation", UINT32_MAX, &incarnation) ||
		!get_lsn(object, "commit_lsn", &position->id.commit_lsn) ||
		!get_uint64(object, "seq", &position->id.seq) ||
		!get_number(object, "part", UINT16_MAX, &part) ||
		!get_lsn(object, "end_lsn", &position->end_lsn) ||
		!get_lsn(object, "confirmed", &position->confirmed) ||
		!get_int64(object, "commit_time", &position->commit_time))
		return false;
	position->timeline = (uint32_t) timeline;
	position->incarnation = (uint32_t) incarnation;
	position->id.part = (uint16_t) part;
	position->snapshot = NULL;
	/* positions that were stored before there was such a member have none */
	position->timeline_began = 0;
	if (json_object_object_get_ex(object, "timeline_began", NULL) &&
		!get_lsn(object, "timeline_began", &position->timeline_began))
		return false;
	return !json_object_object_get_ex(object, "snapshot", &snapshot) ||
		   snapshot_cursor_from_json(snapshot, &position->snapshot);
}
