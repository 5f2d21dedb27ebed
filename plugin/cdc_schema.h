/*
 * cdc_schema.h
 *		Schema records (option schemas): what a relation's records consist of, and a name for that.
 *
 * They are facts, not events: they have no place in the sequence, and sending one again is harmless.  The
 * version is a hash of all that the record says of the relation, so it depends on the WAL and the rules
 * alone.
 */
#ifndef CDC_SCHEMA_H
#define CDC_SCHEMA_H

#include "cdc_head.h"

/* 64 bits in hexadecimal, with the terminator. */
#define CDC_SCHEMA_VERSION_SIZE 17

struct CdcRelation;

/*
 * Writes relation->schema_version, and relation->schema_record: the record from its member "version" on,
 * in CurrentMemoryContext.	 columns describe the relation's members, in their order; published is what the
 * relation is published as.  Needs a transaction.
 */
extern void cdc_schema_build(struct CdcRelation *relation, const CdcLabelInput *columns,
							 Relation published, CdcEncoding *encoding, CdcSettings *settings);

#endif /* CDC_SCHEMA_H */
