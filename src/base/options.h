#ifndef CLORA_BASE_OPTIONS_H
#define CLORA_BASE_OPTIONS_H

#include <stddef.h>
#include <string.h>

/* Options over their defaults, for structs that begin with their size: a program built with an older header knows
 * fewer of them. given may be NULL. */
#define OPTIONS_TAKE(all, given) options_take(&(all), sizeof(all), (given), (given) ? (given)->size : 0)

static inline void options_take(void *all, size_t size, const void *given, size_t given_size) {
    if (given)
        memcpy(all, given, given_size < size ? given_size : size);
}

#endif
