/*
 * file_look.c
 *		Looking at the file sink's files.
 *
 * The sidecar is read without its lock: of a slot that is just being written the checksum is wrong,
 * and the other slot then has the position that was durable before.
 */
#include "file_look.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file_store.h"
#include "sidecar.h"

static CdcStatus
look_error(CdcError *err, const char *what, const char *path)
{
	return cdc_error(err, CDC_USAGE, "could not %s \"%s\": %s", what, path, strerror(errno));
}

static CdcStatus
out_of_memory(CdcError *err)
{
	return cdc_error(err, CDC_RETRY, "out of memory");
}

/* A file that is not there must be possible to make, and one that is there to write to. */
static CdcStatus
check_writable(const char *path, bool *exists, uint64_t *size, CdcError *err)
{
	struct stat info;
	const char *slash = strrchr(path, '/');
	char *directory = slash == NULL ? strdup(".") : strndup(path, (size_t) (slash - path) + 1);
	CdcStatus status = CDC_OK;

	*size = 0;
	*exists = stat(path, &info) == 0;
	if (directory == NULL)
		return out_of_memory(err);
	if (!*exists && errno != ENOENT)
		status = look_error(err, "look at", path);
	else if (*exists && !S_ISREG(info.st_mode))
		status = cdc_error(err, CDC_USAGE, "\"%s\" is not a regular file", path);
	else if (faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) != 0)
	{
		status = look_error(err, "write to directory", directory);
		cdc_error_hint(err, "The directory must exist, and the client must be allowed to write to "
							"it; it creates the file only.");
	}
	else if (*exists && faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) != 0)
		status = look_error(err, "write to", path);
	else if (*exists)
		*size = (uint64_t) info.st_size;
	free(directory);
	return status;
}

/* *valid is false where there is no sidecar, or none that was ever whole. */
static CdcStatus
read_state(const char *sidecar_path, SidecarState *state, bool *valid, CdcError *err)
{
	uint8_t data[SIDECAR_SIZE];
	size_t length = 0;
	ssize_t got = 1;
	int fd = open(sidecar_path, O_RDONLY | O_CLOEXEC);

	*valid = false;
	if (fd < 0)
		return errno == ENOENT ? CDC_OK : look_error(err, "open", sidecar_path);
	while (length < sizeof(data) && got > 0)
	{
		got = read(fd, data + length, sizeof(data) - length);
		if (got > 0)
			length += (size_t) got;
	}
	close(fd);
	if (got < 0)
		return look_error(err, "read", sidecar_path);
	*valid = sidecar_choose(data, length, state);
	return CDC_OK;
}

/* In the midst of a rotation the file is under the name that it is rotated to. */
static CdcStatus
is_rotating(const char *path, uint64_t file, bool *rotating, CdcError *err)
{
	char *rotated;

	if (asprintf(&rotated, "%s.%06" PRIu64, path, file) < 0)
		return out_of_memory(err);
	*rotating = access(rotated, F_OK) == 0;
	free(rotated);
	return CDC_OK;
}

/* Whether the file holds what the sidecar says; read before it, so the file can only have grown. */
static CdcStatus
check_file(const char *path, const SidecarState *state, bool valid, CdcError *err)
{
	bool exists;
	bool rotating = false;
	uint64_t size;
	CdcStatus status = check_writable(path, &exists, &size, err);

	if (status == CDC_OK && valid)
		status = is_rotating(path, state->file, &rotating, err);
	if (status != CDC_OK || rotating)
		return status;
	if (!valid && size > 0)
	{
		cdc_error(err, CDC_STOP,
				  "file \"%s\" holds %" PRIu64 " bytes, but nothing says how many of them count",
				  path, size);
		cdc_error_hint(err, "Move the file away, or name another one.");
		return CDC_STOP;
	}
	if (valid && size < state->offset)
	{
		cdc_error(err, CDC_STOP,
				  "file \"%s\" has %" PRIu64 " bytes, but %" PRIu64 " were made durable", path,
				  size, state->offset);
		cdc_error_hint(err,
					   "Put the file back as it was, or remove \"%s%s\" too to begin anew behind "
					   "the slot's position.",
					   path, FILE_STORE_SIDECAR_SUFFIX);
		return CDC_STOP;
	}
	return CDC_OK;
}

CdcStatus
file_look(const char *path, Source *source, Position *position, bool *found, CdcError *err)
{
	SidecarState state = {0};
	bool valid;
	char *sidecar_path;
	CdcStatus status;

	*found = false;
	if (asprintf(&sidecar_path, "%s%s", path, FILE_STORE_SIDECAR_SUFFIX) < 0)
		return out_of_memory(err);
	status = read_state(sidecar_path, &state, &valid, err);
	free(sidecar_path);
	if (status == CDC_OK)
		status = check_file(path, &state, valid, err);
	if (status != CDC_OK || !valid || !state.has_position)
		return status;
	*found = true;
	*source = state.source;
	*position = state.position;
	return CDC_OK;
}
