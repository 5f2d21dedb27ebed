/*
 * crash_disk.h
 *		A run of the file store recorded call by call, and the disks that a crash may leave of it.
 *
 * Of a file's data: each write not yet synced is there, or is not, or is torn, or left zeros where it
 * would have been; the file's size may have grown for it.  Of a directory: each change of a name not yet
 * synced is there or is not, whatever the order.  A sync makes all of it certain.
 */
#ifndef CDC_TEST_CRASH_DISK_H
#define CDC_TEST_CRASH_DISK_H

#include <errno.h>

#include "store_fixture.h"

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
static int fd_inode[256];
static int num_inodes;
static struct
{
	char name[64];
	int inode;
} names[MAX_INODES];
static int num_names;

static inline const char *
base_name(const char *path)
{
	return strrchr(path, '/') + 1;
}

static inline Op *
record(OpKind kind, int inode)
{
	Op *op = &ops[num_ops++];

	assert_true(num_ops < (int) (sizeof(ops) / sizeof(ops[0])));
	memset(op, 0, sizeof(*op));
	op->kind = kind;
	op->inode = inode;
	return op;
}

static inline int
find_name(const char *name)
{
	for (int i = 0; i < num_names; i++)
		if (strcmp(names[i].name, name) == 0)
			return i;
	return -1;
}

static inline int
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

static inline ssize_t
record_pwrite(int fd, const void *data, size_t length, off_t offset)
{
	Op *op = record(OP_WRITE, fd_inode[fd]);

	op->offset = offset;
	op->length = length;
	op->data = malloc(length);
	memcpy(op->data, data, length);
	return file_ops_system.pwrite(fd, data, length, offset);
}

static inline int
record_ftruncate(int fd, off_t length)
{
	record(OP_TRUNCATE, fd_inode[fd])->offset = length;
	return file_ops_system.ftruncate(fd, length);
}

/* The real thing is slow, and this disk is made by hand. */
static bool fail_sidecar_sync;

static inline int
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

static inline int
record_rename(const char *from, const char *to)
{
	Op *op = record(OP_RENAME, names[find_name(base_name(from))].inode);
	int at = find_name(base_name(from));

	snprintf(op->name, sizeof(op->name), "%s", base_name(to));
	snprintf(op->from, sizeof(op->from), "%s", base_name(from));
	snprintf(names[at].name, sizeof(names[at].name), "%s", base_name(to));
	return file_ops_system.rename(from, to);
}

static inline int
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

/* ---- what a crash leaves ---- */

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

static inline void
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
static inline void
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
static inline bool
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
static inline void
give_name(char disk_names[][64], const Op *op)
{
	for (int i = 0; i < MAX_INODES; i++)
		if (strcmp(disk_names[i], op->name) == 0)
			disk_names[i][0] = '\0';
	snprintf(disk_names[op->inode], 64, "%s", op->name);
}

static inline void
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
	assert_int_equal(remove_directory(), 0);
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

#endif /* CDC_TEST_CRASH_DISK_H */
