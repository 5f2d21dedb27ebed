/*
 * redis_batch.c
 *		Records on their way to Redis.
 *
 * The protocol's requests are written here and not by hiredis, which allocates for each command;
 * they are arrays of strings with lengths (Redis serialization protocol, "Send commands to a Redis
 * server").
 */
#include "redis_batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "../../plugin/cdc_protocol.h"

/* A buffer that a large record made larger is given back. */
#define KEEP_SIZE (1024 * 1024)

/* Room for a length and what stands around it: "$", 20 digits, "\r\n". */
#define LENGTH_SIZE 24

/*
 * KEYS: position, then owner and stream of each stream.  Answers the position's epoch, then for
 * each stream: whose it is, the position stored by that one where it is not us, where the stream
 * ends (or "!" and what the key is instead), and how many entries it has.
 */
const char redis_guard_script[] =
	"local answer = {redis.call('HGET', KEYS[1], 'epoch') or ''}\n"
	"for i = 2, #KEYS, 2 do\n"
	"  local owner = redis.call('GET', KEYS[i]) or ''\n"
	"  local position, last, length = '', '0-0', 0\n"
	"  if owner ~= '' and owner ~= KEYS[1] then\n"
	"    local other = redis.pcall('HGET', owner, 'position')\n"
	"    if type(other) == 'string' then position = other end\n"
	"  end\n"
	"  local kind = redis.call('TYPE', KEYS[i + 1]).ok\n"
	"  if kind == 'stream' then\n"
	"    local info = redis.call('XINFO', 'STREAM', KEYS[i + 1])\n"
	"    for k = 1, #info, 2 do\n"
	"      if info[k] == 'last-generated-id' then last = info[k + 1] end\n"
	"      if info[k] == 'length' then length = info[k + 1] end\n"
	"    end\n"
	"  elseif kind ~= 'none' then\n"
	"    last = '!' .. kind\n"
	"  end\n"
	"  for _, value in ipairs({owner, position, last, length}) do answer[#answer + 1] = value end\n"
	"end\n"
	"return answer\n";
#define ANSWERS_PER_STREAM 4

/* Room for length bytes more; NULL: out of memory. */
static char *
reserve(RedisBuffer *buffer, size_t length)
{
	if (length > buffer->size - buffer->length)
	{
		size_t size = buffer->size < 4096 ? 4096 : buffer->size;
		char *larger;

		while (size - buffer->length < length)
			size *= 2;
		larger = realloc(buffer->data, size);
		if (larger == NULL)
			return NULL;
		buffer->data = larger;
		buffer->size = size;
	}
	return buffer->data + buffer->length;
}

static char *
put_array(char *to, size_t count)
{
	*to++ = '*';
	to = redis_put_number(to, count);
	*to++ = '\r';
	*to++ = '\n';
	return to;
}

static char *
put_string(char *to, const char *text, size_t length)
{
	*to++ = '$';
	to = redis_put_number(to, length);
	*to++ = '\r';
	*to++ = '\n';
	memcpy(to, text, length);
	to += length;
	*to++ = '\r';
	*to++ = '\n';
	return to;
}

static size_t
string_size(size_t length)
{
	return LENGTH_SIZE + length + 2;
}

static bool
append_array(RedisBuffer *buffer, size_t count)
{
	char *to = reserve(buffer, LENGTH_SIZE);

	if (to == NULL)
		return false;
	buffer->length = (size_t) (put_array(to, count) - buffer->data);
	return true;
}

static bool
append_bytes(RedisBuffer *buffer, const char *bytes, size_t length)
{
	char *to = reserve(buffer, string_size(length));

	if (to == NULL)
		return false;
	buffer->length = (size_t) (put_string(to, bytes, length) - buffer->data);
	return true;
}

static bool
append_string(RedisBuffer *buffer, const char *text)
{
	return append_bytes(buffer, text, strlen(text));
}

