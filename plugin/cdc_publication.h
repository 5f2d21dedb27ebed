/*
 * cdc_publication.h
 *		Selection: what publications say of a relation, read as pgoutput reads them.
 */
#ifndef CDC_PUBLICATION_H
#define CDC_PUBLICATION_H

#include "utils/rel.h"

typedef enum CdcChangeKind
{
	CDC_INSERT,
	CDC_UPDATE,
	CDC_DELETE,
	CDC_TRUNCATE,
	CDC_SNAPSHOT, /* a row as it is: selected as an insert is */
	CDC_NUM_CHANGE_KINDS,
} CdcChangeKind;

typedef struct CdcPublications CdcPublications;

/* What is published of a relation. */
typedef struct CdcSelection
{
	bool kinds[CDC_NUM_CHANGE_KINDS];
	Oid publish_as;     /* the relation itself, or the ancestor that stands for it */
	Bitmapset *columns; /* attnums of publish_as; NULL: all */
	/* per insert, update, delete: row filters of which one must be true (Node *); NIL: none */
	List *filters[CDC_TRUNCATE];
} CdcSelection;

/* No publications yet, below parent. */
extern CdcPublications *cdc_publications_create(MemoryContext parent);

/*
 * The publications that select, by name (char *; copied); NIL: all relations are selected, whether
 * published or not.
 */
extern void cdc_publications_set_names(CdcPublications *publications, List *names);

/* Are all relations selected? */
extern bool cdc_publications_select_all(const CdcPublications *publications);

/* The catalogs changed: read them again at the next use.  Safe to call at any time. */
extern void cdc_publications_invalidate(CdcPublications *publications);

/*
 * What they say of a relation, which is open; lists and sets are in CurrentMemoryContext.	 A
 * publication that does not exist selects nothing, with a WARNING the first time.	Needs a transaction.
 */
extern void cdc_publications_select(CdcPublications *publications, Relation relation,
									CdcSelection *selection);

#endif /* CDC_PUBLICATION_H */
