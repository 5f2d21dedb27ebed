/*
 * cdc_snapshot_key.h
 *		Which row a change or a row of a snapshot is about: a hash of what identifies it.
 *
 * It is made of the values of the columns that the replica identity logs (under FULL the primary
 * key's), as they are stored, whatever rules make of the record's key.	 The same row has the same bytes
 * there on both sides: an update that changes any of them logs the old ones.
 */
#ifndef CDC_SNAPSHOT_KEY_H
#define CDC_SNAPSHOT_KEY_H

#include "cdc_protocol.h"
#include "cdc_rows.h"

/* Two hashes of 64 bits: that two rows of a chunk share it is not to be expected in any table's life. */
#define CDC_SNAPSHOT_KEY_SIZE CDC_WATERMARK_KEY_SIZE

/*
 * Writes the key of a loaded row (CDC_SNAPSHOT_KEY_SIZE bytes).	 False, and nothing written, where the
 * relation has no identity, or a value of it is not at hand.
 */
extern bool cdc_snapshot_key(const CdcRelation *relation, const CdcImage *image, char *key);

#endif /* CDC_SNAPSHOT_KEY_H */
