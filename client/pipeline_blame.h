/*
 * pipeline_blame.h
 *		Which rule of a document it is that the server refused.
 */
#ifndef CDC_PIPELINE_BLAME_H
#define CDC_PIPELINE_BLAME_H

#include "pipeline_server.h"

/*
 * err is what cdc.apply_pipeline() said of the whole document, its message beginning with
 * 'pipeline "NAME": '.  Where one of the rules by itself is answered alike, its relation and member are
 * added to the message.  Changes nothing on the server; no transaction may be open.
 */
extern void pipeline_blame_rule(PipelineServer *server, const PipelineFile *file, CdcError *err);

#endif /* CDC_PIPELINE_BLAME_H */
