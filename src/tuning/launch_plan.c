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
    static const char *const dots[] = {[DOT_NONE] = "none",
                                       [DOT_EMULATED] = "emulated",
                                       [DOT_INSTRUCTION] = "instruction",
                                       [DOT_TILES] = "tiles",
                                       [DOT_UNKNOWN] = "unknown"};

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

static char *line_of(clora_context *context, const launch_notes *notes, size_t i) {
    if (i == 0)
        return first_line(context, notes);
    const tuning_entry *e = &notes->list[i - 1];
    return alloc_format("%s: %s", tuning_key_text(e->row, &e->key), tuning_values_text(e->row, e->values));
}

/* NULL without memory. */
static char *describe(clora_context *context, const launch_notes *notes) {
    const size_t count = 1 + notes->count;
    char **lines = alloc_array(count, sizeof(*lines)), *text = NULL;
    size_t made = 0;

    if (!lines)
        return NULL;
    while (made < count && (lines[made] = line_of(context, notes, made)) != NULL)
        made++;
    if (made == count)
        text = join(lines, count);
    while (made > 0)
        free(lines[--made]);
    free(lines);
    return text;
}

/* What is noted now. Not described under the table's lock: a launch takes that when it has the context's. */
static clora_status copy_notes(launch_notes *out, clora_context *context) {
    const launch_notes *now = &context->tuning->launches;
    clora_status status = CLORA_OK;

    *out = (launch_notes){0};
    pthread_mutex_lock(&context->tuning->lock);
    if (now->incomplete)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "the plan of launches is not whole, for there was no memory"));
    TRY(alloc_grow((void **)&out->list, &out->capacity, now->count + 1, sizeof(*out->list)));
    for (; out->count < now->count; out->count++)
        out->list[out->count] = now->list[out->count];
done:
    pthread_mutex_unlock(&context->tuning->lock);
    return status;
}

clora_status clora_launch_plan_create(clora_launch_plan **out, clora_context *context) {
    clora_status status = CLORA_OK;
    clora_launch_plan *plan = NULL;
    launch_notes notes = {0};

    NEED(out);
    *out = NULL;
    NEED(context);
    TRY(copy_notes(&notes, context));
    plan = calloc(1, sizeof(*plan));
    if (plan)
        plan->text = describe(context, &notes);
    if (!plan || !plan->text)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the plan of launches"));
    const XXH128_hash_t hash = XXH3_128bits(plan->text, strlen(plan->text));
    snprintf(plan->hash, sizeof(plan->hash), "%016llx%016llx", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
    *out = plan;
    plan = NULL;
done:
    launch_notes_finish(&notes);
    clora_launch_plan_free(plan);
    return clora_keep_cause(status);
}

/* ---- two plans ---- */

/* The line that begins like this one, with its first n bytes; NULL: there is none. */
static const char *find_line(const char *text, const char *line, size_t n) {
    while (text && strncmp(text, line, n) != 0) {
        text = strchr(text, '\n');
        text = text ? text + 1 : NULL;
    }
    return text;
}

/* "kernel and shape: parameters"; of the first line "products path", which how pairs are multiplied may follow. */
static clora_status compare_line(const char *line, bool is_first, const char *text) {
    const size_t n = strcspn(line, is_first ? ",\n" : "\n");
    const size_t key = is_first ? strlen("products ") : strcspn(line, ":") + 1;
    const char *other = find_line(text, line, key);
    const size_t m = other ? strcspn(other, is_first ? ",\n" : "\n") : 0;

    if (!other || (n == m && strncmp(line, other, n) == 0))
        return CLORA_OK;
    return clora_fail(CLORA_ERROR_ARGUMENT, "what is launched differs: it was \"%.*s\", and now it is \"%.*s\"", (int)m,
                      other, (int)n, line);
}

clora_status clora_launch_plan_compare(const clora_launch_plan *plan, const char *text) {
    clora_status status = CLORA_OK;

    NEED(plan);
    NEED(text);
    for (const char *line = plan->text; *line; line = strchr(line, '\n') + 1)
        TRY(compare_line(line, line == plan->text, text));
done:
    return status;
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
