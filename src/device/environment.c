#include "device/environment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/alloc.h"
#include "device/program.h"

static void hex_of(char out[ENVIRONMENT_NAME], XXH128_hash_t hash) {
    snprintf(out, ENVIRONMENT_NAME, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
}

json_t *environment_describe(const clora_context *context) {
    const clora_device_info *info = &context->info;
    char kernels[ENVIRONMENT_NAME];

    hex_of(kernels, program_sources_hash());
    /* memory in steps of 256 MiB: drivers of CPUs report what the system leaves them */
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:i}", "kernels", kernels, "platform",
                     info->platform, "device", info->name, "vendor", info->vendor, "driver", info->driver, "version",
                     info->version, "compute_units", info->compute_units, "clock_mhz", info->clock_mhz, "vector_width",
                     info->vector_width, "memory_mib", (int)(info->global_memory >> 28) * 256, "local_memory_kib",
                     (int)(info->local_memory >> 10));
}

void environment_name(char out[ENVIRONMENT_NAME], const json_t *environment) {
    char *text = json_dumps(environment, JSON_COMPACT | JSON_SORT_KEYS);

    hex_of(out, XXH3_128bits(text ? text : "", text ? strlen(text) : 0));
    free(text);
}

bool environment_is_other_driver(const json_t *a, const json_t *b) {
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)a, key, value) {
        if (strcmp(key, "driver") != 0 && strcmp(key, "version") != 0 && !json_equal(value, json_object_get(b, key)))
            return false;
    }
    return json_is_object(a) && json_object_size(a) == json_object_size(b);
}

const char *environment_plain_name(const char *device) {
    static const char *const prefixes[] = {"pthread-", "cpu-"};

    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (strncmp(device, prefixes[i], strlen(prefixes[i])) == 0)
            return device + strlen(prefixes[i]);
    return device;
}

char *environment_cache_directory(void) {
    const char *own = getenv("CLORA_CACHE_DIR"), *general = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

    if (own && *own)
        return alloc_string(own);
    if (general && *general == '/')
        return alloc_format("%s/clora", general);
    return home && *home ? alloc_format("%s/.cache/clora", home) : NULL;
}
