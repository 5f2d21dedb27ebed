/*
 * json_out.h
 *		What the client says about itself as JSON, over json-c: never records, which pass unparsed.
 */
#ifndef CDC_JSON_OUT_H
#define CDC_JSON_OUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <json-c/json.h>

/*
 * Add a member; json_add_text adds null for NULL, and replaces bytes that are not UTF-8 (a server
 * in another encoding may send such) by '?', so that what is written is JSON always.
 */
extern void json_add_text(struct json_object *object, const char *key, const char *text);
extern void json_add_bool(struct json_object *object, const char *key, int value);
extern void json_add_int(struct json_object *object, const char *key, int64_t value);
extern void json_add_uint(struct json_object *object, const char *key, uint64_t value);
extern void json_add_double(struct json_object *object, const char *key, double value);

/* Writes the object on one line and frees it. */
extern void json_write_line(FILE *out, struct json_object *object);

/* Replaces, in place, every byte that belongs to no valid UTF-8 sequence by '?'. */
extern void json_make_utf8(char *text);

#endif /* CDC_JSON_OUT_H */
