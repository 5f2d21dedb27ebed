/*
 * file_store.c
 *		A file that knows, over any crash, how many of its bytes count.
 *
 * Order of a commit: data synced; then the sidecar's other slot written and synced.
 *
 * Order of a rotation: commit; PATH renamed to PATH.N (N: the sidecar's "file"), directory synced;
 * PATH created, directory synced; sidecar says file N + 1, offset 0.  Nothing is appended before the
 * last of these.  So wherever it was cut short: while the sidecar still says N, PATH.N exists if and
 * only if the rename took place, PATH is then missing or empty, and rotation goes on from there.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file_store_private.h"

/* What errno means for the question whether trying again may help. */
CdcStatus
file_store_io_error(CdcError *err, const char *what, const char *path)
{
	CdcStatus status = CDC_RETRY;
	int code = errno;

	if (code == EACCES || code == EPERM || code == ENOTDIR || code == EISDIR || code == ENOENT ||
		code == ENAMETOOLONG || code == ELOOP)
		status = CDC_USAGE;
	cdc_error(err, status, "could not %s \"%s\": %s", what, path, strerror(code));
	if (code == ENOSPC || code == EDQUOT || code == EFBIG)
		cdc_error_hint(err,
					   "Make room: nothing is lost, and the client goes on once there is some.");
	else if (code == ENOENT)
		cdc_error_hint(err, "The directory must exist; the client creates the file only.");
	else if (code == EACCES || code == EPERM)
		cdc_error_hint(err, "The client needs to write both the file and its directory.");
	return status;
}

CdcStatus
file_store_write_at(FileStore *store, int fd, const char *path, const uint8_t *data, size_t length,
					uint64_t offset, CdcError *err)
{
	while (length > 0)
	{
		ssize_t written = store->ops->pwrite(fd, data, length, (off_t) offset);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
		{
			if (written == 0)
				errno = ENOSPC;
			return file_store_io_error(err, "write to", path);
		}
		data += written;
		offset += (uint64_t) written;
		length -= (size_t) written;
	}
	return CDC_OK;
}

/* Writes the state into the sidecar, under the next generation, and syncs it. */
CdcStatus
file_store_write_sidecar(FileStore *store, SidecarState *next, CdcError *err)
{
	uint8_t slot[SIDECAR_LONG_SLOT_SIZE];
	size_t size = 0;
	CdcStatus status;

	next->generation = store->state.generation + 1;
	status = sidecar_encode(slot, next, &size, err);
	if (status == CDC_OK)
		status = file_store_write_at(store, store->sidecar_fd, store->sidecar_path, slot, size,
									 sidecar_slot_offset(next->generation, size), err);
	if (status != CDC_OK)
		return status;
	if (store->ops->fdatasync(store->sidecar_fd) != 0)
		return file_store_io_error(err, "sync", store->sidecar_path);
	store->state = *next;
	return CDC_OK;
}

CdcStatus
file_store_sync_directory(FileStore *store, CdcError *err)
{
	if (store->ops->sync_directory(store->directory) != 0)
		return file_store_io_error(err, "sync directory", store->directory);
	return CDC_OK;
}

/* The current file, made if it is missing. */
CdcStatus
file_store_open_current(FileStore *store, CdcError *err)
{
	store->fd = store->ops->open(store->path, O_RDWR | O_CREAT, 0666);
	if (store->fd < 0)
		return file_store_io_error(err, "open", store->path);
	return file_store_sync_directory(store, err);
}

char *
file_store_rotated_path(const FileStore *store, uint64_t number)
{
	char *path;

	return asprintf(&path, "%s.%06" PRIu64, store->path, number) < 0 ? NULL : path;
}

/* Ends a rotation whose rename took place; the new file may or may not be there. */
CdcStatus
file_store_finish_rotation(FileStore *store, CdcError *err)
{
	SidecarState next = store->state;
	CdcStatus status;

	if (store->fd >= 0)
		store->ops->close(store->fd);
	status = file_store_open_current(store, err);
	if (status != CDC_OK)
		return status;
	next.file++;
	next.offset = 0;
	next.zstd = store->zstd;
	next.began = 0;
	store->size = 0;
	return file_store_write_sidecar(store, &next, err);
}

/*
 * Somebody else has cut the file short, as logrotate's copytruncate does, or added to it: what is written behind
 * its end, or over what it holds, nobody could read.
 */
