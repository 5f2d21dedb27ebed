/*
 * feedback.h
 *		When the server is told what: timer and contents of the standby status updates.
 *
 * Pure: it is told the time, and sends nothing itself.	 Times are those of clock.h.
 *
 * What is told as flushed never exceeds what the sink has made durable, nor what the server itself
 * has (a lagging standby), and is never less than what the slot had confirmed when it was acquired: a
 * server before 18 would take the slot back.  What is told as written is what was received, so that
 * pg_stat_replication and synchronous_commit = remote_write are right; a server that has decoded
 * more than that sends a keepalive by itself when it runs out of WAL.
 */
#ifndef CDC_FEEDBACK_H
#define CDC_FEEDBACK_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Feedback
{
	/*
	 * What is durable is told at once.	 For a sink that keeps no position: the server's memory is the only
	 * one, and what it was not told comes again.
	 */
	bool prompt;
	int64_t interval;      /* at least one update in so long */
	uint64_t floor;        /* slot's confirmed_flush_lsn at the start */
	uint64_t server_end;   /* the server's WAL end as last known */
	uint64_t received;     /* how far the stream has come */
	uint64_t durable;      /* what the sink's durable position says is confirmed */
	uint64_t told;         /* the last flushed position sent */
	uint64_t told_written; /* the last written position sent */
	int64_t last_sent;     /* 0: nothing yet */
	bool reply_due;        /* the server asked */
	bool ask_for_reply;    /* the next update asks the server to answer */
} Feedback;

/* status_interval is cut to a third of wal_sender_timeout (microseconds, 0: off).  prompt is false. */
extern void feedback_start(Feedback *feedback, int64_t status_interval, int64_t wal_sender_timeout,
						   uint64_t floor);

/* Each takes a larger value; smaller ones change nothing.	What was received the server has. */
extern void feedback_note_server_end(Feedback *feedback, uint64_t wal_end);
extern void feedback_note_received(Feedback *feedback, uint64_t wal_end);
extern void feedback_note_durable(Feedback *feedback, uint64_t confirmed);

/* The position that may be told as flushed now; 0: none, which changes nothing at the server. */
extern uint64_t feedback_flushed(const Feedback *feedback);

/* When the next update is to be sent. */
extern int64_t feedback_deadline(const Feedback *feedback);

/*
 * Builds the update (WAL_STATUS_SIZE bytes) and takes it for sent.	 timestamp: wall clock,
 * microseconds since 2000-01-01.
 */
extern void feedback_build(Feedback *feedback, uint8_t *bytes, int64_t now, int64_t timestamp);

#endif /* CDC_FEEDBACK_H */
