/*
 * test_file_errors.c
 *		The file store where calls of the system fail, and what is said of files that cannot be used.
 */
#include "store_fixture.h"

#include <errno.h>
#include <sys/syscall.h>

#include "file_look.h"

static int
setup(void **state)
{
	(void) state;
	return make_directory();
}

static int
teardown(void **state)
{
	(void) state;
	return remove_directory();
}

/* Which call fails, counted from 0 among those of its kind, and with what; less than 0: none. */
static int fails_at;
static int fails_with;

static bool
fails(void)
{
	if (fails_at < 0 || fails_at-- > 0)
		return false;
	errno = fails_with;
	return true;
}

static int
failing_open(const char *path, int flags, mode_t mode)
{
	return fails() ? -1 : file_ops_system.open(path, flags, mode);
}

static ssize_t
failing_pread(int fd, void *data, size_t length, off_t offset)
{
	return fails() ? -1 : pread(fd, data, length, offset);
}

static ssize_t
failing_pwrite(int fd, const void *data, size_t length, off_t offset)
{
	return fails() ? -1 : pwrite(fd, data, length, offset);
}

static int
failing_fdatasync(int fd)
{
	(void) fd;
	return fails() ? -1 : 0;
}

static int
failing_sync_directory(const char *path)
{
	(void) path;
	return fails() ? -1 : 0;
}

static int
failing_ftruncate(int fd, off_t length)
{
	return fails() ? -1 : ftruncate(fd, length);
}

static int
failing_rename(const char *from, const char *to)
{
	return fails() ? -1 : file_ops_system.rename(from, to);
}

/* What still fits is written, and then nothing is. */
static ssize_t
filling_pwrite(int fd, const void *data, size_t length, off_t offset)
{
	if (fails_at-- > 0)
		return pwrite(fd, data, length, offset);
	if (fails_at == -1 && length > 1)
		return pwrite(fd, data, length / 2, offset);
	errno = fails_with;
	return -1;
}

/* One life of a store: records, a rotation, and one record of which nothing is said.  *durable: up to which. */
static CdcStatus
live(const FileOps *file_ops, bool zstd, int *durable)
{
	FileStore *store;
	Source source;
	Position position;
	bool found;
	char text[128];
	CdcStatus status =
		file_store_open(&store, file_ops, path_in("out"), zstd, &source, &position, &found, &err);

	if (status != CDC_OK)
		return status;
	*durable = found ? (int) position.id.commit_lsn : 0;
	for (int n = *durable + 1, i = 0; i < 4 && status == CDC_OK; n++, i++)
	{
		status = file_store_write(store, text, make_record(text, n), &err);
		position = position_of(n);
		if (status == CDC_OK && i == 1)
			status = file_store_rotate(store, 0, &here, &position, &err);
		else if (status == CDC_OK && i < 3)
			status = file_store_commit(store, file_store_size(store), 0, &here, &position, &err);
		if (status == CDC_OK && i < 3)
			*durable = n;
	}
	file_store_close(store);
	return status;
}

/*
 * Whichever call fails, and whenever: it is said of which file, it may be tried again, what was durable
 * still is, and the next life goes on.
 */
static void
any_failing_call_loses_nothing(void **state)
{
	static const FileOps failing[] = {
		{.open = failing_open},
		{.pread = failing_pread},
		{.pwrite = failing_pwrite},
		{.fdatasync = failing_fdatasync},
		{.sync_directory = failing_sync_directory},
		{.ftruncate = failing_ftruncate},
		{.rename = failing_rename},
	};

	(void) state;
	fails_with = EIO;
	for (size_t kind = 0; kind < sizeof(failing) / sizeof(failing[0]); kind++)
	{
		const FileOps *one = &failing[kind];
		FileOps mixed = quick;
		CdcStatus status = CDC_RETRY;
		int at;

		mixed.open = one->open != NULL ? one->open : quick.open;
		mixed.pread = one->pread != NULL ? one->pread : quick.pread;
		mixed.pwrite = one->pwrite != NULL ? one->pwrite : quick.pwrite;
		mixed.fdatasync = one->fdatasync != NULL ? one->fdatasync : quick.fdatasync;
		mixed.sync_directory =
			one->sync_directory != NULL ? one->sync_directory : quick.sync_directory;
		mixed.ftruncate = one->ftruncate != NULL ? one->ftruncate : quick.ftruncate;
		mixed.rename = one->rename != NULL ? one->rename : quick.rename;
		for (at = 0; status != CDC_OK; at++)
		{
			Position position;
			int durable = 0;

			assert_true(at < 100);
			assert_int_equal(remove_directory(), 0);
			assert_int_equal(mkdir(directory, 0700), 0);
			fails_at = at;
			status = live(&mixed, false, &durable);
			if (status == CDC_OK)
				status = live(&mixed, true, &durable);
			if (status != CDC_OK)
			{
				assert_int_equal(status, CDC_RETRY);
				assert_non_null(strstr(err.message, "Input/output error"));
				assert_non_null(strstr(err.message, directory));
			}
			file_store_close(open_store(&quick, &position, CDC_OK));
			assert_true((int) position.id.commit_lsn >= durable);
			check_content((int) position.id.commit_lsn, "failing call", at);
		}
		assert_true(at > 1); /* it was called at all */
	}
}

