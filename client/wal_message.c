/*
 * wal_message.c
 *		The messages of streaming replication as bytes.
 */
#include "wal_message.h"

#include "byteorder.h"

/* Sizes with the kind's byte. */
#define DATA_HEADER_SIZE (1 + 8 + 8 + 8)
#define KEEPALIVE_SIZE (1 + 8 + 8 + 1)

CdcStatus
wal_message_parse(WalMessage *message, const void *bytes, size_t length, CdcError *err)
{
	const uint8_t *at = bytes;
	uint64_t start;

	*message = (WalMessage){0};
	if (length >= DATA_HEADER_SIZE && at[0] == 'w')
	{
		message->kind = WAL_DATA;
		start = get_be64(at + 1);
		message->wal_end = get_be64(at + 9);
		if (start > message->wal_end)
			message->wal_end = start;
		message->data = at + DATA_HEADER_SIZE;
		message->length = length - DATA_HEADER_SIZE;
		return CDC_OK;
	}
	if (length >= KEEPALIVE_SIZE && at[0] == 'k')
	{
		message->kind = WAL_KEEPALIVE;
		message->wal_end = get_be64(at + 1);
		message->reply_requested = at[17] != 0;
		return CDC_OK;
	}
	if (length == 0)
		return cdc_error(err, CDC_STOP, "the server sent an empty replication message");
	return cdc_error(
		err, CDC_STOP,
		"the server sent a replication message of kind 0x%02x and %zu bytes, which the "
		"protocol does not have",
		at[0], length);
}

void
wal_status_build(uint8_t *bytes, uint64_t written, uint64_t flushed, int64_t timestamp,
				 bool reply_requested)
{
	bytes[0] = 'r';
	put_be64(bytes + 1, written);
	put_be64(bytes + 9, flushed);
	put_be64(bytes + 17, flushed); /* applied: a record is used no sooner than it is durable */
	put_be64(bytes + 25, (uint64_t) timestamp);
	bytes[33] = reply_requested ? 1 : 0;
}
