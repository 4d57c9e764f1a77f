#ifndef CLORA_BASE_OPTIONS_H
#define CLORA_BASE_OPTIONS_H

#include <stddef.h>

#include "base/status.h"

/*
 * A caller's options over the defaults in `all`, for structs that begin with their size. A caller built with older
 * headers knows fewer of them; what a newer one says beyond those known here must be zero. given may be NULL.
 */
#define OPTIONS_TAKE(all, given) options_take(__func__, &(all), sizeof(all), (given), (given) ? (given)->size : 0)

clora_status options_take(const char *function, void *all, size_t size, const void *given, size_t given_size);

#endif
