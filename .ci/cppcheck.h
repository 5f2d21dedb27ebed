/*
 * cppcheck.h
 *		What cppcheck has to know of the server's headers, which it does not read: included before
 *		each file of the plugin.
 */
#define ERROR 21
#define WARNING 19
#define elog(level, ...)                                                                           \
	do                                                                                             \
	{                                                                                              \
		if ((level) >= ERROR)                                                                      \
			abort();                                                                               \
	} while (0)
#define ereport(level, ...) elog(level, 0)
#define foreach(cell, list) for ((cell) = list_head(list); (cell) != NULL; (cell) = lnext(list, cell))
#define pg_unreachable() abort()
