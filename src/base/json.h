#ifndef CLORA_BASE_JSON_H
#define CLORA_BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/status.h"

/*
 * jansson with clora's errors: each names the file, the key and what was wanted. Files are read with duplicate keys
 * rejected, NUL allowed in strings, depth bounded by jansson (2048) and at most four million values, as each takes some
 * hundred bytes. A number that fits no type (1e400, 30 digits, NaN) is an error only where it is asked for; saving
 * writes it as it was.
 */
clora_status json_load_path(json_t **out, const char *path, size_t limit_bytes);
clora_status json_load_bytes(json_t **out, const char *data, size_t size, const char *what);

/* jansson alone, with more of its flags: a value from a text, and a text that the caller frees; NULL when it fails.
 * Numbers that fit no type are as in files. */
json_t *json_parse(const char *text, size_t size, size_t flags, json_error_t *error);
char *json_text(const json_t *value, size_t flags);

/* object[key] by type. A missing key or null gives the fallback; a value of another type is an error that names
 * `where`. */
clora_status json_get_int(int64_t *out, const json_t *object, const char *key, int64_t fallback, const char *where);
clora_status json_get_real(double *out, const json_t *object, const char *key, double fallback, const char *where);
clora_status json_get_bool(bool *out, const json_t *object, const char *key, bool fallback, const char *where);
clora_status json_get_text(const char **out, const json_t *object, const char *key, const char *fallback,
                           const char *where); /* borrowed from the object; a string that holds a NUL is an error */

/* null, false, zero, or an empty text, list or object: a setting that is off. */
bool json_is_off(const json_t *value);

/* A finite float as the shortest decimal that gives it back. */
json_t *json_decimal(float value);

/* Add to an object or an array what is taken with it. Without memory for it the whole is freed and becomes NULL, which
 * later calls and json_pack() hand on: no part is missing in what is written. */
void json_put(json_t **object, const char *key, json_t *value);
void json_push(json_t **array, json_t *value);

/* Write indented JSON and a newline through file_writer (atomic): keys sorted, or in the order of the objects. */
clora_status json_save_path(const json_t *value, const char *path);
clora_status json_save_ordered_path(const json_t *value, const char *path);

#endif
