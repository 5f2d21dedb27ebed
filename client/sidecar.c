/*
 * sidecar.c
 *		The file sink's sidecar.
 *
 * A slot:	"cdc-sidecar 1 " generation " " length " " checksum "\n" json "\n", then spaces and a
 * newline.	 Numbers are hexadecimal of fixed width; the checksum covers generation, length and JSON.
 */
#include "sidecar.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAGIC "cdc-sidecar 1 "
#define AT_GENERATION (sizeof(MAGIC) - 1)
#define AT_LENGTH (AT_GENERATION + 16 + 1)
#define AT_CHECKSUM (AT_LENGTH + 4 + 1)
#define AT_JSON (AT_CHECKSUM + 8 + 1)

/* CRC-32C (Castagnoli), bit by bit: a few hundred bytes some times a second. */
static uint32_t
checksum_add(uint32_t crc, const uint8_t *data, size_t length)
{
	for (size_t i = 0; i < length; i++)
	{
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (0x82f63b78U & (0U - (crc & 1)));
	}
	return crc;
}

uint32_t
sidecar_checksum(const uint8_t *data, size_t length)
{
	return ~checksum_add(~0U, data, length);
}

/* Over what the slot says of itself and the JSON, but not over the checksum's own text. */
static uint32_t
slot_checksum(const uint8_t *slot, size_t json_length)
{
	uint32_t crc = checksum_add(~0U, slot + AT_GENERATION, AT_CHECKSUM - AT_GENERATION);

	return ~checksum_add(crc, slot + AT_JSON, json_length);
}

uint64_t
sidecar_slot_offset(uint64_t generation, size_t size)
{
	uint64_t odd = generation & 1;

	return size <= SIDECAR_SLOT_SIZE ? odd * SIDECAR_SLOT_SIZE
									 : 2 * SIDECAR_SLOT_SIZE + odd * SIDECAR_LONG_SLOT_SIZE;
}

/* In whole pages: what the JSON needs of a slot, with a newline behind it and one at the end. */
static size_t
slot_size(size_t json_length)
{
	return (AT_JSON + json_length + 2 + SIDECAR_SLOT_SIZE - 1) / SIDECAR_SLOT_SIZE *
		   SIDECAR_SLOT_SIZE;
}

CdcStatus
sidecar_encode(uint8_t *slot, const SidecarState *state, size_t *size, CdcError *err)
{
	struct json_object *object = json_object_new_object();
	char header[AT_JSON + 1];
	const char *json;
	size_t length;

	json_object_object_add(object, "file", json_object_new_int64((int64_t) state->file));
	json_object_object_add(object, "offset", json_object_new_int64((int64_t) state->offset));
	if (state->zstd)
		json_object_object_add(object, "compress", json_object_new_string("zstd"));
	if (state->began != 0)
		json_object_object_add(object, "began", json_object_new_int64(state->began));
	if (state->has_position)
		json_object_object_add(object, "position",
							   position_to_json(&state->source, &state->position));
	json = json_object_to_json_string_length(
		object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &length);
	if (json == NULL || slot_size(length) > SIDECAR_LONG_SLOT_SIZE)
	{
		json_object_put(object);
		cdc_error(err, CDC_STOP,
				  "a position of %zu bytes does not fit into the sidecar, which has room for %d",
				  length, SIDECAR_LONG_SLOT_SIZE);
		cdc_error_hint(err, "It holds keys of existing rows, some for each of --snapshot-workers: "
							"fewer of them need less.");
		return CDC_STOP;
	}
	*size = slot_size(length);
	memset(slot, ' ', *size);
	slot[*size - 1] = '\n';
	memcpy(slot + AT_JSON, json, length);
	slot[AT_JSON + length] = '\n';
	snprintf(header, sizeof(header), "%s%016" PRIx64 " %04zx %08x\n", MAGIC, state->generation,
			 length, 0U);
	memcpy(slot, header, AT_JSON);
	snprintf(header, sizeof(header), "%08" PRIx32, slot_checksum(slot, length));
	memcpy(slot + AT_CHECKSUM, header, 8);
	json_object_put(object);
	return CDC_OK;
}

