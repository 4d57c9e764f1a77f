#include "device/self_check.h"
#include "ops/ops.h"
#include "train/optimizer.h"

static clora_status update_plain(optimizer_span *s, const clora_tensor *scale, const clora_train_options *options,
                                 int step) {
    (void)options;
    (void)step;
    return op_sgd(&s->value, NULL, &s->gradient, scale, (sgd_options){s->lr, 0.0f, s->weight_decay});
}

static clora_status update_momentum(optimizer_span *s, const clora_tensor *scale, const clora_train_options *options,
                                    int step) {
    (void)step;
    return op_sgd(&s->value, &s->state[0], &s->gradient, scale,
                  (sgd_options){s->lr, options->momentum, s->weight_decay});
}

const optimizer_rule optimizer_sgd = {.block = 1, .update = update_plain, .self_check = SELF_CHECK_SGD};

/* PyTorch's name. */
const optimizer_rule optimizer_sgd_momentum = {
    .block = 1,
    .states = 1,
    .state = {{"momentum_buffer", CLORA_DTYPE_F32, 1}},
    .update = update_momentum,
    .self_check = SELF_CHECK_SGD,
};
