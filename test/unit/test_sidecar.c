/*
 * test_sidecar.c
 *		The sidecar of a file: its slots as bytes, spoilt ones, long ones, and which of them counts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sidecar.h"

static const Source here = {"7301234567890123456", "shop", "cdc", "shop"};

static const Position some_position = {.timeline = 2,
									   .incarnation = 1,
									   .id = {0x116E2A10, UINT64_MAX, 65535},
									   .end_lsn = UINT64_C(0xFFFFFFFFFFFFFFFF),
									   .confirmed = UINT64_C(0x100000000),
									   .commit_time = INT64_C(-1)};

static CdcError err;

static SidecarState
some_state(uint64_t generation)
{
	return (SidecarState){.generation = generation,
						  .file = 7,
						  .offset = UINT64_C(12345678901),
						  .has_position = true,
						  .source = here,
						  .position = some_position};
}

static void
slots_read_back(void **state)
{
	uint8_t slot[SIDECAR_LONG_SLOT_SIZE];
	size_t size;
	SidecarState in = some_state(UINT64_C(0x123456789abcdef0));
	SidecarState out;

	(void) state;
	/* the longest names there can be, each byte escaped */
	memset(in.source.database, '\x01', sizeof(in.source.database) - 1);
	memset(in.source.slot, '"', sizeof(in.source.slot) - 1);
	assert_int_equal(sidecar_encode(slot, &in, &size, &err), CDC_OK);
	assert_true(sidecar_decode(slot, size, &out));
	assert_int_equal(out.generation, in.generation);
	assert_int_equal(out.file, 7);
	assert_int_equal(out.offset, in.offset);
	assert_true(out.has_position);
	assert_true(source_equal(&out.source, &in.source));
	assert_int_equal(record_id_compare(&out.position.id, &in.position.id), 0);

	in.has_position = false;
	assert_int_equal(sidecar_encode(slot, &in, &size, &err), CDC_OK);
	assert_true(sidecar_decode(slot, size, &out));
	assert_false(out.has_position);
	assert_false(sidecar_decode(slot, size - 1, &out));
}

/* A slot in which any bit that counts is wrong is none. */
static void
spoilt_slots_are_none(void **state)
{
	uint8_t slot[SIDECAR_LONG_SLOT_SIZE];
	size_t size;
	SidecarState in = some_state(1);
	SidecarState out;
	size_t used;

	(void) state;
	assert_int_equal(sidecar_encode(slot, &in, &size, &err), CDC_OK);
	used = (size_t) ((uint8_t *) memchr(slot + 50, '\n', SIDECAR_SLOT_SIZE - 50) - slot);
	assert_true(used > 200);
	for (size_t at = 0; at < used; at++)
	{
		for (int bit = 0; bit < 8; bit++)
		{
			slot[at] ^= (uint8_t) (1 << bit);
			assert_false(sidecar_decode(slot, size, &out));
			slot[at] ^= (uint8_t) (1 << bit);
		}
	}
	assert_true(sidecar_decode(slot, size, &out));
}

/* Writes the state where it belongs in a sidecar. */
static size_t
put_slot(uint8_t *file, const SidecarState *state)
{
	static uint8_t slot[SIDECAR_LONG_SLOT_SIZE];
	size_t size;

	assert_int_equal(sidecar_encode(slot, state, &size, &err), CDC_OK);
	memcpy(file + sidecar_slot_offset(state->generation, size), slot, size);
	return size;
}

static void
newer_slot_wins(void **state)
{
	static uint8_t file[SIDECAR_SIZE];
	SidecarState first = some_state(10);
	SidecarState second = some_state(11);
	SidecarState out;

	(void) state;
	memset(file, 0, sizeof(file));
	assert_false(sidecar_choose(file, sizeof(file), &out));
	assert_false(sidecar_choose(file, 0, &out));
	assert_int_equal(sidecar_slot_offset(10, SIDECAR_SLOT_SIZE), 0);
	assert_int_equal(sidecar_slot_offset(11, SIDECAR_SLOT_SIZE), SIDECAR_SLOT_SIZE);
	put_slot(file, &first);
	assert_true(sidecar_choose(file, sizeof(file), &out));
	assert_int_equal(out.generation, 10);
	assert_true(sidecar_choose(file, SIDECAR_SLOT_SIZE, &out));
	put_slot(file, &second);
	assert_true(sidecar_choose(file, sizeof(file), &out));
	assert_int_equal(out.generation, 11);
	first.generation = 12;
	put_slot(file, &first);
	assert_true(sidecar_choose(file, 2 * SIDECAR_SLOT_SIZE, &out));
	assert_int_equal(out.generation, 12);
	file[100] ^= 1;
	assert_true(sidecar_choose(file, sizeof(file), &out));
	assert_int_equal(out.generation, 11);
	/* the checksum is CRC-32C: its check value is published */
	assert_int_equal(sidecar_checksum((const uint8_t *) "123456789", 9), 0xE3069283);
}

