/* adapter_config.json 8< adapter.safetensors of AdapterHub's, against a small model; what can be read is written and
 * read again. */

#include <clora/inspect.h>

#include <string.h>

#include "fuzz/fake_context.h"
#include "fuzz/fuzz.h"
#include "methods/bottleneck_config.h"
#include "methods/bottleneck_files.h"

enum { LAYERS = 2, WIDTH = 6, PLACES = LAYERS * SUBLAYERS };

static void inspect(void) {
    clora_inspected_adapter *seen = NULL;

    if (clora_inspect_adapter(&seen, fuzz_directory()) == CLORA_OK)
        FUZZ_CHECK(seen->columns <= BOTTLENECK_MOST_COLUMNS + 1 && seen->base && seen->target_modules);
    clora_inspected_adapter_free(seen);
}

/* The places of the settings; floats of all, or 0 where there are none or too many. */
static size_t describe(bottleneck *room, bottleneck **place, clora_context *context, const json_t *config) {
    size_t n = 0;

    for (int i = 0; i < PLACES; i++) {
        const int R = bottleneck_config_columns(config, WIDTH, i / SUBLAYERS, i % SUBLAYERS);
        FUZZ_CHECK(R >= 0);
        place[i] = R > 0 ? &room[i] : NULL;
        if (R > BOTTLENECK_MOST_COLUMNS)
            return 0;
        if (R > 0)
            FUZZ_CHECK(bottleneck_describe(&room[i], context, WIDTH, R) == CLORA_OK);
        n += R > 0 ? bottleneck_count(&room[i]) : 0;
    }
    return n;
}

static void write_again(const json_t *config, bottleneck **place, const float *values, size_t n) {
    const bottleneck_list list = {"model.layers", place, PLACES};
    const clora_adapter_save_options options = {.size = sizeof(options), .overwrite = 1};
    float *again = calloc(n, sizeof(*again));
    json_t *kept;

    FUZZ_CHECK(again != NULL);
    FUZZ_CHECK(bottleneck_files_write(fuzz_path("again"), &options, config, &list, values) == CLORA_OK);
    FUZZ_CHECK(bottleneck_config_load(&kept, fuzz_path("again/adapter_config.json")) == CLORA_OK);
    FUZZ_CHECK(bottleneck_files_read(again, fuzz_path("again"), bottleneck_config_name(kept), &list) == CLORA_OK);
    FUZZ_CHECK(memcmp(again, values, n * sizeof(*values)) == 0);
    json_decref(kept);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    clora_context *context = fake_context_create();
    bottleneck room[PLACES], *place[PLACES];
    json_t *config = NULL;
    fuzz_part parts[2];

    fuzz_split(parts, 2, data, size);
    fuzz_write("adapter_config.json", parts[0]);
    fuzz_write_safetensors("adapter.safetensors", parts[1]);
    inspect();
    if (bottleneck_config_load(&config, fuzz_path("adapter_config.json")) == CLORA_OK) {
        const size_t n = describe(room, place, context, config);
        float *values = calloc(n + 1, sizeof(*values));
        FUZZ_CHECK(values != NULL);
        const bottleneck_list list = {"model.layers", place, PLACES};
        if (n > 0 && bottleneck_files_read(values, fuzz_directory(), bottleneck_config_name(config), &list) == CLORA_OK)
            write_again(config, place, values, n);
        free(values);
    }
    json_decref(config);
    fake_context_free(context);
    return 0;
}
