/*
 * cdc_message.h
 *		Logical messages, and those of them that mean more than a message.
 */
#ifndef CDC_MESSAGE_H
#define CDC_MESSAGE_H

typedef enum CdcMessageKind
{
	CDC_MESSAGE_PLAIN,
	CDC_MESSAGE_DDL,    /* cdc.tell_ddl()'s: content is a JSON object */
	CDC_MESSAGE_SPACER, /* what follows one in a subtransaction: nothing is sent of it */
	CDC_MESSAGE_OUTBOX, /* outbox:TARGET:KEY: content is the record that is to be sent, as JSON */
} CdcMessageKind;

typedef struct CdcMessage
{
	CdcMessageKind kind;
	const char *prefix;
	const char *content;
	Size content_len;
	const char *target; /* of an outbox message */
	const char *key;    /* "": it has none */
} CdcMessage;

/*
 * What a message is.  One that looks like more but whose content is not the JSON that it should be is
 * plain, so that nothing of it is lost.  Allocates in CurrentMemoryContext; prefix and content are
 * borrowed.
 */
extern void cdc_message_read(CdcMessage *message, bool transactional, const char *prefix,
							 const char *content, Size content_len);

/* An outbox message of these; all are borrowed.  False if the target cannot be one, or it is not JSON. */
extern bool cdc_message_make_outbox(CdcMessage *message, const char *target, const char *key,
									const char *content);

#endif /* CDC_MESSAGE_H */
