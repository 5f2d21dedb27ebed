/*
 * test_sidecar.c
 *		The sidecar of a file: its slots as bytes, spoilt ones, and which of the two counts.
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
	uint8_t slot[SIDECAR_SLOT_SIZE];
	SidecarState in = some_state(UINT64_C(0x123456789abcdef0));
	SidecarState out;

	(void) state;
	/* the longest names there can be, each byte escaped */
	memset(in.source.database, '\x01', sizeof(in.source.database) - 1);
	memset(in.source.slot, '"', sizeof(in.source.slot) - 1);
	assert_int_equal(sidecar_encode(slot, &in, &err), CDC_OK);
	assert_true(sidecar_decode(slot, sizeof(slot), &out));
	assert_int_equal(out.generation, in.generation);
	assert_int_equal(out.file, 7);
	assert_int_equal(out.offset, in.offset);
	assert_true(out.has_position);
	assert_true(source_equal(&out.source, &in.source));
	assert_int_equal(record_id_compare(&out.position.id, &in.position.id), 0);

	in.has_position = false;
	assert_int_equal(sidecar_encode(slot, &in, &err), CDC_OK);
	assert_true(sidecar_decode(slot, sizeof(slot), &out));
	assert_false(out.has_position);
	assert_false(sidecar_decode(slot, sizeof(slot) - 1, &out));
}

/* A slot in which any bit that counts is wrong is none. */
static void
spoilt_slots_are_none(void **state)
{
	uint8_t slot[SIDECAR_SLOT_SIZE];
	SidecarState in = some_state(1);
	SidecarState out;
	size_t used;

	(void) state;
	assert_int_equal(sidecar_encode(slot, &in, &err), CDC_OK);
	used = (size_t) ((uint8_t *) memchr(slot + 50, '\n', SIDECAR_SLOT_SIZE - 50) - slot);
	assert_true(used > 200);
	for (size_t at = 0; at < used; at++)
	{
		for (int bit = 0; bit < 8; bit++)
		{
			slot[at] ^= (uint8_t) (1 << bit);
			assert_false(sidecar_decode(slot, sizeof(slot), &out));
			slot[at] ^= (uint8_t) (1 << bit);
		}
	}
	assert_true(sidecar_decode(slot, sizeof(slot), &out));
}

static void
newer_slot_wins(void **state)
{
	uint8_t file[SIDECAR_SIZE] = {0};
	SidecarState first = some_state(10);
	SidecarState second = some_state(11);
	SidecarState out;

	(void) state;
	assert_false(sidecar_choose(file, sizeof(file), &out));
	assert_false(sidecar_choose(file, 0, &out));
	assert_int_equal(sidecar_slot_offset(10), 0);
	assert_int_equal(sidecar_slot_offset(11), SIDECAR_SLOT_SIZE);
	assert_int_equal(sidecar_encode(file, &first, &err), CDC_OK);
	assert_true(sidecar_choose(file, sizeof(file), &out));
	assert_int_equal(out.generation, 10);
	assert_true(sidecar_choose(file, SIDECAR_SLOT_SIZE, &out));
	assert_int_equal(sidecar_encode(file + SIDECAR_SLOT_SIZE, &second, &err), CDC_OK);
	assert_true(sidecar_choose(file, sizeof(file), &out));
	assert_int_equal(out.generation, 11);
	first.generation = 12;
	assert_int_equal(sidecar_encode(file, &first, &err), CDC_OK);
	assert_true(sidecar_choose(file, sizeof(file), &out));
	assert_int_equal(out.generation, 12);
	file[100] ^= 1;
	assert_true(sidecar_choose(file, sizeof(file), &out));
	assert_int_equal(out.generation, 11);
	/* the checksum is CRC-32C: its check value is published */
	assert_int_equal(sidecar_checksum((const uint8_t *) "123456789", 9), 0xE3069283);
}

/* A snapshot's keys may be of any length; what does not fit is said, not cut. */
static void
what_does_not_fit_is_refused(void **state)
{
	static char longest[2 * SIDECAR_SLOT_SIZE];
	SnapshotState half = {.kind = SNAPSHOT_INITIAL,
						  .relation = 16400,
						  .name = "public.t",
						  .key = "[\"id\"]",
						  .rows = 7};
	SidecarState in = some_state(1);
	uint8_t slot[SIDECAR_SLOT_SIZE];

	(void) state;
	memset(longest, 'x', sizeof(longest) - 1);
	memcpy(longest, "[\"", 2);
	memcpy(longest + sizeof(longest) - 3, "\"]", 2);
	half.after = longest;
	in.position.snapshot = snapshot_cursor_create(&half, 0, 0, 0, NULL, 0);
	assert_int_equal(sidecar_encode(slot, &in, &err), CDC_STOP);
	assert_non_null(strstr(err.message, "does not fit into the sidecar"));
	snapshot_cursor_release(in.position.snapshot);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slots_read_back),
		cmocka_unit_test(spoilt_slots_are_none),
		cmocka_unit_test(newer_slot_wins),
		cmocka_unit_test(what_does_not_fit_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
