/*
 * measure.c
 *		Runs a command and writes down what it took.
 *
 *	measure RESULT_FILE COMMAND [ARGUMENT ...]
 *
 * The result is one line: wall, user, system (seconds), maxrss_kib (the peak of the resident
 * memory, which the kernel counts) and status (the exit status, 128 + the signal's number if one
 * ended it).  SIGINT and SIGTERM are passed on to the command.  Ends with the command's status.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

static volatile sig_atomic_t child_pid = 0;

static void
pass_on(int signal_number)
{
	if (child_pid > 0)
		kill(child_pid, signal_number);
}

static double
seconds(struct timeval time)
{
	return (double) time.tv_sec + (double) time.tv_usec / 1e6;
}

/* Signals stay blocked until child_pid is known: none may be lost between fork and assignment. */
static void
start_child(char **command)
{
	struct sigaction action = {.sa_handler = pass_on};
	sigset_t passed;
	sigset_t before;
	pid_t pid;

	sigemptyset(&passed);
	sigaddset(&passed, SIGINT);
	sigaddset(&passed, SIGTERM);
	sigprocmask(SIG_BLOCK, &passed, &before);
	pid = fork();
	if (pid < 0)
		bench_fail("cannot fork: %s", strerror(errno));
	if (pid == 0)
	{
		/* A background job of a shell without job control starts with SIGINT ignored. */
		signal(SIGINT, SIG_DFL);
		sigprocmask(SIG_SETMASK, &before, NULL);
		execvp(command[0], command);
		fprintf(stderr, "measure: cannot run %s: %s\n", command[0], strerror(errno));
		_exit(127);
	}
	child_pid = pid;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

int
main(int argc, char **argv)
{
	struct rusage usage;
	double started;
	double wall;
	int status;
	FILE *result;

	bench_program = "measure";
	if (argc < 3)
		bench_fail("usage: measure RESULT_FILE COMMAND [ARGUMENT ...]");
	started = bench_clock(CLOCK_MONOTONIC);
	start_child(argv + 2);
	while (wait4(child_pid, &status, 0, &usage) < 0)
	{
		if (errno != EINTR)
			bench_fail("cannot wait for %s: %s", argv[2], strerror(errno));
	}
	wall = bench_clock(CLOCK_MONOTONIC) - started;
	status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);

	result = fopen(argv[1], "w");
	if (result == NULL)
		bench_fail("cannot write %s: %s", argv[1], strerror(errno));
	fprintf(result, "wall=%.6f user=%.6f system=%.6f maxrss_kib=%ld status=%d\n", wall,
			seconds(usage.ru_utime), seconds(usage.ru_stime), usage.ru_maxrss, status);
	if (fclose(result) != 0)
		bench_fail("cannot write %s: %s", argv[1], strerror(errno));
	return status;
}
