/*
 * nats_store.c
 *		The position beside the records.
 */
#include "nats_store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nats_flow.h"

CdcStatus
nats_store_start(NatsStore *store, NatsLink *link, const NatsStream *stream, bool ours,
				 CdcError *err)
{
	natsStatus status = natsInbox_Create(&store->inbox);

	store->link = link;
	store->sequence = stream->position_sequence;
	store->have_stored = ours;
	store->stored = stream->stored;
	nats_position_subject(link->config, store->subject);
	if (status == NATS_OK)
		status = natsConnection_SubscribeSync(&store->answers, link->nc, store->inbox);
	if (status != NATS_OK)
		return nats_link_error(link, status, "subscribing to answers", err);
	return CDC_OK;
}

void
nats_store_stop(NatsStore *store)
{
	natsSubscription_Destroy(store->answers);
	natsInbox_Destroy(store->inbox);
	memset(store, 0, sizeof(*store));
}

bool
nats_store_differs(const NatsStore *store, const Position *position)
{
	const Position *stored = &store->stored;

	return !store->have_stored || record_id_compare(&position->id, &stored->id) != 0 ||
		   position->end_lsn != stored->end_lsn || position->confirmed != stored->confirmed ||
		   position->timeline != stored->timeline || position->incarnation != stored->incarnation ||
		   position->timeline_began != stored->timeline_began ||
		   position->snapshot != stored->snapshot;
}

CdcStatus
nats_store_send(NatsStore *store, const Source *source, const Position *position,
				uint64_t last_sequence, int64_t now, CdcError *err)
{
	char *text = nats_position_text(source, position, last_sequence);
	natsMsg *message = NULL;
	char sequence[24];
	natsStatus status;

	if (text == NULL)
		return cdc_error(err, CDC_RETRY, "out of memory");
	snprintf(sequence, sizeof(sequence), "%" PRIu64, store->sequence);
	status = natsMsg_Create(&message, store->subject, store->inbox, text, (int) strlen(text));
	if (status == NATS_OK)
		status = natsMsgHeader_Set(message, "Nats-Expected-Last-Subject-Sequence", sequence);
	if (status == NATS_OK)
		status = natsConnection_PublishMsg(store->link->nc, message);
	natsMsg_Destroy(message);
	free(text);
	if (status != NATS_OK)
		return nats_link_error(store->link, status, "storing the position", err);
	store->storing = *position;
	store->busy = true;
	store->busy_since = now;
	return CDC_OK;
}

CdcStatus
nats_store_receive(NatsStore *store, CdcError *err)
{
	natsMsg *answer = NULL;
	char what[600];
	int waiting = 0;
	natsStatus got;
	CdcStatus status;

	if (!store->busy || natsSubscription_GetPending(store->answers, &waiting, NULL) != NATS_OK ||
		waiting == 0)
		return CDC_OK;
	got = natsSubscription_NextMsg(&answer, store->answers, 1);
	if (got != NATS_OK)
		return nats_link_error(store->link, got, "reading an answer", err);
	snprintf(what, sizeof(what), "storing the position in stream \"%s\"",
			 store->link->config->positions);
	status = nats_read_answer(store->link, answer, what, &store->sequence, NULL, err);
	natsMsg_Destroy(answer);
	if (status != CDC_OK)
		return status == CDC_REFUSED ? CDC_STOP : status; /* it is no record */
	store->busy = false;
	store->stored = store->storing;
	store->have_stored = true;
	return CDC_OK;
}
