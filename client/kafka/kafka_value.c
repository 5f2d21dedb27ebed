/*
 * kafka_value.c
 *		Keys and values of the topic of positions.	Pure, but for who we are.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "clock.h"
#include "kafka/kafka_positions.h"

bool
kafka_patience_over(const KafkaPatience *patience)
{
	return atomic_load(&patience->cancelled) || clock_now() >= patience->deadline;
}

void
kafka_position_key(char key[KAFKA_KEY_SIZE], const Source *source)
{
	snprintf(key, KAFKA_KEY_SIZE, "%s/%s/%s", source->system_identifier, source->database,
			 source->slot);
}

void
kafka_claim_key(char key[KAFKA_KEY_SIZE], const Source *source)
{
	size_t length;

	kafka_position_key(key, source);
	length = strlen(key);
	snprintf(key + length, KAFKA_KEY_SIZE - length, "#client");
}

void
kafka_client_identify(KafkaClientId *client)
{
	uint64_t random = 0;

	memset(client, 0, sizeof(*client));
	/* Only has to differ from other clients'; without randomness, time and pid do. */
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t) sizeof(random))
		random = (uint64_t) clock_timestamp() ^ ((uint64_t) getpid() << 40);
	snprintf(client->id, sizeof(client->id), "%016" PRIx64, random);
	if (gethostname(client->host, sizeof(client->host) - 1) != 0)
		client->host[0] = '\0';
	client->pid = (int) getpid();
	commit_time_format(client->since, clock_timestamp());
}

struct json_object *
kafka_claim_value(const KafkaClientId *client)
{
	struct json_object *object = json_object_new_object();
	struct json_object *member = json_object_new_object();

	json_object_object_add(member, "id", json_object_new_string(client->id));
	json_object_object_add(member, "host", json_object_new_string(client->host));
	json_object_object_add(member, "pid", json_object_new_int(client->pid));
	json_object_object_add(member, "since", json_object_new_string(client->since));
	json_object_object_add(object, "client", member);
	return object;
}

/* NULL where the whole of it is no JSON. */
static struct json_object *
parse_whole(const char *value, size_t length)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *object;

	if (tokener == NULL)
		return NULL;
	object = json_tokener_parse_ex(tokener, value, (int) length);
	if (object != NULL && json_tokener_get_parse_end(tokener) != length)
	{
		json_object_put(object);
		object = NULL;
	}
	json_tokener_free(tokener);
	return object;
}

static void
get_text(struct json_object *object, const char *name, char *text, size_t size)
{
	struct json_object *member;

	if (json_object_object_get_ex(object, name, &member))
		snprintf(text, size, "%s", json_object_get_string(member));
}

bool
kafka_claim_parse(KafkaClientId *client, const char *value, size_t length)
{
	struct json_object *object = parse_whole(value, length);
	struct json_object *member;
	struct json_object *pid;

	memset(client, 0, sizeof(*client));
	if (object != NULL && json_object_object_get_ex(object, "client", &member) &&
		json_object_is_type(member, json_type_object))
	{
		get_text(member, "id", client->id, sizeof(client->id));
		get_text(member, "host", client->host, sizeof(client->host));
		get_text(member, "since", client->since, sizeof(client->since));
		if (json_object_object_get_ex(member, "pid", &pid))
			client->pid = json_object_get_int(pid);
	}
	json_object_put(object);
	return client->id[0] != '\0';
}

bool
kafka_position_parse(Source *source, Position *position, const char *value, size_t length)
{
	struct json_object *object = parse_whole(value, length);
	bool good = object != NULL && position_from_json(object, source, position);

	json_object_put(object);
	return good;
}