/* A command of count arguments, all of them in args. */
static bool
append_command(RedisBuffer *buffer, int count, const char *const *args)
{
	bool good = append_array(buffer, (size_t) count);

	for (int i = 0; i < count && good; i++)
		good = append_string(buffer, args[i]);
	return good;
}

char *
redis_xadd_prefix(const char *stream, uint64_t maxlen, size_t *length)
{
	RedisBuffer buffer = {0};
	char count[24];
	char *shrunk;
	bool good;

	*redis_put_number(count, maxlen) = '\0';
	if (maxlen > 0)
		good = append_array(&buffer, 8) && append_string(&buffer, "XADD") &&
			   append_string(&buffer, stream) && append_string(&buffer, "MAXLEN") &&
			   append_string(&buffer, "~") && append_string(&buffer, count);
	else
		good = append_array(&buffer, 5) && append_string(&buffer, "XADD") &&
			   append_string(&buffer, stream);
	if (!good)
	{
		free(buffer.data);
		return NULL;
	}
	*length = buffer.length;
	/* there may be thousands of them */
	shrunk = realloc(buffer.data, buffer.length);
	if (shrunk != NULL)
		buffer.data = shrunk;
	return buffer.data;
}

bool
redis_batch_add(RedisBatch *batch, const char *prefix, size_t prefix_length,
				const RedisEntryId *entry, const char *record, size_t length)
{
	static const char field[] = "$6\r\nrecord\r\n";
	char id[48];
	char *id_end = redis_put_number(id, entry->first);
	char *to = reserve(&batch->body, prefix_length + string_size(sizeof(id)) + sizeof(field) +
										 string_size(length));

	if (to == NULL)
		return false;
	*id_end++ = '-';
	id_end = redis_put_number(id_end, entry->second);
	memcpy(to, prefix, prefix_length);
	to = put_string(to + prefix_length, id, (size_t) (id_end - id));
	memcpy(to, field, sizeof(field) - 1);
	to = put_string(to + sizeof(field) - 1, record, length);
	batch->body.length = (size_t) (to - batch->body.data);
	batch->num_records++;
	batch->bytes += length;
	return true;
}

/* The field is "SCHEMA.TABLE:VERSION", so that all versions of a table can be found. */
bool
redis_batch_add_schema(RedisBatch *batch, const Frame *frame)
{
	size_t before = batch->schemas.length;
	char *field;
	bool good;

	if (asprintf(&field, "%s.%s:%.*s", frame->relation->schema, frame->relation->table,
				 CDC_SCHEMA_VERSION_DIGITS, frame_schema_version(frame)) < 0)
		return false;
	good = append_string(&batch->schemas, field) &&
		   append_bytes(&batch->schemas, frame->payload, frame->payload_length);
	free(field);
	if (!good)
	{
		batch->schemas.length = before;
		return false;
	}
	batch->num_schemas++;
	batch->bytes += frame->payload_length;
	return true;
}

bool
redis_batch_add_stream(RedisBatch *batch, const char *stream, bool claim, const RedisEntryId *entry)
{
	RedisBatchStream *added;

	if (batch->num_streams == batch->max_streams)
	{
		int max = batch->max_streams == 0 ? 8 : 2 * batch->max_streams;
		RedisBatchStream *larger = realloc(batch->streams, (size_t) max * sizeof(*larger));

		if (larger == NULL)
			return false;
		batch->streams = larger;
		batch->max_streams = max;
	}
	added = &batch->streams[batch->num_streams];
	*added = (RedisBatchStream){.name = strdup(stream),
								.owner_key = redis_owner_key(stream),
								.first = *entry,
								.claim = claim};
	if (added->name == NULL || added->owner_key == NULL)
	{
		free(added->name);
		free(added->owner_key);
		return false;
	}
	batch->num_streams++;
	return true;
}

