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
#include "file_store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sidecar.h"

struct FileStore
{
	const FileOps *ops;
	char *path;
	char *directory;
	char *sidecar_path;
	int fd;
	int sidecar_fd;
	uint64_t size;      /* where the next byte goes */
	SidecarState state; /* what the sidecar says */
};

/* What errno means for the question whether trying again may help. */
static CdcStatus
io_error(CdcError *err, const char *what, const char *path)
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

static CdcStatus
write_at(FileStore *store, int fd, const char *path, const uint8_t *data, size_t length,
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
			return io_error(err, "write to", path);
		}
		data += written;
		offset += (uint64_t) written;
		length -= (size_t) written;
	}
	return CDC_OK;
}

/* Writes the state into the sidecar, under the next generation, and syncs it. */
static CdcStatus
write_sidecar(FileStore *store, SidecarState *next, CdcError *err)
{
	uint8_t slot[SIDECAR_SLOT_SIZE];
	CdcStatus status;

	next->generation = store->state.generation + 1;
	status = sidecar_encode(slot, next, err);
	if (status == CDC_OK)
		status = write_at(store, store->sidecar_fd, store->sidecar_path, slot, sizeof(slot),
						  sidecar_slot_offset(next->generation), err);
	if (status != CDC_OK)
		return status;
	if (store->ops->fdatasync(store->sidecar_fd) != 0)
		return io_error(err, "sync", store->sidecar_path);
	store->state = *next;
	return CDC_OK;
}

static CdcStatus
sync_directory(FileStore *store, CdcError *err)
{
	if (store->ops->sync_directory(store->directory) != 0)
		return io_error(err, "sync directory", store->directory);
	return CDC_OK;
}

/* One writer at a time, over all processes of this machine. */
static CdcStatus
lock_sidecar(FileStore *store, CdcError *err)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(store->sidecar_fd, F_SETLK, &lock) == 0)
		return CDC_OK;
	if (errno != EACCES && errno != EAGAIN)
		return io_error(err, "lock", store->sidecar_path);
	if (fcntl(store->sidecar_fd, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK)
		lock.l_pid = 0;
	cdc_error(err, CDC_RETRY, "file \"%s\" is in use by another cdc_client (process %ld)",
			  store->path, (long) lock.l_pid);
	cdc_error_hint(err, "Stop that process, or give this one another file: a file has one writer.");
	return CDC_RETRY;
}

static char *
rotated_path(const FileStore *store, uint64_t number)
{
	char *path;

	return asprintf(&path, "%s.%06" PRIu64, store->path, number) < 0 ? NULL : path;
}

/* *size of a regular file; *exists is false where there is none. */
static CdcStatus
look_at(const char *path, bool *exists, uint64_t *size, CdcError *err)
{
	struct stat info;

	*size = 0;
	*exists = stat(path, &info) == 0;
	if (!*exists)
		return errno == ENOENT ? CDC_OK : io_error(err, "look at", path);
	if (!S_ISREG(info.st_mode))
	{
		cdc_error(err, CDC_USAGE, "\"%s\" is not a regular file", path);
		cdc_error_hint(err, "For a pipe or a device use --sink=- and the shell's redirection.");
		return CDC_USAGE;
	}
	*size = (uint64_t) info.st_size;
	return CDC_OK;
}

/* The current file, made if it is missing. */
static CdcStatus
open_current(FileStore *store, CdcError *err)
{
	store->fd = store->ops->open(store->path, O_RDWR | O_CREAT, 0666);
	if (store->fd < 0)
		return io_error(err, "open", store->path);
	return sync_directory(store, err);
}

/*
 * The sidecar is new, or a crash left it before its first slot was whole.	Then no byte of the file
 * has ever counted, and if there are any they are somebody else's.
 */
static CdcStatus
start_new(FileStore *store, uint64_t existing_size, CdcError *err)
{
	SidecarState next = {.file = 1};
	bool taken = true;
	CdcStatus status;

	if (existing_size > 0)
	{
		cdc_error(err, CDC_STOP,
				  "file \"%s\" holds %" PRIu64
				  " bytes, but \"%s\" does not say how many of them count",
				  store->path, existing_size, store->sidecar_path);
		cdc_error_hint(
			err, "To begin anew behind the slot's position, move the file away; to keep it as "
				 "it is, name another file.");
		return CDC_STOP;
	}
	while (taken)
	{
		char *path = rotated_path(store, next.file);
		uint64_t size;

		if (path == NULL)
			return cdc_error(err, CDC_RETRY, "out of memory");
		status = look_at(path, &taken, &size, err);
		free(path);
		if (status != CDC_OK)
			return status;
		if (taken)
			next.file++;
	}
	status = write_sidecar(store, &next, err);
	return status == CDC_OK ? open_current(store, err) : status;
}

