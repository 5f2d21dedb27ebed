/*
 * cdc_protocol.h
 *		The wire contract of framing=frames: what the plugin writes and the client reads.
 *
 * Includes nothing of the server, so that the client (and anyone else) can include it too.
 *
 * One replication message (the data of one XLogData, protocol.sgml "Streaming Replication Protocol")
 * is a message header followed by a run of frames.  All of a message's frames belong to one
 * transaction, so what is constant in a transaction stands once, in the message header; a message
 * never spans two transactions, and a transaction may span any number of messages.  All integers
 * are unsigned, in network byte order, unless said otherwise.
 *
 *	message header
 *	offset	size	field
 *	0		1		version: CDC_PROTOCOL_VERSION
 *	1		1		flags: CDC_MESSAGE_*; a reader refuses bits it does not know
 *	2		2		reserved, 0
 *	4		4		timeline of the WAL that the transaction's commit was read from
 *	8		8		commit_lsn: start of the commit record; of a logical message outside
 *					transactions the end of its own record
 *	16		8		end_lsn: end of the commit record (of the message's record): what may be
 *					acknowledged to the server once all records up to the commit frame are durable
 *	24		8		commit time, signed, microseconds since 2000-01-01 00:00 UTC (PostgreSQL's
 *					TimestampTz); 0 for a message outside transactions, whose time WAL does not hold
 *	32		4		xid, 0 if there is none
 *	36		4		reserved, 0
 *
 *	frame: header, payload, then whatever the header's key offsets point to that is not payload
 *	offset	size	field
 *	0		4		length of the whole frame, header included
 *	4		1		kind: CDC_FRAME_*
 *	5		1		op: CDC_OP_*, 0 where the frame carries no record
 *	6		2		part \ the record's identity is (commit_lsn, seq, part)
 *	8		8		seq  /
 *	16		4		relation number, 0 if the record belongs to none
 *	20		4		payload length; the payload starts right behind the header
 *	24		4		key offset, from the start of the frame	 \ 0, 0: the record has no key.	 The bytes
 *	28		4		key length								 / may lie inside the payload or behind it
 *	32		4		old key offset	\ 0, 0: the record is of no update that changed the key
 *	36		4		old key length	/
 *
 * The old key is that which an updated row had before.	 A format may tell an update that changes the key as a
 * delete (part 0) and an insert (part 1), as format=debezium does: then it is, of the insert, the key before,
 * and of the delete, the key from then on.
 *
 * Kinds:
 *	RELATION	announces what a relation number stands for, before its first use in a session, and
 *				again whenever that changes; numbers are small and dense, and a number may be
 *				announced anew for another relation.  Payload: schema, table, target, each a 2-byte
 *				length and so many bytes of UTF-8; an empty target leaves naming to the sink.
 *	RECORD		a finished record; the payload is JSON, UTF-8, with no newline in it.  A message may
 *				have a relation, too, which names its target: an outbox record, whose payload is what its
 *				writer wrote, or one of a format that names where messages and transactions are sent.
 *	COMMIT		ends every transaction (and every message outside transactions) of which anything was
 *				sent: all of it up to end_lsn has now been received.  seq is one past the
 *				transaction's last change (0 for a message outside transactions).  The payload is
 *				the commit record, or empty where none was asked for.
 *	WATERMARK	no record, and only in sessions that asked for it (option watermarks): where a chunk of
 *				existing rows was begun and ended to be read, and in between what changed of its
 *				relation.  op says which, part is the chunk's worker, seq its number:
 *				LOW, HIGH		the watermarks, each in a message of its own, outside transactions,
 *								followed by a commit frame.  Its commit_lsn is where the watermark's
 *								record starts: records of the chunk have the high one's.
 *				HIGH_VOID		the same as HIGH, but rules or publications have changed since LOW
 *								or it does not fit the last LOW: the chunk must be read again
 *				ROW				behind a record: the row it was about, before and after, 16 bytes each
 *				PARTIAL_ROW		the same, and the record lacks values that did not change
 *				UNKNOWN			a row changed of which it is not known which one
 *				TRUNCATED		the relation was truncated
 *				BACKFILL		no part of a chunk: in the transaction that ends next, existing rows
 *								were requested, or are no longer; seq is the request's number, or the
 *								cancellation's
 *	SCHEMA		what the records of a relation consist of: a fact about the relation, named by its
 *				version, which has no place in the sequence (seq, part and op are 0).	Its key is the
 *				version, a JSON string of 16 hexadecimal digits.  It comes before the first record of that
 *				version in a session, so it may come more than once.
 * A reader refuses kinds it does not know: skipping one might lose a record.
 */
