/*
 * test_file_store.c
 *		What a file store refuses, keeps and leaves behind.
 */
#include "store_fixture.h"

#include <sys/wait.h>

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

static void
refuses_data_that_is_not_its_own(void **state)
{
	Position position;

	(void) state;
	put_file("out", "something\n");
	open_store(&quick, &position, CDC_STOP);
	assert_non_null(strstr(err.message, "holds 10 bytes"));
	assert_string_not_equal(err.hint, "");
	assert_int_equal(access(path_in("out.cdc-position"), F_OK), -1);
	put_file("out.cdc-position", "not a sidecar");
	open_store(&quick, &position, CDC_STOP);
	put_file("out", "");
	file_store_close(open_store(&quick, &position, CDC_OK));
}

static void
refuses_a_file_that_lost_data(void **state)
{
	Position position;
	FileStore *store = open_store(&quick, &position, CDC_OK);

	(void) state;
	write_record(store, 1);
	commit_record(store, 1, false);
	file_store_close(store);
	put_file("out", "short");
	open_store(&quick, &position, CDC_STOP);
	assert_non_null(strstr(err.message, "records are missing"));
	assert_non_null(strstr(err.hint, "?rotate="));
	assert_int_equal(unlink(path_in("out")), 0);
	open_store(&quick, &position, CDC_STOP);
	assert_non_null(strstr(err.message, "is gone"));
}

/* What is written to a file without a name is lost when it is closed: no position says that it is durable. */
static void
notices_what_is_removed(void **state)
{
	static const char *const names[] = {"out", "out.cdc-position"};
	Position position;

	(void) state;
	for (int i = 0; i < 2; i++)
	{
		FileStore *store = open_store(&quick, &position, CDC_OK);
		Position behind = position_of(2);

		write_record(store, 1);
		commit_record(store, 1, false);
		write_record(store, 2);
		assert_int_equal(unlink(path_in(names[i])), 0);
		assert_int_equal(file_store_commit(store, file_store_size(store), 0, &here, &behind, &err),
						 CDC_STOP);
		assert_non_null(strstr(err.message, path_in(names[i])));
		assert_non_null(strstr(err.message, "was removed while it was being written to"));
		file_store_close(store);
		open_store(&quick, &position, CDC_STOP); /* what is left tells the next one */
		assert_int_equal(unlink(path_in(names[1 - i])), 0);
	}
}

static void
notices_what_is_cut(void **state)
{
	Position position;
	FileStore *store = open_store(&quick, &position, CDC_OK);

	(void) state;
	write_record(store, 1);
	commit_record(store, 1, false);
	assert_int_equal(truncate(path_in("out"), 0), 0);
	assert_int_equal(file_store_write(store, "x\n", 2, &err), CDC_STOP);
	assert_non_null(strstr(err.message, "has 0 bytes, but 47 were written to it"));
	assert_non_null(strstr(err.hint, "copytruncate"));
	file_store_close(store);
	open_store(&quick, &position, CDC_STOP);
	assert_non_null(strstr(err.message, "records are missing"));
}

static void
refuses_what_is_no_regular_file(void **state)
{
	Position position;

	(void) state;
	assert_int_equal(mkfifo(path_in("out"), 0600), 0);
	open_store(&quick, &position, CDC_USAGE);
	assert_non_null(strstr(err.hint, "--sink=-"));
	assert_int_equal(unlink(path_in("out")), 0);
	assert_int_equal(mkdir(path_in("out"), 0700), 0);
	open_store(&quick, &position, CDC_USAGE);
}

static void
refuses_a_missing_directory(void **state)
{
	FileStore *store;
	Source source;
	Position position;
	bool found;

	(void) state;
	assert_int_equal(
		file_store_open(&store, &quick, path_in("no/out"), false, &source, &position, &found, &err),
		CDC_USAGE);
	assert_non_null(strstr(err.hint, "directory must exist"));
}

static void
keeps_rotated_files(void **state)
{
	Position position;
	FileStore *store;

	(void) state;
	/* numbers that are taken are passed over at the beginning, and never overwritten later */
	put_file("out.000001", "kept\n");
	store = open_store(&quick, &position, CDC_OK);
	write_record(store, 1);
	commit_record(store, 1, true);
	assert_int_equal(access(path_in("out.000002"), F_OK), 0);
	put_file("out.000003", "kept\n");
	write_record(store, 2);
	position = position_of(2);
	assert_int_not_equal(file_store_rotate(store, 0, &here, &position, &err), CDC_OK);
	assert_non_null(strstr(err.hint, "out.000003"));
	file_store_close(store);
	open_store(&quick, &position, CDC_STOP);
	assert_non_null(strstr(err.message, "both"));
	assert_int_equal(unlink(path_in("out.000003")), 0);
	file_store_close(open_store(&quick, &position, CDC_OK));
	assert_int_equal(position.id.commit_lsn, 2);
}

/* What was made for a start that came to nothing goes again; what anything was stored in stays. */
static void
leaves_nothing_unused(void **state)
{
	Position position;
	FileStore *store = open_store(&quick, &position, CDC_OK);

	(void) state;
	file_store_close(store);
	assert_int_equal(access(path_in("out"), F_OK), -1);
	assert_int_equal(access(path_in("out.cdc-position"), F_OK), -1);
	/* a file that somebody has made stays theirs */
	put_file("out", "");
	file_store_close(open_store(&quick, &position, CDC_OK));
	assert_int_equal(access(path_in("out"), F_OK), 0);
	assert_int_equal(access(path_in("out.cdc-position"), F_OK), -1);
	/* written and not committed: the sidecar says that it does not count */
	store = open_store(&quick, &position, CDC_OK);
	write_record(store, 1);
	file_store_close(store);
	assert_int_equal(access(path_in("out.cdc-position"), F_OK), 0);
	store = open_store(&quick, &position, CDC_OK);
	assert_int_equal(file_store_size(store), 0);
	file_store_close(store);
	/* a position without a byte is something */
	store = open_store(&quick, &position, CDC_OK);
	commit_record(store, 0, false);
	file_store_close(store);
	file_store_close(open_store(&quick, &position, CDC_OK));
	assert_int_equal(access(path_in("out.cdc-position"), F_OK), 0);
}

