/*
 * sink.h
 *		What a sink is: the contract between the loop (stream.c) and the places records go to.
 *
 * A sink knows records and positions, never libpq replication; the loop knows sinks and positions,
 * never JSON.  A sink is one file with one static const SinkOps, listed in sink.c and described in
 * doc/.  All calls come from one thread.  Lower layers never log: what a sink wants said it returns.
 *
 * Life of a sink:
 *
 *		create ( open ( deliver | end_transaction | store | flush | poll | wait )* close )* destroy
 *
 * - Everything is handed over in order, and becomes durable in that order: a position is durable
 *   when everything handed over before it is.
 * - Making durable is asynchronous.	deliver() and its kin start work and return; poll() advances it
 *   and says how far it has come; the loop sleeps on what wait() names.  A sink that cannot take
 *   more says so (*taken = false), and the loop reads no more from the server until it can.
 * - The sink stores positions together with the records (the same transaction where it has one),
 *   never ahead of them; what it then reports as durable is all that the server is ever told.
 * - A status that is not CDC_OK ends the session: the loop calls close(), and, after CDC_RETRY and a
 *   pause, open() again, which reads the position anew.	 Records handed over and not reported durable
 *   are then delivered again, from the position that open() returned.
 * - A record that the sink can never take (too large, refused by whoever is behind it) is
 *   CDC_REFUSED, with the sink's answer as the error: from deliver() of that very record, of which
 *   nothing was taken and after which the sink goes on; or, where the answer comes later, from
 *   poll(), with progress->refused as the record's id.  Then everything before that record may or may
 *   not be durable, the loop closes and opens as after CDC_RETRY, and does not hand that record over
 *   again: --on-error says what becomes of it.
 */
#ifndef CDC_SINK_H
#define CDC_SINK_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "frame.h"
#include "position.h"

/* One finished record.	 Everything it points to is borrowed: valid during the call only. */
typedef struct SinkRecord
{
	const MessageHeader *message; /* its transaction */
	const Frame *frame;           /* op, relation, key, payload; never without payload */
	RecordId id;
	uint32_t incarnation; /* with the source and id: the record's identity for good */
} SinkRecord;

/* What create() is told.  Strings are borrowed and outlive the sink. */
typedef struct SinkConfig
{
	const char *uri;
	const char *table;       /* --sink-table, or NULL */
	int64_t commit_interval; /* microseconds that may be gathered before making durable */
	uint64_t max_in_flight;  /* bytes; the loop hands over no more than that (or one record) */

	/*
	 * open() may take long (a transaction to be fenced, a broker to be found).  A sink that waits
	 * there calls tick() at least every 500 ms: it keeps the server's connection alive.  false: give
	 * up, return CDC_RETRY.
	 */
	bool (*tick)(void *tick_arg);
	void *tick_arg;
} SinkConfig;

/* What poll() says. */
typedef struct SinkProgress
{
	Position durable;       /* the last position known durable */
	uint64_t durable_bytes; /* payload bytes made durable since open() */
	bool closed;            /* whoever read has gone and wants no more: not an error, but the end */
	RecordId refused;       /* where poll() returned CDC_REFUSED */
} SinkProgress;

/* What the loop has to wait for on the sink's behalf. */
#define SINK_MAX_FDS 16
typedef struct SinkWait
{
	struct pollfd fds[SINK_MAX_FDS];
	int num_fds;
	int64_t deadline; /* call poll() at this time (microseconds, clock.h) at the latest; 0: none */
} SinkWait;

typedef struct Sink Sink; /* each sink's own struct begins with a SinkBase */

