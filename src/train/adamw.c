#include "ops/ops.h"
#include "train/optimizer.h"

enum { EXP_AVG, EXP_AVG_SQ };

static clora_status update(optimizer_span *s, const clora_tensor *scale, const clora_train_options *options, int step) {
    return op_adamw(&s->value, &s->state[EXP_AVG], &s->state[EXP_AVG_SQ], &s->gradient, scale,
                    (adamw_options){s->lr, options->beta1, options->beta2, options->eps, s->weight_decay, step});
}

/* PyTorch's names. */
const optimizer_rule optimizer_adamw = {
    .block = 1,
    .states = 2,
    .state = {[EXP_AVG] = {"exp_avg", CLORA_DTYPE_F32, 1}, [EXP_AVG_SQ] = {"exp_avg_sq", CLORA_DTYPE_F32, 1}},
    .update = update,
};