/* A cursor whose ranges have keys of so many bytes. */
static const SnapshotCursor *
long_cursor(size_t bytes, int ranges)
{
	SnapshotState state = {
		.kind = SNAPSHOT_INITIAL, .relation = 5, .name = "public.t", .key = "[\"id\"]"};
	char *key = malloc(bytes + 5);
	const SnapshotCursor *cursor;

	assert_non_null(key);
	memset(key, 'k', bytes + 4);
	memcpy(key, "[\"", 2);
	memcpy(key + bytes + 2, "\"]", 3);
	for (int i = 0; i < ranges; i++)
	{
		key[2] = (char) ('a' + 2 * i);
		key[3] = 'x';
		snapshot_ranges_add(&state.ranges, key, "");
		key[3] = 'y';
		free(state.ranges.items[i].upto);
		state.ranges.items[i].upto = strdup(key);
	}
	cursor = snapshot_cursor_create(&state, NULL);
	snapshot_ranges_clear(&state.ranges);
	free(key);
	return cursor;
}

/* What is too long for a slot goes to a long one, and back, and the newest of all of them holds. */
static void
long_positions_have_long_slots(void **state)
{
	static uint8_t file[SIDECAR_SIZE];
	static uint8_t slot[SIDECAR_LONG_SLOT_SIZE];
	SidecarState in = some_state(20);
	SidecarState out;
	size_t size;

	(void) state;
	memset(file, 0, sizeof(file));
	assert_int_equal(put_slot(file, &in), SIDECAR_SLOT_SIZE);
	in.generation = 21;
	in.position.snapshot = long_cursor(2700, 5);
	assert_int_equal(put_slot(file, &in), 7 * SIDECAR_SLOT_SIZE);
	assert_true(sidecar_choose(file, sizeof(file), &out));
	assert_int_equal(out.generation, 21);
	assert_int_equal(out.slot_size, 7 * SIDECAR_SLOT_SIZE);
	assert_non_null(out.position.snapshot);
	/* cut off, or torn: the one before holds */
	assert_true(sidecar_choose(file, sidecar_slot_offset(21, 8192) + 6 * SIDECAR_SLOT_SIZE, &out));
	assert_int_equal(out.generation, 20);
	file[sidecar_slot_offset(21, 8192) + 20000] ^= 1;
	assert_true(sidecar_choose(file, sizeof(file), &out));
	assert_int_equal(out.generation, 20);
	in.generation = 22;
	in.position.snapshot = long_cursor(2700, 6);
	size = put_slot(file, &in);
	assert_true(size > SIDECAR_SLOT_SIZE);
	in.generation = 23;
	in.position.snapshot = NULL;
	assert_int_equal(put_slot(file, &in), SIDECAR_SLOT_SIZE);
	assert_true(sidecar_choose(file, sizeof(file), &out));
	assert_int_equal(out.generation, 23);
	file[sidecar_slot_offset(23, SIDECAR_SLOT_SIZE) + 100] ^= 1;
	assert_true(sidecar_choose(file, sizeof(file), &out));
	assert_int_equal(out.generation, 22);
	assert_int_equal(out.slot_size, size);

	in.position.snapshot = long_cursor(33000, 1);
	assert_int_equal(sidecar_encode(slot, &in, &size, &err), CDC_STOP);
	assert_non_null(strstr(err.message, "does not fit into the sidecar"));
	assert_non_null(strstr(err.hint, "--snapshot-workers"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slots_read_back),
		cmocka_unit_test(spoilt_slots_are_none),
		cmocka_unit_test(newer_slot_wins),
		cmocka_unit_test(long_positions_have_long_slots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