static void
full_disk_loses_nothing(void **state)
{
	static const int errnos[] = {ENOSPC, EDQUOT, EFBIG};
	FileOps failing = quick;
	Position position;
	FileStore *store;
	char text[128];

	(void) state;
	failing.pwrite = filling_pwrite;
	fails_at = 1000;
	for (int i = 0; i < 3; i++)
	{
		store = open_store(&failing, &position, CDC_OK);
		assert_int_equal(position.id.commit_lsn, i);
		write_record(store, i + 1);
		commit_record(store, i + 1, false);
		fails_with = errnos[i];
		fails_at = 0;
		assert_int_equal(file_store_write(store, text, make_record(text, i + 2), &err), CDC_RETRY);
		assert_non_null(strstr(err.hint, "Make room"));
		file_store_close(store);
		fails_at = 1000;
		store = open_store(&failing, &position, CDC_OK);
		file_store_close(store);
		check_content(i + 1, "full disk", 0);
	}
}

/* A call that a signal cut short is made again; one that writes nothing at all is a full disk. */
static ssize_t
interrupted_pwrite(int fd, const void *data, size_t length, off_t offset)
{
	if (fails_at-- > 0)
	{
		errno = EINTR;
		return -1;
	}
	return fails_with == 0 ? 0 : pwrite(fd, data, length, offset);
}

static void
interrupted_calls_are_made_again(void **state)
{
	FileOps failing = quick;
	Position position;
	FileStore *store;
	char text[128];

	(void) state;
	failing.pwrite = interrupted_pwrite;
	fails_with = EINTR;
	fails_at = 3;
	store = open_store(&failing, &position, CDC_OK);
	fails_at = 3;
	write_record(store, 1);
	commit_record(store, 1, false);
	fails_at = fails_with = 0;
	assert_int_equal(file_store_write(store, text, make_record(text, 2), &err), CDC_RETRY);
	assert_non_null(strstr(err.message, "No space left on device"));
	file_store_close(store);
	check_content(1, "interrupted", 0);
}

static void
folders_that_are_gone_are_said(void **state)
{
	(void) state;
	errno = 0;
	assert_int_equal(file_ops_system.sync_directory(path_in("none")), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(file_ops_system.sync_directory(directory), 0);
}

/* What errno says that no time will mend is the user's to mend, and it is said how. */
static void
wrong_places_are_explained(void **state)
{
	static const struct
	{
		int code;
		const char *hint;
	} cases[] = {
		{EACCES, "needs to write both the file and its directory"},
		{EPERM, "needs to write both the file and its directory"},
		{ENOENT, "directory must exist"},
		{ENAMETOOLONG, ""},
		{ELOOP, ""},
	};
	FileOps failing = quick;
	Position position;

	(void) state;
	failing.open = failing_open;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		fails_with = cases[i].code;
		fails_at = cases[i].code == ENOENT ? 1 : 0; /* at first it only says that there is none */
		memset(&err, 0, sizeof(err));
		open_store(&failing, &position, CDC_USAGE);
		assert_non_null(strstr(err.message, strerror(cases[i].code)));
		assert_non_null(strstr(err.hint, cases[i].hint));
	}
	/* what is looked at before it is opened */
	assert_int_equal(symlink("out", path_in("out")), 0);
	open_store(&quick, &position, CDC_USAGE);
	assert_non_null(strstr(err.message, "could not look at"));
	assert_int_equal(unlink(path_in("out")), 0);
	assert_int_equal(symlink("out.000001", path_in("out.000001")), 0);
	open_store(&quick, &position, CDC_USAGE);
	assert_non_null(strstr(err.message, "out.000001"));
}

