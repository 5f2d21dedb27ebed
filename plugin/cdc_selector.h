/*
 * cdc_selector.h
 *		Selection by names that options list, as wal2json has it, on top of publications.
 */
#ifndef CDC_SELECTOR_H
#define CDC_SELECTOR_H

#include "utils/rel.h"

#include "cdc_options.h"
#include "cdc_publication.h"

/*
 * Each reads an option's value, in CurrentMemoryContext; false if it is not one.  Items stand between
 * commas, white space around them does not count; a value that is empty is an empty list.
 */
extern bool cdc_selector_parse_words(const char *text, List **words);   /* of char * */
extern bool cdc_selector_parse_tables(const char *text, List **tables); /* of CdcTableName * */
extern bool cdc_selector_parse_oids(const char *text, List **oids);
extern bool cdc_selector_parse_actions(const char *text, int *actions); /* 1 << CdcChangeKind */

/*
 * Takes out of a relation's selection what the options do not want.  published: the relation itself, or
 * the ancestor that it is published as.
 */
extern void cdc_selector_apply(const CdcOptions *options, Relation published,
							   CdcSelection *selection);

/* Is a message of this prefix wanted? */
extern bool cdc_selector_wants_message(const CdcOptions *options, const char *prefix);

/* Are changes of this origin wanted?  oid 0: made here. */
extern bool cdc_selector_wants_origin(const CdcOptions *options, Oid origin);

#endif /* CDC_SELECTOR_H */
