#include "base/options.h"

#include <stdbool.h>
#include <string.h>

#include <clora/version.h>

static bool is_zero(const unsigned char *bytes, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (bytes[i])
            return false;
    return true;
}

clora_status options_take(const char *function, void *all, size_t size, const void *given, size_t given_size) {
    if (!given)
        return CLORA_OK;
    if (given_size < sizeof(size_t))
        return clora_fail(CLORA_ERROR_ARGUMENT, "%s: options of size %zu: begin with their _INIT", function,
                          given_size);
    if (given_size > size && !is_zero((const unsigned char *)given + size, given_size - size))
        return clora_fail(CLORA_ERROR_UNSUPPORTED,
                          "%s: options that clora " CLORA_VERSION " does not know; a newer one may", function);
    memcpy(all, given, given_size < size ? given_size : size);
    memcpy(all, &size, sizeof(size)); /* as it is known from here on */
    return CLORA_OK;
}

/* All but the size, which is the caller's. */
void result_give(void *out, size_t room, const void *result, size_t size) {
    const size_t bytes = room < size ? room : size;

    if (bytes > sizeof(size_t))
        memcpy((unsigned char *)out + sizeof(size_t), (const unsigned char *)result + sizeof(size_t),
               bytes - sizeof(size_t));
}

clora_status result_begin(const char *function, void *out, size_t room, size_t size) {
    const size_t bytes = room < size ? room : size;

    if (room < sizeof(size_t))
        return clora_fail(CLORA_ERROR_ARGUMENT, "%s: a result of size %zu: begin with its _INIT", function, room);
    memset((unsigned char *)out + sizeof(size_t), 0, bytes - sizeof(size_t));
    return CLORA_OK;
}

void options_init(void *out, size_t size, const void *defaults, size_t known) {
    if (!out || size < sizeof(size_t))
        return;
    memset(out, 0, size);
    memcpy(out, defaults, size < known ? size : known);
    memcpy(out, &size, sizeof(size));
}
