/*
 * target.h
 *		What a record's topic, stream or subject is called: templates, and the names made of them.
 *
 * A template is text with {schema}, {table}, {source} and {op} in it; "{{" is a "{".  It comes from the
 * sink's URI, or, where a rule (cdc.set_target) says so, from the server with the relation.  A name is
 * made once for each relation and op and then found again, so that nothing is parsed or allocated per
 * record.
 *
 * A record that belongs to no relation has the schema "cdc", and the table "messages" (logical
 * messages), "ddl" or "transactions" (begin and commit).
 */
#ifndef CDC_TARGET_H
#define CDC_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"
#include "frame.h"

/* One name, and what the sink keeps for it (a topic's handle); data begins as NULL. */
typedef struct Target
{
	const char *name;
	size_t length;
	void *data;
} Target;

typedef struct TargetNames TargetNames;

/* What a sink makes of names. */
typedef struct TargetRules
{
	/* Whether a byte of a schema's or table's name may stand in a target; others become '_'.  NULL: any. */
	bool (*allowed)(unsigned char byte);
	/* Frees Target.data; NULL: nothing to free. */
	void (*free_data)(void *data);
} TargetRules;

/*
 * Names by the template, which "what" names in errors ("the topic in the sink's URI").  Strings are
 * copied; rules is borrowed and outlives the names.  CDC_USAGE for a template that is not one.
 */
extern CdcStatus target_names_create(TargetNames **names, const char *template, const char *what,
									 const char *source, const TargetRules *rules,
									 CdcError *err) CDC_MUST_CHECK;
extern void target_names_free(TargetNames *names); /* takes NULL */

/*
 * The target of a record.  *target is valid until the next call.	CDC_STOP where a rule's template is
 * not one.
 */
extern CdcStatus target_find(TargetNames *names, const Frame *frame, Target **target,
							 CdcError *err) CDC_MUST_CHECK;

#endif /* CDC_TARGET_H */
