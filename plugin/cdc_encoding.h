/*
 * cdc_encoding.h
 *		From the database's encoding to the UTF-8 of the output.
 *
 * Nearly every database is UTF-8 and none of this is called.  Elsewhere only strings that hold a
 * byte above 127 come here: all server encodings contain ASCII (mb/pg_wchar.h).
 */
#ifndef CDC_ENCODING_H
#define CDC_ENCODING_H

typedef struct CdcEncoding
{
	int encoding; /* the database's */
	bool convert; /* it is not UTF-8 */
	bool escape;  /* write non-ASCII as \uXXXX: the output passes through the database's encoding */
	uint64 replaced; /* bytes of the present record that could not be converted (now U+FFFD) */
} CdcEncoding;

extern void cdc_encoding_init(CdcEncoding *encoding);

/*
 * Converts len bytes to UTF-8, in CurrentMemoryContext; *out_len gets the length.	Bytes that cannot be
 * converted become U+FFFD each and are counted in encoding->replaced.	Never raises an error for what
 * the bytes are.
 */
extern char *cdc_encoding_to_utf8(CdcEncoding *encoding, const char *text, Size len, Size *out_len);

/* Are the bytes text in the database's encoding (without NUL)? */
extern bool cdc_encoding_is_text(const CdcEncoding *encoding, const char *bytes, Size len);

#endif /* CDC_ENCODING_H */
