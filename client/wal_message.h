/*
 * wal_message.h
 *		The messages of streaming replication (protocol.sgml) as bytes: read and written, no socket.
 */
#ifndef CDC_WAL_MESSAGE_H
#define CDC_WAL_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

typedef enum WalMessageKind
{
	WAL_DATA,      /* 'w': data of the output plugin */
	WAL_KEEPALIVE, /* 'k' */
} WalMessageKind;

typedef struct WalMessage
{
	WalMessageKind kind;
	uint64_t wal_end;     /* how far the server has decoded (of WAL_DATA: is decoding) */
	bool reply_requested; /* WAL_KEEPALIVE */
	const void *data;     /* WAL_DATA: borrowed from what was parsed */
	size_t length;
} WalMessage;

/* CDC_STOP: no message of the protocol, or cut short. */
extern CdcStatus wal_message_parse(WalMessage *message, const void *bytes, size_t length,
								   CdcError *err) CDC_MUST_CHECK;

/* Standby status update.  timestamp: microseconds since 2000-01-01. */
#define WAL_STATUS_SIZE 34
extern void wal_status_build(uint8_t *bytes, uint64_t written, uint64_t flushed, int64_t timestamp,
							 bool reply_requested);

#endif /* CDC_WAL_MESSAGE_H */
