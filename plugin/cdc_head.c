/*
 * cdc_head.c
 *		The starts of records; see cdc_head.h.
 */
#include "postgres.h"

#include "cdc_head.h"
#include "cdc_json.h"

CdcHead
cdc_head_make(const char *op, const char *source, const char *metadata, const char *schema,
			  const char *table, CdcEncoding *encoding)
{
	CdcWriter writer = {.encoding = encoding};
	uint64 replaced_before = encoding->replaced;
	StringInfoData text;
	CdcHead head;

	initStringInfo(&text);
	cdc_writer_attach(&writer, &text);
	cdc_put_literal(&writer, "{\"op\":\"");
	cdc_put_short(&writer, op, strlen(op));
	cdc_put_literal(&writer, "\",\"source\":");
	cdc_put_string(&writer, source, strlen(source));
	cdc_put_bytes(&writer, metadata, strlen(metadata));
	if (table)
	{
		cdc_put_literal(&writer, ",\"schema\":");
		cdc_put_string(&writer, schema, strlen(schema));
		cdc_put_literal(&writer, ",\"table\":");
		cdc_put_string(&writer, table, strlen(table));
	}
	cdc_put_literal(&writer, ",\"commit_lsn\":\"");
	cdc_writer_detach(&writer);
	/* heads live long: without the room that is left over */
	head.text = cdc_pad(text.data, text.len);
	head.len = text.len;
	head.replaced = encoding->replaced - replaced_before;
	encoding->replaced = replaced_before;
	pfree(text.data);
	return head;
}
