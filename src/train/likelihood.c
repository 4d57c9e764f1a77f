#include "ops/ops.h"
#include "train/objective.h"

static clora_status likelihood(const void *options, objective_rows *rows, bool gradient) {
    const float *smoothing = options;

    return op_cross_entropy(&rows->loss, &rows->hit, &rows->logits, &rows->targets, rows->weights,
                            smoothing ? *smoothing : 0.0f, gradient);
}

const objective objective_likelihood = {.run = likelihood};

objective objective_smoothed(const float *smoothing) {
    return (objective){.run = likelihood, .options = smoothing};
}
