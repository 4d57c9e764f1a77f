#include "tuning/launch_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/alloc.h"
#include "device/devices.h"
#include "device/dot.h"
#include "tuning/table.h"

void launch_notes_add(launch_notes *notes, const tuning_entry *answer) {
    size_t i = 0;

    while (i < notes->count && (notes->list[i].row != answer->row || !kernel_key_is(&notes->list[i].key, &answer->key)))
        i++;
    if (i == notes->count &&
        alloc_grow((void **)&notes->list, &notes->capacity, notes->count + 1, sizeof(*notes->list)) != CLORA_OK) {
        notes->incomplete = true;
        return;
    }
    notes->list[i] = *answer;
    notes->count += i == notes->count;
}

void launch_notes_finish(launch_notes *notes) {
    free(notes->list);
    *notes = (launch_notes){0};
}

/* ---- as a text ---- */

struct clora_launch_plan {
    char *text;
    char hash[33]; /* of the text */
};

static bool has_pairs(const launch_notes *notes) {
    for (size_t i = 0; i < notes->count; i++)
        if (strncmp(notes->list[i].row->name, "matmul_dot", strlen("matmul_dot")) == 0)
            return true;
    return false;
}

/* The path of the products, and how pairs of bf16 are multiplied where some are. */
static char *first_line(clora_context *context, const launch_notes *notes) {
    static const char *const dots[] = {
        [DOT_NONE] = "none", [DOT_EMULATED] = "emulated", [DOT_INSTRUCTION] = "instruction", [DOT_UNKNOWN] = "unknown"};

    if (!has_pairs(notes))
        return alloc_format("products %s", gemm_path_name(context->gemm));
    return alloc_format("products %s, pairs of bf16 %s", gemm_path_name(context->gemm), dots[context_dot(context)]);
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines in an order that does not depend on who asked first; NULL without memory. */
static char *join(char **lines, size_t count) {
    size_t size = 1, used = 0;
    char *text;

    for (size_t i = 0; i < count; i++)
        size += strlen(lines[i]) + 1;
    text = alloc_array(size, 1);
    qsort(lines + 1, count - 1, sizeof(*lines), by_text);
    for (size_t i = 0; text && i < count; i++)
        used += (size_t)snprintf(text + used, size - used, "%s\n", lines[i]);
    return text;
}

static char *describe(clora_context *context, const launch_notes *notes) {
    const size_t count = 1 + notes->count;
    char **lines = alloc_array(count, sizeof(*lines)), *text = NULL;
    bool complete = lines != NULL;

    if (lines)
        lines[0] = first_line(context, notes);
    for (size_t i = 1; lines && i < count; i++) {
        const tuning_entry *e = &notes->list[i - 1];
        lines[i] = alloc_format("%s: %s", tuning_key_text(e->row, &e->key), tuning_values_text(e->row, e->values));
    }
    for (size_t i = 0; lines && i < count; i++)
        complete = complete && lines[i];
    if (complete)
        text = join(lines, count);
    for (size_t i = 0; lines && i < count; i++)
        free(lines[i]);
    free(lines);
    return text;
}

clora_status clora_launch_plan_create(clora_launch_plan **out, clora_context *context) {
    clora_launch_plan *plan;

    NEED(out);
    *out = NULL;
    NEED(context);
    plan = calloc(1, sizeof(*plan));
    pthread_mutex_lock(&context->tuning->lock);
    if (plan && !context->tuning->launches.incomplete)
        plan->text = describe(context, &context->tuning->launches);
    pthread_mutex_unlock(&context->tuning->lock);
    if (!plan || !plan->text) {
        clora_launch_plan_free(plan);
        return clora_keep_cause(clora_fail(CLORA_ERROR_MEMORY, "no memory for the plan of launches"));
    }
    const XXH128_hash_t hash = XXH3_128bits(plan->text, strlen(plan->text));
    snprintf(plan->hash, sizeof(plan->hash), "%016llx%016llx", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
    *out = plan;
    return clora_keep_cause(CLORA_OK);
}

void clora_launch_plan_free(clora_launch_plan *plan) {
    if (!plan)
        return;
    free(plan->text);
    free(plan);
}

const char *clora_launch_plan_text(const clora_launch_plan *plan) {
    return plan ? plan->text : NULL;
}

const char *clora_launch_plan_hash(const clora_launch_plan *plan) {
    return plan ? plan->hash : NULL;
}
