#include "tuning/environment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/alloc.h"
#include "base/json.h"
#include "device/source.h"

static void hex_of(char out[ENVIRONMENT_NAME], XXH128_hash_t hash) {
    snprintf(out, ENVIRONMENT_NAME, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
}

json_t *environment_describe(const clora_context *context) {
    const clora_device_info *info = &context->info;
    XXH128_hash_t sources;
    char kernels[ENVIRONMENT_NAME];

    if (source_hash(&sources) != CLORA_OK)
        return NULL;
    hex_of(kernels, sources);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:i}", "kernels", kernels, "platform",
                     info->platform, "device", info->name, "vendor", info->vendor, "driver", info->driver, "version",
                     info->version, "compute_units", info->compute_units, "clock_mhz", info->clock_mhz, "vector_width",
                     info->vector_width, "memory_mib", (int)(info->global_memory >> 20), "local_memory_kib",
                     (int)(info->local_memory >> 10));
}

const char *environment_plain_name(const char *device) {
    static const char *const prefixes[] = {"pthread-", "cpu-"};

    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (strncmp(device, prefixes[i], strlen(prefixes[i])) == 0)
            return device + strlen(prefixes[i]);
    return device;
}

/* What decides which parameters are right, then what changes how fast they are. */
static const char *const of_kernels[] = {"kernels"};
static const char *const of_device[] = {"platform", "device", "vendor", "vector_width", "local_memory_kib"};
static const char *const of_driver[] = {"driver", "version"};
static const char *const of_units[] = {"compute_units"};

enum { OF_DEVICE = sizeof(of_device) / sizeof(of_device[0]), OF_DRIVER = sizeof(of_driver) / sizeof(of_driver[0]) };

/* A member as text, the device without what releases of a platform put before it. NULL without memory. */
static char *member_text(const json_t *environment, const char *key) {
    const json_t *value = json_object_get(environment, key);

    if (json_is_string(value) && strcmp(key, "device") == 0)
        return alloc_string(environment_plain_name(json_string_value(value)));
    return json_text(value, JSON_ENCODE_ANY); /* NULL for a member that is missing, too */
}

static bool same_members(const json_t *a, const json_t *b, const char *const *keys, int count) {
    bool same = true;

    for (int i = 0; i < count && same; i++) {
        char *left = member_text(a, keys[i]), *right = member_text(b, keys[i]);
        same = left && right && strcmp(left, right) == 0;
        free(left);
        free(right);
    }
    return same;
}

environment_match environment_compare(const json_t *a, const json_t *b) {
    if (!same_members(a, b, of_device, OF_DEVICE))
        return ENVIRONMENT_OTHER;
    if (!same_members(a, b, of_kernels, 1))
        return ENVIRONMENT_KERNELS;
    if (!same_members(a, b, of_driver, OF_DRIVER))
        return ENVIRONMENT_DRIVER;
    return same_members(a, b, of_units, 1) ? ENVIRONMENT_SAME : ENVIRONMENT_UNITS;
}

static clora_status hash_members(XXH3_state_t *state, const json_t *environment, const char *const *keys, int count) {
    for (int i = 0; i < count; i++) {
        char *text = member_text(environment, keys[i]);
        if (!text)
            return clora_fail(CLORA_ERROR_MEMORY, "no memory for the name of the cache");
        XXH3_128bits_update(state, text, strlen(text) + 1);
        free(text);
    }
    return CLORA_OK;
}

clora_status environment_name(char out[ENVIRONMENT_NAME], const json_t *environment) {
    clora_status status = CLORA_OK;
    XXH3_state_t *state = XXH3_createState();

    if (!state)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the name of the cache");
    XXH3_128bits_reset(state);
    TRY(hash_members(state, environment, of_kernels, 1));
    TRY(hash_members(state, environment, of_device, OF_DEVICE));
    TRY(hash_members(state, environment, of_driver, OF_DRIVER));
    TRY(hash_members(state, environment, of_units, 1));
    hex_of(out, XXH3_128bits_digest(state));
done:
    XXH3_freeState(state);
    return status;
}

void environment_difference(char *out, size_t size, const json_t *other, const json_t *here) {
    const json_t *units = json_object_get(other, of_units[0]), *units_here = json_object_get(here, of_units[0]);

    for (int i = 0; i < OF_DRIVER; i++)
        if (!same_members(other, here, &of_driver[i], 1)) {
            const char *text = json_string_value(json_object_get(other, of_driver[i]));
            const char *text_here = json_string_value(json_object_get(here, of_driver[i]));
            snprintf(out, size, "with %s %.80s, here %.80s", of_driver[i], text ? text : "?",
                     text_here ? text_here : "?");
            return;
        }
    snprintf(out, size, "with %d compute units, here %d", (int)json_integer_value(units),
             (int)json_integer_value(units_here));
}
