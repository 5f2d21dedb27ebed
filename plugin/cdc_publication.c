/*
 * cdc_publication.c
 *		Selection: what publications say of a relation; see cdc_publication.h.
 *
 * The rules are those of pgoutput (get_rel_sync_entry(), pgoutput_row_filter_init() and
 * pgoutput_column_list_init() in src/backend/replication/pgoutput/pgoutput.c), but for two cases in
 * which it raises an ERROR, since that would stick the slot for good: a publication that does not
 * exist selects nothing, and of different column lists for one table the union counts.
 */
#include "postgres.h"

#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_publication_namespace.h"
#include "catalog/pg_publication_rel.h"
#include "nodes/nodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "cdc_compat.h"
#include "cdc_publication.h"

struct CdcPublications
{
	MemoryContext names_context;
	List *names;
	bool *warned; /* by name: that it does not exist has been said */
	bool valid;
	MemoryContext context; /* of what was read; reset when it is read again */
	List *found;           /* of Publication * */
};

CdcPublications *
cdc_publications_create(MemoryContext parent)
{
	CdcPublications *publications = MemoryContextAllocZero(parent, sizeof(CdcPublications));

	publications->names_context =
		AllocSetContextCreate(parent, "cdc_decoder publication names", ALLOCSET_SMALL_SIZES);
	publications->context =
		AllocSetContextCreate(parent, "cdc_decoder publications", ALLOCSET_SMALL_SIZES);
	return publications;
}

static bool
same_names(List *a, List *b)
{
	ListCell *cell_a;
	ListCell *cell_b;

	if (list_length(a) != list_length(b))
		return false;
	forboth(cell_a, a, cell_b, b)
	{
		if (strcmp(lfirst(cell_a), lfirst(cell_b)) != 0)
			return false;
	}
	return true;
}

void
cdc_publications_set_names(CdcPublications *publications, List *names)
{
	MemoryContext caller;
	ListCell *cell;

	if (same_names(publications->names, names))
		return;
	publications->valid = false;
	MemoryContextReset(publications->names_context);
	caller = MemoryContextSwitchTo(publications->names_context);
	publications->names = NIL;
	foreach (cell, names)
		publications->names = lappend(publications->names, pstrdup(lfirst(cell)));
	publications->warned = palloc0(sizeof(bool) * Max(list_length(names), 1));
	MemoryContextSwitchTo(caller);
}

bool
cdc_publications_select_all(const CdcPublications *publications)
{
	return publications->names == NIL;
}

void
cdc_publications_invalidate(CdcPublications *publications)
{
	publications->valid = false;
}

static void
read_publications(CdcPublications *publications)
{
	MemoryContext caller;
	ListCell *cell;

	if (publications->valid)
		return;
	MemoryContextReset(publications->context);
	publications->found = NIL;
	publications->valid = true; /* an invalidation from here on makes it false again */
	caller = MemoryContextSwitchTo(publications->context);
	foreach (cell, publications->names)
	{
		const char *name = lfirst(cell);
		bool *warned = &publications->warned[foreach_current_index(cell)];
		Oid oid = get_publication_oid(name, true);

		if (OidIsValid(oid))
		{
			publications->found = lappend(publications->found, GetPublication(oid));
			*warned = false;
		}
		else if (!*warned)
		{
			*warned = true;
			ereport(WARNING, errcode(ERRCODE_UNDEFINED_OBJECT),
					errmsg("publication \"%s\" does not exist at this place in the WAL", name),
					errdetail("It selects nothing until the place where it was created."),
					errhint("Create it with CREATE PUBLICATION, or correct publication_names."));
		}
	}
	MemoryContextSwitchTo(caller);
}

/* Does this publication publish the relation?  As which, and how many levels above it is that? */
static bool
publishes(const Publication *publication, Relation relation, List *direct, Oid *publish_as,
		  int *level)
{
	Oid relid = RelationGetRelid(relation);
	List *ancestors = relation->rd_rel->relispartition ? get_partition_ancestors(relid) : NIL;
	Oid ancestor;
	int ancestor_level;

	*publish_as = relid;
	*level = 0;
	if (publication->alltables)
	{
		if (publication->pubviaroot && ancestors != NIL)
		{
			*publish_as = llast_oid(ancestors);
			*level = list_length(ancestors);
		}
		return !cdc_publication_excepts(publication,
										ancestors != NIL ? llast_oid(ancestors) : relid);
	}
	if (ancestors != NIL)
	{
		ancestor = GetTopMostAncestorInPublication(publication->oid, ancestors, &ancestor_level);
		if (OidIsValid(ancestor))
		{
			if (publication->pubviaroot)
			{
				*publish_as = ancestor;
				*level = ancestor_level;
			}
			return true;
		}
	}
	return list_member_oid(direct, publication->oid);
}

