#include "data/dataset.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "data/answers.h"
#include "data/dataset_store.h"
#include "data/sequence_writer.h"

static void destroy(shared *object) {
    clora_dataset *dataset = (clora_dataset *)object;

    sequence_writer_abandon(dataset->writer);
    file_map_close(&dataset->file);
    free(dataset->path);
    free(dataset->own);
    free(dataset->ids);
    free(dataset->labels);
    free(dataset->place);
    free(dataset->answer);
    for (size_t i = 0; i < dataset->names; i++)
        free(dataset->name[i]);
    free(dataset->name);
    free(dataset->part);
    if (dataset->whole)
        shared_let_go(&dataset->whole->shared);
    free(dataset);
}

clora_status dataset_new(clora_dataset **out) {
    clora_dataset *dataset = calloc(1, sizeof(*dataset));

    *out = NULL;
    if (!dataset)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a dataset");
    shared_init(&dataset->shared, destroy);
    *out = dataset;
    return CLORA_OK;
}

void clora_dataset_free(clora_dataset *dataset) {
    if (dataset)
        shared_let_go(&dataset->shared);
}

clora_status dataset_push(clora_dataset *dataset, const int32_t *ids, const int32_t *labels, size_t n) {
    const size_t open = dataset->open;
    clora_status status = CLORA_OK;

    TRY(alloc_grow((void **)&dataset->ids, &dataset->id_capacity, open + n, sizeof(*dataset->ids)));
    TRY(alloc_grow((void **)&dataset->labels, &dataset->label_capacity, open + n, sizeof(*dataset->labels)));
    for (size_t i = 0; i < n; i++) {
        dataset->ids[open + i] = ids[i];
        dataset->labels[open + i] = labels && labels[i] >= 0 ? labels[i] : -1;
    }
    dataset->open += n;
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

static void count_sequence(clora_dataset_stats *stats, const int32_t *ids, const int32_t *labels, size_t n) {
    for (size_t i = 0; i < n; i++) {
        stats->largest_id = largest(stats->largest_id, largest(ids[i], labels[i]));
        stats->target_tokens += labels[i] >= 0;
    }
    stats->sequences++;
    stats->tokens += (int64_t)n;
    if ((int)n > stats->longest)
        stats->longest = (int)n;
}

static clora_status add_place(clora_dataset *dataset, dataset_place place) {
    clora_status status = CLORA_OK;

    TRY(alloc_grow((void **)&dataset->place, &dataset->place_capacity, dataset->count + 1, sizeof(place)));
    dataset->place[dataset->count++] = place;
done:
    return status;
}

/* The values of the sequence that was added, to where they are kept. */
static clora_status keep_values(clora_dataset *dataset) {
    const size_t n = dataset->open;
    clora_status status = CLORA_OK;

    if (dataset->writer)
        return sequence_writer_append(dataset->writer, dataset->ids, dataset->labels, n);
    TRY(alloc_grow((void **)&dataset->own, &dataset->own_capacity, dataset->used + 2 * n, sizeof(*dataset->own)));
    memcpy(dataset->own + dataset->used, dataset->ids, n * sizeof(*dataset->ids));
    memcpy(dataset->own + dataset->used + n, dataset->labels, n * sizeof(*dataset->labels));
    dataset->values = dataset->own;
done:
    return status;
}

clora_status dataset_close_sequence(clora_dataset *dataset, size_t *learnt) {
    const size_t n = dataset->open;
    clora_status status = CLORA_OK;

    *learnt = 0;
    if (dataset->kind != CLORA_DATA_LABELS && n > 0)
        dataset->labels[0] = -1; /* nothing stands before it */
    for (size_t i = 0; i < n; i++)
        *learnt += dataset->labels[i] >= 0;
    if (*learnt > 0) {
        TRY(keep_values(dataset));
        TRY(add_place(dataset, (dataset_place){dataset->used, n}));
        dataset->used += 2 * n;
        count_sequence(&dataset->stats, dataset->ids, dataset->labels, n);
    }
    dataset->open = 0;
done:
    return status;
}

clora_status dataset_share_sequence(clora_dataset *dataset, const clora_dataset *whole, size_t i) {
    clora_status status = CLORA_OK;

    if (whole->answer)
        TRY(dataset_mark_answer(dataset, whole->answer[i]));
    TRY(add_place(dataset, whole->place[i]));
    count_sequence(&dataset->stats, dataset_ids(whole, i), dataset_labels(whole, i), whole->place[i].count);
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
        return clora_fail(CLORA_ERROR_ARGUMENT, "sequence %zu has no target tokens after its first", dataset->count);
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
    dataset_complete(dataset);
    *out = dataset;
    dataset = NULL;
done:
    clora_dataset_free(dataset);
    return clora_keep_cause(status);
}

clora_data_kind dataset_kind(const clora_dataset *dataset) {
    return dataset->kind;
}

const char *clora_dataset_file(const clora_dataset *dataset) {
    while (dataset && dataset->whole)
        dataset = dataset->whole;
    return dataset ? dataset->path : NULL;
}

size_t clora_dataset_count(const clora_dataset *dataset) {
    return dataset ? dataset->count : 0;
}

void dataset_complete(clora_dataset *dataset) {
    dataset->stats.longest_row = dataset_is_preference(dataset) ? answers_longest_row(dataset) : dataset->stats.longest;
}

const clora_dataset_stats *clora_dataset_get_stats(const clora_dataset *dataset) {
    static const clora_dataset_stats none;

    return dataset ? &dataset->stats : &none;
}

int clora_dataset_sequence(const clora_dataset *dataset, size_t i, const int32_t **ids, const int32_t **labels) {
    const bool is_there = i < clora_dataset_count(dataset);

    if (ids)
        *ids = is_there ? dataset_ids(dataset, i) : NULL;
    if (labels)
        *labels = is_there ? dataset_labels(dataset, i) : NULL;
    return is_there ? (int)dataset->place[i].count : 0;
}
