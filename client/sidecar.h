/*
 * sidecar.h
 *		The file sink's sidecar: how much of which file counts, and the position that goes with it.
 *
 * Two slots of SIDECAR_SLOT_SIZE bytes, written in turn and synced, each with a generation and a
 * checksum: a crash in the middle of writing one leaves the other.  Each is a line of fixed form and
 * a line of JSON, so that a person can read the file.	What is too long for them (a position in the middle of
 * existing rows with long keys) goes to one of two long slots behind them, in turn likewise: of the four
 * the newest holds.	Pure: bytes in memory, no I/O.
 */
#ifndef CDC_SIDECAR_H
#define CDC_SIDECAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "position.h"

/* A page: no write of one slot touches a block of the other. */
#define SIDECAR_SLOT_SIZE 4096
#define SIDECAR_LONG_SLOT_SIZE 65536
#define SIDECAR_SIZE (2 * (SIDECAR_SLOT_SIZE + SIDECAR_LONG_SLOT_SIZE))

typedef struct SidecarState
{
	uint64_t generation; /* rises with each write; its lowest bit says which slot it goes to */
	size_t slot_size;    /* of the slot that it was read from */
	uint64_t file;       /* number that the current file gets when it is rotated: 1, 2, ... */
	uint64_t offset;     /* bytes of the current file that count */
	bool zstd;           /* they are zstd's frames, whole ones, else lines */
	int64_t began; /* when the first of them came: seconds since 1970; 0: none has, or unknown */
	bool has_position;
	Source source;
	Position position;
} SidecarState;

/* Fills a slot (room for SIDECAR_LONG_SLOT_SIZE bytes); *size, in whole pages, is how much of it to write. */
extern CdcStatus sidecar_encode(uint8_t *slot, const SidecarState *state, size_t *size,
								CdcError *err) CDC_MUST_CHECK;

/* false: not a slot, or torn.	state->slot_size is what was encode's *size. */
extern bool sidecar_decode(const uint8_t *slot, size_t length, SidecarState *state);

/* The newest one of a whole sidecar's slots; false where none is valid. */
extern bool sidecar_choose(const uint8_t *file, size_t length, SidecarState *state);

/* Where in the sidecar a slot of that size stands. */
extern uint64_t sidecar_slot_offset(uint64_t generation, size_t size);

extern uint32_t sidecar_checksum(const uint8_t *data, size_t length);

#endif /* CDC_SIDECAR_H */
