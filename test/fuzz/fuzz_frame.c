/*
 * fuzz_frame.c
 *		Arbitrary bytes to the frame reader: no read outside of them, and nothing yielded that lies
 *		outside of them.
 *
 * The input is several messages, each behind a two-byte length, so that what one announces serves the
 * next.	 A first byte of 0 reads the input as one message.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile char sum;

static void
touch(const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		sum = (char) (sum + bytes[i]);
}

static void
check_inside(const FrameReader *reader, const char *bytes, uint32_t length)
{
	const char *begin = (const char *) reader->data;

	if (bytes == NULL)
	{
		if (length != 0)
			abort();
		return;
	}
	if (bytes < begin || length > reader->length ||
		(size_t) (bytes - begin) > reader->length - length)
		abort();
	touch(bytes, length);
}

static void
read_message(FrameReader *reader, const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size); /* of its own, for a sanitizer to see its end */
	CdcError err;
	Frame frame;
	bool found = true;
	CdcStatus status;

	if (copy == NULL)
		return;
	memcpy(copy, data, size);
	status = frame_open(reader, copy, size, &err);
	while (status == CDC_OK && found)
	{
		status = frame_next(reader, &frame, &found, &err);
		if (status != CDC_OK || !found)
			break;
		check_inside(reader, frame.payload, frame.payload_length);
		check_inside(reader, frame.key, frame.key_length);
		check_inside(reader, frame.old_key, frame.old_key_length);
		if (frame.relation != NULL)
		{
			touch(frame.relation->schema, strlen(frame.relation->schema));
			touch(frame.relation->table, strlen(frame.relation->table));
			touch(frame.relation->target, strlen(frame.relation->target));
		}
	}
	/* no error is for any input without a word about it */
	if (status != CDC_OK && err.message[0] == '\0')
		abort();
	free(copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FrameReader reader = {0};

	if (size == 0)
		return 0;
	if (data[0] == 0)
		read_message(&reader, data + 1, size - 1);
	else
	{
		while (size >= 2)
		{
			size_t length = (size_t) data[0] << 8 | data[1];

			data += 2;
			size -= 2;
			if (length > size)
				length = size;
			read_message(&reader, data, length);
			data += length;
			size -= length;
		}
	}
	frame_reader_reset(&reader);
	return 0;
}
