#include "train/classify.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

clora_status classify_check(const clora_dataset *dataset, const clora_adapter *adapter) {
    const classifier *c = adapter_classifier(adapter);
    size_t count;
    const char *const *names = clora_dataset_labels(dataset, &count);

    if (!c && !names)
        return CLORA_OK;
    if (!c)
        return clora_fail(CLORA_ERROR_ARGUMENT, "the data are texts with labels, which %s",
                          adapter ? "the adapter has no head to tell" : "only an adapter has a head to tell");
    if (!names)
        return clora_fail(CLORA_ERROR_ARGUMENT, "the adapter tells the labels of texts; the data have none");
    if (count != (size_t)c->labels)
        return clora_fail(CLORA_ERROR_ARGUMENT, "the data have %zu labels, the adapter tells %d", count, c->labels);
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], c->name[i]) != 0)
            return clora_fail(CLORA_ERROR_ARGUMENT, "label %zu of the data is \"%s\", of the adapter \"%s\"", i,
                              names[i], c->name[i]);
    return CLORA_OK;
}

clora_status label_counts_init(label_counts *c, int labels, int max_rows) {
    *c = (label_counts){.labels = labels};
    c->right = alloc_array((size_t)labels, sizeof(*c->right));
    c->wanted = alloc_array((size_t)labels, sizeof(*c->wanted));
    c->told = alloc_array((size_t)labels, sizeof(*c->told));
    c->logits = alloc_array((size_t)max_rows, (size_t)labels * sizeof(*c->logits));
    if (c->right && c->wanted && c->told && c->logits)
        return CLORA_OK;
    return clora_fail(CLORA_ERROR_MEMORY, "no memory to count %d labels", labels);
}

void label_counts_finish(label_counts *c) {
    free(c->right);
    free(c->wanted);
    free(c->told);
    free(c->logits);
    *c = (label_counts){0};
}

/* The most probable label, of equals the first. */
static int most_probable(const float *logits, int n) {
    int best = 0;

    for (int i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

static clora_status count(const void *options, objective_rows *rows, bool gradient) {
    label_counts *c = (label_counts *)(uintptr_t)options;
    const int32_t *targets = c->batch->targets + rows->row;
    clora_status status = CLORA_OK;

    TRY(clora_tensor_read(&rows->logits, c->logits));
    for (int i = 0; i < rows->logits.shape[0]; i++) {
        if (targets[i] < 0)
            continue;
        const int told = most_probable(c->logits + (size_t)i * (size_t)c->labels, c->labels);
        c->wanted[targets[i]]++;
        c->told[told]++;
        c->right[told] += told == targets[i];
    }
    TRY(objective_likelihood.run(objective_likelihood.options, rows, gradient));
done:
    return status;
}

objective objective_counting(label_counts *c) {
    return (objective){count, c, .all_rows = true};
}

double label_counts_f1(const label_counts *c) {
    double sum = 0.0;
    int occur = 0;

    for (int i = 0; i < c->labels; i++) {
        const int64_t all = c->wanted[i] + c->told[i];
        occur += all > 0;
        sum += all > 0 ? 2.0 * (double)c->right[i] / (double)all : 0.0;
    }
    return occur > 0 ? sum / occur : 0.0;
}
