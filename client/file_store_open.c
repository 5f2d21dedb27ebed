/*
 * file_store_open.c
 *		Opening a file store: whose the files are, what of them counts, and what a crash has left.
 */
#include "file_store_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static CdcStatus
open_sidecar(FileStore *store, CdcError *err)
{
	store->sidecar_fd = store->ops->open(store->sidecar_path, O_RDWR, 0666);
	store->made_sidecar = store->sidecar_fd < 0 && errno == ENOENT;
	if (store->made_sidecar)
		store->sidecar_fd = store->ops->open(store->sidecar_path, O_RDWR | O_CREAT, 0666);
	return store->sidecar_fd < 0 ? file_store_io_error(err, "open", store->sidecar_path) : CDC_OK;
}

/* One writer at a time, over all processes of this machine. */
static CdcStatus
lock_sidecar(FileStore *store, CdcError *err)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(store->sidecar_fd, F_SETLK, &lock) == 0)
		return CDC_OK;
	if (errno != EACCES && errno != EAGAIN)
		/* untested: the system has no lock left */
		return file_store_io_error(err, "lock", store->sidecar_path);
	if (fcntl(store->sidecar_fd, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK)
		/* untested: the other client ended between the two calls */
		lock.l_pid = 0;
	cdc_error(err, CDC_RETRY, "file \"%s\" is in use by another cdc_client (process %ld)",
			  store->path, (long) lock.l_pid);
	cdc_error_hint(err, "Stop that process, or give this one another file: a file has one writer.");
	return CDC_RETRY;
}

/*
 * Whoever had the lock before may have removed the sidecar while we waited for it: then what we locked
 * is no file any more.
 */
static CdcStatus
check_still_there(const FileStore *store, CdcError *err)
{
	struct stat ours;
	struct stat there;

	if (fstat(store->sidecar_fd, &ours) == 0 && stat(store->sidecar_path, &there) == 0 &&
		ours.st_ino == there.st_ino && ours.st_dev == there.st_dev)
		return CDC_OK;
	return cdc_error(err, CDC_RETRY, "file \"%s\" was let go by another cdc_client just now",
					 store->path);
}

/* *size of a regular file; *exists is false where there is none. */
static CdcStatus
look_at(const char *path, bool *exists, uint64_t *size, CdcError *err)
{
	struct stat info;

	*size = 0;
	*exists = stat(path, &info) == 0;
	if (!*exists)
		return errno == ENOENT ? CDC_OK : file_store_io_error(err, "look at", path);
	if (!S_ISREG(info.st_mode))
	{
		cdc_error(err, CDC_USAGE, "\"%s\" is not a regular file", path);
		cdc_error_hint(err, "For a pipe or a device use --sink=- and the shell's redirection.");
		return CDC_USAGE;
	}
	*size = (uint64_t) info.st_size;
	return CDC_OK;
}

/*
 * The sidecar is new, or a crash left it before its first slot was whole.	Then no byte of the file
 * has ever counted, and if there are any they are somebody else's.
 */
static CdcStatus
start_new(FileStore *store, uint64_t existing_size, CdcError *err)
{
	SidecarState next = {.file = 1, .zstd = store->zstd};
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
		char *path = file_store_rotated_path(store, next.file);
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
	status = file_store_write_sidecar(store, &next, err);
	return status == CDC_OK ? file_store_open_current(store, err) : status;
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
	char *rotated = file_store_rotated_path(store, store->state.file);
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
		status = file_store_finish_rotation(store, err);
	else if (status == CDC_OK && size < store->state.offset)
		status = refuse_short(store, store->path, exists, size, err);
	else if (status == CDC_OK)
	{
		status = file_store_open_current(store, err);
		if (status == CDC_OK && size > store->state.offset &&
			store->ops->ftruncate(store->fd, (off_t) store->state.offset) != 0)
			status = file_store_io_error(err, "cut", store->path);
		store->size = store->state.offset;
	}
	free(rotated);
	return status;
}

/*
 * What was read may stand in the page cache only, left by a process that was killed before its sync, or
 * whose sync failed.  Written anew, it is durable before anyone relies on it.	The same bytes go to
 * the same place, since another slot may be the only one that is on the disk.
 */
static CdcStatus
make_read_durable(FileStore *store, const uint8_t *data, CdcError *err)
{
	size_t size = store->state.slot_size;
	uint64_t offset = sidecar_slot_offset(store->state.generation, size);
	CdcStatus status = file_store_write_at(store, store->sidecar_fd, store->sidecar_path,
										   data + offset, size, offset, err);

	if (status == CDC_OK && store->ops->fdatasync(store->sidecar_fd) != 0)
		status = file_store_io_error(err, "sync", store->sidecar_path);
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
			return file_store_io_error(err, "read", store->sidecar_path);
		length += (size_t) got;
	}
	*valid = sidecar_choose(data, length, &store->state);
	if (*valid)
		return make_read_durable(store, data, err);
	memset(&store->state, 0, sizeof(store->state));
	return CDC_OK;
}

static FileStore *
store_new(const FileOps *ops, const char *path, bool zstd)
{
	FileStore *store = calloc(1, sizeof(*store));
	const char *slash = strrchr(path, '/');

	if (store == NULL)
		return NULL;
	store->ops = ops;
	store->zstd = zstd;
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
file_store_open(FileStore **result, const FileOps *ops, const char *path, bool zstd, Source *source,
				Position *position, bool *found, CdcError *err)
{
	FileStore *store = store_new(ops, path, zstd);
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
	status = open_sidecar(store, err);
	if (status == CDC_OK)
		status = lock_sidecar(store, err);
	if (status == CDC_OK)
		status = check_still_there(store, err);
	store->locked = status == CDC_OK;
	if (status == CDC_OK)
		status = file_store_sync_directory(store, err);
	/* Only now: whoever had the lock may have changed the file. */
	if (status == CDC_OK)
		status = look_at(path, &exists, &size, err);
	if (status == CDC_OK)
		status = read_sidecar(store, &valid, err);
	store->made_file = status == CDC_OK && !exists;
	if (status == CDC_OK)
		status = valid ? resume(store, exists, size, err) : start_new(store, size, err);
	/* Nothing could read a file that is lines at first and then frames. */
	if (status == CDC_OK && store->state.offset > 0 && store->state.zstd != zstd)
		status = file_store_rotate(store, store->state.began, &store->state.source,
								   &store->state.position, err);
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