/* Lines and frames are never in one file; the sidecar remembers which, and since when. */
static void
rotates_what_is_of_another_form(void **state)
{
	Position position;
	FileStore *store = open_store(&quick, &position, CDC_OK);

	(void) state;
	write_record(store, 1);
	position = position_of(1);
	assert_int_equal(file_store_commit(store, file_store_size(store), 1234, &here, &position, &err),
					 CDC_OK);
	file_store_close(store);
	store = open_store(&quick, &position, CDC_OK);
	assert_int_equal(file_store_began(store), 1234);
	file_store_close(store);
	assert_int_equal(access(path_in("out.000001"), F_OK), -1);

	store = open_store_as(&quick, true, &position, CDC_OK);
	assert_int_equal(access(path_in("out.000001"), F_OK), 0);
	assert_int_equal(position.id.commit_lsn, 1);
	assert_int_equal(file_store_began(store), 0);
	assert_int_equal(file_store_size(store), 0);
	write_record(store, 2);
	commit_record(store, 2, false);
	file_store_close(store);
	file_store_close(open_store_as(&quick, true, &position, CDC_OK));
	assert_int_equal(access(path_in("out.000002"), F_OK), -1);

	/* an empty file has no form yet */
	store = open_store(&quick, &position, CDC_OK);
	assert_int_equal(access(path_in("out.000002"), F_OK), 0);
	file_store_close(store);
	file_store_close(open_store_as(&quick, true, &position, CDC_OK));
	store = open_store(&quick, &position, CDC_OK);
	write_record(store, 3);
	commit_record(store, 3, false);
	file_store_close(store);
	assert_int_equal(access(path_in("out.000003"), F_OK), -1);
	check_content(3, "of two forms", 0);
}

/* The lock is one between processes. */
static void
names_who_has_the_file(void **state)
{
	int ready[2];
	int done[2];
	char byte = 0;
	char pid_text[32];
	Position position;
	pid_t child;

	(void) state;
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(done), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
	{
		FileStore *store;
		Source source;
		bool found;

		close(done[1]);
		if (file_store_open(&store, &quick, path_in("out"), false, &source, &position, &found,
							&err) != CDC_OK ||
			write(ready[1], &byte, 1) != 1 || read(done[0], &byte, 1) < 0)
			_exit(1);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	open_store(&quick, &position, CDC_RETRY);
	snprintf(pid_text, sizeof(pid_text), "process %d)", (int) child);
	assert_non_null(strstr(err.message, pid_text));
	close(done[1]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	file_store_close(open_store(&quick, &position, CDC_OK));
	close(ready[0]);
	close(ready[1]);
	close(done[0]);
}

static void
names_without_a_folder_are_in_the_current_one(void **state)
{
	int before = open(".", O_RDONLY | O_DIRECTORY);
	FileStore *store;
	Source source;
	Position position = position_of(1);
	bool found;

	(void) state;
	assert_int_equal(chdir(directory), 0);
	assert_int_equal(
		file_store_open(&store, &file_ops_system, "out", false, &source, &position, &found, &err),
		CDC_OK);
	write_record(store, 1);
	commit_record(store, 1, true);
	file_store_close(store);
	assert_int_equal(file_look("out", &source, &position, &found, &err), CDC_OK);
	assert_true(found);
	assert_int_equal(fchdir(before), 0);
	close(before);
	check_content(1, "current folder", 0);
}

static int opens_left;

/* The other client's last act: it had nothing in its file, and takes the sidecar away as it goes. */
static int
open_and_lose(const char *path, int flags, mode_t mode)
{
	int fd = file_ops_system.open(path, flags, mode);

	if (opens_left-- == 0)
		assert_int_equal(unlink(path), 0);
	return fd;
}

static void
a_sidecar_that_went_away_is_none(void **state)
{
	FileOps losing = quick;
	Position position;

	(void) state;
	put_file("out.cdc-position", "");
	losing.open = open_and_lose;
	opens_left = 0;
	open_store(&losing, &position, CDC_RETRY);
	assert_non_null(strstr(err.message, "was let go by another cdc_client just now"));
	file_store_close(open_store(&losing, &position, CDC_OK));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(refuses_data_that_is_not_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_a_file_that_lost_data, setup, teardown),
		cmocka_unit_test_setup_teardown(notices_what_is_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(notices_what_is_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_what_is_no_regular_file, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_a_missing_directory, setup, teardown),
		cmocka_unit_test_setup_teardown(a_sidecar_that_went_away_is_none, setup, teardown),
		cmocka_unit_test_setup_teardown(keeps_rotated_files, setup, teardown),
		cmocka_unit_test_setup_teardown(leaves_nothing_unused, setup, teardown),
		cmocka_unit_test_setup_teardown(rotates_what_is_of_another_form, setup, teardown),
		cmocka_unit_test_setup_teardown(names_who_has_the_file, setup, teardown),
		cmocka_unit_test_setup_teardown(names_without_a_folder_are_in_the_current_one, setup,
										teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
