/*
 * Link with -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc: what is linked statically allocates here. jansson, whose
 * many small allocations would hide the others, is a kind of its own, "json".
 */

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include <jansson.h>

#include "support/failing.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);

static bool no_memory(const char *kind, const char *function) {
    if (!failing_now(kind, function))
        return false;
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size) {
    return no_memory("memory", "malloc") ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    return no_memory("memory", "calloc") ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size) {
    return no_memory("memory", "realloc") ? NULL : __real_realloc(block, size);
}

static void *json_memory(size_t size) {
    return no_memory("json", "jansson") ? NULL : __real_malloc(size);
}

__attribute__((constructor)) static void watch_jansson(void) {
    json_set_alloc_funcs(json_memory, free);
}
