/*
 * store_fixture.h
 *		A file store in a folder of its own, with records that are known by their number.
 */
#ifndef CDC_TEST_STORE_FIXTURE_H
#define CDC_TEST_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file_store.h"
#include "sidecar.h"

static const Source here = {"7301234567890123456", "shop", "cdc", "shop"};

static char directory[64];
static CdcError err;

static inline int
no_fdatasync(int fd)
{
	(void) fd;
	return 0;
}

static inline int
no_sync_directory(const char *path)
{
	(void) path;
	return 0;
}

/* What a store is opened with whose syncs need not be true. */
static FileOps quick;

static inline int
remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
	(void) info;
	(void) type;
	(void) walk;
	return remove(path);
}

static inline int
make_directory(void)
{
	quick = file_ops_system;
	quick.fdatasync = no_fdatasync;
	quick.sync_directory = no_sync_directory;
	strcpy(directory, "/tmp/cdc_file_store.XXXXXX");
	return mkdtemp(directory) == NULL;
}

static inline int
remove_directory(void)
{
	return nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline const char *
path_in(const char *name)
{
	static char path[2048];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

/* Record number n, of some length; what was read back is compared with it. */
static inline size_t
make_record(char *text, int n)
{
	size_t length = (size_t) (10 + (n * 37) % 90);

	memset(text, 'a' + n % 26, length);
	text[(size_t) snprintf(text, length, "%06d", n)] = ' ';
	text[length - 1] = '\n';
	return length;
}

static inline Position
position_of(int n)
{
	return (Position){.timeline = 1,
					  .id = {(uint64_t) n, 1, 0},
					  .end_lsn = (uint64_t) n,
					  .confirmed = (uint64_t) n};
}

static inline FileStore *
open_store_as(const FileOps *file_ops, bool zstd, Position *position, CdcStatus expected)
{
	FileStore *store;
	Source source;
	bool found;
	CdcStatus status =
		file_store_open(&store, file_ops, path_in("out"), zstd, &source, position, &found, &err);

	if (status != expected)
		fail_msg("%d instead of %d: %s", status, expected, status == CDC_OK ? "" : err.message);
	if (status == CDC_OK && found)
		assert_true(source_equal(&source, &here));
	if (status == CDC_OK && !found)
		memset(position, 0, sizeof(*position));
	return store;
}

static inline FileStore *
open_store(const FileOps *file_ops, Position *position, CdcStatus expected)
{
	return open_store_as(file_ops, false, position, expected);
}

static inline void
write_record(FileStore *store, int n)
{
	char text[128];
	size_t length = make_record(text, n);

	assert_int_equal(file_store_write(store, text, length, &err), CDC_OK);
}

static inline void
commit_record(FileStore *store, int n, bool rotate)
{
	Position position = position_of(n);
	CdcStatus status;

	if (rotate)
		status = file_store_rotate(store, 0, &here, &position, &err);
	else
		status = file_store_commit(store, file_store_size(store), 0, &here, &position, &err);
	assert_int_equal(status, CDC_OK);
}

static inline void
put_file(const char *name, const char *text)
{
	FILE *file = fopen(path_in(name), "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* Appends the whole of a file, if it is there. */
static inline size_t
read_file(const char *name, char *text, size_t at, size_t size)
{
	int fd = open(path_in(name), O_RDONLY);
	ssize_t got;

	if (fd < 0)
		return at;
	while ((got = read(fd, text + at, size - at)) > 0)
		at += (size_t) got;
	close(fd);
	return at;
}

/* The files, in order, hold exactly the records 1 to count. */
static inline void
check_content(int count, const char *what, int at)
{
	static char expected[65536];
	static char found[65536];
	size_t expected_length = 0;
	size_t found_length = 0;
	char name[64];

	for (int n = 1; n <= count; n++)
		expected_length += make_record(expected + expected_length, n);
	for (int file = 1; file <= 9; file++)
	{
		snprintf(name, sizeof(name), "out.%06d", file);
		found_length = read_file(name, found, found_length, sizeof(found));
	}
	found_length = read_file("out", found, found_length, sizeof(found));
	if (found_length != expected_length || memcmp(found, expected, found_length) != 0)
		fail_msg("%s, after call %d: %zu bytes found, %zu of %d records expected", what, at,
				 found_length, expected_length, count);
}

#endif /* CDC_TEST_STORE_FIXTURE_H */
