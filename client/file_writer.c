/*
 * file_writer.c
 *		Lines, gathered and perhaps compressed, into a file store.
 */
#include "file_writer.h"

#include <stdlib.h>
#include <string.h>

/* One write() per so many bytes at most; larger gains nothing measurable. */
#define BUFFER_SIZE ((size_t) 256 * 1024)

/* Less than this in the compressor is not worth a flush to learn what becomes of it. */
#define WORTH_A_FLUSH 4096

struct FileWriter
{
	FileStore *store;
	const CompressorOps *ops; /* NULL: none */
	Compressor *compressor;
	size_t buffered;
	size_t compressing; /* bytes that the compressor was given since it last gave all it had */
	bool in_frame;
	char buffer[BUFFER_SIZE];
};

static CdcStatus
write_output(void *arg, const void *data, size_t length, CdcError *err)
{
	FileWriter *writer = arg;

	return file_store_write(writer->store, data, length, err);
}

CdcStatus
file_writer_create(FileWriter **result, FileStore *store, const CompressorOps *compressor,
				   CdcError *err)
{
	FileWriter *writer = malloc(sizeof(*writer));
	CdcStatus status = CDC_OK;

	*result = writer;
	if (writer == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	writer->store = store;
	writer->ops = compressor;
	writer->compressor = NULL;
	writer->buffered = writer->compressing = 0;
	writer->in_frame = false;
	if (compressor != NULL)
		status = compressor->create(&writer->compressor, write_output, writer, err);
	return status;
}

void
file_writer_free(FileWriter *writer)
{
	if (writer != NULL && writer->compressor != NULL)
		writer->ops->destroy(writer->compressor);
	free(writer);
}

static CdcStatus
pass(FileWriter *writer, const char *data, size_t length, CompressorStep step, CdcError *err)
{
	CdcStatus status;

	if (writer->ops == NULL)
		return file_store_write(writer->store, data, length, err);
	status = writer->ops->write(writer->compressor, data, length, step, err);
	writer->compressing = step == COMPRESSOR_GO_ON ? writer->compressing + length : 0;
	writer->in_frame = step != COMPRESSOR_END && (writer->in_frame || length > 0);
	return status;
}

static CdcStatus
pass_buffer(FileWriter *writer, CompressorStep step, CdcError *err)
{
	CdcStatus status = pass(writer, writer->buffer, writer->buffered, step, err);

	writer->buffered = 0;
	return status;
}

CdcStatus
file_writer_pass(FileWriter *writer, CdcError *err)
{
	return writer->buffered > 0 ? pass_buffer(writer, COMPRESSOR_GO_ON, err) : CDC_OK;
}

CdcStatus
file_writer_end(FileWriter *writer, CdcError *err)
{
	return pass_buffer(writer, COMPRESSOR_END, err);
}

/* What does not fit into an empty buffer is passed on by itself. */
CdcStatus
file_writer_put(FileWriter *writer, const char *data, size_t length, CdcError *err)
{
	CdcStatus status = CDC_OK;

	if (writer->buffered + length + 1 > BUFFER_SIZE)
		status = file_writer_pass(writer, err);
	if (status == CDC_OK && length + 1 > BUFFER_SIZE)
	{
		status = pass(writer, data, length, COMPRESSOR_GO_ON, err);
		length = 0;
	}
	if (status != CDC_OK)
		return status;
	memcpy(writer->buffer + writer->buffered, data, length);
	writer->buffered += length;
	writer->buffer[writer->buffered++] = '\n';
	return CDC_OK;
}

bool
file_writer_is_empty(const FileWriter *writer)
{
	return file_store_size(writer->store) == 0 && writer->buffered == 0 && !writer->in_frame;
}

/* The most that the file can have when all that was put, and length bytes more, are in it. */
static uint64_t
size_at_most(const FileWriter *writer, size_t length)
{
	size_t coming = writer->compressing + writer->buffered + length + 1;

	return file_store_size(writer->store) +
		   (writer->ops != NULL ? writer->ops->bound(coming) : coming);
}

CdcStatus
file_writer_fits(FileWriter *writer, size_t length, uint64_t limit, bool *fits, CdcError *err)
{
	CdcStatus status = CDC_OK;

	*fits = size_at_most(writer, length) <= limit;
	if (*fits || writer->ops == NULL || writer->compressing + writer->buffered < WORTH_A_FLUSH)
		return CDC_OK;
	/* It is far less, mostly: let what is still in the compressor become what it will be. */
	status = pass_buffer(writer, COMPRESSOR_FLUSH, err);
	*fits = size_at_most(writer, length) <= limit;
	return status;
}
