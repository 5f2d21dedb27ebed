/*
 * test_file_store.c
 *		The file store over a crash of the machine at any instant.
 *
 * A run of the store is recorded, system call by system call.  For each prefix of the record, and for
 * many ways in which what was not synced yet may have reached the disk or not, the files are made as
 * the disk would hold them, the store is opened on them, and its promises are checked.
 *
 * The disk's model.  Of a file's data: each write not yet synced is there, or is not, or is torn, or
 * left zeros where it would have been; the file's size may have grown for it.  Of a directory:
 * each change of a name not yet synced is there or is not, whatever the order.  A sync makes all of it
 * certain.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "file_store.h"
#include "sidecar.h"

static const Source here = {"7301234567890123456", "shop", "cdc", "shop"};

/* ---- the record ---- */

typedef enum OpKind
{
	OP_CREATE,
	OP_WRITE,
	OP_TRUNCATE,
	OP_SYNC,
	OP_RENAME,
	OP_SYNC_DIRECTORY,
	OP_COMMITTED, /* not a call: the store has said that a position is durable */
} OpKind;

#define MAX_INODES 16

typedef struct Op
{
	OpKind kind;
	int inode;
	off_t offset; /* of OP_TRUNCATE: the length; of OP_COMMITTED: records that are durable */
	size_t length;
	uint8_t *data;
	char name[64]; /* of OP_CREATE, OP_RENAME: the new name */
	char from[64];
} Op;

static Op ops[4096];
static int num_ops;
static char directory[64];
static int fd_inode[256];
static int num_inodes;
static struct
{
	char name[64];
	int inode;
} names[MAX_INODES];
static int num_names;
static CdcError err;

static const char *
base_name(const char *path)
{
	return strrchr(path, '/') + 1;
}

static Op *
record(OpKind kind, int inode)
{
	Op *op = &ops[num_ops++];

	assert_true(num_ops < (int) (sizeof(ops) / sizeof(ops[0])));
	memset(op, 0, sizeof(*op));
	op->kind = kind;
	op->inode = inode;
	return op;
}

static int
find_name(const char *name)
{
	for (int i = 0; i < num_names; i++)
		if (strcmp(names[i].name, name) == 0)
			return i;
	return -1;
}

static int
record_open(const char *path, int flags, mode_t mode)
{
	bool existed = access(path, F_OK) == 0;
	int fd = file_ops_system.open(path, flags, mode);
	int at = find_name(base_name(path));

	if (fd < 0)
		return fd;
	if (!existed)
	{
		snprintf(record(OP_CREATE, num_inodes)->name, sizeof(ops->name), "%s", base_name(path));
		at = num_names++;
		snprintf(names[at].name, sizeof(names[at].name), "%s", base_name(path));
		names[at].inode = num_inodes++;
		assert_true(num_inodes <= MAX_INODES);
	}
	fd_inode[fd] = names[at].inode;
	return fd;
}

static ssize_t
record_pwrite(int fd, const void *data, size_t length, off_t offset)
{
	Op *op = record(OP_WRITE, fd_inode[fd]);

	op->offset = offset;
	op->length = length;
	op->data = malloc(length);
	memcpy(op->data, data, length);
	return file_ops_system.pwrite(fd, data, length, offset);
}

static int
record_ftruncate(int fd, off_t length)
{
	record(OP_TRUNCATE, fd_inode[fd])->offset = length;
	return file_ops_system.ftruncate(fd, length);
}

/* The real thing is slow, and this disk is made by hand. */
static bool fail_sidecar_sync;

static int
record_fdatasync(int fd)
{
	if (fail_sidecar_sync && strstr(names[0].name, "position") != NULL && fd_inode[fd] == 0)
	{
		fail_sidecar_sync = false;
		errno = EIO;
		return -1;
	}
	record(OP_SYNC, fd_inode[fd]);
	return 0;
}

static int
record_rename(const char *from, const char *to)
{
	Op *op = record(OP_RENAME, names[find_name(base_name(from))].inode);
	int at = find_name(base_name(from));

	snprintf(op->name, sizeof(op->name), "%s", base_name(to));
	snprintf(op->from, sizeof(op->from), "%s", base_name(from));
	snprintf(names[at].name, sizeof(names[at].name), "%s", base_name(to));
	return file_ops_system.rename(from, to);
}

static int
record_sync_directory(const char *path)
{
	(void) path;
	record(OP_SYNC_DIRECTORY, -1);
	return 0;
}

static const FileOps recorder = {
	.open = record_open,
	.close = close,
	.pread = pread,
	.pwrite = record_pwrite,
	.ftruncate = record_ftruncate,
	.fdatasync = record_fdatasync,
	.rename = record_rename,
	.sync_directory = record_sync_directory,
	.unlink = unlink,
};

static int
no_fdatasync(int fd)
{
	(void) fd;
	return 0;
}

static int
no_sync_directory(const char *path)
{
	(void) path;
	return 0;
}

