/*
 * log.c
 *		What the client says about itself, on stderr.
 *
 * A progress line that is drawn in place is erased before a log line is written, and drawn again
 * by the next call of log_progress(): the two never mix.
 */
#include "log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "json_out.h"

/* The process has one stderr, and so one state of it. */
static struct
{
	LogLevel threshold;
	bool json;
	bool in_place;
	int64_t interval_us;
	bool drawn;      /* a progress line stands on the terminal, without newline */
	int drawn_above; /* and so many lines above it */
	char above[LOG_MAX_ABOVE][LOG_LINE_SIZE];
	int num_above;
	bool have_last;        /* the values below are set */
	int64_t last_us;       /* when they were taken */
	uint64_t last_records; /* to make rates from */
	uint64_t last_bytes;
} log_state = {.threshold = LOG_INFO};

/* Redrawing more often than this cannot be read. */
#define REDRAW_US 200000

void
log_setup(LogLevel threshold, bool json)
{
	log_state.threshold = threshold;
	log_state.json = json;
}

void
log_setup_progress(bool in_place, int64_t interval_us)
{
	log_state.in_place = in_place;
	log_state.interval_us = interval_us;
}

static const char *
level_name(LogLevel level, bool json)
{
	switch (level)
	{
		case LOG_DEBUG:
			return json ? "debug" : "DEBUG";
		case LOG_INFO:
			return json ? "info" : "INFO";
		case LOG_WARNING:
			return json ? "warning" : "WARNING";
		case LOG_ERROR:
			break;
	}
	return json ? "error" : "ERROR";
}

/* RFC 3339, UTC, milliseconds. */
static void
timestamp(char *text, size_t size)
{
	struct timespec now;
	struct tm tm;
	size_t length;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	length = strftime(text, size, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + length, size - length, ".%03ldZ", now.tv_nsec / 1000000);
}

static void
erase_progress(void)
{
	if (log_state.drawn)
		fputs("\r\033[K", stderr);
	for (; log_state.drawn_above > 0; log_state.drawn_above--)
		fputs("\033[A\033[K", stderr);
	log_state.drawn = false;
}

/* A plain line; what is not a level (DETAIL, HINT) continues the line before. */
static void
write_plain(const char *level, const char *text, const char *sqlstate)
{
	char time_text[40];

	timestamp(time_text, sizeof(time_text));
	fprintf(stderr, "%s %-7s %s", time_text, level, text);
	if (sqlstate != NULL && sqlstate[0] != '\0')
		fprintf(stderr, " (SQLSTATE %s)", sqlstate);
	fputc('\n', stderr);
}

static struct json_object *
json_line(LogLevel level, const char *message)
{
	struct json_object *line = json_object_new_object();
	char time_text[40];

	timestamp(time_text, sizeof(time_text));
	json_add_text(line, "time", time_text);
	json_add_text(line, "level", level_name(level, true));
	json_add_text(line, "message", message);
	return line;
}

static void
blank_controls(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char) *text < ' ')
			*text = ' ';
}

void
log_line(LogLevel level, const char *fmt, ...)
{
	CdcError err = {0};
	va_list args;

	va_start(args, fmt);
	vsnprintf(err.message, sizeof(err.message), fmt, args);
	va_end(args);
	blank_controls(err.message);
	log_error(level, &err);
}

void
log_error(LogLevel level, const CdcError *err)
{
	if (level < log_state.threshold)
		return;
	erase_progress();
	if (log_state.json)
	{
		struct json_object *line = json_line(level, err->message);

		if (err->sqlstate[0] != '\0')
			json_add_text(line, "sqlstate", err->sqlstate);
		if (err->detail[0] != '\0')
			json_add_text(line, "detail", err->detail);
		if (err->hint[0] != '\0')
			json_add_text(line, "hint", err->hint);
		json_write_line(stderr, line);
		return;
	}
	write_plain(level_name(level, false), err->message, err->sqlstate);
	if (err->detail[0] != '\0')
		write_plain("DETAIL", err->detail, NULL);
	if (err->hint[0] != '\0')
		write_plain("HINT", err->hint, NULL);
	fflush(stderr);
}

/* "12.3 MB": decimal units, as rates of transfer are given everywhere. */
static void
format_bytes(char *text, size_t size, double bytes)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
	size_t unit = 0;

	while (bytes >= 1000 && unit + 1 < sizeof(units) / sizeof(units[0]))
	{
		bytes /= 1000;
		unit++;
	}
	snprintf(text, size, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
}

