#include <clora/tune.h>

#include "tuning/recorder.h"
#include "tuning/store.h"
#include "tuning/table.h"
#include "tuning/tuning.h"

clora_status clora_tune_lookup(clora_tune_entry *out, clora_context *context, const clora_tune_key *key) {
    tuning_entry found;
    clora_status status = CLORA_OK;

    NEED(out);
    NEED(context);
    NEED(key);
    const kernel_key wanted = {.dtype = key->dtype, .M = key->M, .N = key->N, .K = key->K, .R = key->R};
    const kernel_row *row = key->kernel ? kernel_find(key->kernel) : NULL;
    if (!row)
        return clora_fail(CLORA_ERROR_NOT_FOUND, "there is no kernel %s", key->kernel ? key->kernel : "without a name");
    if (!clora_storage_name((clora_storage)key->dtype))
        return clora_fail(CLORA_ERROR_ARGUMENT, "kernel %s: no storage type %d", row->name, key->dtype);
    TRY(tuning_peek(&found, context, row->name, &wanted));
    tuning_entry_fill(out, &found);
done:
    return status;
}

clora_status clora_tune_set(clora_context *context, const clora_tune_entry *entry) {
    tuning_entry row;
    clora_status status = CLORA_OK;

    NEED(context);
    NEED(entry);
    TRY(tuning_entry_read(&row, entry));
    row.source = CLORA_TUNE_SET;
    TRY(tuning_add(context, &row));
done:
    return status;
}

const char *clora_tune_directory(clora_context *context) {
    return context ? tuning_store_directory(context) : NULL;
}

clora_status clora_tune_entries(clora_tune_entry **out, int *count, clora_context *context) {
    NEED(out);
    *out = NULL;
    NEED(count);
    *count = 0;
    NEED(context);
    return tuning_store_list(out, count, context);
}
