/*
 * dead_letter.h
 *		A second sink for records that the first can never take (--on-error=dead-letter:URI).
 *
 * A letter is a JSON line with the record's identity, source, reason, answer and target, and the
 * record itself as it would have been delivered (doc/delivery.md describes its members).  The sink may
 * be of any kind; a position that it stores is that of the last letter, under a slot's name that no
 * slot can have, so that both sinks may lead to the same place.
 *
 * A letter is known by its record's id.  Whoever writes one must have made durable in the first sink
 * all that came before that record: then no record up to the last letter's comes again and is not in
 * one of the two, and a letter that is written again after a crash can be left out.
 */
#ifndef CDC_DEAD_LETTER_H
#define CDC_DEAD_LETTER_H

#include "error.h"
#include "options.h"
#include "position.h"
#include "sink.h"

typedef struct DeadLetters DeadLetters;

typedef struct DeadLetter
{
	const SinkRecord *record;
	const Source *source;   /* of the stream */
	const Position *after;  /* the position behind the record */
	const char *sink;       /* which sink refused it */
	const CdcError *answer; /* and with what */
} DeadLetter;

/*
 * Reads the URI (options->dead_letter); no I/O.	 tick as in SinkConfig.  CDC_USAGE also where it leads
 * to the very place that options->sink leads to.
 */
extern CdcStatus dead_letters_create(DeadLetters **letters, const CdcOptions *options,
									 bool (*tick)(void *tick_arg), void *tick_arg,
									 CdcError *err) CDC_MUST_CHECK;

/*
 * Writes a letter and waits, ticking, until it is durable; opens the sink first where it is not open.
 * CDC_STOP where this sink refuses it too, or belongs to another stream; CDC_RETRY where it cannot be
 * reached, or tick() says to give up.  After a failure the sink is closed.
 */
extern CdcStatus dead_letters_write(DeadLetters *letters, const DeadLetter *letter,
									CdcError *err) CDC_MUST_CHECK;

/* Both take NULL.  close: at the end of a session; the next letter opens the sink again. */
extern void dead_letters_close(DeadLetters *letters);
extern void dead_letters_destroy(DeadLetters *letters);

/* The letter's text, malloc'd; NULL: out of memory.  timestamp: microseconds since 2000-01-01 UTC. */
extern char *dead_letter_format(const DeadLetter *letter, int64_t timestamp, size_t *length);

#endif /* CDC_DEAD_LETTER_H */