/* Position, owners and streams, as WATCH and the guard take them. */
static bool
append_keys(RedisBatch *batch, const char *position_key)
{
	bool good = append_string(&batch->head, position_key);

	for (int i = 0; i < batch->num_streams && good; i++)
		good = append_string(&batch->head, batch->streams[i].owner_key) &&
			   append_string(&batch->head, batch->streams[i].name);
	return good;
}

static bool
put_schemas(RedisBatch *batch, const char *schemas_key)
{
	char *to;

	if (batch->num_schemas == 0)
		return true;
	if (!append_array(&batch->head, 2 + 2 * (size_t) batch->num_schemas) ||
		!append_string(&batch->head, "HSET") || !append_string(&batch->head, schemas_key))
		return false;
	to = reserve(&batch->head, batch->schemas.length);
	if (to == NULL)
		return false;
	memcpy(to, batch->schemas.data, batch->schemas.length);
	batch->head.length += batch->schemas.length;
	return true;
}

static bool
seal_head(RedisBatch *batch, const char *position_key, const char *schemas_key, const char *sha)
{
	size_t num_keys = 1 + 2 * (size_t) batch->num_streams;
	char count[24];
	bool good;

	*redis_put_number(count, num_keys) = '\0';
	good = put_schemas(batch, schemas_key);
	good = good && append_array(&batch->head, 1 + num_keys) &&
		   append_string(&batch->head, "WATCH") && append_keys(batch, position_key);
	good = good && append_array(&batch->head, 3 + num_keys) &&
		   append_string(&batch->head, "EVALSHA") && append_string(&batch->head, sha) &&
		   append_string(&batch->head, count) && append_keys(batch, position_key);
	good = good && append_command(&batch->head, 1, (const char *[]){"MULTI"});
	batch->guard_answer = batch->num_schemas > 0 ? 2 : 1;
	batch->expected = batch->guard_answer + 2;
	for (int i = 0; i < batch->num_streams && good; i++)
		if (batch->streams[i].claim)
		{
			good =
				append_command(&batch->head, 3,
							   (const char *[]){"SET", batch->streams[i].owner_key, position_key});
			batch->expected++;
		}
	return good;
}

bool
redis_batch_seal(RedisBatch *batch, const char *position_key, const char *schemas_key,
				 const char *sha, const char *position)
{
	if (!seal_head(batch, position_key, schemas_key, sha) ||
		!append_command(&batch->body, 4,
						(const char *[]){"HSET", position_key, "position", position}))
		return false;
	batch->expected += batch->num_records + 1;
	return true;
}

/* The answer's string at index, "" where it is none. */
static const char *
answer_text(const redisReply *reply, size_t index)
{
	const redisReply *element = reply->element[index];

	return element->type == REDIS_REPLY_STRING ? element->str : "";
}

static CdcStatus
refuse_owner(const char *name, const char *stream, const char *owner, const char *position,
			 CdcError *err)
{
	struct json_object *object = json_tokener_parse(position);
	Source source;
	Position ignored;

	cdc_error(err, CDC_STOP,
			  "%s: stream \"%s\" belongs to another sink, whose position is in key \"%s\"", name,
			  stream, owner);
	if (object != NULL && position_from_json(object, &source, &ignored))
		cdc_error_detail(err,
						 "Slot \"%s\" of database \"%s\", system identifier %s, delivers to it.",
						 source.slot, source.database, source.system_identifier);
	cdc_error_hint(err, "A stream has one source: its ids can only rise.  Give this one streams of "
						"other names, as by {source} in the sink's URI.");
	json_object_put(object);
	return CDC_STOP;
}

