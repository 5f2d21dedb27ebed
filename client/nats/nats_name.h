/*
 * nats_name.h
 *		What the NATS sink's streams, subjects and messages are called.
 *
 * Pure.
 */
#ifndef CDC_NATS_NAME_H
#define CDC_NATS_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "position.h"

/* Whether JetStream takes name for a stream. */
extern bool nats_stream_name_valid(const char *name);

/*
 * The stream's name where the URI gives none: the template up to its first placeholder, "cdc" for
 * "cdc.{schema}.{table}"; '.' and what else a name may not have becomes '_'.
 */
extern void nats_default_stream(const char *template, char *name, size_t size);

/* Whether a byte of a schema's or table's name may stand in a subject's token. */
extern bool nats_subject_allows(unsigned char byte);

/* Whether a message can be sent to subject: tokens that are not empty, and no wildcards. */
extern bool nats_subject_valid(const char *subject);

/* Whether a stream whose subject is pattern takes messages to subject. */
extern bool nats_subject_matches(const char *pattern, const char *subject);

/*
 * The pattern of all subjects that a template makes: tokens with a placeholder become "*",
 * {source} is filled in as target.h does.  malloc'd; NULL: out of memory.
 */
extern char *nats_subject_pattern(const char *template, const char *source);

/*
 * A message's id, for Nats-Msg-Id: a prefix that the source has, and incarnation, commit_lsn, seq
 * and part: "7301234567890123456:shop:cdc:0:0/16E2A10:3:0".
 */
#define NATS_SOURCE_SIZE 1100
#define NATS_ID_SIZE (NATS_SOURCE_SIZE + 80)

/* The prefix, ':' included; bytes that a header's value should not have are written %XX. */
extern void nats_source_prefix(char *prefix, const Source *source);

/* Writes the id into text (NATS_ID_SIZE bytes) and returns its length. */
extern size_t nats_message_id(char *text, const char *prefix, size_t prefix_length,
							  uint32_t incarnation, const RecordId *id);

/* The reverse; false where text is no such id, or of another source. */
extern bool nats_message_id_parse(const char *text, const char *prefix, uint32_t *incarnation,
								  RecordId *id);

/* Whether text is such an id, of whatever source. */
extern bool nats_is_message_id(const char *text);

#endif /* CDC_NATS_NAME_H */
