/*
 * file_ops.c
 *		The system calls that the file store makes.
 */
#include "file_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int
ops_open(const char *path, int flags, mode_t mode)
{
	return open(path, flags | O_CLOEXEC, mode);
}

static int
ops_rename(const char *from, const char *to)
{
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
		return 0;
	/* Not every file system has the flag; only this client, which holds the lock, makes "to". */
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (access(to, F_OK) == 0)
	{
		errno = EEXIST;
		return -1;
	}
	return rename(from, to);
}

static int
ops_sync_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int saved_errno;
	int result;

	if (fd < 0)
		return -1;
	result = fsync(fd);
	saved_errno = errno;
	close(fd);
	errno = saved_errno;
	return result;
}

const FileOps file_ops_system = {
	.open = ops_open,
	.close = close,
	.pread = pread,
	.pwrite = pwrite,
	.ftruncate = ftruncate,
	.fdatasync = fdatasync,
	.rename = ops_rename,
	.sync_directory = ops_sync_directory,
	.unlink = unlink,
};