static CdcStatus
judge_stream(const RedisBatchStream *stream, const char *owner, const char *position,
			 const char *last, long long length, const char *position_key, const char *name,
			 CdcError *err)
{
	RedisEntryId end;

	if (last[0] == '!')
	{
		cdc_error(err, CDC_STOP, "%s: key \"%s\" is a %s, not a stream", name, stream->name,
				  last + 1);
		cdc_error_hint(err, "Another program uses the key; give the streams other names.");
		return CDC_STOP;
	}
	if (owner[0] != '\0' && strcmp(owner, position_key) != 0)
		return refuse_owner(name, stream->name, owner, position, err);
	if (owner[0] == '\0' && length > 0)
	{
		cdc_error(err, CDC_STOP,
				  "%s: stream \"%s\" has %lld entries, and key \"%s\" does not say whose they are",
				  name, stream->name, length, stream->owner_key);
		cdc_error_hint(err,
					   "Another program writes to it, or the server has lost a part of its keys.  "
					   "Give the streams other names; or, where its entries may go, delete it.");
		return CDC_STOP;
	}
	if (!redis_entry_id_parse(last, &end))
		return cdc_error(err, CDC_RETRY, "%s: stream \"%s\" ends at \"%s\", which is no id", name,
						 stream->name, last);
	if (redis_entry_id_compare(&end, &stream->first) >= 0)
	{
		cdc_error(err, CDC_STOP,
				  "%s: stream \"%s\" ends at %s, at or behind the next record's id, %llu-%llu",
				  name, stream->name, last, (unsigned long long) stream->first.first,
				  (unsigned long long) stream->first.second);
		cdc_error_hint(err,
					   "Another program has added entries to it, or the position in key \"%s\" was "
					   "set back.  Delete what is not ours and XSETID the stream back; or go on "
					   "in streams of another name.",
					   position_key);
		return CDC_STOP;
	}
	return CDC_OK;
}

CdcStatus
redis_batch_judge(const RedisBatch *batch, const redisReply *reply, const char *position_key,
				  long long epoch, const char *name, CdcError *err)
{
	CdcStatus status = CDC_OK;

	if (reply->type != REDIS_REPLY_ARRAY ||
		reply->elements != 1 + (size_t) batch->num_streams * ANSWERS_PER_STREAM)
		return cdc_error(err, CDC_RETRY, "%s answered the guard with something else", name);
	if (strtoll(answer_text(reply, 0), NULL, 10) != epoch)
		return cdc_error(err, CDC_RETRY,
						 "%s: another cdc_client has taken the streams over (key \"%s\")", name,
						 position_key);
	for (int i = 0; i < batch->num_streams && status == CDC_OK; i++)
	{
		size_t at = 1 + (size_t) i * ANSWERS_PER_STREAM;

		status = judge_stream(&batch->streams[i], answer_text(reply, at),
							  answer_text(reply, at + 1), answer_text(reply, at + 2),
							  reply->element[at + 3]->integer, position_key, name, err);
	}
	return status;
}

static void
reset_buffer(RedisBuffer *buffer)
{
	buffer->length = 0;
	if (buffer->size > KEEP_SIZE)
	{
		free(buffer->data);
		*buffer = (RedisBuffer){0};
	}
}

static void
forget_streams(RedisBatch *batch)
{
	for (int i = 0; i < batch->num_streams; i++)
	{
		free(batch->streams[i].name);
		free(batch->streams[i].owner_key);
	}
	batch->num_streams = 0;
}

void
redis_batch_reset(RedisBatch *batch)
{
	RedisBatch emptied = {.streams = batch->streams, .max_streams = batch->max_streams};

	forget_streams(batch);
	free(batch->queue_error);
	reset_buffer(&batch->head);
	reset_buffer(&batch->body);
	free(batch->schemas.data); /* they are rare */
	emptied.head = batch->head;
	emptied.body = batch->body;
	*batch = emptied;
}

void
redis_batch_free(RedisBatch *batch)
{
	forget_streams(batch);
	free(batch->queue_error);
	free(batch->head.data);
	free(batch->body.data);
	free(batch->schemas.data);
	free(batch->streams);
	memset(batch, 0, sizeof(*batch));
}
