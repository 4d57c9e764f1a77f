#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/options.h"
#include "search/journal.h"
#include "search/tuner.h"
#include "search/verdict.h"
#include "tuning/store.h"
#include "tuning/table.h"

enum { ROUNDS = 9, CANDIDATES = 2 };

/* One entry: are its results right, and how fast is it next to the default? A status only for what ends it all. */
static clora_status check_entry(clora_tune_check *out, clora_tune_entry *entry, clora_context *context, gauge *g,
                                char *why, size_t size) {
    double samples[CANDIDATES * ROUNDS], flops, bytes;
    int values[CANDIDATES][KERNEL_PARAMETERS] = {{0}};
    tuning_entry row;
    measurement m;
    clora_status status = CLORA_OK;

    TRY(tuning_entry_read(&row, entry));
    const kernel_at at = tuning_at(context, row.row, &row.key);
    kernel_defaults(values[0], &at, row.row);
    memcpy(values[1], row.values, sizeof(values[1]));
    TRY(g->prepare(g->self, row.row, &row.key, 0.0, &flops, &bytes));
    TRY(g->measure(&m, g->self, row.values, true, 0.0));
    out->is_right = m.usable;
    snprintf(why, size, "%s", m.why);
    if (!m.usable)
        return CLORA_OK;
    TRY(g->compare(samples, g->self, (const int(*)[KERNEL_PARAMETERS])values, CANDIDATES, ROUNDS));
    entry->default_seconds = meter_median(samples, ROUNDS);
    entry->seconds = meter_median(samples + ROUNDS, ROUNDS);
done:
    if (status != CLORA_OK) {
        out->is_right = status != CLORA_ERROR_IO; /* what cannot be run here is not wrong for that */
        snprintf(why, size, "%s", clora_last_error());
    }
    return CLORA_OK;
}

clora_status clora_tune_verify(int *wrong, clora_context *context, const clora_tune_options *options,
                               clora_tune_check_callback callback, void *user) {
    clora_tune_options all = CLORA_TUNE_OPTIONS_INIT;
    clora_tune_entry *entries = NULL;
    gauge g = {0};
    int count = 0;
    clora_status status = CLORA_OK;

    NEED(wrong);
    *wrong = 0;
    NEED(context);
    TRY(OPTIONS_TAKE(all, options));
    TRY(tuner_check_options(&all));
    TRY(tuning_store_list(&entries, &count, context));
    TRY(all.worker ? gauge_create_remote(&g, all.worker, all.limit) : gauge_create_local(&g, context));
    for (int i = 0; i < count; i++) {
        char why[256] = "";
        clora_tune_entry measured = entries[i];
        clora_tune_check check = {.entry = &measured, .why = why};
        TRY(check_entry(&check, &measured, context, &g, why, sizeof(why)));
        if (!check.is_right) {
            tuning_store_delete(context, &entries[i]);
            ++*wrong;
        }
        if (callback && callback(user, &check))
            TRY(clora_fail(CLORA_CANCELLED, "the verification was stopped"));
    }
done:
    if (g.free)
        g.free(g.self);
    free(entries);
    return status;
}

clora_status clora_tune_measurements(const clora_tune_entry ***out, size_t *count, clora_context *context) {
    clora_tune_entry *entries = NULL;
    clora_status status = CLORA_OK;
    journal *j = NULL;
    int found = 0;

    NEED(out);
    *out = NULL;
    NEED(count);
    *count = 0;
    NEED(context);
    TRY(journal_open_to_read(&j, context));
    TRY(journal_list(&entries, &found, j));
    TRY(tuning_give_entries(out, count, entries, found));
done:
    free(entries);
    journal_close(j);
    return status;
}
