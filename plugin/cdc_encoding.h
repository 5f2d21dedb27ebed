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

/* A text on its way to UTF-8, piece by piece: of any length, in bounded memory. */
typedef struct CdcConversion
{
	CdcEncoding *encoding;
	const char *text; /* what is left */
	const char *end;
	const char *piece_end; /* whole characters up to here are converted before more are looked at */
	Oid proc;              /* InvalidOid: there is no conversion, or none is needed */
	char *buffer;
} CdcConversion;

extern void cdc_encoding_init(CdcEncoding *encoding);

/*
 * Starts to convert len bytes; allocates in CurrentMemoryContext until cdc_conversion_end().  What
 * cannot be converted becomes U+FFFD, a character at a time, and its bytes are counted in
 * encoding->replaced.  Never raises an error for what the bytes are.
 */
extern void cdc_conversion_start(CdcConversion *conversion, CdcEncoding *encoding, const char *text,
								 Size len);

/* The next run of UTF-8, valid until the next call; false at the end. */
extern bool cdc_conversion_next(CdcConversion *conversion, const char **utf8, Size *len);
extern void cdc_conversion_end(CdcConversion *conversion);

/* A short text (a name) as a UTF-8 string, in CurrentMemoryContext. */
extern char *cdc_encoding_to_utf8(CdcEncoding *encoding, const char *text);

/* Are the bytes text in the database's encoding (without NUL)? */
extern bool cdc_encoding_is_text(const CdcEncoding *encoding, const char *bytes, Size len);

#endif /* CDC_ENCODING_H */
