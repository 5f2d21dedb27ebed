/*
 * cdc_try.h
 *		Running code of the server's that may raise an error which must not stop decoding.
 */
#ifndef CDC_TRY_H
#define CDC_TRY_H

/*
 * Calls work(arg) in a subtransaction of its own.	False if it raised an error, which is then gone; the
 * transaction goes on as if nothing had happened.	What says that a person or the server wants us to
 * stop, or that resources are short, is raised all the same.  *sqlstate (may be NULL) is the error's.
 */
extern bool cdc_try(void (*work)(void *arg), void *arg, int *sqlstate);

/* Is the error such? */
extern bool cdc_must_be_raised(const ErrorData *error);

#endif /* CDC_TRY_H */