typedef struct SinkOps
{
	const char *name;   /* scheme of the URI, "-" for the standard output */
	const char *alias;  /* a second scheme ("https"), or NULL */
	const char *syntax; /* of the URI, for --help and errors */
	const char *summary;
	int64_t commit_interval; /* microseconds, where the user gave none; 0: SINK_COMMIT_INTERVAL */

	/*
	 * It holds no position beyond this process: whoever receives is not asked for one.  Each start
	 * begins at the slot's confirmed position, at least once.
	 */
	bool keeps_no_position;

	/* The position that it keeps does not tell how far a snapshot of existing rows is (Position.snapshot). */
	bool keeps_no_snapshot;

	/*
	 * deliver() takes schema records, too (frame->kind CDC_FRAME_SCHEMA): facts about a relation that have
	 * no place in the sequence.	Their id is 0, 0, 0, and "after" is the position as it was; one may come
	 * again, at each start.  Without this a stream that has them is refused.
	 */
	bool takes_schemas;

	/* Reads the URI; no I/O.  CDC_USAGE names the part that is wrong and what is allowed. */
	CdcStatus (*create)(Sink **sink, const SinkConfig *config, CdcError *err);

	/*
	 * Connects, fences any other client that has the sink, reads the position stored for source.
	 * *found is false where the sink has none for it; *stored_source differs from source where the
	 * sink holds one position only and it is another stream's (the loop decides what follows).
	 */
	CdcStatus (*open)(Sink *sink, const Source *source, Source *stored_source, Position *position,
					  bool *found, CdcError *err);

	/*
	 * The same without connecting for good, fencing or changing anything, also while a client streams;
	 * of a sink that was created and not opened.  Every sink has it that keeps a position.
	 */
	CdcStatus (*look)(Sink *sink, const Source *source, Source *stored_source, Position *position,
					  bool *found, CdcError *err);

	/*
	 * Takes one record over.  after: the position to be stored once the record is durable.  *taken
	 * false: full, call poll() and come again with the same record; nothing of it was taken.
	 */
	CdcStatus (*deliver)(Sink *sink, const SinkRecord *record, const Position *after, bool *taken,
						 CdcError *err);

	/* A transaction is whole.  after has its end as end_lsn and confirmed.  Never full. */
	CdcStatus (*end_transaction)(Sink *sink, const Position *after, CdcError *err);

	/*
	 * Stores a position without a record: the first one, an accepted gap, progress of an idle
	 * server.	Durable without waiting for the commit interval.	Never full.
	 */
	CdcStatus (*store)(Sink *sink, const Position *position, CdcError *err);

	/* Asks to make durable what was taken, without waiting for the commit interval to pass. */
	CdcStatus (*flush)(Sink *sink, CdcError *err);

	/* Advances what is under way, without blocking.  now: microseconds, clock.h. */
	CdcStatus (*poll)(Sink *sink, int64_t now, SinkProgress *progress, CdcError *err);
	void (*wait)(Sink *sink, int64_t now, SinkWait *wait);

	/* Ends what open() began; what is not durable may be dropped.	Safe after a failed open(). */
	void (*close)(Sink *sink);
	void (*destroy)(Sink *sink);
} SinkOps;

typedef struct SinkBase
{
	const SinkOps *ops;
} SinkBase;

struct Sink
{
	SinkBase base;
};

/*
 * Makes the sink that the URI's scheme names; sink_close() may be left to sink_destroy(), and both
 * take NULL.  CDC_USAGE for an unknown scheme lists those built in.
 */
extern CdcStatus sink_create(Sink **sink, const SinkConfig *config, CdcError *err) CDC_MUST_CHECK;
extern void sink_destroy(Sink *sink);

/* The sinks built in, for --version and --help: NULL past the last one. */
extern const SinkOps *sink_ops(int i);

/*
 * SinkConfig.commit_interval for a sink of that URI: what the user gave, or, where that is negative
 * (nothing), the sink's own.
 */
#define SINK_COMMIT_INTERVAL INT64_C(1000000)
extern int64_t sink_commit_interval(const char *uri, int64_t given);

/*
 * Flushes and waits until everything taken is durable: CDC_OK, and *progress says so.	CDC_RETRY when
 * deadline (clock.h) passes or *interrupted reaches 2; tick (may be NULL) is called as in SinkConfig.
 */
extern CdcStatus sink_drain(Sink *sink, const Position *until, int64_t deadline,
							const volatile int *interrupted, SinkProgress *progress,
							CdcError *err) CDC_MUST_CHECK;

/*
 * A sink's URI taken apart: scheme:[//authority]path[?name=value&...], percent-decoded.  One
 * allocation; free with sink_uri_free().
 */
#define SINK_URI_MAX_PARAMS 32
typedef struct SinkUri
{
	char *buffer;
	const char *authority; /* NULL: no "//" */
	const char *path;
	int num_params;
	struct
	{
		const char *name;
		const char *value;
	} params[SINK_URI_MAX_PARAMS];
} SinkUri;
extern CdcStatus sink_uri_parse(SinkUri *uri, const char *text, CdcError *err) CDC_MUST_CHECK;
extern void sink_uri_free(SinkUri *uri);

/* The sinks, each in its file. */
extern const SinkOps sink_file_ops;
extern const SinkOps sink_stdout_ops;
#ifdef HAVE_GRPC
extern const SinkOps sink_grpc_ops;
#endif
#ifdef HAVE_HTTP
extern const SinkOps sink_http_ops;
#endif
#ifdef HAVE_KAFKA
extern const SinkOps sink_kafka_ops;
#endif
#ifdef HAVE_NATS
extern const SinkOps sink_nats_ops;
#endif
#ifdef HAVE_POSTGRESQL
extern const SinkOps sink_postgresql_ops;
#endif
#ifdef HAVE_REDIS
extern const SinkOps sink_redis_ops;
#endif

#endif /* CDC_SINK_H */
