/*
 * cdc_relation.h
 *		What is known of a relation: its names, selected columns, their writers, its key; kept in a
 *		cache and forgotten when the catalogs say so.
 */
#ifndef CDC_RELATION_H
#define CDC_RELATION_H

#include "access/xlogreader.h"
#include "utils/rel.h"

#include "cdc_expression.h"
#include "cdc_head.h"
#include "cdc_lookup.h"
#include "cdc_options.h"
#include "cdc_outbox.h"
#include "cdc_pipeline.h"
#include "cdc_publication.h"
#include "cdc_schema.h"
#include "cdc_value.h"

/*
 * A member of before and after: a column as it is, the value of an expression, or one that was looked up.
 * All have a place in a row's values: columns by attnum, the others behind them.
 */
typedef struct CdcColumn
{
	const char *member; /* its name, in UTF-8 */
	char *name;         /* the same as a JSON string, padded (cdc_writer.h) */
	int name_len;
	char *label; /* the text before its value, as the format has it: ,"name":  padded */
	int label_len;
	char *tail; /* the text behind its value, padded; NULL: the format has none */
	int tail_len;
	char *
		unchanged; /* what stands in place of its value (CdcStandIn), padded; NULL: the format has no such */
	int unchanged_len;
	char *unlogged;
	int unlogged_len;
	int index; /* of its value in a row of the relation (not of the ancestor it is published as) */
	bool
		logged; /* in the old row under DEFAULT and USING INDEX: made from the identity's columns */
	bool primary; /* part of the primary key */
	bool omitted; /* left out of the record being written, for its size */
	CdcType type;
	CdcExpression *expression; /* NULL: the column's own value */
	int lookup;                /* of the relation's lookups; -1: none */
	AttrNumber lookup_attnum;  /* of the value in the row looked up */
	bool
		must_not_fail; /* an error in the expression is an ERROR, else null and said in the record */
} CdcColumn;

/* A column whose value may be out of line, and unchanged, so that it was not logged. */
typedef struct CdcVarlena
{
	int index;
	bool logged;
} CdcVarlena;

/* A column of what identifies a row in the WAL: the replica identity's; the primary key's under FULL. */
typedef struct CdcIdentityColumn
{
	int index;
	int16 length; /* as pg_attribute.attlen */
	bool by_value;
} CdcIdentityColumn;

typedef struct CdcRelation
{
	Oid relid;
	bool selected[CDC_NUM_CHANGE_KINDS];  /* else a change is counted, but not recorded */
	bool delete_key;                      /* deletes are reduced to the key */
	CdcExpression *filters[CDC_TRUNCATE]; /* rows of which it is not true are not; NULL: all are */
	char identity;                        /* pg_class.relreplident */
	bool has_identity; /* members tell which row it was; under FULL, if there is a primary key */
	int natts;
	int nvalues; /* natts, and one for each expression and member looked up */
	int nvarlenas;
	CdcVarlena *varlenas;
	int nidentity; /* 0: what changed of it is not known by a key */
	CdcIdentityColumn *identity_columns;
	int ncolumns;
	CdcColumn
		*columns; /* members: the table's order, then those that are not named like a column */
	int nkeys;
	CdcColumn **keys;  /* those of the record's key, if all of them are there */
	bool is_computed;  /* some columns are expressions or looked up */
	CdcOutbox *outbox; /* what is inserted are records of others; NULL: ordinary rows */
	int nlookups;
	CdcLookupUse *lookups;
	char *schema; /* UTF-8, as in relation frames */
	char *table;
	char *target; /* "": named by the sink */
	CdcHead heads[CDC_NUM_CHANGE_KINDS];
	char *key_head; /* the text before a key in the frame, NULL: none */
	int key_head_len;
	char schema_version[CDC_SCHEMA_VERSION_SIZE];
	char *schema_record; /* from its version on; NULL: none is asked for */
	CdcHead schema_head; /* what stands before that */
	uint64 replaced;     /* bytes of the members' names that could not be converted to UTF-8 */

	/* the cache's own */
	uint32 number;                             /* in frames; from 1 */
	bool announced;                            /* its relation frame has been sent */
	char schema_sent[CDC_SCHEMA_VERSION_SIZE]; /* the version that was sent last; "": none */
	bool valid;
	uint64 generation;
	Size bytes; /* of the context, as counted in the cache's */
	MemoryContext context;
} CdcRelation;

typedef struct CdcRelationCache CdcRelationCache;

/*
 * A cache below parent, which is deleted with it.	reader is that of the WAL being decoded, NULL where
 * the catalogs' present state is looked at; it, encoding, settings and lookups must outlive the cache.  One cache is
 * live per process; the last one made is the one that hears of invalidations, and parent's end
 * unregisters it.
 */
extern CdcRelationCache *cdc_relation_cache_create(MemoryContext parent,
												   const XLogReaderState *reader,
												   CdcEncoding *encoding, CdcSettings *settings,
												   CdcLookups *lookups);

/* A transaction is about to be decoded whose first snapshot was made at this place. */
extern void cdc_relation_cache_begin(CdcRelationCache *cache, XLogRecPtr snapshot_lsn);

/*
 * What relations are made with from now on; needed before the first use.  All of it must last until
 * the next call.
 */
extern void cdc_relation_cache_configure(CdcRelationCache *cache, const CdcOptions *options,
										 const char *source, const char *metadata,
										 const CdcPipeline *pipeline,
										 CdcPublications *publications);

/* Rises whenever something changed on which more than one relation may depend. */
extern uint64 cdc_relation_cache_generation(const CdcRelationCache *cache);

/* Where in the WAL that was last so. */
extern XLogRecPtr cdc_relation_cache_changed_at(const CdcRelationCache *cache);

/* The same has happened by what the present record of the WAL says; relations may be stale. */
extern void cdc_relation_cache_note_change(CdcRelationCache *cache);

/* Changes of this relation are such. */
extern void cdc_relation_cache_watch(CdcRelationCache *cache, Oid relid);

/*
 * Has listener called, with arg, whenever a relation's definition has changed, whichever it is (InvalidOid: any may
 * have).  That comes in the WAL's order, and may come earlier, too; it must do nothing that can fail.
 */
typedef void (*CdcRelationListener)(void *arg, Oid relid);
extern void cdc_relation_cache_listen(CdcRelationCache *cache, CdcRelationListener listener,
									  void *arg);

/* Where outbox records go that name this target: no relation of the database.  Valid until the next call. */
extern CdcRelation *cdc_relation_for_target(CdcRelationCache *cache, const char *target);

/* The same for one of a few that a format names; what other calls gave stays valid. */
extern CdcRelation *cdc_relation_for_fixed_target(CdcRelationCache *cache, const char *target);

/*
 * What is known of the relation, which is open; looked up in the catalogs at first use and after a
 * change.	 Valid until the next call.
 */
extern CdcRelation *cdc_relation_get(CdcRelationCache *cache, Relation relation);

#endif /* CDC_RELATION_H */
