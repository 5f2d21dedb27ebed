/*
 * fuzz_options.c
 *		Command lines, environments and configuration files that nobody would write.
 *
 * The input is texts, each ended by a zero byte.  The first is a configuration file, which is read where it
 * is not empty; of the others those that begin with "CDC_" are the environment, the rest the arguments.
 * Every rejection says why, and leaves nothing behind.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "options.h"

#define MAX_TEXTS 40

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct CommandLine
{
	char *config;
	int argc;
	char *argv[MAX_TEXTS + 3];
	int envc;
	char *envp[MAX_TEXTS + 1];
} CommandLine;

/* What is asked for with these is answered on stdout. */
static bool
is_question(const char *text)
{
	return strcmp(text, "help") == 0 || strcmp(text, "version") == 0 ||
		   strncmp(text, "--h", 3) == 0 || strncmp(text, "--ve", 4) == 0 ||
		   (text[0] == '-' && text[1] != '-' && text[1] != '\0');
}

/* text is the input with a zero byte behind it. */
static void
split(CommandLine *line, char *text, size_t size)
{
	char *end = text + size;

	line->argv[line->argc++] = "cdc_client";
	line->config = text;
	text += strlen(text) + 1;
	for (int i = 0; text < end && i < MAX_TEXTS; i++, text += strlen(text) + 1)
	{
		if (strncmp(text, "CDC_", 4) == 0)
			line->envp[line->envc++] = text;
		else if (!is_question(text))
			line->argv[line->argc++] = text;
	}
}

static int
make_file(const char *text)
{
	int fd = memfd_create("options", 0);

	if (fd >= 0 && write(fd, text, strlen(text)) != (ssize_t) strlen(text))
		abort();
	return fd;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	char flag[64];
	CommandLine line = {0};
	CdcOptions options = {0};
	CdcError err = {0};
	CdcStatus status;
	int fd = -1;

	if (text == NULL)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	split(&line, text, size);
	if (line.config[0] != '\0' && (fd = make_file(line.config)) >= 0)
	{
		snprintf(flag, sizeof(flag), "--config=/proc/self/fd/%d", fd);
		line.argv[line.argc++] = flag;
	}
	status = options_read(&options, line.argc, line.argv, line.envp, &err);
	if (status != CDC_OK && (status != CDC_USAGE || err.message[0] == '\0'))
		abort();
	options_free(&options);
	if (fd >= 0)
		close(fd);
	free(text);
	return 0;
}
