/*
 * error.c
 *		Filling a CdcError.
 */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/*
 * An error is one line: what libpq and the server say may hold newlines, which would break a log
 * line in two and let a message pose as another.
 */
static void
make_one_line(char *text)
{
	size_t length = strlen(text);

	while (length > 0 && strchr(" \t\r\n", text[length - 1]) != NULL)
		text[--length] = '\0';
	for (char *c = text; *c != '\0'; c++)
		if ((unsigned char) *c < ' ')
			*c = ' ';
}

CdcStatus
cdc_error(CdcError *err, CdcStatus status, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(err->message, sizeof(err->message), fmt, args);
	va_end(args);
	make_one_line(err->message);
	err->sqlstate[0] = '\0';
	err->detail[0] = '\0';
	err->hint[0] = '\0';
	return status;
}

void
cdc_error_detail(CdcError *err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(err->detail, sizeof(err->detail), fmt, args);
	va_end(args);
	make_one_line(err->detail);
}

void
cdc_error_hint(CdcError *err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(err->hint, sizeof(err->hint), fmt, args);
	va_end(args);
	make_one_line(err->hint);
}
