#include "train/reference.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "data/dataset_store.h"

static clora_status create(reference_scores **out, const clora_dataset *dataset) {
    reference_scores *r = calloc(1, sizeof(*r));

    if (r)
        r->score = alloc_array(dataset->count, sizeof(*r->score));
    if (!r || !r->score) {
        free(r);
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the reference's scores of %zu answers", dataset->count);
    }
    for (size_t i = 0; i < dataset->count; i++)
        r->score[i] = NAN;
    shared_hold(&dataset->shared);
    r->dataset = dataset;
    *out = r;
    return CLORA_OK;
}

clora_status reference_scores_find(reference_scores **out, reference_scores **list, const clora_dataset *dataset) {
    clora_status status = CLORA_OK;

    for (*out = *list; *out && (*out)->dataset != dataset;)
        *out = (*out)->next;
    if (*out)
        return CLORA_OK;
    TRY(create(out, dataset));
    (*out)->next = *list;
    *list = *out;
done:
    return status;
}

void reference_scores_free(reference_scores *list) {
    while (list) {
        reference_scores *next = list->next;
        shared_let_go(&list->dataset->shared);
        free(list->score);
        free(list);
        list = next;
    }
}

bool reference_scores_hold(const reference_scores *r, const answer_batch *batch) {
    for (size_t i = 0; i < batch->count; i++)
        if (isnan(r->score[batch->answer[i].sequence]))
            return false;
    return true;
}

bool reference_scores_hold_all(const reference_scores *r) {
    for (size_t i = 0; i < r->dataset->count; i++)
        if (isnan(r->score[i]))
            return false;
    return true;
}