/* Ends a rotation whose rename took place; the new file may or may not be there. */
static CdcStatus
finish_rotation(FileStore *store, CdcError *err)
{
	SidecarState next = store->state;
	CdcStatus status;

	if (store->fd >= 0)
		store->ops->close(store->fd);
	status = open_current(store, err);
	if (status != CDC_OK)
		return status;
	next.file++;
	next.offset = 0;
	store->size = 0;
	return write_sidecar(store, &next, err);
}

static CdcStatus
refuse_short(FileStore *store, const char *path, bool exists, uint64_t size, CdcError *err)
{
	if (exists)
		cdc_error(err, CDC_STOP,
				  "file \"%s\" has %" PRIu64 " bytes, but %" PRIu64
				  " were made durable: records are missing from it",
				  path, size, store->state.offset);
	else
		cdc_error(err, CDC_STOP,
				  "file \"%s\" is gone, but %" PRIu64 " bytes of it were made durable", path,
				  store->state.offset);
	cdc_error_hint(err,
				   "Put the file back as it was, or remove \"%s\" too to begin anew behind the "
				   "slot's position. To rotate files use ?rotate=SIZE instead of renaming them.",
				   store->sidecar_path);
	return CDC_STOP;
}

/* Opens what the sidecar speaks of, and cuts it to what counts. */
static CdcStatus
resume(FileStore *store, bool exists, uint64_t size, CdcError *err)
{
	char *rotated = rotated_path(store, store->state.file);
	bool rotated_exists;
	uint64_t rotated_size;
	CdcStatus status;

	if (rotated == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	status = look_at(rotated, &rotated_exists, &rotated_size, err);
	if (status == CDC_OK && rotated_exists && size > 0)
	{
		status = cdc_error(err, CDC_STOP, "both \"%s\" and \"%s\" hold data", store->path, rotated);
		cdc_error_hint(
			err,
			"The client is about to give the first the second's name. Move \"%s\" away; it "
			"was not made by this client.",
			rotated);
	}
	else if (status == CDC_OK && rotated_exists && rotated_size < store->state.offset)
		status = refuse_short(store, rotated, true, rotated_size, err);
	else if (status == CDC_OK && rotated_exists)
		status = finish_rotation(store, err);
	else if (status == CDC_OK && size < store->state.offset)
		status = refuse_short(store, store->path, exists, size, err);
	else if (status == CDC_OK)
	{
		status = open_current(store, err);
		if (status == CDC_OK && size > store->state.offset &&
			store->ops->ftruncate(store->fd, (off_t) store->state.offset) != 0)
			status = io_error(err, "cut", store->path);
		store->size = store->state.offset;
	}
	free(rotated);
	return status;
}

/*
 * What was read may stand in the page cache only, left by a process that was killed before its sync, or
 * whose sync failed.  Written anew, it is durable before anyone relies on it.	The same bytes go to
 * the same place, since the other slot may be the only one that is on the disk.
 */
static CdcStatus
make_read_durable(FileStore *store, const uint8_t *data, CdcError *err)
{
	uint64_t offset = sidecar_slot_offset(store->state.generation);
	CdcStatus status = write_at(store, store->sidecar_fd, store->sidecar_path, data + offset,
								SIDECAR_SLOT_SIZE, offset, err);

	if (status == CDC_OK && store->ops->fdatasync(store->sidecar_fd) != 0)
		status = io_error(err, "sync", store->sidecar_path);
	return status;
}

static CdcStatus
read_sidecar(FileStore *store, bool *valid, CdcError *err)
{
	uint8_t data[SIDECAR_SIZE];
	size_t length = 0;
	ssize_t got = 1;

	while (length < sizeof(data) && got > 0)
	{
		got = store->ops->pread(store->sidecar_fd, data + length, sizeof(data) - length,
								(off_t) length);
		if (got < 0)
			return io_error(err, "read", store->sidecar_path);
		length += (size_t) got;
	}
	*valid = sidecar_choose(data, length, &store->state);
	if (*valid)
		return make_read_durable(store, data, err);
	memset(&store->state, 0, sizeof(store->state));
	return CDC_OK;
}

static FileStore *
store_new(const FileOps *ops, const char *path)
{
	FileStore *store = calloc(1, sizeof(*store));
	const char *slash = strrchr(path, '/');

	if (store == NULL)
		return NULL;
	store->ops = ops;
	store->fd = -1;
	store->sidecar_fd = -1;
	store->path = strdup(path);
	if (slash == NULL)
		store->directory = strdup(".");
	else
		store->directory = strndup(path, slash == path ? 1 : (size_t) (slash - path));
	if (asprintf(&store->sidecar_path, "%s%s", path, FILE_STORE_SIDECAR_SUFFIX) < 0)
		store->sidecar_path = NULL;
	if (store->path == NULL || store->directory == NULL || store->sidecar_path == NULL)
	{
		file_store_close(store);
		return NULL;
	}
	return store;
}

CdcStatus
file_store_open(FileStore **result, const FileOps *ops, const char *path, Source *source,
				Position *position, bool *found, CdcError *err)
{
	FileStore *store = store_new(ops, path);
	bool exists;
	bool valid = false;
	uint64_t size;
	CdcStatus status;

	*result = NULL;
	*found = false;
	if (store == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	status = look_at(path, &exists, &size, err);
	if (status != CDC_OK)
		goto failed;
	store->sidecar_fd = ops->open(store->sidecar_path, O_RDWR | O_CREAT, 0666);
	if (store->sidecar_fd < 0)
	{
		status = io_error(err, "open", store->sidecar_path);
		goto failed;
	}
	status = lock_sidecar(store, err);
	if (status == CDC_OK)
		status = sync_directory(store, err);
	/* Only now: whoever had the lock may have changed the file. */
	if (status == CDC_OK)
		status = look_at(path, &exists, &size, err);
	if (status == CDC_OK)
		status = read_sidecar(store, &valid, err);
	if (status == CDC_OK)
		status = valid ? resume(store, exists, size, err) : start_new(store, size, err);
	if (status != CDC_OK)
		goto failed;
	*found = store->state.has_position;
	*source = store->state.source;
	*position = store->state.position;
	*result = store;
	return CDC_OK;

failed:
	file_store_close(store);
	return status;
}

CdcStatus
file_store_write(FileStore *store, const void *data, size_t length, CdcError *err)
{
	CdcStatus status = write_at(store, store->fd, store->path, data, length, store->size, err);

	if (status == CDC_OK)
		store->size += length;
	return status;
}

uint64_t
file_store_size(const FileStore *store)
{
	return store->size;
}

CdcStatus
file_store_commit(FileStore *store, uint64_t size, const Source *source, const Position *position,
				  CdcError *err)
{
	SidecarState next = store->state;

	if (size != next.offset && store->ops->fdatasync(store->fd) != 0)
		return io_error(err, "sync", store->path);
	next.offset = size;
	next.has_position = true;
	next.source = *source;
	next.position = *position;
	return write_sidecar(store, &next, err);
}

CdcStatus
file_store_rotate(FileStore *store, const Source *source, const Position *position, CdcError *err)
{
	char *rotated = rotated_path(store, store->state.file);
	CdcStatus status;

	if (rotated == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	status = file_store_commit(store, store->size, source, position, err);
	if (status == CDC_OK && store->ops->rename(store->path, rotated) != 0)
	{
		status = io_error(err, "rename to its number", store->path);
		if (errno == EEXIST)
			cdc_error_hint(err, "\"%s\" was not made by this client: move it away.", rotated);
	}
	if (status == CDC_OK)
		status = sync_directory(store, err);
	if (status == CDC_OK)
		status = finish_rotation(store, err);
	free(rotated);
	return status;
}

void
file_store_close(FileStore *store)
{
	if (store == NULL)
		return;
	if (store->fd >= 0)
		store->ops->close(store->fd);
	if (store->sidecar_fd >= 0)
		store->ops->close(store->sidecar_fd);
	free(store->path);
	free(store->directory);
	free(store->sidecar_path);
	free(store);
}
