/*
 * timeline.c
 *		A server's timeline history.
 *
 * The file has a line per timeline left, "timeline<tab>LSN<tab>reason"; blank lines and lines that
 * begin with # are comments.
 */
#include "timeline.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "position.h"

void
timeline_history_free(TimelineHistory *history)
{
	free(history->entries);
	memset(history, 0, sizeof(*history));
}

bool
timeline_history_find(const TimelineHistory *history, uint32_t timeline, uint64_t *switch_point)
{
	for (int i = 0; i < history->num_entries; i++)
	{
		if (history->entries[i].timeline == timeline)
		{
			*switch_point = history->entries[i].switch_point;
			return true;
		}
	}
	return false;
}

uint64_t
timeline_history_began(const TimelineHistory *history, uint32_t timeline)
{
	uint64_t began = 0;

	for (int i = 0; i < history->num_entries; i++)
	{
		if (history->entries[i].timeline == timeline)
			return began;
		began = history->entries[i].switch_point;
	}
	return history->current == timeline ? began : 0;
}

/* One line, ended by a NUL; *found is false for a comment. */
static bool
parse_line(char *line, TimelineEntry *entry, bool *found)
{
	char *end;
	char *lsn;
	unsigned long timeline;

	while (isspace((unsigned char) *line))
		line++;
	*found = *line != '\0' && *line != '#';
	if (!*found)
		return true;
	if (!isdigit((unsigned char) *line))
		return false;
	timeline = strtoul(line, &end, 10);
	if (timeline == 0 || timeline > UINT32_MAX || !isspace((unsigned char) *end))
		return false;
	entry->timeline = (uint32_t) timeline;
	lsn = end + strspn(end, " \t");
	lsn[strcspn(lsn, " \t\r")] = '\0';
	return lsn_parse(lsn, &entry->switch_point);
}

static CdcStatus
add_entry(TimelineHistory *history, const TimelineEntry *entry, CdcError *err)
{
	TimelineEntry *entries =
		realloc(history->entries, (size_t) (history->num_entries + 1) * sizeof(*entries));

	if (entries == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	entries[history->num_entries++] = *entry;
	history->entries = entries;
	return CDC_OK;
}

CdcStatus
timeline_history_parse(TimelineHistory *history, uint32_t current, const char *text, size_t length,
					   CdcError *err)
{
	char *copy = strndup(text, length);
	char *next;
	CdcStatus status = CDC_OK;

	memset(history, 0, sizeof(*history));
	history->current = current;
	if (copy == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	for (char *line = copy; line != NULL && status == CDC_OK; line = next)
	{
		TimelineEntry entry;
		bool found;

		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		if (!parse_line(line, &entry, &found))
			status = cdc_error(err, CDC_STOP,
							   "the server's history of timeline %" PRIu32
							   " has a line that cannot be read: \"%.80s\"",
							   current, line);
		else if (found)
			status = add_entry(history, &entry, err);
	}
	free(copy);
	if (status != CDC_OK)
		timeline_history_free(history);
	return status;
}
