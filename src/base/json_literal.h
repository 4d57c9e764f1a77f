#ifndef CLORA_BASE_JSON_LITERAL_H
#define CLORA_BASE_JSON_LITERAL_H

#include <jansson.h>

#include <stddef.h>

/*
 * Numbers that have no place in a json_t: integers beyond 64 bits, reals beyond a double, and NaN and Infinity, which
 * Python's json writes. Where nobody reads them they must do no harm, so each is kept as it is written: as an object
 * whose one key no other object has.
 */

/*
 * The text with such objects in place of such numbers; the caller frees. NULL where it has none, or far too many, or
 * memory does not suffice. In the C locale.
 */
char *json_literals_wrap(const char *text, size_t *size);

/* What jansson wrote, with the numbers as they were. In place. */
void json_literals_unwrap(char *text, size_t *size);

/* The number as written, where the value is such an object; else NULL. */
const char *json_literal(const json_t *value);

#endif
