#include <clora/tune.h>

#include <stdlib.h>

#include "base/alloc.h"
#include "base/options.h"
#include "tuning/recorder.h"
#include "tuning/store.h"
#include "tuning/table.h"
#include "tuning/tuning.h"

clora_status clora_tune_lookup(clora_tune_entry *out, clora_context *context, const clora_tune_key *key) {
    clora_tune_entry entry;
    tuning_entry found;
    clora_status status = CLORA_OK;

    NEED(out);
    NEED(context);
    NEED(key);
    TRY(RESULT_BEGIN(out));
    const kernel_key wanted = {.dtype = key->dtype, .M = key->M, .N = key->N, .K = key->K, .R = key->R};
    const kernel_row *row = key->kernel ? kernel_find(key->kernel) : NULL;
    if (!row)
        return clora_fail(CLORA_ERROR_NOT_FOUND, "there is no kernel %s", key->kernel ? key->kernel : "without a name");
    if (!clora_storage_name((clora_storage)key->dtype))
        return clora_fail(CLORA_ERROR_ARGUMENT, "kernel %s: no storage type %d", row->name, key->dtype);
    TRY(tuning_peek(&found, context, row->name, &wanted));
    tuning_entry_fill(&entry, &found);
    RESULT_GIVE(out, entry);
done:
    return status;
}

clora_status clora_tune_set(clora_context *context, const clora_tune_entry *entry) {
    clora_tune_entry all = CLORA_TUNE_ENTRY_INIT;
    tuning_entry row;
    clora_status status = CLORA_OK;

    NEED(context);
    NEED(entry);
    TRY(OPTIONS_TAKE(all, entry));
    TRY(tuning_entry_read(&row, &all));
    row.source = CLORA_TUNE_SOURCE_SET;
    TRY(tuning_add(context, &row));
done:
    return status;
}

const char *clora_tune_directory(clora_context *context) {
    return context ? tuning_store_directory(context) : NULL;
}

clora_status clora_tune_entries(const clora_tune_entry ***out, size_t *count, clora_context *context) {
    clora_tune_entry *entries = NULL;
    clora_status status = CLORA_OK;
    int found = 0;

    NEED(out);
    *out = NULL;
    NEED(count);
    *count = 0;
    NEED(context);
    TRY(tuning_store_list(&entries, &found, context));
    TRY(tuning_give_entries(out, count, entries, found));
done:
    free(entries);
    return status;
}

clora_status tuning_give_entries(const clora_tune_entry ***out, size_t *count, const clora_tune_entry *entries,
                                 int found) {
    *out = alloc_list(entries, (size_t)found, sizeof(*entries));
    if (found > 0 && !*out)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for %d entries", found);
    *count = (size_t)found;
    return CLORA_OK;
}
