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
