/*
 * text.h
 *		Copies of short texts.
 */
#ifndef CDC_TEXT_H
#define CDC_TEXT_H

#include <stdlib.h>
#include <string.h>

/* malloc'd; "" for NULL.  Where there is no memory for so little, nothing else can go on either. */
static inline char *
text_copy(const char *text)
{
	char *copy = strdup(text != NULL ? text : "");

	if (copy == NULL)
		abort();
	return copy;
}

#endif /* CDC_TEXT_H */
