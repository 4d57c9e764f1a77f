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

/* ---- results, which begin with the size of the struct that the caller has ---- */

/* A result over as much of the caller's struct as that has room for, which its size says. out may be NULL. */
#define RESULT_GIVE(out, result) ((out) ? result_give((out), (out)->size, &(result), sizeof(result)) : (void)0)

void result_give(void *out, size_t room, const void *result, size_t size);

/* Can out be given a result? Else it has no size. The results that it may hold are gone. */
#define RESULT_BEGIN(out) result_begin(__func__, (out), (out)->size, sizeof(*(out)))

clora_status result_begin(const char *function, void *out, size_t room, size_t size);

/* The defaults, as much of them as there is room for, and zeros after them. out may be NULL. */
void options_init(void *out, size_t size, const void *defaults, size_t known);

#endif
