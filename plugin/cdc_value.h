/*
 * cdc_value.h
 *		Datum -> JSON: one writer per type, chosen once per column.
 *
 * A CdcType is built once, with catalog look-ups, and then used for any number of values without.
 * It can be used for any row, decoded or read from a table: nothing here knows of changes.
 *
 * The rule behind every writer: jsonb_populate_record(NULL::the_table, after) is the row again, and
 * the bytes depend on no session setting.
 */
#ifndef CDC_VALUE_H
#define CDC_VALUE_H

#include "access/tupdesc.h"
#include "fmgr.h"

#include "cdc_settings.h"
#include "cdc_writer.h"

/* What the plugin's options say about values. */
typedef struct CdcValueOptions
{
	bool numeric_as_number;
	bool bigint_as_string;
	bool binary_as_base64;
} CdcValueOptions;

typedef struct CdcType CdcType;
typedef struct CdcRowType CdcRowType;

/*
 * Writes one value that is not NULL.  May allocate in CurrentMemoryContext (detoasted values, output
 * functions), which the caller resets.
 */
typedef void (*CdcValueWriter)(CdcWriter *writer, Datum value, const CdcType *type);

struct CdcType
{
	CdcValueWriter write;
	int16 length; /* pg_type.typlen, typbyval, typalign: for walking arrays */
	bool by_value;
	char align;
	CdcType *element;       /* of an array */
	CdcRowType *row;        /* of a composite */
	struct CdcEnum *labels; /* of an enum */
	FmgrInfo function;      /* output function, or cast to json */
	bool cast_to_json;
	int scale;             /* of a dialect's: digits behind the point */
	int mode;              /* of a dialect's: which of several ways */
	CdcSettings *settings; /* pinned while the function runs */
};

/* What building types needs to know, and what it finds out. */
typedef struct CdcTypeBuilder
{
	CdcValueOptions options;
	/*
	 * Of a format that writes some types in another way: true if it has built the type; NULL: none.  A type that it
	 * leaves without writer is not told at all.
	 */
	bool (*dialect)(CdcType *type, Oid type_oid, int32 typmod, struct CdcTypeBuilder *builder);
	const struct CdcOptions *format_options; /* for the dialect */
	bool in_array;                           /* the type is that of an array's elements */
	CdcEncoding *encoding;
	CdcSettings *settings; /* must outlive the types */
	List *rows;            /* of CdcRowType *: those built so far */
	List *row_relids;      /* relation OIDs of the composite types met: when one changes, the types
							* built are stale */
} CdcTypeBuilder;

/*
 * Builds the writer for a type in CurrentMemoryContext, which must live as long as it is used.
 * Needs a transaction.
 */
extern void cdc_type_build(CdcType *type, Oid type_oid, int32 typmod, CdcTypeBuilder *builder);

/* The type is written as the text of its output function, or what it can be cast to json as. */
extern void cdc_type_build_as_text(CdcType *type, Oid type_oid);

/* As the text of its output function; and the writer that is then used if there is no shorter way. */
extern void cdc_type_build_output(CdcType *type, Oid type_oid);
extern void cdc_put_output(CdcWriter *writer, Datum value, const CdcType *type);

/* The type that a domain is directly over, with its modifier (if asked for); InvalidOid: it is no domain. */
extern Oid cdc_domain_over(Oid type_oid, int32 *typmod);

/* An array of this type, as JSON arrays nested as deep as it has dimensions. */
extern void cdc_type_build_array(CdcType *type, Oid element, int32 typmod, CdcTypeBuilder *builder);

/* An enum, as a string. */
extern void cdc_type_build_enum(CdcType *type, Oid type_oid, CdcTypeBuilder *builder);

/* A name as a JSON string, padded, in CurrentMemoryContext; *len gets its length. */
extern char *cdc_make_name(const char *name, CdcEncoding *encoding, int *len);

/*
 * The text ,"name": that precedes a member's value, padded (cdc_writer.h), in CurrentMemoryContext; *len
 * gets its length.
 * The first member of an object leaves out the comma.
 */
extern char *cdc_make_label(const char *name, CdcEncoding *encoding, int *len);

static inline void
cdc_put_value(CdcWriter *writer, Datum value, const CdcType *type)
{
	type->write(writer, value, type);
}

#endif /* CDC_VALUE_H */
