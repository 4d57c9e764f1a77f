#include "train/own_objective.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/options.h"

clora_status own_objective_init(own_objective *o, const clora_objective *given, int max_rows) {
    clora_objective all = CLORA_OBJECTIVE_INIT;

    const clora_status status = OPTIONS_TAKE(all, given);

    if (status != CLORA_OK)
        return status;
    if (!all.function)
        return clora_fail(CLORA_ERROR_ARGUMENT, "an objective without a function");
    *o = (own_objective){.objective = all, .rows = alloc_array((size_t)max_rows, sizeof(*o->rows))};
    if (!o->rows)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for an objective of %d rows", max_rows);
    for (int i = 0; i < max_rows; i++)
        o->rows[i] = i;
    return CLORA_OK;
}

void own_objective_finish(own_objective *o) {
    free(o->rows);
    *o = (own_objective){0};
}

static clora_status run(const void *options, objective_rows *rows, bool gradient) {
    const own_objective *o = options;
    const clora_batch *batch = o->batch;
    const clora_objective_rows given = {.logits = &rows->logits,
                                        .loss = &rows->loss,
                                        .count = rows->logits.shape[0],
                                        .rows = o->rows + rows->row,
                                        .targets = batch->targets + rows->row,
                                        .B = batch->B,
                                        .T = batch->T,
                                        .ids = batch->ids,
                                        .first = batch->first};
    clora_status status = CLORA_OK;

    (void)gradient; /* in training alone, which wants it always */
    TRY(clora_tensor_zero(&rows->loss));
    (void)clora_fail(CLORA_OK, "the objective ended the step"); /* unless a call that fails says more */
    TRY(o->objective.function(o->objective.user, &given));
done:
    return status;
}

objective own_objective_of(const own_objective *o) {
    return (objective){run, o, .all_rows = true};
}
