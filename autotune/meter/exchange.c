#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "tuning/environment.h"
#include "tuning/store.h"
#include "tuning/table.h"

/*
 * T4 JSON, the exchange format of auto-tuners: {"schema_version", "results": [{"configuration", "measurements", ...}]}.
 * What clora needs to take an entry back stands beside that as "clora": the entry itself.
 */
enum { LIMIT = 256 << 20 };

static const char *const t4_version = "1.0.0";

static json_t *configuration_of(const clora_tune_entry *e) {
    json_t *object = json_object();

    for (int i = 0; i < e->parameters; i++)
        json_put(&object, e->name[i], json_integer(e->value[i]));
    return object;
}

static json_t *result_of(const clora_tune_entry *e, bool is_entry) {
    const bool usable = e->seconds > 0.0;
    json_t *own = tuning_entry_to_json(e);

    json_put(&own, "is_entry", json_boolean(is_entry));
    return json_pack("{s:s, s:o, s:[s], s:{s:[f]}, s:s, s:i, s:[{s:s, s:f, s:s}], s:o}", "timestamp", e->date,
                     "configuration", configuration_of(e), "objectives", "time", "times", "runtimes", e->seconds * 1e3,
                     "invalidity", usable ? "correct" : "runtime", "correctness", usable, "measurements", "name",
                     "time", "value", e->seconds * 1e3, "unit", "ms", "clora", own);
}

static void add_results(json_t **results, const clora_tune_entry *const *list, size_t count, bool are_entries) {
    for (size_t i = 0; i < count; i++)
        json_push(results, result_of(list[i], are_entries));
}

clora_status clora_tune_export(clora_context *context, const char *path) {
    const clora_tune_entry **entries = NULL, **measured = NULL;
    json_t *results = NULL, *whole = NULL;
    size_t count = 0, measured_count = 0;
    clora_status status = CLORA_OK;

    NEED(context);
    NEED(path);
    results = json_array();
    TRY(clora_tune_entries(&entries, &count, context));
    TRY(clora_tune_measurements(&measured, &measured_count, context));
    add_results(&results, entries, count, true);
    add_results(&results, measured, measured_count, false);
    whole = json_pack("{s:s, s:o, s:O}", "schema_version", t4_version, "environment", environment_describe(context),
                      "results", results);
    if (!whole)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to export"));
    TRY(json_save_ordered_path(whole, path));
done:
    json_decref(whole);
    json_decref(results);
    free(measured);
    free(entries);
    return status;
}

clora_status clora_tune_export_table(clora_context *context, const char *path) {
    clora_tune_entry *entries = NULL;
    json_t *list = NULL, *whole = NULL;
    int count = 0;
    clora_status status = CLORA_OK;

    NEED(context);
    NEED(path);
    list = json_array();
    TRY(tuning_store_list(&entries, &count, context));
    if (count == 0)
        TRY(clora_fail(CLORA_ERROR_NOT_FOUND, "nothing was measured on this device: no table to write"));
    for (int i = 0; i < count; i++)
        json_push(&list, tuning_entry_to_json(&entries[i]));
    whole = json_pack("{s:s, s:i, s:O}", "device", environment_plain_name(context->info.name), "vector_width",
                      context->info.vector_width, "entries", list);
    if (!whole)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to export"));
    TRY(json_save_ordered_path(whole, path));
done:
    json_decref(whole);
    json_decref(list);
    free(entries);
    return status;
}

/* One entry of a file into the cache and the table. */
static clora_status take_over(clora_context *context, const json_t *json, const char *path) {
    clora_tune_entry entry;
    tuning_entry row;
    clora_status status = CLORA_OK;

    TRY(tuning_entry_from_json(&entry, json, path));
    TRY(tuning_entry_read(&row, &entry));
    row.source = CLORA_TUNE_SOURCE_EXACT;
    TRY(tuning_add(context, &row));
    TRY(tuning_store_save(context, &entry));
done:
    return status;
}

clora_status clora_tune_import(int *count, clora_context *context, const char *path) {
    clora_status status = CLORA_OK;
    json_t *whole = NULL, *result;
    size_t i;

    NEED(count);
    *count = 0;
    NEED(context);
    NEED(path);
    TRY(json_load_path(&whole, path, LIMIT));
    if (!json_is_array(json_object_get(whole, "results")))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: it has no \"results\": not T4 JSON", path));
    TRY(tuning_store_prepare(context));
    json_array_foreach (json_object_get(whole, "results"), i, result) {
        const json_t *own = json_object_get(result, "clora");
        if (!json_is_true(json_object_get(own, "is_entry")))
            continue;
        status = take_over(context, own, path);
        if (status == CLORA_ERROR_IO)
            goto done;
        *count += status == CLORA_OK;
        if (status != CLORA_OK)
            tuning_log(context, "left out: %s", clora_last_error());
        status = CLORA_OK;
    }
done:
    json_decref(whole);
    return status;
}
