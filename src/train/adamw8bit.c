#include "device/self_check.h"
#include "ops/ops.h"
#include "train/optimizer.h"

_Static_assert((int)ADAMW8BIT_STATES <= (int)OPTIMIZER_STATES, "a span has room for these");

static clora_status update(optimizer_span *s, const clora_tensor *scale, const clora_train_options *options, int step) {
    return op_adamw8bit(&s->value, s->state, &s->gradient, scale,
                        (adamw_options){s->lr, options->beta1, options->beta2, options->eps, s->weight_decay, step});
}

/* bitsandbytes' names and bounds: what has less than 4096 scalars saves nothing, and norms and biases feel the rounding
 * most. */
const optimizer_rule optimizer_adamw8bit = {
    .block = ADAMW8BIT_BLOCK,
    .states = ADAMW8BIT_STATES,
    .state = {{"state1", CLORA_DTYPE_I32, ADAMW8BIT_BLOCK / 4},
              {"state2", CLORA_DTYPE_I32, ADAMW8BIT_BLOCK / 4},
              {"absmax1", CLORA_DTYPE_F32, 1},
              {"absmax2", CLORA_DTYPE_F32, 1}},
    .update = update,
    .self_check = SELF_CHECK_ADAMW8BIT,
    .small = &optimizer_adamw,
    .least = 4096,
};
