/*
 * cdc_compat.h
 *		What differs between the PostgreSQL versions we build against (15 to 19): the only file that
 *		looks at PG_VERSION_NUM.
 */
#ifndef CDC_COMPAT_H
#define CDC_COMPAT_H

#include "access/attmap.h"
#include "access/genam.h"
#include "access/tableam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_publication.h"
#include "common/jsonapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/nodes.h"
#include "replication/logical.h"
#include "replication/message.h"
#include "replication/reorderbuffer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/acl.h"
#include "utils/lsyscache.h" /* 19: get_database_name(), of commands/dbcommands.h before */
#include "utils/rel.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#if PG_VERSION_NUM >= 160000
#include "varatt.h" /* in postgres.h before */
#endif

#if PG_VERSION_NUM < 150000
#error "cdc_decoder needs PostgreSQL 15 or newer"
#endif

/* 16: one function for all kinds of objects. */
static inline bool
cdc_owns_relation(Oid relid, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(RelationRelationId, relid, role);
#else
	return pg_class_ownercheck(relid, role);
#endif
}

/* 16: a relation's file has another name. */
#if PG_VERSION_NUM >= 160000
typedef RelFileLocator CdcRelationFile;
#define cdc_relation_file_of(relation) (&(relation)->rd_locator)
#else
typedef RelFileNode CdcRelationFile;
#define cdc_relation_file_of(relation) (&(relation)->rd_node)
#endif

static inline CdcRelationFile
cdc_relation_file(Oid tablespace, Oid database, Oid number)
{
#if PG_VERSION_NUM >= 160000
	return (CdcRelationFile){.spcOid = tablespace, .dbOid = database, .relNumber = number};
#else
	return (CdcRelationFile){.spcNode = tablespace, .dbNode = database, .relNode = number};
#endif
}

/* 16: PGDLLEXPORT makes a symbol visible; before, that was left to the platform's default. */
#if PG_VERSION_NUM < 160000
#undef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
#endif

/* A function for SQL: 16's PG_FUNCTION_INFO_V1 exports it by itself. */
#define CDC_SQL_FUNCTION(name)                                                                     \
	extern PGDLLEXPORT Datum name(PG_FUNCTION_ARGS);                                               \
	PG_FUNCTION_INFO_V1(name)

/* 17: a change holds plain HeapTuples, before a ReorderBufferTupleBuf around each. */
#if PG_VERSION_NUM >= 170000
#define cdc_change_tuple(buffer) (buffer)
#else
#define cdc_change_tuple(buffer) ((buffer) ? &(buffer)->tuple : NULL)
#endif

/* 16: the core reports progress every 100 changes, before that it was the plugin's to do. */
#if PG_VERSION_NUM >= 160000
#define CDC_CORE_REPORTS_PROGRESS true
#else
#define CDC_CORE_REPORTS_PROGRESS false
#endif

/* 16: a flag that leaves out what only one side has, before there was none. */
static inline AttrMap *
cdc_attrmap_by_name(TupleDesc from, TupleDesc to)
{
#if PG_VERSION_NUM >= 160000
	return build_attrmap_by_name_if_req(from, to, false);
#else
	return build_attrmap_by_name_if_req(from, to);
#endif
}

/*
 * 18: the reorder buffer marks a subtransaction of a large transaction as streamed when it finds out that
 * the transaction was rolled back (ReorderBufferTruncateTXN(), reorderbuffer.c), though nothing is
 * streamed, and then wants to call stream_abort_cb: without one, an ERROR, and a stuck slot.
 */
#if PG_VERSION_NUM >= 180000
#define CDC_NEEDS_STREAM_ABORT true
#else
#define CDC_NEEDS_STREAM_ABORT false
#endif

/* 18: virtual generated columns, whose value is not in the tuple: their expressions instead. */
static inline Node *
cdc_expand_virtual_columns(Relation relation, Node *expression)
{
#if PG_VERSION_NUM >= 180000
	return expand_generated_columns_in_expr(expression, relation, 1);
#else
	return expression;
#endif
}

/* 18: virtual generated columns, whose value is not in the tuple. */
#if PG_VERSION_NUM >= 180000
#define CDC_HAVE_VIRTUAL_COLUMNS 1
#endif

