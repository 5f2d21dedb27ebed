/*
 * main.c
 *		cdc_client: from the command line to a subcommand, and its exit code.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backfill_command.h"
#include "doctor.h"
#include "log.h"
#include "offsets.h"
#include "options.h"
#include "pgconn.h"
#include "pipeline.h"
#include "slot.h"
#include "status.h"
#include "stream.h"

/* How many signals to stop have come: 1 finishes what is in flight, 2 hurries. */
static volatile int interrupted;

/* Whoever asks a third time wants the process gone, whatever it is doing. */
static void
handle_stop(int signal_number)
{
	if (++interrupted >= 3)
	{
		signal(signal_number, SIG_DFL);
		raise(signal_number);
	}
}

static void
setup_signals(void)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	sigemptyset(&action.sa_mask);
	action.sa_handler = handle_stop; /* without SA_RESTART: a wait ends */
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	/* A reader or a server that has gone is an error of write(), not the end. */
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL);
}

/*
 * A standard descriptor that is closed would become the next file's or connection's, and what is
 * logged would go there.	An output that was closed is opened for reading: a write to it still fails.
 */
static bool
open_standard_descriptors(void)
{
	int fd = 0;

	while (fd >= 0 && fd <= STDERR_FILENO)
		fd = open("/dev/null", O_RDONLY);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void
log_server_notice(const char *severity, const CdcError *notice)
{
	log_error(strcmp(severity, "WARNING") == 0 ? LOG_WARNING : LOG_DEBUG, notice);
}

/* Records on the same terminal would be torn apart by a line that is redrawn. */
static bool
can_draw_progress(const CdcOptions *options)
{
	return isatty(STDERR_FILENO) &&
		   !(options->sink != NULL && strcmp(options->sink, "-") == 0 && isatty(STDOUT_FILENO));
}

static void
setup_log(const CdcOptions *options)
{
	LogLevel threshold = LOG_INFO;

	if (options->quiet)
		threshold = LOG_WARNING;
	if (options->verbose)
		threshold = LOG_DEBUG;
	log_setup(threshold, options->log_json);
	if (options->progress)
		log_setup_progress(can_draw_progress(options), options->progress_interval);
	pgconn_set_notice(log_server_notice);
	for (int i = 0; i < options->num_warnings; i++)
		log_line(LOG_WARNING, "%s", options->warnings[i]);
}

static int
run(const CdcOptions *options)
{
	switch (options->command)
	{
		case CMD_STREAM:
			return stream_main(options, &interrupted);
		case CMD_SLOT_CREATE:
			return slot_create_main(options, &interrupted);
		case CMD_SLOT_DROP:
			return slot_drop_main(options, &interrupted);
		case CMD_SLOT_LIST:
			return slot_list_main(options, &interrupted);
		case CMD_DOCTOR:
			return doctor_main(options, &interrupted);
		case CMD_STATUS:
			return status_main(options, &interrupted);
		case CMD_SLOT_COPY:
			return slot_copy_main(options, &interrupted);
		case CMD_OFFSETS_SHOW:
			return offsets_show_main(options, &interrupted);
		case CMD_OFFSETS_SET:
		case CMD_OFFSETS_RESET:
			return offsets_change_main(options, &interrupted);
		case CMD_PIPELINE_APPLY:
			return pipeline_apply_main(options, &interrupted);
		case CMD_PIPELINE_EXPORT:
			return pipeline_export_main(options, &interrupted);
		case CMD_PIPELINE_PREVIEW:
			return pipeline_preview_main(options, &interrupted);
		case CMD_BACKFILL:
			return backfill_main(options, &interrupted);
		case CMD_NONE:
			break;
	}
	return CDC_OK;
}

int
main(int argc, char **argv, char **envp)
{
	CdcOptions options;
	CdcError err;
	CdcStatus status;
	int code;

	if (!open_standard_descriptors())
		return CDC_USAGE;
	status = options_read(&options, argc, argv, envp, &err);
	if (status != CDC_OK)
	{
		/* --log-format, wherever it was given, is heeded if it has been understood by now. */
		log_setup(LOG_INFO, options.log_json);
		log_error(LOG_ERROR, &err);
		options_free(&options);
		return (int) status;
	}
	setup_log(&options);
	setup_signals();
	code = run(&options);
	log_progress_end();
	options_free(&options);

	/* Output that did not arrive is no success: a full disk, a closed pipe. */
	if (fflush(stdout) != 0 || ferror(stdout))
	{
		log_line(LOG_ERROR, "could not write to standard output");
		if (code == CDC_OK)
			code = CDC_STOP;
	}
	return code;
}
