#include "data/dataset.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "data/answers.h"
#include "data/dataset_store.h"

static void destroy(shared *object) {
    clora_dataset *dataset = (clora_dataset *)object;

    free(dataset->ids);
    free(dataset->labels);
    free(dataset->start);
    free(dataset->answer);
    for (size_t i = 0; i < dataset->names; i++)
        free(dataset->name[i]);
    free(dataset->name);
    free(dataset->part);
    free(dataset);
}

clora_status dataset_new(clora_dataset **out) {
    clora_dataset *dataset = calloc(1, sizeof(*dataset));

    *out = NULL;
    if (!dataset || !(dataset->start = alloc_array(1, sizeof(*dataset->start)))) {
        free(dataset);
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a dataset");
    }
    shared_init(&dataset->shared, destroy);
    dataset->start_capacity = 1;
    *out = dataset;
    return CLORA_OK;
}

void clora_dataset_free(clora_dataset *dataset) {
    if (dataset)
        shared_let_go(&dataset->shared);
}

clora_status dataset_push(clora_dataset *dataset, const int32_t *ids, const int32_t *labels, size_t n) {
    const size_t used = dataset->used;
    clora_status status = CLORA_OK;

    TRY(alloc_grow((void **)&dataset->ids, &dataset->id_capacity, used + n, sizeof(*dataset->ids)));
    TRY(alloc_grow((void **)&dataset->labels, &dataset->label_capacity, used + n, sizeof(*dataset->labels)));
    for (size_t i = 0; i < n; i++) {
        dataset->ids[used + i] = ids[i];
        dataset->labels[used + i] = labels && labels[i] >= 0 ? labels[i] : -1;
    }
    dataset->used += n;
done:
    return status;
}

clora_status dataset_mark_answer(clora_dataset *dataset, dataset_answer answer) {
    clora_status status = CLORA_OK;

    TRY(alloc_grow((void **)&dataset->answer, &dataset->answer_capacity, dataset->count + 1, sizeof(answer)));
    dataset->answer[dataset->count] = answer;
done:
    return status;
}

static int32_t largest(int32_t a, int32_t b) {
    return a > b ? a : b;
}

clora_status dataset_close_sequence(clora_dataset *dataset, size_t *learnt) {
    const size_t begin = dataset->start[dataset->count], n = dataset->used - begin;
    clora_dataset_stats *stats = &dataset->stats;
    clora_status status = CLORA_OK;

    *learnt = 0;
    if (dataset->kind != CLORA_DATA_LABELS && n > 0)
        dataset->labels[begin] = -1; /* nothing stands before it */
    for (size_t i = 0; i < n; i++)
        *learnt += dataset->labels[begin + i] >= 0;
    if (*learnt == 0) {
        dataset->used = begin;
        return CLORA_OK;
    }
    TRY(alloc_grow((void **)&dataset->start, &dataset->start_capacity, dataset->count + 2, sizeof(*dataset->start)));
    dataset->start[++dataset->count] = dataset->used;
    for (size_t i = begin; i < dataset->used; i++)
        stats->largest_id = largest(stats->largest_id, largest(dataset->ids[i], dataset->labels[i]));
    stats->sequences++;
    stats->tokens += (int64_t)n;
    stats->learnt += (int64_t)*learnt;
    if ((int)n > stats->longest)
        stats->longest = (int)n;
done:
    return status;
}

static clora_status add_own(clora_dataset *dataset, const int32_t *ids, const int32_t *labels, int length) {
    clora_status status = CLORA_OK;
    const size_t n = (size_t)length;
    size_t learnt;

    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0)
            return clora_fail(CLORA_ERROR_ARGUMENT, "sequence %zu: the id %d is negative", dataset->count, ids[i]);
    TRY(dataset_push(dataset, ids, labels ? labels : ids, n));
    TRY(dataset_close_sequence(dataset, &learnt));
    if (learnt == 0)
        return clora_fail(CLORA_ERROR_ARGUMENT, "sequence %zu has no learnt ids after its first", dataset->count);
done:
    return status;
}

clora_status clora_dataset_from_ids(clora_dataset **out, const int32_t *ids, const int32_t *labels, const int *lengths,
                                    size_t count) {
    clora_status status = CLORA_OK;
    clora_dataset *dataset = NULL;
    size_t at = 0;

    NEED(out);
    *out = NULL;
    if (count == 0)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "a dataset needs at least one sequence"));
    NEED(ids);
    NEED(lengths);
    TRY(dataset_new(&dataset));
    for (size_t i = 0; i < count; i++) {
        if (lengths[i] < 2)
            TRY(clora_fail(CLORA_ERROR_ARGUMENT, "sequence %zu has length %d; the least is 2", i, lengths[i]));
        TRY(add_own(dataset, ids + at, labels ? labels + at : NULL, lengths[i]));
        at += (size_t)lengths[i];
    }
    *out = dataset;
    dataset = NULL;
done:
    clora_dataset_free(dataset);
    return clora_keep_cause(status);
}

clora_data_kind dataset_kind(const clora_dataset *dataset) {
    return dataset->kind;
}

size_t clora_dataset_count(const clora_dataset *dataset) {
    return dataset ? dataset->count : 0;
}

clora_dataset_stats clora_dataset_get_stats(const clora_dataset *dataset) {
    clora_dataset_stats stats;

    if (!dataset)
        return (clora_dataset_stats){0};
    stats = dataset->stats;
    stats.longest_row = dataset_is_preference(dataset) ? answers_longest_row(dataset) : stats.longest;
    return stats;
}

int clora_dataset_sequence(const clora_dataset *dataset, size_t i, const int32_t **ids, const int32_t **labels) {
    const bool is_there = i < clora_dataset_count(dataset);
    const size_t begin = is_there ? dataset->start[i] : 0;

    if (ids)
        *ids = is_there ? dataset->ids + begin : NULL;
    if (labels)
        *labels = is_there ? dataset->labels + begin : NULL;
    if (!is_there)
        return 0;
    return (int)(dataset->start[i + 1] - begin);
}
