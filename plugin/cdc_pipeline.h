/*
 * cdc_pipeline.h
 *		Pipelines and their rules, as the extension's tables hold them.
 *
 * They are user catalog tables, read under the decoding snapshot: a rule counts from where its
 * transaction committed, however often that WAL is decoded.	 (Outside of decoding they are read as any
 * table.)	 Always by a scan of the heap: after REINDEX or VACUUM FULL the historic snapshot would look
 * for an index in its old file.  So the tables are kept small, and nothing in them is ever toasted.
 */
#ifndef CDC_PIPELINE_H
#define CDC_PIPELINE_H

#include "nodes/pg_list.h"

typedef enum CdcRuleKind
{
	CDC_RULE_COLUMN, /* member <- expression */
	CDC_RULE_DROP,   /* member: a column that is left out */
	CDC_RULE_RENAME, /* member: a column, definition: the member it becomes */
	CDC_RULE_LOOKUP, /* member <- value of a row looked up; definition: shadow,column,by-column,... */
	CDC_RULE_KEY,    /* definition: columns of the record's key, as a list of identifiers */
	CDC_RULE_TARGET, /* definition: template of the name that sinks send to */
	CDC_RULE_DELETE, /* definition: full or key */
	CDC_RULE_OUTBOX, /* definition: what cdc_outbox_build() reads */
	CDC_NUM_RULE_KINDS,
} CdcRuleKind;

/* As in cdc.rule.kind and in cdc.remove_rule(). */
extern const char *const cdc_rule_kind_names[CDC_NUM_RULE_KINDS];

typedef struct CdcRule
{
	Oid relation;
	CdcRuleKind kind;
	char *member; /* "" where the kind has none */
	char *definition;
	bool replaces; /* COLUMN: a column of that name, which must not be sent as it is */
} CdcRule;

typedef struct CdcPipeline
{
	char *name;
	bool dropped;       /* by drop_pipeline(), which keeps the row; or with the extension */
	Oid owner;          /* the role that made it */
	List *publications; /* of char * */
	List *options;      /* of DefElem, as START_REPLICATION gives them */
	char *metadata;     /* "" or ,"region":"eu" */
	List *rules;        /* of CdcRule *, ordered by relation, kind and member */
} CdcPipeline;

/*
 * Reads a pipeline, in CurrentMemoryContext; NULL if there is none of this name (or no extension).
 * *tables gets the OIDs of the tables read (InvalidOid: there are none): when they are said to have
 * changed the pipeline is stale.  Needs a transaction.
 */
extern CdcPipeline *cdc_pipeline_read(const char *name, Oid tables[2]);

/* The rules for a relation, in CurrentMemoryContext. */
extern List *cdc_pipeline_rules(const CdcPipeline *pipeline, Oid relation);

#endif /* CDC_PIPELINE_H */
