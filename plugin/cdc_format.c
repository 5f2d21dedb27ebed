/*
 * cdc_format.c
 *		The formats there are; see cdc_format.h.
 */
#include "postgres.h"

#include "cdc_format.h"

static const CdcRecordFormat *const formats[] = {
	[CDC_FORMAT_CDC] = &cdc_format_cdc,
	[CDC_FORMAT_CLOUDEVENTS] = &cdc_format_cloudevents,
	[CDC_FORMAT_DEBEZIUM] = &cdc_format_debezium,
	[CDC_FORMAT_WAL2JSON] = &cdc_format_wal2json,
};

const CdcRecordFormat *
cdc_format(const CdcOptions *options)
{
	return formats[options->format];
}
