/*
 * Link with --wrap for the functions below: what is linked statically allocates here. jansson, whose many small
 * allocations would hide the others, is two kinds of its own: "json reading", where jansson 2.14 itself goes wrong, and
 * "json", all else.
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
json_t *__real_json_loadb(const char *text, size_t size, size_t flags, json_error_t *error);
json_t *__wrap_json_loadb(const char *text, size_t size, size_t flags, json_error_t *error);

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

static _Thread_local bool reading;

json_t *__wrap_json_loadb(const char *text, size_t size, size_t flags, json_error_t *error) {
    reading = true;
    json_t *value = __real_json_loadb(text, size, flags, error);
    reading = false;
    return value;
}

static void *json_memory(size_t size) {
    const bool fails = reading ? no_memory("json reading", "read") : no_memory("json", "build");

    return fails ? NULL : __real_malloc(size);
}

__attribute__((constructor)) static void watch_jansson(void) {
    json_set_alloc_funcs(json_memory, free);
}
