/*
 * cdc_settings.h
 *		Session settings held at fixed values while output functions of the server run.
 *
 * Most types have writers of our own, which look at no setting.  The others (ranges, money, regclass,
 * extension types, ...) are printed by the server's output functions, which do: so DateStyle,
 * IntervalStyle, TimeZone, extra_float_digits, bytea_output, lc_monetary, search_path and
 * quote_all_identifiers are pinned
 * from the first such value of a transaction to that transaction's end.
 */
#ifndef CDC_SETTINGS_H
#define CDC_SETTINGS_H

typedef struct CdcSettings
{
	int nest_level;          /* of the settings we have saved, 0: not pinned */
	const char *search_path; /* for cdc_settings_begin_session_like(); NULL: none asked for */
} CdcSettings;

/* The slow path of cdc_settings_pin(). */
extern void cdc_settings_save(CdcSettings *settings);

static inline void
cdc_settings_pin(CdcSettings *settings)
{
	if (settings->nest_level == 0)
		cdc_settings_save(settings);
}

/*
 * Until the matching end (or the end of the (sub)transaction, after an ERROR): what depends on search_path
 * and IntervalStyle is printed as in an ordinary session, of which settings->search_path is the path
 * and the style is PostgreSQL's default; the rest as pinned.  For formats whose readers know such text.
 */
extern int cdc_settings_begin_session_like(CdcSettings *settings);
extern void cdc_settings_end_session_like(int nest_level);

/* At the transaction's end.  After an ERROR the server restores the settings by itself. */
extern void cdc_settings_unpin(CdcSettings *settings);

#endif /* CDC_SETTINGS_H */
