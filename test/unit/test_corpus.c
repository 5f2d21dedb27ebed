/*
 * test_corpus.c
 *		The fuzzers' corpora, replayed: what they found once stays found, with any compiler.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>

#define LLVMFuzzerTestOneInput fuzz_frame
#include "../fuzz/fuzz_frame.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_sidecar
#include "../fuzz/fuzz_sidecar.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_options
#include "../fuzz/fuzz_options.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_sinks
#include "../fuzz/fuzz_sinks.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_texts
#include "../fuzz/fuzz_texts.c"

/* make runs the tests in their folder. */
static int
replay(const char *name, int (*fuzz)(const uint8_t *, size_t))
{
	static uint8_t data[65536];
	char path[512];
	struct dirent *entry;
	DIR *directory;
	int count = 0;

	snprintf(path, sizeof(path), "../fuzz/corpus/%s", name);
	directory = opendir(path);
	assert_non_null(directory);
	while ((entry = readdir(directory)) != NULL)
	{
		FILE *file;
		size_t size;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "../fuzz/corpus/%s/%s", name, entry->d_name);
		file = fopen(path, "rb");
		assert_non_null(file);
		size = fread(data, 1, sizeof(data), file);
		fclose(file);
		assert_int_equal(fuzz(data, size), 0);
		/* each prefix is another input */
		for (size_t length = 0; length < size && size < 1000; length++)
			assert_int_equal(fuzz(data, length), 0);
		count++;
	}
	closedir(directory);
	return count;
}

static void
frames(void **state)
{
	(void) state;
	assert_true(replay("frame", fuzz_frame) >= 12);
}

static void
sidecars(void **state)
{
	(void) state;
	assert_true(replay("sidecar", fuzz_sidecar) >= 9);
}

static void
command_lines(void **state)
{
	(void) state;
	assert_true(replay("options", fuzz_options) >= 9);
}

static void
sinks(void **state)
{
	(void) state;
	assert_true(replay("sinks", fuzz_sinks) >= 24);
}

static void
texts(void **state)
{
	(void) state;
	assert_true(replay("texts", fuzz_texts) >= 8);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames), cmocka_unit_test(sidecars), cmocka_unit_test(command_lines),
		cmocka_unit_test(sinks),  cmocka_unit_test(texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
