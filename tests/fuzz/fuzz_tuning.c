/* An entry of the tuning cache, and the same bytes as a table of entries. */

#include "base/json.h"
#include "fuzz/fake_context.h"
#include "fuzz/fuzz.h"
#include "tuning/store.h"
#include "tuning/table.h"
#include "tuning/tuning.h"

/* What may be added decides at its key and at others. */
static void use(clora_context *context, const tuning_entry *entry) {
    kernel_key key = entry->key;
    tuning_entry found;

    (void)tuning_key_text(entry->row, &key);
    (void)tuning_values_text(entry->row, entry->values);
    if (tuning_add(context, entry) != CLORA_OK)
        return;
    FUZZ_CHECK(tuning_allows(context, entry));
    FUZZ_CHECK(tuning_resolve(&found, context, entry->row->name, &key) == CLORA_OK);
    key.M = key.M < 1 << 28 ? 2 * key.M : key.M;
    FUZZ_CHECK(tuning_resolve(&found, context, entry->row->name, &key) == CLORA_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    clora_context *context = fake_context_create();
    clora_tune_entry entry = CLORA_TUNE_ENTRY_INIT;
    tuning_entry row;
    json_t *json = NULL;

    if (json_load_bytes(&json, (const char *)data, size, "input") == CLORA_OK &&
        tuning_entry_from_json(&entry, json, "input") == CLORA_OK && tuning_entry_read(&row, &entry) == CLORA_OK) {
        use(context, &row);
        json_decref(tuning_entry_to_json(&entry));
    }
    json_decref(json);
    tuning_store_add_table(context, (const char *)data, size, "input");
    fake_context_free(context);
    return 0;
}
