#include "device/source.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"

clora_status source_text(char **out, const char *stem, size_t length) {
    const char *folder = getenv("CLORA_KERNEL_DIR");

    if (folder && *folder) {
        size_t size;
        const char *ending = memchr(stem, '.', length) ? "" : ".cl"; /* a header's name has its own */
        char *path = alloc_format("%s/%.*s%s", folder, (int)length, stem, ending);
        if (!path)
            return clora_fail(CLORA_ERROR_MEMORY, "no memory for a path");
        const clora_status status = file_read_text(out, &size, path, (size_t)1 << 24);
        free(path);
        return status;
    }
    for (size_t i = 0; i < kernel_sources_count; i++)
        if (strlen(kernel_sources[i].name) == length && memcmp(kernel_sources[i].name, stem, length) == 0) {
            *out = alloc_string_n((const char *)kernel_sources[i].text, kernel_sources[i].size);
            return *out ? CLORA_OK : clora_fail(CLORA_ERROR_MEMORY, "no memory for a kernel's source");
        }
    return clora_fail(CLORA_ERROR_NOT_FOUND, "no kernel source %.*s", (int)length, stem);
}

clora_status source_hash(XXH128_hash_t *out) {
    clora_status status = CLORA_OK;
    XXH3_state_t *state = XXH3_createState();
    char *text = NULL;

    if (!state)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a hash");
    XXH3_128bits_reset(state);
    for (size_t i = 0; i < kernel_sources_count; i++) {
        TRY(source_text(&text, kernel_sources[i].name, strlen(kernel_sources[i].name)));
        XXH3_128bits_update(state, text, strlen(text) + 1);
        free(text);
        text = NULL;
    }
    *out = XXH3_128bits_digest(state);
done:
    free(text);
    XXH3_freeState(state);
    return status;
}