static CdcStatus
check_size(const FileStore *store, CdcError *err)
{
	struct stat info;

	if (fstat(store->fd, &info) != 0 || (uint64_t) info.st_size == store->size)
		return CDC_OK;
	cdc_error(err, CDC_STOP,
			  "file \"%s\" has %" PRIu64 " bytes, but %" PRIu64
			  " were written to it: another program has changed it",
			  store->path, (uint64_t) info.st_size, store->size);
	cdc_error_hint(err,
				   "Only the client may write to it; to rotate files use ?rotate=SIZE instead of a "
				   "program that cuts them (logrotate's copytruncate).");
	return CDC_STOP;
}

CdcStatus
file_store_write(FileStore *store, const void *data, size_t length, CdcError *err)
{
	CdcStatus status = check_size(store, err);

	if (status == CDC_OK)
		status = file_store_write_at(store, store->fd, store->path, data, length, store->size, err);
	if (status == CDC_OK)
		store->size += length;
	return status;
}

uint64_t
file_store_size(const FileStore *store)
{
	return store->size;
}

int64_t
file_store_began(const FileStore *store)
{
	return store->state.began;
}

/* Whether the open file has no name any more. */
static bool
is_removed(int fd)
{
	struct stat info;

	return fstat(fd, &info) == 0 && info.st_nlink == 0;
}

/* What is written to a file that somebody removed is nobody's: it must not count as durable. */
static CdcStatus
check_not_removed(const FileStore *store, CdcError *err)
{
	bool file = is_removed(store->fd);

	if (!file && !is_removed(store->sidecar_fd))
		return CDC_OK;
	cdc_error(err, CDC_STOP, "\"%s\" was removed while it was being written to",
			  file ? store->path : store->sidecar_path);
	cdc_error_hint(err,
				   "What had been written to it is gone with it.  Put \"%s\" and \"%s\" back as "
				   "they were, or remove both to begin anew behind the slot's position. To rotate "
				   "files use ?rotate=SIZE.",
				   store->path, store->sidecar_path);
	return CDC_STOP;
}

CdcStatus
file_store_commit(FileStore *store, uint64_t size, int64_t began, const Source *source,
				  const Position *position, CdcError *err)
{
	SidecarState next = store->state;
	CdcStatus status = check_not_removed(store, err);

	if (status != CDC_OK)
		return status;
	if (size != next.offset && store->ops->fdatasync(store->fd) != 0)
		return file_store_io_error(err, "sync", store->path);
	if (next.offset == 0)
		next.zstd = store->zstd;
	next.offset = size;
	next.began = size > 0 ? began : 0;
	next.has_position = true;
	next.source = *source;
	next.position = *position;
	return file_store_write_sidecar(store, &next, err);
}

CdcStatus
file_store_rotate(FileStore *store, int64_t began, const Source *source, const Position *position,
				  CdcError *err)
{
	char *rotated = file_store_rotated_path(store, store->state.file);
	CdcStatus status;

	if (rotated == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	status = file_store_commit(store, store->size, began, source, position, err);
	if (status == CDC_OK && store->ops->rename(store->path, rotated) != 0)
	{
		status = file_store_io_error(err, "rename to its number", store->path);
		if (errno == EEXIST)
			cdc_error_hint(err, "\"%s\" was not made by this client: move it away.", rotated);
	}
	if (status == CDC_OK)
		status = file_store_sync_directory(store, err);
	if (status == CDC_OK)
		status = file_store_finish_rotation(store, err);
	free(rotated);
	return status;
}

/*
 * A start that was refused leaves nothing behind.	Where anything was written, the sidecar is what says
 * that it does not count.
 */
static void
remove_unused(FileStore *store)
{
	struct stat info;

	if (!store->locked || !store->made_sidecar || store->state.has_position || store->size > 0)
		return;
	/* a symbolic link is not what open() made */
	if (store->made_file && lstat(store->path, &info) == 0 && S_ISREG(info.st_mode))
		store->ops->unlink(store->path);
	store->ops->unlink(store->sidecar_path);
}

void
file_store_close(FileStore *store)
{
	if (store == NULL)
		return;
	remove_unused(store);
	if (store->fd >= 0)
		store->ops->close(store->fd);
	if (store->sidecar_fd >= 0)
		store->ops->close(store->sidecar_fd);
	free(store->path);
	free(store->directory);
	free(store->sidecar_path);
	free(store);
}
