/*
 * snapshot_place.h
 *		The LSN that records of a chunk are known by, written into them once it is known.
 *
 * The server makes the records before their chunk's second watermark is written, so they say another LSN
 * until then, and come with the places where they do (plugin/cdc_protocol.h).  Pure: no byte is looked for,
 * and none outside the places and the message header changes.
 */
#ifndef CDC_SNAPSHOT_PLACE_H
#define CDC_SNAPSHOT_PLACE_H

#include <stddef.h>
#include <stdint.h>

typedef enum PlaceResult
{
	PLACE_DONE,
	PLACE_OTHER_WIDTH, /* as text it is longer or shorter than what is there: nothing was changed */
	PLACE_MALFORMED, /* a place lies outside the message, or what is there is not the message's LSN */
} PlaceResult;

/*
 * message: a message of frames, with its header; places: CDC_PLACE_SIZE bytes each, in any order.  The message
 * belongs to the watermark that begins at commit_lsn and ends at end_lsn.
 */
extern PlaceResult snapshot_place(uint8_t *message, size_t length, const uint8_t *places,
								  size_t places_length, uint64_t commit_lsn, uint64_t end_lsn);

#endif /* CDC_SNAPSHOT_PLACE_H */
