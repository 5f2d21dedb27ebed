/*
 * slot.h
 *		Replication slots: looking at them, creating and dropping them.
 */
#ifndef CDC_SLOT_H
#define CDC_SLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "options.h"
#include "pgconn.h"

typedef struct SlotInfo
{
	bool exists;
	char plugin[64];
	char database[64 * 4];
	bool active;
	int active_pid; /* 0: none */
	uint64_t restart_lsn;
	uint64_t confirmed_flush_lsn;
	char wal_status[16]; /* reserved, extended, unreserved, lost */
	bool two_phase;
	bool failover; /* server 17+ */
	bool synced;   /* server 17+: on a standby not yet promoted, kept in step by it */
	char invalidation_reason[64]; /* server 17+, "" if none */
} SlotInfo;

/* Reads pg_replication_slots.	A slot that does not exist is CDC_OK with exists false. */
extern CdcStatus slot_read(PGconn *conn, const char *slot, SlotInfo *info,
						   CdcError *err) CDC_MUST_CHECK;

/*
 * Refuses what cannot be streamed: missing, other plugin, other database (CDC_USAGE), lost
 * (CDC_STOP), kept in step by a standby that may yet be promoted (CDC_RETRY).
 */
extern CdcStatus slot_check_usable(const SlotInfo *info, const char *slot, const char *database,
								   CdcError *err) CDC_MUST_CHECK;

/*
 * CREATE_REPLICATION_SLOT ... LOGICAL cdc_decoder (SNAPSHOT 'nothing') on a replication connection.
 * Creation waits for transactions that are running; while it hangs, notice() is called with a line
 * that names the one in the way, its pid and age: after a second, whenever another one is in the
 * way, and else ever more rarely, at least once a minute.  What is in the way is looked up from a
 * second, ordinary connection, opened with conninfo.  *consistent_point gets the new slot's LSN.
 * Interrupted: the creation is cancelled, CDC_RETRY.
 */
extern CdcStatus slot_create(PGconn *repl, const char *conninfo, const char *slot, bool failover,
							 const volatile int *interrupted, void (*notice)(const char *line),
							 uint64_t *consistent_point, CdcError *err) CDC_MUST_CHECK;

/*
 * Tries whether the server can use the plugin, by a temporary slot on a replication connection of
 * its own, which the caller closes afterwards.	 Creation loads the library before it waits for
 * running transactions, so a wait that shows is success; waiting (size bytes) then names what it is
 * waiting for, and is empty otherwise.
 */
extern CdcStatus slot_probe_plugin(PGconn *repl, const char *conninfo,
								   const volatile int *interrupted, char *waiting, size_t size,
								   CdcError *err) CDC_MUST_CHECK;

/* The subcommands; each returns the process's exit code. */
extern int slot_create_main(const CdcOptions *options, const volatile int *interrupted);
extern int slot_drop_main(const CdcOptions *options, const volatile int *interrupted);
extern int slot_copy_main(const CdcOptions *options, const volatile int *interrupted);
extern int slot_list_main(const CdcOptions *options, const volatile int *interrupted);

#endif /* CDC_SLOT_H */
