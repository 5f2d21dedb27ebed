/*
 * log.h
 *		What the client says about itself, on stderr: plain lines, or JSON lines (--log-format=json).
 *
 * Never records (they go to the sink), never passwords.  Only main.c, stream.c and the subcommands
 * log; lower layers return a CdcError.
 */
#ifndef CDC_LOG_H
#define CDC_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

typedef enum LogLevel
{
	LOG_DEBUG,
	LOG_INFO,
	LOG_WARNING,
	LOG_ERROR,
} LogLevel;

/* threshold: lines below it are not written.  json: one JSON object per line (written by json-c). */
extern void log_setup(LogLevel threshold, bool json);

/*
 * How progress is shown: on a terminal in one line that is redrawn in place (in_place), elsewhere as
 * a log line every interval_us; 0 shows none.  The default is none.  --log-format=json never draws
 * in place.
 */
extern void log_setup_progress(bool in_place, int64_t interval_us);

/* One line.  fmt makes the message. */
extern void log_line(LogLevel level, const char *fmt, ...) CDC_PRINTF(2, 3);

/* An error with its SQLSTATE, detail and hint. */
extern void log_error(LogLevel level, const CdcError *err);

/*
 * Progress of a running stream.  On a terminal one line, redrawn in place (the caller calls at
 * most a few times a second); elsewhere a log line every progress interval.
 */
typedef struct LogProgress
{
	uint64_t records;      /* delivered to the sink since the start */
	uint64_t bytes;        /* of their payloads */
	uint64_t dead_letters; /* records that the sink refused, since the start */
	uint64_t lag_bytes;    /* server's last known WAL end minus what is durable in the sink */
	double lag_seconds;    /* now minus commit time of the last durable transaction; < 0: unknown */
	char durable_lsn[20];  /* text form, what has been acknowledged to the server */
} LogProgress;
extern void log_progress(const LogProgress *progress, int64_t now_us);

/*
 * Lines to be drawn above the progress line, from its next drawing on; they are copied, and cut where they
 * are too long for the terminal.	 count 0: no more.	False where progress is not drawn in place.
 */
#define LOG_MAX_ABOVE 2
#define LOG_LINE_SIZE 256
extern bool log_progress_above(const char *const *lines, int count);

/* Leaves the progress line that was drawn last as it stands and goes to a new line. */
extern void log_progress_end(void);

#endif /* CDC_LOG_H */
