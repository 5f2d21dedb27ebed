/*
 * bench.h
 *		What the benchmark's small programs share.
 */
#ifndef CDC_BENCH_H
#define CDC_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* Name that bench_fail() puts in front; set first thing in main(). */
extern const char *bench_program;

/* Says what is wrong on stderr and ends the process with status 1. */
extern void bench_fail(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* Any clock of clock_gettime(), in seconds. */
extern double bench_clock(clockid_t clock);

/* "0/16E2A10"; fails on anything else. */
extern uint64_t bench_parse_lsn(const char *text);

/* A decimal number above 0, of the thing named what; fails on anything else. */
extern double bench_parse_number(const char *text, const char *what);

/* Eight bytes in network byte order. */
extern uint64_t bench_read_uint64(const char *bytes);

#endif /* CDC_BENCH_H */