/* One publication's row filter and column list for a relation, as pg_publication_rel has them. */
typedef struct Terms
{
	bool whole_relation; /* no filter: FOR ALL TABLES, TABLES IN SCHEMA, or none was given */
	Node *filter;
	bool all_columns;
	Bitmapset *columns;
} Terms;

static void
read_terms(const Publication *publication, Oid relid, Terms *terms)
{
	HeapTuple tuple;
	bool isnull;
	Datum datum;

	terms->whole_relation = terms->all_columns = true;
	terms->filter = NULL;
	terms->columns = NULL;
	if (publication->alltables)
		return;
	tuple = SearchSysCache2(PUBLICATIONRELMAP, ObjectIdGetDatum(relid),
							ObjectIdGetDatum(publication->oid));
	if (!HeapTupleIsValid(tuple))
		return;
	/* being in the publication by its schema, too, takes precedence over a filter */
	if (!SearchSysCacheExists2(PUBLICATIONNAMESPACEMAP, ObjectIdGetDatum(get_rel_namespace(relid)),
							   ObjectIdGetDatum(publication->oid)))
	{
		datum = SysCacheGetAttr(PUBLICATIONRELMAP, tuple, Anum_pg_publication_rel_prqual, &isnull);
		terms->whole_relation = isnull;
		if (!isnull)
			terms->filter = stringToNode(TextDatumGetCString(datum));
	}
	datum = SysCacheGetAttr(PUBLICATIONRELMAP, tuple, Anum_pg_publication_rel_prattrs, &isnull);
	terms->all_columns = isnull;
	if (!isnull)
		terms->columns = pub_collist_to_bitmapset(NULL, datum, CurrentMemoryContext);
	ReleaseSysCache(tuple);
}

static bool
publication_has_kind(const Publication *publication, CdcChangeKind kind)
{
	const PublicationActions *actions = &publication->pubactions;

	switch (kind)
	{
		case CDC_INSERT:
		case CDC_SNAPSHOT:
			return actions->pubinsert;
		case CDC_UPDATE:
			return actions->pubupdate;
		case CDC_DELETE:
			return actions->pubdelete;
		default:
			return actions->pubtruncate;
	}
}

/* Row filters and column lists of the publications that publish the relation as publish_as. */
static void
combine_terms(List *publications, CdcSelection *selection)
{
	bool unfiltered[CDC_TRUNCATE] = {false};
	bool all_columns = false;
	ListCell *cell;

	foreach (cell, publications)
	{
		const Publication *publication = lfirst(cell);
		Terms terms;

		if (!publication_has_kind(publication, CDC_INSERT) &&
			!publication_has_kind(publication, CDC_UPDATE) &&
			!publication_has_kind(publication, CDC_DELETE))
			continue; /* it publishes no rows, so it cannot widen what is seen of them */
		read_terms(publication, selection->publish_as, &terms);
		for (int kind = CDC_INSERT; kind < CDC_TRUNCATE; kind++)
		{
			if (!publication_has_kind(publication, kind))
				continue;
			if (terms.whole_relation)
				unfiltered[kind] = true;
			else
				selection->filters[kind] = lappend(selection->filters[kind], terms.filter);
		}
		if (terms.all_columns)
			all_columns = true;
		else
			selection->columns = bms_add_members(selection->columns, terms.columns);
	}
	for (int kind = CDC_INSERT; kind < CDC_TRUNCATE; kind++)
	{
		if (unfiltered[kind])
			selection->filters[kind] = NIL;
	}
	if (all_columns)
		selection->columns = NULL;
}

void
cdc_publications_select(CdcPublications *publications, Relation relation, CdcSelection *selection)
{
	Oid relid = RelationGetRelid(relation);
	bool partitioned = relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
	List *as_one = NIL; /* the publications that publish it as selection->publish_as */
	int top_level = 0;
	List *direct;
	ListCell *cell;

	memset(selection, 0, sizeof(*selection));
	selection->publish_as = relid;
	if (!is_publishable_relation(relation))
		return; /* a materialized view, say: what REFRESH writes cannot be followed */
	if (publications->names == NIL)
	{
		memset(selection->kinds, true, sizeof(selection->kinds));
		return;
	}
	read_publications(publications);
	direct = list_concat(cdc_relation_publications(relid),
						 GetSchemaPublications(RelationGetNamespace(relation)));
	foreach (cell, publications->found)
	{
		Publication *publication = lfirst(cell);
		Oid publish_as;
		int level;

		if (!publishes(publication, relation, direct, &publish_as, &level) ||
			(partitioned && !publication->pubviaroot))
			continue;
		for (int kind = 0; kind < CDC_NUM_CHANGE_KINDS; kind++)
			selection->kinds[kind] |= publication_has_kind(publication, kind);
		if (level < top_level)
			continue;
		/* an ancestor further up replaces what was published below it */
		if (level > top_level)
			as_one = NIL;
		top_level = level;
		selection->publish_as = publish_as;
		as_one = lappend(as_one, publication);
	}
	combine_terms(as_one, selection);
}