/* Is it JSON, in the database's encoding?  17: the context may stand on the stack. */
static inline bool
cdc_json_is_valid(const char *text, Size len)
{
#if PG_VERSION_NUM >= 170000
	JsonLexContext lex;

	makeJsonLexContextCstringLen(&lex, text, len, GetDatabaseEncoding(), false);
	return pg_parse_json(&lex, &nullSemAction) == JSON_SUCCESS;
#else
	return pg_parse_json(makeJsonLexContextCstringLen(unconstify(char *, text), len,
													  GetDatabaseEncoding(), false),
						 &nullSemAction) == JSON_SUCCESS;
#endif
}

/* 18: not every column is. */
static inline bool
cdc_column_is_stored(Form_pg_attribute attr)
{
#if PG_VERSION_NUM >= 180000
	return attr->attgenerated != ATTRIBUTE_GENERATED_VIRTUAL;
#else
	return true;
#endif
}

/*
 * The timeline of the WAL that is being read: of the page that holds the record at hand, as
 * XLogReadDetermineTimeline() (access/transam/xlogutils.c) found it, so it follows a promotion.
 */
static inline TimeLineID
cdc_reader_timeline(const XLogReaderState *reader)
{
	return reader->currTLI;
}

/* 19: another name. */
#if PG_VERSION_NUM >= 190000
typedef ReplOriginId CdcOriginId;
#else
typedef RepOriginId CdcOriginId;
#endif

/* 19: the union that held it has gone. */
static inline TimestampTz
cdc_commit_time(const ReorderBufferTXN *txn)
{
#if PG_VERSION_NUM >= 190000
	return txn->commit_time;
#else
	return txn->xact_time.commit_time;
#endif
}

/* All rows of a table.  19: flags, of which none is of use here. */
static inline TableScanDesc
cdc_begin_scan(Relation relation, Snapshot snapshot)
{
#if PG_VERSION_NUM >= 190000
	return table_beginscan(relation, snapshot, 0, NULL, SO_NONE);
#else
	return table_beginscan(relation, snapshot, 0, NULL);
#endif
}

/* The publications that name a relation, to publish it. */
static inline List *
cdc_relation_publications(Oid relid)
{
#if PG_VERSION_NUM >= 190000
	return GetRelationIncludedPublications(relid);
#else
	return GetRelationPublications(relid);
#endif
}

/*
 * 19: FOR ALL TABLES EXCEPT (TABLE ...).  Only a table that is no partition can be named there, so for a
 * partition, pass its topmost ancestor.
 */
static inline bool
cdc_publication_excepts(const Publication *publication, Oid relid)
{
#if PG_VERSION_NUM >= 190000
	return list_member_oid(GetRelationExcludedPublications(relid), publication->oid);
#else
	return false;
#endif
}

/* A message outside transactions; returns where it ends.  17: it can be flushed at once. */
static inline XLogRecPtr
cdc_log_message(const char *prefix, const char *message, Size len)
{
#if PG_VERSION_NUM >= 170000
	return LogLogicalMessage(prefix, message, len, false, false);
#else
	return LogLogicalMessage(prefix, message, len, false);
#endif
}

/* 18: what the scan costs can be counted.	19: flags, of which none is of use here. */
static inline IndexScanDesc
cdc_index_beginscan(Relation table, Relation index, Snapshot snapshot, int nkeys)
{
#if PG_VERSION_NUM >= 190000
	return index_beginscan(table, index, snapshot, NULL, nkeys, 0, SO_NONE);
#elif PG_VERSION_NUM >= 180000
	return index_beginscan(table, index, snapshot, NULL, nkeys, 0);
#else
	return index_beginscan(table, index, snapshot, nkeys, 0);
#endif
}

/* style: INTSTYLE_*.  17: intervals may be infinite. */
static inline void
cdc_interval_to_text(const Interval *interval, int style, char *text)
{
	struct pg_itm itm;

#if PG_VERSION_NUM >= 170000
	if (INTERVAL_NOT_FINITE(interval))
	{
		strcpy(text, INTERVAL_IS_NOBEGIN(interval) ? "-infinity" : "infinity");
		return;
	}
#endif
	interval2itm(*interval, &itm);
	EncodeInterval(&itm, style, text);
}

#endif /* CDC_COMPAT_H */