/* What the store is opened with on the disks that are made by hand. */
static FileOps quick;

static int
remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
	(void) info;
	(void) type;
	(void) walk;
	return remove(path);
}

static int
setup(void **state)
{
	(void) state;
	quick = file_ops_system;
	quick.fdatasync = no_fdatasync;
	quick.sync_directory = no_sync_directory;
	strcpy(directory, "/tmp/cdc_file_store.XXXXXX");
	num_ops = num_inodes = num_names = 0;
	return mkdtemp(directory) == NULL;
}

static int
teardown(void **state)
{
	(void) state;
	for (int i = 0; i < num_ops; i++)
		free(ops[i].data);
	num_ops = 0;
	return nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static const char *
path_in(const char *name)
{
	static char path[2048];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

/* ---- the run that is recorded ---- */

/* Record number n, of some length; what was read back is compared with it. */
static size_t
make_record(char *text, int n)
{
	size_t length = (size_t) (10 + (n * 37) % 90);

	memset(text, 'a' + n % 26, length);
	text[(size_t) snprintf(text, length, "%06d", n)] = ' ';
	text[length - 1] = '\n';
	return length;
}

static Position
position_of(int n)
{
	return (Position){.timeline = 1,
					  .id = {(uint64_t) n, 1, 0},
					  .end_lsn = (uint64_t) n,
					  .confirmed = (uint64_t) n};
}

static FileStore *
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

static FileStore *
open_store(const FileOps *file_ops, Position *position, CdcStatus expected)
{
	return open_store_as(file_ops, false, position, expected);
}

static void
write_record(FileStore *store, int n)
{
	char text[128];
	size_t length = make_record(text, n);

	assert_int_equal(file_store_write(store, text, length, &err), CDC_OK);
}

static void
commit_record(FileStore *store, int n, bool rotate)
{
	Position position = position_of(n);
	CdcStatus status;

	if (rotate)
		status = file_store_rotate(store, 0, &here, &position, &err);
	else
		status = file_store_commit(store, file_store_size(store), 0, &here, &position, &err);
	assert_int_equal(status, CDC_OK);
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
			commit_record(store, n, n % 9 == 0);
		if (n == 12)
			commit_record(store, n, false);
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
			commit_record(store, n, n == 24);
	}
	file_store_close(store);
}

/* ---- the disk after a crash ---- */

typedef enum Loss
{
	LOSE_NOTHING,  /* every call reached the disk */
	LOSE_ALL,      /* nothing that was not synced did */
	LOSE_TAIL,     /* the last write is torn in the middle */
	LOSE_DATA,     /* sizes and names reached it, but zeros stand for data */
	LOSE_BUT_TORN, /* nothing did but the beginning of the last write */
	LOSE_AT_RANDOM /* any of these but the last, call by call */
} Loss;

static uint32_t
chance(void)
{
	static uint32_t random = 2463534242;

	random ^= random << 13;
	random ^= random >> 17;
	random ^= random << 5;
	return random;
}

typedef struct File
{
	uint8_t data[16384];
	size_t size;
	bool exists;
} File;

static void
apply_write(File *file, const Op *op, size_t from, size_t to, bool zeros)
{
	if (to <= from)
		return;
	assert_true((size_t) op->offset + to <= sizeof(file->data));
	if (file->size < (size_t) op->offset + to)
		file->size = (size_t) op->offset + to;
	if (zeros)
		memset(file->data + op->offset + from, 0, to - from);
	else
		memcpy(file->data + op->offset + from, op->data + from, to - from);
}

/*
 * A write that is not certain.	 Zeros stand for data only behind the file's old end: blocks that were
 * there before keep what they held.
 */
static void
apply_uncertain(File *file, const Op *op, Loss loss, bool last)
{
	Loss how = loss;
	size_t cut;

	if (how == LOSE_AT_RANDOM)
		how = (Loss) (chance() % 4);
	if (how == LOSE_TAIL && !last && loss != LOSE_AT_RANDOM)
		how = LOSE_NOTHING;
	if (how == LOSE_BUT_TORN && (!last || op->kind != OP_WRITE))
		how = LOSE_ALL;
	if (op->kind == OP_TRUNCATE)
	{
		if (how != LOSE_ALL)
		{
			file->size = (size_t) op->offset;
			memset(file->data + file->size, 0, sizeof(file->data) - file->size);
		}
		return;
	}
	switch (how)
	{
		case LOSE_NOTHING:
			apply_write(file, op, 0, op->length, false);
			break;
		case LOSE_TAIL:
			cut = op->length > 1 ? 1 + chance() % (op->length - 1) : 0;
			if (chance() % 2 == 0)
				apply_write(file, op, 0, cut, false);
			else
				apply_write(file, op, cut, op->length, false);
			break;
		case LOSE_BUT_TORN:
			apply_write(file, op, 0, chance() % (op->length < 256 ? op->length : 256), false);
			break;
		case LOSE_DATA:
			if (file->size < (size_t) op->offset + op->length)
				apply_write(file, op,
							file->size > (size_t) op->offset ? file->size - (size_t) op->offset : 0,
							op->length, true);
			break;
		default:
			break;
	}
}

/* Whether a later call before the crash makes this one certain. */
static bool
is_certain(int at, int crash)
{
	for (int i = at + 1; i < crash; i++)
	{
		if (ops[at].kind == OP_WRITE || ops[at].kind == OP_TRUNCATE)
		{
			if (ops[i].kind == OP_SYNC && ops[i].inode == ops[at].inode)
				return true;
		}
		else if (ops[i].kind == OP_SYNC_DIRECTORY)
			return true;
	}
	return false;
}

/* The name leaves whoever had it. */
static void
give_name(char disk_names[][64], const Op *op)
{
	for (int i = 0; i < MAX_INODES; i++)
		if (strcmp(disk_names[i], op->name) == 0)
			disk_names[i][0] = '\0';
	snprintf(disk_names[op->inode], 64, "%s", op->name);
}

static void
make_disk(int crash, Loss loss)
{
	static File files[MAX_INODES];
	char disk_names[MAX_INODES][64] = {{0}};
	int last_write = -1;

	memset(files, 0, sizeof(files));
	for (int i = 0; i < crash; i++)
		if (ops[i].kind == OP_WRITE)
			last_write = i;
	for (int i = 0; i < crash; i++)
	{
		const Op *op = &ops[i];
		bool certain = is_certain(i, crash);

		if (op->kind == OP_WRITE && certain)
			apply_write(&files[op->inode], op, 0, op->length, false);
		else if (op->kind == OP_TRUNCATE && certain)
			apply_uncertain(&files[op->inode], op, LOSE_NOTHING, false);
		else if (op->kind == OP_WRITE || op->kind == OP_TRUNCATE)
			apply_uncertain(&files[op->inode], op, loss, i == last_write);
		else if (op->kind == OP_CREATE || op->kind == OP_RENAME)
		{
			if (certain || loss == LOSE_NOTHING || loss == LOSE_TAIL || loss == LOSE_DATA ||
				(loss == LOSE_AT_RANDOM && chance() % 2 == 0))
				give_name(disk_names, op);
		}
	}
	assert_int_equal(nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	assert_int_equal(mkdir(directory, 0700), 0);
	for (int i = 0; i < num_inodes; i++)
	{
		int fd;

		if (disk_names[i][0] == '\0')
			continue;
		fd = open(path_in(disk_names[i]), O_WRONLY | O_CREAT | O_EXCL, 0600);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, files[i].data, files[i].size), (ssize_t) files[i].size);
		close(fd);
	}
}

