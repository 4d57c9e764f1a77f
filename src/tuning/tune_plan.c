#include "tuning/tune_plan.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "tuning/table.h"
#include "tuning/tuning.h"

clora_status clora_tune_plan_create(clora_tune_plan **out, clora_context *context) {
    NEED(out);
    *out = NULL;
    NEED(context);
    *out = calloc(1, sizeof(**out));
    if (!*out)
        return clora_keep_cause(clora_fail(CLORA_ERROR_MEMORY, "no memory for a plan"));
    shared_hold(&context->shared);
    (*out)->context = context;
    return clora_keep_cause(CLORA_OK);
}

void clora_tune_plan_free(clora_tune_plan *plan) {
    if (!plan)
        return;
    shared_let_go(&plan->context->shared);
    free(plan->task);
    free(plan);
}

/* Configurations of the row on this device. */
static double configurations(const clora_context *context, const kernel_row *row, const kernel_key *key) {
    const kernel_at at = tuning_at(context, row, key);
    double product = 1.0;

    for (int i = 0; i < KERNEL_PARAMETERS && row->parameters[i].name; i++) {
        const kernel_parameter *p = &row->parameters[i];
        int n = 0, standard = kernel_default(&at, p), listed = 0;
        for (size_t v = 0; v < KERNEL_VALUES && p->values[v]; v++) {
            n += kernel_tries(&at, p, p->values[v]);
            listed |= p->values[v] == standard && kernel_tries(&at, p, p->values[v]);
        }
        product *= listed ? n : n + 1;
    }
    return product;
}

static tune_task *find(const clora_tune_plan *plan, const kernel_row *row, const kernel_key *key) {
    for (size_t i = 0; i < plan->count; i++)
        if (plan->task[i].row == row && kernel_key_is(&plan->task[i].key, key))
            return &plan->task[i];
    return NULL;
}

clora_status tune_plan_add(clora_tune_plan *plan, const recorder *notes) {
    clora_status status = CLORA_OK;

    for (size_t i = 0; i < notes->count; i++) {
        const launch_record *note = &notes->list[i];
        tune_task *task = find(plan, note->build.row, &note->key);
        if (configurations(plan->context, note->build.row, &note->key) < 2.0)
            continue;
        if (!task) {
            TRY(alloc_grow((void **)&plan->task, &plan->capacity, plan->count + 1, sizeof(*plan->task)));
            task = &plan->task[plan->count++];
            *task = (tune_task){.row = note->build.row, .key = note->key};
        }
        task->launches += (double)note->count;
    }
done:
    return status;
}

clora_status clora_tune_plan_noted(clora_tune_plan *plan) {
    size_t used = 0;

    NEED(plan);
    recorder *noted = tuning_noted(plan->context);
    clora_context_memory(plan->context, NULL, &used);
    plan->footprint = used > plan->footprint ? used : plan->footprint;
    const clora_status status = tune_plan_add(plan, noted);
    recorder_finish(noted);
    return status;
}

int clora_tune_plan_count(const clora_tune_plan *plan) {
    return plan ? (int)plan->count : 0;
}

const clora_tune_task *clora_tune_plan_task(clora_tune_plan *plan, int i) {
    static const clora_tune_task none;

    if (i < 0 || i >= clora_tune_plan_count(plan))
        return &none;
    const tune_task *t = &plan->task[i];
    const kernel_key *k = &t->key;
    tuning_entry found = {.source = CLORA_TUNE_SOURCE_DEFAULT};

    (void)tuning_peek(&found, plan->context, t->row->name, k);
    plan->told = (clora_tune_task){{t->row->name, k->dtype, k->M, k->N, k->K, k->R},
                                   t->launches,
                                   (int)configurations(plan->context, t->row, k),
                                   found.source == CLORA_TUNE_SOURCE_EXACT};
    return &plan->told;
}
