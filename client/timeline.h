/*
 * timeline.h
 *		A server's timeline history: which timelines its WAL passed through, and where it left each.
 */
#ifndef CDC_TIMELINE_H
#define CDC_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

typedef struct TimelineEntry
{
	uint32_t timeline;
	uint64_t switch_point; /* where the next timeline began */
} TimelineEntry;

/* A zeroed one is that of timeline 0: set current. */
typedef struct TimelineHistory
{
	uint32_t current;
	int num_entries;
	TimelineEntry *entries; /* owned */
} TimelineHistory;

/* Reads the content of a history file (TIMELINE_HISTORY) of timeline current. */
extern CdcStatus timeline_history_parse(TimelineHistory *history, uint32_t current,
										const char *text, size_t length,
										CdcError *err) CDC_MUST_CHECK;
extern void timeline_history_free(TimelineHistory *history);

/* Whether the server left that timeline, and where. */
extern bool timeline_history_find(const TimelineHistory *history, uint32_t timeline,
								  uint64_t *switch_point);

/* Where that timeline of the server's began; 0: it is the first, or none of the server's. */
extern uint64_t timeline_history_began(const TimelineHistory *history, uint32_t timeline);

#endif /* CDC_TIMELINE_H */
