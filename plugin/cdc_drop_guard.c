/*
 * cdc_drop_guard.c
 *		Refusing to drop what replication slots still need.
 *
 * A user catalog table that was dropped cannot be opened for changes of it that are still to be decoded:
 * PostgreSQL's reorder buffer opens it, before any callback, by its present pg_class entry ("could not find
 * pg_class entry", RelationInitPhysicalAddr() in utils/cache/relcache.c), and fails at each retry, for
 * slots of all plugins.  So the extension, its schema and lookup tables are not dropped while there are
 * logical slots in the database, unless the user says that these need not be waited for.
 *
 * An event trigger at the command's start: at its end it would have been dropped with the extension.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/event_trigger.h"
#include "commands/extension.h"
#include "commands/user.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "replication/slot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "cdc_compat.h"

#define EXTENSION "cdc_decoder"
#define SCHEMA "cdc"

/* Set to on by who knows that no slot needs it; any other value, or none, is off. */
#define SETTING "cdc.drop_with_slots"

CDC_SQL_FUNCTION(cdc_refuse_drop);

static bool
names_relation(List *name)
{
	Oid relid = RangeVarGetRelid(makeRangeVarFromNameList(name), NoLock, true);

	return OidIsValid(relid) && get_rel_relkind(relid) == RELKIND_RELATION &&
		   get_rel_namespace(relid) == get_namespace_oid(SCHEMA, true);
}

/* All that a role owns is dropped: is it the one whose the extension's tables are? */
static bool
names_owner(const DropOwnedStmt *statement)
{
	Oid schema = get_namespace_oid(SCHEMA, true);
	Oid table = OidIsValid(schema) ? get_relname_relid("rule", schema) : InvalidOid;
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		return false;
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return list_member_oid(roleSpecsToIds(statement->roles), owner);
}

static bool
names_ours(const DropStmt *statement)
{
	ListCell *cell;

	foreach (cell, statement->objects)
	{
		Node *object = lfirst(cell);

		switch (statement->removeType)
		{
			case OBJECT_EXTENSION:
				if (strcmp(strVal(object), EXTENSION) == 0)
					return true;
				break;
			case OBJECT_SCHEMA:
				if (strcmp(strVal(object), SCHEMA) == 0)
					return true;
				break;
			case OBJECT_TABLE:
				if (names_relation((List *) object))
					return true;
				break;
			default:
				break;
		}
	}
	return false;
}

/* The logical slots of this database, as a list; NULL: none. */
static char *
list_slots(void)
{
	StringInfoData names;

	initStringInfo(&names);
	LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
	for (int i = 0; i < max_replication_slots; i++)
	{
		ReplicationSlot *slot = &ReplicationSlotCtl->replication_slots[i];

		/* name and database of a slot in use do not change */
		if (slot->in_use && slot->data.database == MyDatabaseId)
			appendStringInfo(&names, "%s\"%s\"", names.len > 0 ? ", " : "",
							 NameStr(slot->data.name));
	}
	LWLockRelease(ReplicationSlotControlLock);
	return names.len > 0 ? names.data : NULL;
}

static bool
is_allowed(void)
{
	const char *setting = GetConfigOption(SETTING, true, false);
	bool on;

	return setting && parse_bool(setting, &on) && on;
}

Datum
cdc_refuse_drop(PG_FUNCTION_ARGS)
{
	EventTriggerData *trigger = (EventTriggerData *) fcinfo->context;
	bool drops_ours = false;
	const char *slots;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("cdc.refuse_drop() must be called as an event trigger"));
	if (IsA(trigger->parsetree, DropStmt))
		drops_ours = names_ours((DropStmt *) trigger->parsetree);
	else if (IsA(trigger->parsetree, DropOwnedStmt))
		drops_ours = names_owner((DropOwnedStmt *) trigger->parsetree);
	if (!drops_ours || is_allowed())
		return PointerGetDatum(NULL);
	slots = list_slots();
	if (slots)
		ereport(
			ERROR, errcode(ERRCODE_OBJECT_IN_USE),
			errmsg("tables of extension " EXTENSION " cannot be dropped while there are logical "
				   "replication slots"),
			errdetail("Slots of this database: %s.  One that still has to decode changes of these "
					  "tables could never go on.",
					  slots),
			errhint(
				"Drop the slots first.  Or, where all of them have been read past the last change "
				"of rules and of tables that are looked up in: SET " SETTING " = on."));
	return PointerGetDatum(NULL);
}