/* Appends the whole of a file, if it is there. */
static size_t
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
static void
check_content(int count, const char *what, int crash)
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
		fail_msg("%s, crash after call %d: %zu bytes found, %zu of %d records expected", what,
				 crash, found_length, expected_length, count);
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

/* ---- what is refused ---- */

static void
put_file(const char *name, const char *text)
{
	FILE *file = fopen(path_in(name), "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
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

/* ---- errors of the disk ---- */

static int fail_errno;
static int fail_after;

static ssize_t
failing_pwrite(int fd, const void *data, size_t length, off_t offset)
{
	if (fail_after-- > 0)
		return file_ops_system.pwrite(fd, data, length, offset);
	if (fail_after == -1 && length > 1)
		return file_ops_system.pwrite(fd, data, length / 2, offset); /* what still fits */
	errno = fail_errno;
	return -1;
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
	failing.pwrite = failing_pwrite;
	fail_after = 1000;
	for (int i = 0; i < 3; i++)
	{
		store = open_store(&failing, &position, CDC_OK);
		assert_int_equal(position.id.commit_lsn, i);
		write_record(store, i + 1);
		commit_record(store, i + 1, false);
		fail_errno = errnos[i];
		fail_after = 0;
		assert_int_equal(file_store_write(store, text, make_record(text, i + 2), &err), CDC_RETRY);
		assert_non_null(strstr(err.hint, "Make room"));
		file_store_close(store);
		fail_after = 1000;
		store = open_store(&failing, &position, CDC_OK);
		file_store_close(store);
		check_content(i + 1, "full disk", 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(survives_a_crash_anywhere, setup, teardown),
		cmocka_unit_test_setup_teardown(check_fails_without_syncs, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_data_that_is_not_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_a_file_that_lost_data, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_what_is_no_regular_file, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_a_missing_directory, setup, teardown),
		cmocka_unit_test_setup_teardown(keeps_rotated_files, setup, teardown),
		cmocka_unit_test_setup_teardown(leaves_nothing_unused, setup, teardown),
		cmocka_unit_test_setup_teardown(rotates_what_is_of_another_form, setup, teardown),
		cmocka_unit_test_setup_teardown(names_who_has_the_file, setup, teardown),
		cmocka_unit_test_setup_teardown(full_disk_loses_nothing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
