#ifndef CLORA_BASE_ALLOC_H
#define CLORA_BASE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

/* Zeroed memory for count elements of size bytes, or NULL when it does not fit (the product is checked). Free with
 * free(). */
void *alloc_array(size_t count, size_t size);

/* Grow *array so that it holds at least needed elements (capacity doubles). The old contents stay; on failure all
 * stays. */
clora_status alloc_grow(void **array, size_t *capacity, size_t needed, size_t size);

/* A copy of a string (or of its first n bytes) that the caller frees; NULL without memory. */
char *alloc_string(const char *text);
char *alloc_string_n(const char *text, size_t n);

/* printf into fresh memory that the caller frees; NULL without memory. */
char *alloc_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* *out = a * b (a + b); false on overflow. For every size that comes from a file. */
static inline bool size_mul(size_t a, size_t b, size_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}
static inline bool size_add(size_t a, size_t b, size_t *out) {
    return !__builtin_add_overflow(a, b, out);
}

/* Pointers to copies of items, all in one block that free() frees; NULL without memory, or items. */
void *alloc_list(const void *items, size_t count, size_t size);

#endif
