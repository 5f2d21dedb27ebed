/*
 * version.c
 *		cdc_client --version.
 */
#include "options.h"

#include <json-c/json.h>
#include <libpq-fe.h>

#include "../plugin/cdc_protocol.h"
#include "sink.h"

void
options_print_version(FILE *out)
{
	const SinkOps *ops;
	int libpq = PQlibVersion();

	fprintf(out, "cdc_client %s (protocol %d, libpq %d.%d, json-c %s)\n\nSinks built in:\n",
			CDC_CLIENT_VERSION, CDC_PROTOCOL_VERSION, libpq / 10000, libpq % 10000,
			json_c_version());
	for (int i = 0; (ops = sink_ops(i)) != NULL; i++)
		fprintf(out, "  %-10s %s\n  %-10s %s\n", ops->name, ops->summary, "", ops->syntax);
}
