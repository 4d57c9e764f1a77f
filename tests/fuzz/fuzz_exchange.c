/* A T4 file: what is imported is in the cache that the next context reads. */

#include "fuzz/fake_context.h"
#include "fuzz/fuzz.h"
#include "tuning/store.h"

static void check_cache(void) {
    clora_context *context = fake_context_create();
    clora_tune_entry *entries;
    int count;

    tuning_store_load(context);
    FUZZ_CHECK(tuning_store_list(&entries, &count, context) == CLORA_OK && count > 0);
    for (int i = 0; i < count; i++)
        tuning_store_delete(context, &entries[i]);
    free(entries);
    fake_context_free(context);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    clora_context *context = fake_context_create();
    int count = 0;

    fuzz_write("t4.json", (fuzz_part){size ? data : (const uint8_t *)"", size});
    if (clora_tune_import(&count, context, fuzz_path("t4.json")) == CLORA_OK && count > 0)
        check_cache();
    fake_context_free(context);
    return 0;
}
