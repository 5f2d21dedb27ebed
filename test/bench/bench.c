/*
 * bench.c
 *		What the benchmark's small programs share.
 */
#include "bench.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *bench_program = "bench";

void
bench_fail(const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", bench_program);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

double
bench_clock(clockid_t clock)
{
	struct timespec now;

	if (clock_gettime(clock, &now) != 0)
		bench_fail("cannot read a clock");
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

uint64_t
bench_parse_lsn(const char *text)
{
	unsigned int high;
	unsigned int low;
	int used = 0;

	if (sscanf(text, "%8x/%8x%n", &high, &low, &used) != 2 || text[used] != '\0')
		bench_fail("\"%s\" is no LSN such as 0/16E2A10", text);
	return (uint64_t) high << 32 | low;
}

double
bench_parse_number(const char *text, const char *what)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || !(value > 0) || value > 1e15)
		bench_fail("\"%s\" is no %s: a number above 0 is needed", text, what);
	return value;
}

uint64_t
bench_read_uint64(const char *bytes)
{
	uint64_t value = 0;

	for (int i = 0; i < 8; i++)
		value = value << 8 | (unsigned char) bytes[i];
	return value;
}
