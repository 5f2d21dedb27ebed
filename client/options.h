/*
 * options.h
 *		One table of options drives the long flags, the config file, the environment and --help.
 *
 * Precedence: flag, then environment (CDC_SLOT for --slot), then --config FILE (key = value, the
 * same names), then the table's default.  - and _ are the same in a name.
 *
 * A flag that the subcommand does not take is an error.  Environment and config file may serve
 * several subcommands, so what they say for another one is checked and then left alone.  A variable
 * CDC_* that is no option's is an error where it looks like one misspelt, else a warning (a cluster
 * manager puts variables of its own there: CDC_SERVICE_HOST, CDC_PORT, ...).
 */
#ifndef CDC_OPTIONS_H
#define CDC_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "error.h"

typedef enum Command
{
	CMD_NONE,
	CMD_STREAM,
	CMD_SLOT_CREATE,
	CMD_SLOT_DROP,
	CMD_SLOT_LIST,
	CMD_DOCTOR,
	CMD_STATUS,
	CMD_SLOT_COPY,
	CMD_OFFSETS_SHOW,
	CMD_OFFSETS_SET,
	CMD_OFFSETS_RESET,
	CMD_PIPELINE_APPLY,
	CMD_PIPELINE_EXPORT,
	CMD_PIPELINE_PREVIEW,
	CMD_BACKFILL,
} Command;

/* An option of the plugin, passed through to START_REPLICATION as it stands. */
typedef struct PluginOption
{
	char *name;
	char *value;
} PluginOption;

/* --snapshot-workers */
#define OPTIONS_MAX_SNAPSHOT_WORKERS 16

/* So many rows, or bytes, a second; both 0: any. */
typedef struct RateLimit
{
	uint64_t rows;
	uint64_t bytes;
} RateLimit;

/*
 * Everything a subcommand may want to know.  Strings are owned by the struct and are NULL where not
 * given; durations are microseconds, sizes bytes.
 */
typedef struct CdcOptions
{
	Command command;

	char *dbname;       /* conninfo string, URI or database name; libpq's defaults apply */
	char *slot;         /* slot name */
	char *to_slot;      /* slot copy: the new one's name */
	bool create_slot;   /* stream: create the slot if it does not exist */
	bool if_not_exists; /* slot create */
	bool failover;      /* slot create, stream --create-slot: FAILOVER (server 17+) */
	char *sink;         /* URI, or "-" for stdout */
	char *sink_table;   /* of a sink that is a database; NULL: its default */

	PluginOption *plugin_options; /* in the order given; framing and protocol_version are ours */
	int num_plugin_options;

	uint64_t endpos;         /* LSN, 0: none */
	uint64_t lsn;            /* offsets set */
	bool yes;                /* offsets set, reset: not only told what would follow */
	bool until_now;          /* --until=now: endpos is the server's WAL end at start */
	char *on_error;          /* --on-error */
	const char *dead_letter; /* the URI in on_error; NULL: stop */

	bool snapshot_initial; /* --snapshot=initial, never, only; none of them: its default */
	bool snapshot_never;
	bool snapshot_only;
	char *snapshot_from; /* conninfo of a standby that existing rows are read on; NULL: none */
	uint64_t snapshot_workers; /* connections that read existing rows, 1 to 16 */
	RateLimit max_rate;        /* of existing rows */
	uint64_t max_lag;          /* bytes of WAL; past it existing rows wait; 0: any */

	bool require_position;    /* refuse a sink without a position */
	bool accept_gap;          /* --accept=gap */
	bool accept_divergence;   /* --accept=divergence */
	bool accept_other_source; /* --accept=other-source */
	bool accept_missing;      /* --accept=missing: publications, a pipeline */

	int64_t wait_for_slot; /* wait for another client to leave the slot; 0: counts as a failure, -1:
							  for ever */
	int64_t
		retry_for; /* give up (exit 3) after so long without progress; 0: never retry, -1: for ever */
	int64_t receive_timeout; /* no byte from the server for so long: the connection is dead */
	int64_t status_interval; /* feedback to the server at least so often */
	int64_t commit_interval; /* how long the sink may gather before it makes records durable;
								-1: as long as suits the sink */
	uint64_t max_in_flight;  /* bytes handed to the sink and not yet durable */

	char *file;        /* pipeline: the file, "-" for stdin or stdout */
	char *relation;    /* pipeline preview, backfill: the table, as regclass reads it */
	char *where;       /* backfill: a condition on its rows; NULL: all */
	uint64_t cancel;   /* backfill: the request's number; 0: none */
	bool status;       /* backfill: tell of requests */
	uint64_t max_rows; /* pipeline preview */
	bool dry_run;      /* pipeline apply */

	bool json;                 /* output of status, doctor, slot list as JSON */
	bool fix;                  /* doctor --fix */
	bool log_json;             /* --log-format=json */
	bool quiet;                /* only warnings and errors */
	bool verbose;              /* debug lines too */
	bool progress;             /* progress line or lines (default on; --progress=off) */
	int64_t progress_interval; /* of the log lines where stderr is no terminal */

	char **warnings; /* about what was given, one line each, to be logged once logging is set up */
	int num_warnings;
} CdcOptions;

#define CDC_CLIENT_VERSION "1.0"

/*
 * Reads argv, environment and config file.	 CDC_OK with command CMD_NONE where --help or --version
 * was asked for and has been answered on stdout.  Errors are CDC_USAGE and name the option, where it
 * came from, the value and what is allowed.
 */
extern CdcStatus options_read(CdcOptions *options, int argc, char **argv, char **envp,
							  CdcError *err) CDC_MUST_CHECK;
extern void options_free(CdcOptions *options);

/* What --version says: the client's version, the libraries', and the sinks that are built in. */
extern void options_print_version(FILE *out);

/*
 * "64MiB", "10s", "0/16E2A10": readers shared with sink URIs.  what names the option in the error.
 * A size without a unit counts bytes, a duration without one seconds.
 */
extern CdcStatus options_parse_size(const char *text, const char *what, uint64_t *bytes,
									CdcError *err) CDC_MUST_CHECK;
extern CdcStatus options_parse_duration(const char *text, const char *what, int64_t *us,
										CdcError *err) CDC_MUST_CHECK;
extern CdcStatus options_parse_lsn(const char *text, const char *what, uint64_t *lsn,
								   CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_OPTIONS_H */
