#include "ops/ops.h"
#include "train/objective.h"

clora_status objective_likelihood(objective_rows *rows, bool gradient) {
    return op_cross_entropy(&rows->loss, &rows->hit, &rows->logits, &rows->targets, rows->weights, gradient);
}
