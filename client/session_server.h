/*
 * session_server.h
 *		The server's part of a session: who it is, the slot, and whether it still is who it was.
 */
#ifndef CDC_SESSION_SERVER_H
#define CDC_SESSION_SERVER_H

#include "session.h"

/* Fills identity, history, source, the timeouts and feedback from the new connection. */
extern CdcStatus session_learn_server(Session *session, CdcError *err) CDC_MUST_CHECK;

/*
 * Finds the slot, or creates it, begins CopyBoth, and reads what holds now that nobody else can move the
 * slot: slot, flush_lsn, source.name.  CDC_RETRY with SQLSTATE 55006: another client has it.
 */
extern CdcStatus session_acquire_slot(Session *session, CdcError *err) CDC_MUST_CHECK;

/* By a connection of its own: up to where the server now has what it could have sent to any client. */
extern CdcStatus session_read_wal_end(Session *session, uint64_t *lsn,
									  CdcError *err) CDC_MUST_CHECK;

/*
 * Of a session that began on a standby: CDC_RETRY where that has been promoted since, or has followed
 * its primary to another timeline.  *same is false where that cannot be told now.  Before progress is
 * stored of which no frame has named the timeline.
 */
extern CdcStatus session_check_timeline(Session *session, bool *same, CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_SESSION_SERVER_H */
