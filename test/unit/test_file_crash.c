/*
 * test_file_crash.c
 *		The file store over a crash of the machine at any instant.
 *
 * A run of the store is recorded, system call by system call (crash_disk.h).  For each prefix of the
 * record, and for many ways in which what was not synced yet may have reached the disk or not, the files
 * are made as the disk would hold them, the store is opened on them, and its promises are checked.
 */
#include "crash_disk.h"

static int
setup(void **state)
{
	(void) state;
	num_ops = num_inodes = num_names = 0;
	return make_directory();
}

static int
teardown(void **state)
{
	(void) state;
	for (int i = 0; i < num_ops; i++)
		free(ops[i].data);
	num_ops = 0;
	return remove_directory();
}

static void
commit_durably(FileStore *store, int n, bool rotate)
{
	commit_record(store, n, rotate);
	record(OP_COMMITTED, -1)->offset = n;
}

/*
 * Two lives of the store: records, commits that leave some of them out, commits of nothing new, three
 * rotations and a fourth because the second life writes another form, and an end amidst a commit: its sidecar is written, but its sync fails.	 The page cache
 * then shows the second life a position that the disk may not have.
 */
static void
run_store(void)
{
	Position position;
	FileStore *store = open_store(&recorder, &position, CDC_OK);

	for (int n = 1; n <= 20; n++)
	{
		write_record(store, n);
		if (n % 3 == 0)
			commit_durably(store, n, n % 9 == 0);
		if (n == 12)
			commit_durably(store, n, false);
	}
	position = position_of(20);
	fail_sidecar_sync = true;
	assert_int_equal(file_store_commit(store, file_store_size(store), 0, &here, &position, &err),
					 CDC_RETRY);
	file_store_close(store);
	store = open_store_as(&recorder, true, &position, CDC_OK);
	assert_int_equal(position.id.commit_lsn, 20);
	record(OP_COMMITTED, -1)->offset = 20; /* what open() returns, the server may be told */
	for (int n = 21; n <= 26; n++)
	{
		write_record(store, n);
		if (n == 21 || n == 24)
			commit_durably(store, n, n == 24);
	}
	file_store_close(store);
}

/* Opens what the crash left, checks the promises, and goes on to see that it can. */
static void
check_disk(int crash, const char *what)
{
	Position position;
	FileStore *store;
	int durable = 0;
	int count;

	for (int i = 0; i < crash; i++)
		if (ops[i].kind == OP_COMMITTED)
			durable = (int) ops[i].offset;
	store = open_store(&quick, &position, CDC_OK);
	count = (int) position.id.commit_lsn;
	if (count < durable)
		fail_msg("%s, crash after call %d: %d records were durable, %d are left", what, crash,
				 durable, count);
	check_content(count, what, crash);
	write_record(store, count + 1);
	position = position_of(count + 1);
	assert_int_equal(file_store_rotate(store, 0, &here, &position, &err), CDC_OK);
	file_store_close(store);
	store = open_store(&quick, &position, CDC_OK);
	assert_int_equal(position.id.commit_lsn, count + 1);
	file_store_close(store);
	check_content(count + 1, what, crash);
}

static void
survives_a_crash_anywhere(void **state)
{
	static const struct
	{
		Loss loss;
		const char *name;
		int times;
	} losses[] = {
		{LOSE_NOTHING, "all written", 1},
		{LOSE_ALL, "nothing written", 1},
		{LOSE_TAIL, "torn", 8},
		{LOSE_DATA, "zeros", 1},
		{LOSE_BUT_TORN, "nothing written but a torn piece", 8},
		{LOSE_AT_RANDOM, "some of it written", 40},
	};

	(void) state;
	run_store();
	assert_true(num_ops > 80);
	for (int crash = 0; crash <= num_ops; crash++)
	{
		for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++)
		{
			for (int n = 0; n < losses[i].times; n++)
			{
				make_disk(crash, losses[i].loss);
				check_disk(crash, losses[i].name);
			}
		}
	}
}

/* A store that forgot a sync must be found out by the same check. */
static void
check_fails_without_syncs(void **state)
{
	OpKind spoilt[] = {OP_SYNC, OP_SYNC_DIRECTORY};

	(void) state;
	run_store();
	for (size_t i = 0; i < 2; i++)
	{
		int lost = 0;

		for (int crash = 0; crash <= num_ops; crash++)
		{
			int durable = 0;
			Position position;
			FileStore *store;
			Source source;
			bool found;

			for (int at = 0; at < num_ops; at++)
				if (ops[at].kind == spoilt[i])
					ops[at].kind = OP_COMMITTED + 1 + (int) i;
			make_disk(crash, LOSE_ALL);
			for (int at = 0; at < crash; at++)
				if (ops[at].kind == OP_COMMITTED)
					durable = (int) ops[at].offset;
			if (file_store_open(&store, &quick, path_in("out"), false, &source, &position, &found,
								&err) != CDC_OK)
				lost++;
			else
			{
				if (!found || (int) position.id.commit_lsn < durable)
					lost += durable > 0;
				file_store_close(store);
			}
		}
		assert_true(lost > 0);
		for (int at = 0; at < num_ops; at++)
			if ((int) ops[at].kind == OP_COMMITTED + 1 + (int) i)
				ops[at].kind = spoilt[i];
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(survives_a_crash_anywhere, setup, teardown),
		cmocka_unit_test_setup_teardown(check_fails_without_syncs, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