static void
format_progress(char *text, size_t size, const LogProgress *progress, double records_per_second,
				double bytes_per_second)
{
	char rate[32];
	char lag[32];
	char behind[48] = "";
	char dead[48] = "";

	format_bytes(rate, sizeof(rate), bytes_per_second);
	format_bytes(lag, sizeof(lag), (double) progress->lag_bytes);
	if (progress->lag_seconds >= 0)
		snprintf(behind, sizeof(behind), ", %.1f s", progress->lag_seconds);
	if (progress->dead_letters > 0)
		snprintf(dead, sizeof(dead), ", %" PRIu64 " dead letters", progress->dead_letters);
	snprintf(text, size, "%" PRIu64 " records, %.0f records/s, %s/s, lag %s%s, durable %s%s",
			 progress->records, records_per_second, rate, lag, behind, progress->durable_lsn, dead);
}

/* A line that wraps could not be redrawn in place. */
static void
cut_to_terminal(char *text)
{
	struct winsize window;
	size_t length;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col <= 1 ||
		strlen(text) < window.ws_col)
		return;
	length = window.ws_col - 1U;
	while (length > 0 && ((unsigned char) text[length] & 0xC0) == 0x80)
		length--; /* not within a character */
	text[length] = '\0';
}

bool
log_progress_above(const char *const *lines, int count)
{
	if (!log_state.in_place || log_state.json || log_state.interval_us <= 0 ||
		log_state.threshold > LOG_INFO)
		return false;
	for (int i = 0; i < count; i++)
	{
		snprintf(log_state.above[i], sizeof(log_state.above[i]), "%s", lines[i]);
		blank_controls(log_state.above[i]);
	}
	log_state.num_above = count;
	return true;
}

/* The cursor stands behind the line that was drawn before, or at the beginning of an empty one. */
static void
draw_progress(char *text)
{
	if (log_state.num_above > 0 || log_state.drawn_above > 0)
		erase_progress();
	for (int i = 0; i < log_state.num_above; i++)
	{
		cut_to_terminal(log_state.above[i]);
		fprintf(stderr, "%s\n", log_state.above[i]);
		log_state.drawn_above++;
	}
	cut_to_terminal(text);
	fprintf(stderr, "\r%s\033[K", text);
	log_state.drawn = true;
}

static void
write_progress_json(const LogProgress *progress, double records_per_second, double bytes_per_second)
{
	struct json_object *line = json_line(LOG_INFO, "progress");

	json_add_uint(line, "records", progress->records);
	json_add_uint(line, "bytes", progress->bytes);
	json_add_double(line, "records_per_second", records_per_second);
	json_add_double(line, "bytes_per_second", bytes_per_second);
	json_add_uint(line, "lag_bytes", progress->lag_bytes);
	if (progress->lag_seconds >= 0)
		json_add_double(line, "lag_seconds", progress->lag_seconds);
	json_add_text(line, "durable_lsn", progress->durable_lsn);
	json_add_uint(line, "dead_letters", progress->dead_letters);
	json_write_line(stderr, line);
}

void
log_progress(const LogProgress *progress, int64_t now_us)
{
	bool in_place = log_state.in_place && !log_state.json;
	double seconds = (double) (now_us - log_state.last_us) / 1e6;
	double records_per_second;
	double bytes_per_second;
	char text[256];

	if (log_state.interval_us <= 0 || log_state.threshold > LOG_INFO)
		return;
	if (!log_state.have_last)
	{
		/* The first call starts the clock: there is no rate yet. */
		log_state.have_last = true;
		log_state.last_us = now_us;
		log_state.last_records = progress->records;
		log_state.last_bytes = progress->bytes;
		return;
	}
	if (now_us - log_state.last_us < (in_place ? REDRAW_US : log_state.interval_us))
		return;
	records_per_second = (double) (progress->records - log_state.last_records) / seconds;
	bytes_per_second = (double) (progress->bytes - log_state.last_bytes) / seconds;
	log_state.last_us = now_us;
	log_state.last_records = progress->records;
	log_state.last_bytes = progress->bytes;

	if (log_state.json)
	{
		write_progress_json(progress, records_per_second, bytes_per_second);
		return;
	}
	format_progress(text, sizeof(text), progress, records_per_second, bytes_per_second);
	if (in_place)
		draw_progress(text);
	else
		write_plain(level_name(LOG_INFO, false), text, NULL);
	fflush(stderr);
}

void
log_progress_end(void)
{
	if (log_state.drawn)
	{
		fputc('\n', stderr);
		fflush(stderr);
	}
	log_state.drawn = false;
	log_state.drawn_above = 0;
}
