/*
 * pgconn.h
 *		Connections to PostgreSQL: opening them, asking, and errors with the hint that mends them.
 *
 * Everything libpq understands (URIs, services, .pgpass, TLS, SCRAM, PG* variables) is left to
 * libpq; only application_name, connect_timeout, TCP keepalives and (of a walsender)
 * wal_sender_timeout are set, each only where the user has not set it in conninfo, environment,
 * service file or for the role or database.  The session itself is always made safe to ask in:
 * client_encoding UTF8, an empty search_path, no statement_timeout and lock_timeout.
 */
#ifndef CDC_PGCONN_H
#define CDC_PGCONN_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "error.h"

/* What wal_sender_timeout of our own walsender becomes; it reports to us by half of it. */
#define PGCONN_WAL_SENDER_TIMEOUT "60s"
#define PGCONN_WAL_SENDER_TIMEOUT_US INT64_C(60000000)

/* The plugin's name, which is its library's. */
#define PGCONN_PLUGIN "cdc_decoder"

typedef enum PgConnKind
{
	PGCONN_SQL,         /* an ordinary session */
	PGCONN_REPLICATION, /* replication=database: a walsender, which also takes SQL */
} PgConnKind;

/*
 * Opens a connection (PQconnectStart and poll, so that a signal ends the wait: *interrupted, may be
 * NULL, is read between polls).	 On CDC_OK the caller owns *conn and PQfinish()es it.  CDC_RETRY: not
 * reachable or not ready; CDC_USAGE: authentication, unknown database, bad conninfo.
 */
extern CdcStatus pgconn_open(PGconn **conn, const char *conninfo, PgConnKind kind,
							 const volatile int *interrupted, CdcError *err) CDC_MUST_CHECK;

/*
 * Runs one command and expects tuples or success; no answer within a minute is CDC_RETRY.  On CDC_OK
 * *result is the caller's to PQclear() (result may be NULL where it does not matter).
 */
extern CdcStatus pgconn_query(PGconn *conn, const char *sql, PGresult **result,
							  CdcError *err) CDC_MUST_CHECK;
extern CdcStatus pgconn_query_params(PGconn *conn, const char *sql, int nparams,
									 const char *const *params, PGresult **result,
									 CdcError *err) CDC_MUST_CHECK;

/*
 * Fills err from a failed result (or from the connection where result is NULL) and says whether
 * trying again may help.  what: "START_REPLICATION of slot \"s\"".	 Known failures get their hint:
 * output_plugin_libraries, missing library, wal_level, no free slot or walsender, missing
 * REPLICATION privilege, slot of another plugin or database, slot lost (wal_status).
 */
extern CdcStatus pgconn_error(PGconn *conn, const PGresult *result, const char *what,
							  CdcError *err);

/* Of SQLSTATE 55006, object_in_use. */
#define PGCONN_SLOT_HELD_HINT                                                                      \
	"Another client streams from it; one that is gone is noticed by the server after its "         \
	"wal_sender_timeout, or at once by SELECT pg_terminate_backend(pid)."

/* IDENTIFY_SYSTEM: what a position's source is made of.  Works on a replication connection. */
typedef struct ServerIdentity
{
	char system_identifier[24]; /* decimal text of a uint64 */
	char database[64 * 4];
	uint32_t timeline; /* at connect; may go stale on a walsender that survives a promotion */
	uint64_t wal_end;
	int version; /* PQserverVersion */
} ServerIdentity;
extern CdcStatus pgconn_identify(PGconn *conn, ServerIdentity *identity,
								 CdcError *err) CDC_MUST_CHECK;

/*
 * Reads output_plugin_libraries, which limits what may be used as an output plugin (in the minor
 * releases from 15.19, 16.15, 17.11 and 18.6 on).  command adds our plugin and keeps what is
 * listed; it is empty where there is nothing to add.  For who may not read the list it is a
 * query for psql, which makes and runs the command.
 */
typedef struct PluginLibraries
{
	bool known;    /* the server has the parameter */
	bool readable; /* by this role: it takes pg_read_all_settings */
	bool listed;   /* our plugin may be used; true where not readable */
	char value[1024];
	char command[1280];
} PluginLibraries;
extern CdcStatus pgconn_plugin_libraries(PGconn *conn, PluginLibraries *libraries,
										 CdcError *err) CDC_MUST_CHECK;

/*
 * Warnings of the server (and its notices, with less weight) go to this function, which may log
 * them; by default they are dropped.  severity is the server's word, untranslated.
 */
typedef void (*PgConnNotice)(const char *severity, const CdcError *notice);
extern void pgconn_set_notice(PgConnNotice notice);

/* Fills err of a connection that failed to open; replication: of a walsender. */
extern CdcStatus pgconn_connect_error(PGconn *conn, PgConnKind kind, CdcError *err);

/* Quoting for replication commands (repl_scanner.l): "identifier" and 'literal'; malloc'd. */
extern char *pgconn_quote_identifier(const char *name);
extern char *pgconn_quote_literal(const char *value);

#endif /* CDC_PGCONN_H */
