/*
 * cdc_settings.c
 *		Session settings held at fixed values; see cdc_settings.h.
 *
 * The same nesting that contrib/postgres_fdw uses for what it sends (set_transmission_modes()).
 */
#include "postgres.h"

#include "utils/guc.h"

#include "cdc_settings.h"

/*
 * What jsonb_populate_record() reads back under any settings, and what loses no digit; and what the
 * expressions of rules are read and evaluated by.
 */
static const struct
{
	const char *name;
	const char *value;
} pinned[] = {
	{"datestyle", "ISO, YMD"},
	{"intervalstyle", "iso_8601"},
	{"timezone", "UTC"},
	{"extra_float_digits", "1"},
	{"bytea_output", "hex"},
	{"lc_monetary", "C"},
	{"search_path", "pg_catalog, pg_temp"},
	{"quote_all_identifiers", "off"},
	{"lc_numeric", "C"},
	{"lc_time", "C"},
	{"standard_conforming_strings", "on"},
	{"transform_null_equals", "off"},
};

void
cdc_settings_save(CdcSettings *settings)
{
	settings->nest_level = NewGUCNestLevel();
	for (int i = 0; i < lengthof(pinned); i++)
		(void) set_config_option(pinned[i].name, pinned[i].value, PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
}

int
cdc_settings_begin_session_like(CdcSettings *settings)
{
	int nest_level;

	cdc_settings_pin(settings);
	nest_level = NewGUCNestLevel();
	(void) set_config_option("search_path", settings->search_path, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("intervalstyle", "postgres", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	return nest_level;
}

void
cdc_settings_end_session_like(int nest_level)
{
	AtEOXact_GUC(true, nest_level);
}

void
cdc_settings_unpin(CdcSettings *settings)
{
	if (settings->nest_level != 0)
		AtEOXact_GUC(true, settings->nest_level);
	settings->nest_level = 0;
}
