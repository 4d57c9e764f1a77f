#include "base/cache.h"

#include <stdlib.h>

#include "base/alloc.h"

char *cache_directory(void) {
    const char *own = getenv("CLORA_CACHE_DIR"), *general = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

    if (own && *own)
        return alloc_string(own);
    if (general && *general == '/')
        return alloc_format("%s/clora", general);
    return home && *home ? alloc_format("%s/.cache/clora", home) : NULL;
}