/* What was renamed already, and then cut by somebody. */
static void
refuses_a_rotated_file_that_lost_data(void **state)
{
	FileOps failing = quick;
	Position position = position_of(1);
	FileStore *store;

	(void) state;
	failing.sync_directory = failing_sync_directory;
	fails_with = EIO;
	fails_at = -1;
	store = open_store(&failing, &position, CDC_OK);
	write_record(store, 1);
	fails_at = 0;
	position = position_of(1);
	assert_int_equal(file_store_rotate(store, 0, &here, &position, &err), CDC_RETRY);
	file_store_close(store);
	put_file("out.000001", "short");
	open_store(&quick, &position, CDC_STOP);
	assert_non_null(strstr(err.message, "out.000001\" has 5 bytes"));
	assert_non_null(strstr(err.message, "records are missing"));
}

/* ---- a file system that cannot rename without replacing ---- */

static bool old_file_system;

int
renameat2(int from_directory, const char *from, int to_directory, const char *to,
		  unsigned int flags)
{
	if (old_file_system)
	{
		errno = EINVAL;
		return -1;
	}
	return (int) syscall(SYS_renameat2, from_directory, from, to_directory, to, flags);
}

static void
rotated_files_are_kept_on_any_file_system(void **state)
{
	Position position;
	FileStore *store;

	(void) state;
	old_file_system = true;
	store = open_store(&quick, &position, CDC_OK);
	write_record(store, 1);
	commit_record(store, 1, true);
	put_file("out.000002", "kept\n");
	write_record(store, 2);
	position = position_of(2);
	assert_int_equal(file_store_rotate(store, 0, &here, &position, &err), CDC_RETRY);
	assert_non_null(strstr(err.message, "File exists"));
	assert_non_null(strstr(err.hint, "out.000002"));
	file_store_close(store);
	assert_int_equal(unlink(path_in("out.000002")), 0);
	file_store_close(open_store(&quick, &position, CDC_OK));
	old_file_system = false;
	assert_int_equal(position.id.commit_lsn, 2);
	check_content(2, "old file system", 0);
}

/* ---- looking ---- */

static CdcStatus
look(bool *found)
{
	Source source;
	Position position;

	memset(&err, 0, sizeof(err));
	return file_look(path_in("out"), &source, &position, found, &err);
}

static void
looking_says_what_is_wrong(void **state)
{
	Source source;
	Position position;
	bool found;

	(void) state;
	assert_int_equal(symlink("out", path_in("out")), 0);
	assert_int_equal(look(&found), CDC_USAGE);
	assert_non_null(strstr(err.message, "could not look at"));
	assert_int_equal(unlink(path_in("out")), 0);

	assert_int_equal(symlink("out.cdc-position", path_in("out.cdc-position")), 0);
	assert_int_equal(look(&found), CDC_USAGE);
	assert_non_null(strstr(err.message, "could not open"));
	assert_int_equal(unlink(path_in("out.cdc-position")), 0);

	assert_int_equal(mkdir(path_in("out.cdc-position"), 0700), 0);
	assert_int_equal(look(&found), CDC_USAGE);
	assert_non_null(strstr(err.message, "could not read"));
	assert_int_equal(rmdir(path_in("out.cdc-position")), 0);

	assert_int_equal(file_look("/none/at/all/out", &source, &position, &found, &err), CDC_USAGE);
	assert_non_null(strstr(err.message, "could not write to directory \"/none/at/all/\""));
	assert_non_null(strstr(err.hint, "directory must exist"));
}

/* As a user who may not: root may write to everything. */
static void
looking_tries_the_permissions(void **state)
{
	uid_t user = geteuid();
	bool found;

	(void) state;
	put_file("out", "");
	assert_int_equal(chmod(path_in("out"), 0400), 0);
	if (user == 0)
	{
		assert_int_equal(chown(path_in("out"), 65534, (gid_t) -1), 0);
		assert_int_equal(chown(directory, 65534, (gid_t) -1), 0);
		assert_int_equal(seteuid(65534), 0);
	}
	assert_int_equal(look(&found), CDC_USAGE);
	assert_int_equal(seteuid(user), 0);
	assert_non_null(strstr(err.message, "could not write to"));
	assert_non_null(strstr(err.message, "Permission denied"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(refuses_a_rotated_file_that_lost_data, setup, teardown),
		cmocka_unit_test_setup_teardown(folders_that_are_gone_are_said, setup, teardown),
		cmocka_unit_test_setup_teardown(wrong_places_are_explained, setup, teardown),
		cmocka_unit_test_setup_teardown(rotated_files_are_kept_on_any_file_system, setup, teardown),
		cmocka_unit_test_setup_teardown(full_disk_loses_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(any_failing_call_loses_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(interrupted_calls_are_made_again, setup, teardown),
		cmocka_unit_test_setup_teardown(looking_says_what_is_wrong, setup, teardown),
		cmocka_unit_test_setup_teardown(looking_tries_the_permissions, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
