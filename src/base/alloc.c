#include "base/alloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/c_locale.h"

void *alloc_array(size_t count, size_t size) {
    return calloc(count ? count : 1, size ? size : 1);
}

clora_status alloc_grow(void **array, size_t *capacity, size_t needed, size_t size) {
    size_t wanted = *capacity ? *capacity : 16, bytes;

    if (needed <= *capacity)
        return CLORA_OK;
    while (wanted < needed)
        if (!size_mul(wanted, 2, &wanted))
            return clora_fail(CLORA_ERROR_MEMORY, "no memory for %zu elements", needed);
    if (!size_mul(wanted, size, &bytes))
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for %zu elements", needed);
    void *grown = realloc(*array, bytes);
    if (!grown)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for %zu bytes", bytes);
    *array = grown;
    *capacity = wanted;
    return CLORA_OK;
}

char *alloc_string_n(const char *text, size_t n) {
    char *copy = malloc(n + 1);

    if (!copy)
        return NULL;
    memcpy(copy, text, n);
    copy[n] = '\0';
    return copy;
}

char *alloc_string(const char *text) {
    return alloc_string_n(text, strlen(text));
}

char *alloc_format(const char *format, ...) {
    va_list args;

    va_start(args, format);
    const int n = c_locale_format(NULL, 0, format, args);
    va_end(args);
    if (n < 0)
        return NULL;
    char *text = malloc((size_t)n + 1);
    if (!text)
        return NULL;
    va_start(args, format);
    c_locale_format(text, (size_t)n + 1, format, args);
    va_end(args);
    return text;
}

void *alloc_list(const void *items, size_t count, size_t size) {
    const size_t begin = (count * sizeof(void *) + 15) / 16 * 16; /* of the copies, aligned for any of them */
    void **list = count ? calloc(1, begin + count * size) : NULL;

    for (size_t i = 0; list && i < count; i++)
        list[i] = memcpy((unsigned char *)list + begin + i * size, (const unsigned char *)items + i * size, size);
    return list;
}