#ifndef CDC_PROTOCOL_H
#define CDC_PROTOCOL_H

#define CDC_PROTOCOL_VERSION 1

#define CDC_MESSAGE_HEADER_SIZE 40
#define CDC_FRAME_HEADER_SIZE 40

/* Message flags. */
#define CDC_MESSAGE_TRANSACTIONAL 0x01 /* clear: one logical message outside transactions */
#define CDC_MESSAGE_TOMBSTONES                                                                     \
	0x02 /* deletes are to be followed by tombstones, where a sink has such */
#define CDC_MESSAGE_KNOWN_FLAGS 0x03

/* Offsets into the message header. */
#define CDC_MESSAGE_AT_VERSION 0
#define CDC_MESSAGE_AT_FLAGS 1
#define CDC_MESSAGE_AT_TIMELINE 4
#define CDC_MESSAGE_AT_COMMIT_LSN 8
#define CDC_MESSAGE_AT_END_LSN 16
#define CDC_MESSAGE_AT_COMMIT_TIME 24
#define CDC_MESSAGE_AT_XID 32

/* Offsets into the frame header. */
#define CDC_FRAME_AT_LENGTH 0
#define CDC_FRAME_AT_KIND 4
#define CDC_FRAME_AT_OP 5
#define CDC_FRAME_AT_PART 6
#define CDC_FRAME_AT_SEQ 8
#define CDC_FRAME_AT_RELATION 16
#define CDC_FRAME_AT_PAYLOAD_LENGTH 20
#define CDC_FRAME_AT_KEY_OFFSET 24
#define CDC_FRAME_AT_KEY_LENGTH 28
#define CDC_FRAME_AT_OLD_KEY_OFFSET 32
#define CDC_FRAME_AT_OLD_KEY_LENGTH 36

/* Frame kinds. */
#define CDC_FRAME_RELATION 'R'
#define CDC_FRAME_RECORD 'D'
#define CDC_FRAME_COMMIT 'C'
#define CDC_FRAME_WATERMARK 'W'
#define CDC_FRAME_SCHEMA 'F'

/* Of a schema record's version, which is its key. */
#define CDC_SCHEMA_VERSION_DIGITS 16

/* Operations. */
#define CDC_OP_INSERT 'i'
#define CDC_OP_UPDATE 'u'
#define CDC_OP_DELETE 'd'
#define CDC_OP_TRUNCATE 't'
#define CDC_OP_MESSAGE 'm'
#define CDC_OP_BEGIN 'b'
#define CDC_OP_COMMIT 'c'
#define CDC_OP_DDL 'l'
#define CDC_OP_SNAPSHOT 's'

/* The same of frames of kind WATERMARK, and the bytes that stand for a row in them. */
#define CDC_WATERMARK_LOW 'L'
#define CDC_WATERMARK_HIGH 'H'
#define CDC_WATERMARK_HIGH_VOID 'V'
#define CDC_WATERMARK_ROW 'K'
#define CDC_WATERMARK_PARTIAL_ROW 'P'
#define CDC_WATERMARK_UNKNOWN 'U'
#define CDC_WATERMARK_TRUNCATED 'T'
#define CDC_WATERMARK_BACKFILL 'B'
#define CDC_WATERMARK_KEY_SIZE 16

/*
 * A chunk of existing rows is encoded before it is known where its second watermark will lie.	Until whoever
 * asked for it writes that in, its message says where the first one ends: in the message header (both
 * LSNs), and in records, at the places that come with the message, 5 bytes each: an offset from the
 * message's start (4), and one of these forms, which a LSN of another width does not fit.
 */
#define CDC_PLACE_SIZE 5
#define CDC_LSN_TEXT 'T'    /* 0/16E2A10 */
#define CDC_LSN_HEX 'H'     /* 00000000016E2A10 */
#define CDC_LSN_DECIMAL 'D' /* 23996944 */

/*
 * No message is longer than this: PostgreSQL builds a message in one palloc'd string (MaxAllocSize,
 * utils/memutils.h), and option max_record_bytes keeps a record below it.
 */
#define CDC_MESSAGE_MAX_SIZE 0x3fffffff

#endif /* CDC_PROTOCOL_H */