/* Exactly so many lower-case hexadecimal digits, followed by end. */
static bool
read_hex(const uint8_t *at, int digits, char end, uint64_t *value)
{
	*value = 0;
	for (int i = 0; i < digits; i++)
	{
		uint8_t c = at[i];

		if (c >= '0' && c <= '9')
			*value = *value << 4 | (uint64_t) (c - '0');
		else if (c >= 'a' && c <= 'f')
			*value = *value << 4 | (uint64_t) (c - 'a' + 10);
		else
			return false;
	}
	return at[digits] == (uint8_t) end;
}

/* A member that need not be there; false where it is, and is not what it must be. */
static bool
read_compress(struct json_object *object, SidecarState *state)
{
	struct json_object *member;

	state->zstd = json_object_object_get_ex(object, "compress", &member);
	return !state->zstd || (json_object_is_type(member, json_type_string) &&
							strcmp(json_object_get_string(member), "zstd") == 0);
}

static bool
read_began(struct json_object *object, SidecarState *state)
{
	struct json_object *member;

	if (!json_object_object_get_ex(object, "began", &member))
		return true;
	state->began = json_object_get_int64(member);
	return json_object_is_type(member, json_type_int) && state->began > 0;
}

static bool
read_json(const char *json, size_t length, SidecarState *state)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *object = json_tokener_parse_ex(tokener, json, (int) length);
	struct json_object *member;
	int64_t file = 0;
	int64_t offset = -1;
	bool good = json_object_is_type(object, json_type_object);

	if (good && json_object_object_get_ex(object, "file", &member) &&
		json_object_is_type(member, json_type_int))
		file = json_object_get_int64(member);
	if (good && json_object_object_get_ex(object, "offset", &member) &&
		json_object_is_type(member, json_type_int))
		offset = json_object_get_int64(member);
	good = good && file > 0 && offset >= 0 && read_compress(object, state) &&
		   read_began(object, state);
	state->file = (uint64_t) file;
	state->offset = (uint64_t) offset;
	state->has_position = good && json_object_object_get_ex(object, "position", &member);
	if (state->has_position)
		good = position_from_json(member, &state->source, &state->position);
	json_object_put(object);
	json_tokener_free(tokener);
	return good;
}

bool
sidecar_decode(const uint8_t *slot, size_t length, SidecarState *state)
{
	uint64_t json_length;
	uint64_t checksum;

	memset(state, 0, sizeof(*state));
	if (length < SIDECAR_SLOT_SIZE || memcmp(slot, MAGIC, AT_GENERATION) != 0 ||
		!read_hex(slot + AT_GENERATION, 16, ' ', &state->generation) ||
		!read_hex(slot + AT_LENGTH, 4, ' ', &json_length) ||
		!read_hex(slot + AT_CHECKSUM, 8, '\n', &checksum) || slot_size(json_length) > length ||
		slot_checksum(slot, json_length) != checksum)
		return false;
	state->slot_size = slot_size(json_length);
	return read_json((const char *) slot + AT_JSON, json_length, state);
}

/* A slot that stands in another one's place was not written by us. */
static bool
decode_at(const uint8_t *file, size_t length, uint64_t generation, size_t size, SidecarState *state)
{
	size_t offset = sidecar_slot_offset(generation, size);

	if (length <= offset)
		return false;
	if (size > length - offset)
		size = length - offset;
	return sidecar_decode(file + offset, size, state) &&
		   sidecar_slot_offset(state->generation, state->slot_size) == offset;
}

bool
sidecar_choose(const uint8_t *file, size_t length, SidecarState *state)
{
	bool found = false;

	for (uint64_t i = 0; i < 4; i++)
	{
		SidecarState other;
		size_t size = i < 2 ? SIDECAR_SLOT_SIZE : SIDECAR_LONG_SLOT_SIZE;

		if (decode_at(file, length, i, size, &other) &&
			(!found || other.generation > state->generation))
		{
			*state = other;
			found = true;
		}
	}
	return found;
}
