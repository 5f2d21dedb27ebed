/*
 * fuzz_texts.c
 *		The small languages of the options: sink URIs, sizes, durations, LSNs, names' templates.
 *
 * The input's first byte says which one reads the rest.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../plugin/cdc_protocol.h"
#include "options.h"
#include "position.h"
#include "sink.h"
#include "target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* No error without a word about it. */
static void
check_status(CdcStatus status, const CdcError *err)
{
	if (status != CDC_OK && err->message[0] == '\0')
		abort();
}

static size_t
length_of(const char *text)
{
	return text != NULL ? strlen(text) : 0;
}

/* What was decoded cannot be longer than what stood there. */
static void
read_uri(const char *text)
{
	SinkUri uri = {0};
	CdcError err = {0};
	CdcStatus status = sink_uri_parse(&uri, text, &err);
	size_t length;

	check_status(status, &err);
	if (status == CDC_OK)
	{
		length = length_of(uri.authority) + length_of(uri.path);
		for (int i = 0; i < uri.num_params; i++)
			length += length_of(uri.params[i].name) + length_of(uri.params[i].value);
		if (length > strlen(text))
			abort();
	}
	sink_uri_free(&uri);
}

static void
read_quantities(const char *text)
{
	CdcError err = {0};
	uint64_t number;
	int64_t duration;
	char again[64];
	uint64_t read_again;

	check_status(options_parse_size(text, "size", &number, &err), &err);
	if (options_parse_duration(text, "duration", &duration, &err) == CDC_OK && duration < 0)
		abort();
	if (options_parse_lsn(text, "lsn", &number, &err) != CDC_OK)
		return;
	lsn_format(again, number);
	if (!lsn_parse(again, &read_again) || read_again != number)
		abort();
}

static bool
allowed(unsigned char byte)
{
	return (byte >= 'a' && byte <= 'z') || byte == '_' || byte == '.';
}

/* A template, and behind a newline each schema, table, and the template of a rule. */
static void
make_names(char *text)
{
	static const TargetRules rules = {allowed, NULL};
	char *parts[4] = {text, "public", "t", ""};
	CdcError err = {0};
	TargetNames *names = NULL;
	CdcStatus status;

	for (int i = 1; i < 4; i++)
	{
		char *end = strchr(parts[i - 1], '\n');

		if (end == NULL || parts[i - 1][0] == '\0')
			break;
		*end = '\0';
		parts[i] = end + 1;
	}
	status = target_names_create(&names, parts[0], "the template", "source", &rules, &err);
	check_status(status, &err);
	if (status != CDC_OK)
		return;
	for (int i = 0; i < 3; i++)
	{
		static uint64_t serial;
		Relation relation = {
			.serial = ++serial, .schema = parts[1], .table = parts[2], .target = parts[3]};
		Frame frame = {.kind = CDC_FRAME_RECORD, .op = i == 2 ? CDC_OP_MESSAGE : CDC_OP_INSERT};
		Target *target = NULL;

		if (i < 2)
			frame.relation = &relation;
		status = target_find(names, &frame, &target, &err);
		check_status(status, &err);
		if (status == CDC_OK && (target == NULL || strlen(target->name) != target->length))
			abort();
	}
	target_names_free(names);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size == 0)
		return 0;
	text = malloc(size);
	if (text == NULL)
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	switch (data[0] % 3)
	{
		case 0:
			read_uri(text);
			break;
		case 1:
			read_quantities(text);
			break;
		default:
			make_names(text);
	}
	free(text);
	return 0;
}
