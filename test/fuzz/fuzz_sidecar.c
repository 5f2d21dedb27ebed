/*
 * fuzz_sidecar.c
 *		Arbitrary bytes as a sidecar: no read outside of them; and what is read, written and read again
 *		is the same.
 *
 * A checksum would keep a fuzzer out, so the first byte says whether it is made right before.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sidecar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Puts JSON of any kind behind a header that fits it. */
static void
frame_json(uint8_t *slot, const uint8_t *json, size_t length)
{
	SidecarState state = {.generation = 1, .file = 1};
	CdcError err;
	uint8_t covered[SIDECAR_SLOT_SIZE + sizeof("0123456789abcdef 0123 ")];
	char header[64];
	size_t header_length;
	size_t size;
	size_t at;

	if (sidecar_encode(slot, &state, &size, &err) != CDC_OK)
		abort();
	at = (size_t) ((uint8_t *) memchr(slot, '\n', SIDECAR_SLOT_SIZE) - slot) + 1;
	if (length > SIDECAR_SLOT_SIZE - at)
		length = SIDECAR_SLOT_SIZE - at;
	snprintf(header, sizeof(header), "%016x %04zx ", 1, length);
	header_length = strlen(header);
	memcpy(covered, header, header_length);
	memcpy(covered + header_length, json, length);
	memcpy(slot + at, json, length);
	memcpy(slot + 14, header, header_length);
	snprintf(header, sizeof(header), "%08x", sidecar_checksum(covered, header_length + length));
	memcpy(slot + at - 9, header, 8);
}

static void
check_state(const SidecarState *state)
{
	uint8_t slot[SIDECAR_LONG_SLOT_SIZE];
	SidecarState again;
	CdcError err;
	size_t size;

	if (state->file == 0 || state->file > INT64_MAX || state->offset > INT64_MAX)
		abort();
	/* JSON of a position can be longer when it is written anew */
	if (sidecar_encode(slot, state, &size, &err) != CDC_OK)
		return;
	if (!sidecar_decode(slot, size, &again) || again.generation != state->generation ||
		again.file != state->file || again.offset != state->offset ||
		again.has_position != state->has_position)
		abort();
	if (state->has_position && (!source_equal(&again.source, &state->source) ||
								record_id_compare(&again.position.id, &state->position.id) != 0 ||
								again.position.end_lsn != state->position.end_lsn ||
								again.position.confirmed != state->position.confirmed ||
								again.position.timeline != state->position.timeline ||
								again.position.incarnation != state->position.incarnation ||
								again.position.commit_time != state->position.commit_time))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SidecarState state;
	uint8_t *copy;

	if (size == 0)
		return 0;
	if (data[0] == '{')
	{
		uint8_t slot[SIDECAR_LONG_SLOT_SIZE];

		frame_json(slot, data, size);
		if (sidecar_decode(slot, SIDECAR_SLOT_SIZE, &state))
			check_state(&state);
		return 0;
	}
	copy = malloc(size);
	if (copy == NULL)
		return 0;
	memcpy(copy, data, size);
	if (sidecar_choose(copy, size, &state))
		check_state(&state);
	free(copy);
	return 0;
}
