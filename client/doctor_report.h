/*
 * doctor_report.h
 *		What doctor's checks have in common: the connections, and the lines that they say.
 */
#ifndef CDC_DOCTOR_REPORT_H
#define CDC_DOCTOR_REPORT_H

#include "options.h"
#include "pgconn.h"
#include "slot.h"

typedef enum DoctorLevel
{
	DOCTOR_OK,
	DOCTOR_WARN,
	DOCTOR_FAIL,
} DoctorLevel;

typedef struct DoctorLine
{
	const char *check; /* its name, in JSON */
	DoctorLevel level;
	bool fixed; /* --fix has applied the remedy */
	char text[1024];
	char remedy[2560]; /* the command that mends it, or "" */
} DoctorLine;

typedef struct Doctor
{
	const CdcOptions *options;
	const volatile int *interrupted;
	PGconn *sql;
	PGconn *replication; /* NULL where it could not be opened */
	PGresult *settings;  /* name, setting, shown value, pending_restart */
	int version;         /* PQserverVersion */
	bool in_recovery;
	bool can_create_slot; /* nothing seen so far prevents it */
	bool can_replicate;   /* a replication connection can be opened */
	SlotInfo slot;        /* of options->slot; exists false where none is named */
	DoctorLine *lines;
	int num_lines;
} Doctor;

/* Adds a line; check is a constant.  The remedy goes to the line added last. */
extern void doctor_say(Doctor *doctor, DoctorLevel level, const char *check, const char *fmt, ...)
	CDC_PRINTF(4, 5);
extern void doctor_remedy(Doctor *doctor, const char *fmt, ...) CDC_PRINTF(2, 3);

/* Adds a line that FAILs for an error, whose hint is the remedy. */
extern void doctor_say_error(Doctor *doctor, const char *check, const CdcError *err);

/* Asks on the ordinary connection; a failure becomes a line of the check, and NULL. */
extern PGresult *doctor_query(Doctor *doctor, const char *check, const char *sql);

/* A setting's value in its base unit, and as SHOW has it; NULL where the server has none such. */
extern const char *doctor_setting(const Doctor *doctor, const char *name);
extern const char *doctor_shown(const Doctor *doctor, const char *name);

/* The setting has been changed and waits for a restart. */
extern bool doctor_pending_restart(const Doctor *doctor, const char *name);

/* The checks of the server's settings, and those of what a stream needs besides. */
extern void doctor_check_server(Doctor *doctor);
extern void doctor_check_stream(Doctor *doctor);

/* Of these, what is selected: the pipeline, publications, tables' identities, what may be read. */
extern void doctor_check_selection(Doctor *doctor);

#endif /* CDC_DOCTOR_REPORT_H */
