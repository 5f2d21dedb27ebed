/*
 * slot.c
 *		Looking at a replication slot.
 */
#include "slot.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "position.h"

static void
copy_value(char *target, size_t size, const PGresult *result, int column)
{
	snprintf(target, size, "%s", PQgetvalue(result, 0, column));
}

static bool
is_true(const PGresult *result, int column)
{
	return PQgetvalue(result, 0, column)[0] == 't';
}

/* NULL, of a physical slot or one that was invalidated, is 0. */
static uint64_t
read_lsn(const PGresult *result, int column)
{
	uint64_t lsn = 0;

	if (PQgetisnull(result, 0, column) || !lsn_parse(PQgetvalue(result, 0, column), &lsn))
		return 0;
	return lsn;
}

CdcStatus
slot_read(PGconn *conn, const char *slot, SlotInfo *info, CdcError *err)
{
	int version = PQserverVersion(conn);
	char *name = pgconn_quote_literal(slot);
	char sql[1024];
	PGresult *result;
	CdcStatus status;

	memset(info, 0, sizeof(*info));
	/* A promoted standby goes on saying synced of the slots that it now owns. */
	snprintf(sql, sizeof(sql),
			 "SELECT plugin, database, active, active_pid, restart_lsn, confirmed_flush_lsn, "
			 "wal_status, two_phase, %s FROM pg_catalog.pg_replication_slots WHERE slot_name = %s",
			 version >= 170000
				 ? "failover, synced AND pg_catalog.pg_is_in_recovery(), invalidation_reason"
				 : (version >= 160000
						? "false, false, CASE WHEN conflicting THEN 'conflict with recovery' END"
						: "false, false, NULL"),
			 name);
	free(name);
	status = pgconn_query(conn, sql, &result, err);
	if (status != CDC_OK)
		return status;
	if (PQntuples(result) == 1)
	{
		info->exists = true;
		copy_value(info->plugin, sizeof(info->plugin), result, 0);
		copy_value(info->database, sizeof(info->database), result, 1);
		info->active = is_true(result, 2);
		info->active_pid = atoi(PQgetvalue(result, 0, 3));
		info->restart_lsn = read_lsn(result, 4);
		info->confirmed_flush_lsn = read_lsn(result, 5);
		copy_value(info->wal_status, sizeof(info->wal_status), result, 6);
		info->two_phase = is_true(result, 7);
		info->failover = is_true(result, 8);
		info->synced = is_true(result, 9);
		copy_value(info->invalidation_reason, sizeof(info->invalidation_reason), result, 10);
	}
	PQclear(result);
	return CDC_OK;
}

static CdcStatus
refuse_lost(const SlotInfo *info, const char *slot, CdcError *err)
{
	const char *reason = info->invalidation_reason;

	cdc_error(err, CDC_STOP,
			  "replication slot \"%s\" is lost: changes after %" PRIX64 "/%" PRIX64
			  " are gone from the server for good",
			  slot, info->confirmed_flush_lsn >> 32, info->confirmed_flush_lsn & 0xffffffff);
	if (reason[0] != '\0')
		cdc_error_detail(err, "The server invalidated it: %s.", reason);
	else
		cdc_error_detail(err, "Its WAL was removed (max_slot_wal_keep_size).");
	cdc_error_hint(err,
				   "Drop it and create it anew (cdc_client slot drop --slot=%s; cdc_client "
				   "slot create --slot=%s), then load the data again.  %s",
				   slot, slot,
				   strcmp(reason, "idle_timeout") == 0
					   ? "A longer idle_replication_slot_timeout keeps it next time."
					   : "A larger max_slot_wal_keep_size keeps it longer next time.");
	return CDC_STOP;
}

CdcStatus
slot_check_usable(const SlotInfo *info, const char *slot, const char *database, CdcError *err)
{
	if (!info->exists)
	{
		cdc_error(err, CDC_USAGE, "replication slot \"%s\" does not exist", slot);
		cdc_error_hint(err,
					   "cdc_client slot create --slot=%s creates it, and stream does with "
					   "--create-slot.  A slot that is created anew starts at the present "
					   "moment.",
					   slot);
		return CDC_USAGE;
	}
	if (strcmp(info->plugin, PGCONN_PLUGIN) != 0)
	{
		if (info->plugin[0] == '\0')
			cdc_error(err, CDC_USAGE, "replication slot \"%s\" is a physical one", slot);
		else
			cdc_error(err, CDC_USAGE, "replication slot \"%s\" is of plugin \"%s\", not of \"%s\"",
					  slot, info->plugin, PGCONN_PLUGIN);
		cdc_error_hint(err, "Choose another name: cdc_client slot create --slot=NAME; cdc_client "
							"slot list shows the names in use.");
		return CDC_USAGE;
	}
	if (strcmp(info->database, database) != 0)
	{
		cdc_error(err, CDC_USAGE, "replication slot \"%s\" is of database \"%s\", not of \"%s\"",
				  slot, info->database, database);
		cdc_error_hint(err, "Connect to that database: --dbname=\"... dbname=%s\".",
					   info->database);
		return CDC_USAGE;
	}
	if (strcmp(info->wal_status, "lost") == 0 || info->invalidation_reason[0] != '\0')
		return refuse_lost(info, slot, err);
	if (info->synced)
	{
		cdc_error(err, CDC_RETRY,
				  "this server is a standby that keeps replication slot \"%s\" in step with the "
				  "primary",
				  slot);
		cdc_error_hint(err, "Connect to the primary; name both servers in --dbname and add "
							"target_session_attrs=read-write to find it always.");
		return CDC_RETRY;
	}
	return CDC_OK;
}
