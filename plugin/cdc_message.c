/*
 * cdc_message.c
 *		Logical messages, and those of them that mean more than a message; see cdc_message.h.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "cdc_compat.h"
#include "cdc_message.h"

/* What cdc.tell_ddl() writes (sql/cdc_decoder--1.0.sql). */
#define DDL_PREFIX "cdc_decoder.ddl"
#define SPACER_PREFIX "cdc_decoder.spacer"
#define OUTBOX_PREFIX "outbox:"

/* Longer than any name of a topic, stream or subject may be. */
#define MAX_TARGET 255

static bool
is_json(const char *content, Size content_len)
{
	return pg_verify_mbstr(GetDatabaseEncoding(), content, content_len, true) &&
		   cdc_json_is_valid(content, content_len);
}

static bool
is_json_object(const char *content, Size content_len)
{
	Size at = 0;

	while (at < content_len && strchr(" \t\r\n", content[at]))
		at++;
	return at < content_len && content[at] == '{' && is_json(content, content_len);
}

static bool
is_target(const char *target)
{
	return *target != '\0' && strlen(target) <= MAX_TARGET;
}

bool
cdc_message_make_outbox(CdcMessage *message, const char *target, const char *key,
						const char *content)
{
	*message = (CdcMessage){.kind = CDC_MESSAGE_OUTBOX,
							.prefix = "outbox",
							.content = content,
							.content_len = strlen(content),
							.target = target,
							.key = key};
	return is_target(target) && is_json(content, message->content_len);
}

/* outbox:TARGET:KEY, of which the key may have colons, and may be left out with its colon. */
static bool
read_outbox(CdcMessage *message)
{
	char *target = pstrdup(message->prefix + strlen(OUTBOX_PREFIX));
	char *key = strchr(target, ':');

	if (key)
		*key++ = '\0';
	if (!is_target(target) || !is_json(message->content, message->content_len))
		return false;
	message->target = target;
	message->key = key ? key : "";
	return true;
}

void
cdc_message_read(CdcMessage *message, bool transactional, const char *prefix, const char *content,
				 Size content_len)
{
	*message = (CdcMessage){.kind = CDC_MESSAGE_PLAIN,
							.prefix = prefix,
							.content = content,
							.content_len = content_len};
	if (strncmp(prefix, OUTBOX_PREFIX, strlen(OUTBOX_PREFIX)) == 0)
	{
		if (read_outbox(message))
			message->kind = CDC_MESSAGE_OUTBOX;
	}
	else if (!transactional)
		return;
	else if (strcmp(prefix, SPACER_PREFIX) == 0 && content_len == 0)
		message->kind = CDC_MESSAGE_SPACER;
	else if (strcmp(prefix, DDL_PREFIX) == 0 && is_json_object(content, content_len))
		message->kind = CDC_MESSAGE_DDL;
}
