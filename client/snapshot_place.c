/*
 * snapshot_place.c
 *		The LSN that records of a chunk are known by.
 */
#include "snapshot_place.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "../plugin/cdc_protocol.h"
#include "byteorder.h"
#include "position.h"

/* A LSN in one of the forms, as the plugin writes them (plugin/cdc_json.h). */
typedef struct Form
{
	char old[LSN_TEXT_SIZE + 8];
	char new[LSN_TEXT_SIZE + 8];
	size_t length;
} Form;

/* False: the two are not of the same width. */
static bool
set_form(Form *form, char name, uint64_t old, uint64_t new)
{
	const uint64_t lsns[] = {old, new};
	char *texts[] = {form->old, form->new};

	for (int i = 0; i < 2; i++)
	{
		if (name == CDC_LSN_TEXT)
			lsn_format(texts[i], lsns[i]);
		else if (name == CDC_LSN_HEX)
			snprintf(texts[i], sizeof(form->old), "%016" PRIX64, lsns[i]);
		else
			snprintf(texts[i], sizeof(form->old), "%" PRIu64, lsns[i]);
	}
	form->length = strlen(form->old);
	return strlen(form->new) == form->length;
}

static const Form *
find_form(const Form *forms, char name)
{
	switch (name)
	{
		case CDC_LSN_TEXT:
			return &forms[0];
		case CDC_LSN_HEX:
			return &forms[1];
		case CDC_LSN_DECIMAL:
			return &forms[2];
		default:
			return NULL;
	}
}

PlaceResult
snapshot_place(uint8_t *message, size_t length, const uint8_t *places, size_t places_length,
			   uint64_t commit_lsn, uint64_t end_lsn)
{
	Form forms[3];
	uint64_t old;

	if (length < CDC_MESSAGE_HEADER_SIZE || places_length % CDC_PLACE_SIZE != 0)
		return PLACE_MALFORMED;
	old = get_be64(message + CDC_MESSAGE_AT_COMMIT_LSN);
	if (!set_form(&forms[0], CDC_LSN_TEXT, old, commit_lsn) ||
		!set_form(&forms[1], CDC_LSN_HEX, old, commit_lsn) ||
		!set_form(&forms[2], CDC_LSN_DECIMAL, old, commit_lsn))
		return PLACE_OTHER_WIDTH;
	for (size_t i = 0; i < places_length; i += CDC_PLACE_SIZE)
	{
		size_t at = get_be32(places + i);
		const Form *form = find_form(forms, (char) places[i + 4]);

		if (form == NULL || at < CDC_MESSAGE_HEADER_SIZE || at > length ||
			length - at < form->length || memcmp(message + at, form->old, form->length) != 0)
			return PLACE_MALFORMED;
		memcpy(message + at, form->new, form->length);
	}
	put_be64(message + CDC_MESSAGE_AT_COMMIT_LSN, commit_lsn);
	put_be64(message + CDC_MESSAGE_AT_END_LSN, end_lsn);
	return PLACE_DONE;
}
