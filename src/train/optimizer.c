#include "train/optimizer.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/dtype.h"
#include "ops/ops.h"

size_t optimizer_scalar_bytes(const optimizer_rule *rule) {
    size_t bytes = 2 * sizeof(float);

    for (int i = 0; i < rule->states; i++)
        bytes += dtype_size(rule->state[i].dtype);
    return bytes;
}

static clora_status create_state(optimizer *o) {
    const int states = o->rule->states;
    clora_status status = CLORA_OK;

    o->state = alloc_array((size_t)(o->parameters->buffers * states), sizeof(clora_tensor *));
    if (!o->state)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the optimizer");
    for (int i = 0; i < o->parameters->buffers * states; i++) {
        const clora_tensor *value = o->parameters->value[i / states];
        TRY(tensor_new(&o->state[i], value->context, o->rule->state[i % states].dtype, 1, tensor_cols(value)));
        TRY(clora_tensor_zero(o->state[i]));
    }
done:
    return status;
}

clora_status optimizer_create(optimizer **out, const optimizer_rule *rule, const parameters *parameters) {
    clora_context *context = parameters->value[0]->context;
    clora_status status = CLORA_OK;
    optimizer *o = calloc(1, sizeof(*o));

    *out = NULL;
    if (!o)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the optimizer");
    o->rule = rule;
    o->parameters = parameters;
    TRY(create_state(o));
    TRY(tensor_new(&o->sums, context, CLORA_DTYPE_F32, 1, parameters->buffers));
    TRY(tensor_new(&o->scale, context, CLORA_DTYPE_F32, 1, 2));
    *out = o;
    o = NULL;
done:
    optimizer_free(o);
    return status;
}

void optimizer_free(optimizer *o) {
    if (!o)
        return;
    for (int i = 0; o->state && i < o->parameters->buffers * o->rule->states; i++)
        clora_tensor_free(o->state[i]);
    free(o->state);
    clora_tensor_free(o->sums);
    clora_tensor_free(o->scale);
    free(o);
}

clora_status optimizer_norm(optimizer *o, float *norm, float factor, float clip) {
    const int buffers = o->parameters->buffers;
    clora_status status = CLORA_OK;
    float scale[2];

    for (int i = 0; i < buffers; i++)
        TRY(op_sum_squares(o->sums, i, o->parameters->gradient[i]));
    TRY(op_clip_scale(o->scale, o->sums, buffers, factor, clip));
    TRY(clora_tensor_read(o->scale, scale));
    *norm = scale[1];
done:
    return status;
}

/* Whether parameter i + 1 lies right after parameter i and is updated alike. */
static bool goes_on(const parameters *p, size_t i) {
    const parameter *a = &p->list[i], *b = a + 1;

    return i + 1 < p->count && a->buffer == b->buffer && a->offset + a->count == b->offset &&
           a->group.lr_factor == b->group.lr_factor && a->group.weight_decay == b->group.weight_decay;
}

static clora_tensor view_state(const optimizer *o, int buffer, size_t offset, size_t count, int which) {
    return tensor_slice(o->state[buffer * o->rule->states + which], offset, 1, (int)count);
}

clora_tensor optimizer_view_state(const optimizer *o, size_t i, int which) {
    const parameter *one = &o->parameters->list[i];

    return view_state(o, one->buffer, one->offset, one->count, which);
}

/* From parameter `first` to `last`, which lie side by side. */
static optimizer_span make_span(const optimizer *o, const parameter *first, const parameter *last, float lr) {
    const parameters *p = o->parameters;
    const size_t count = last->offset + last->count - first->offset;
    optimizer_span s = {.value = tensor_slice(p->value[first->buffer], first->offset, 1, (int)count),
                        .gradient = tensor_slice(p->gradient[first->buffer], first->offset, 1, (int)count),
                        .lr = lr * first->group.lr_factor,
                        .weight_decay = first->group.weight_decay};

    for (int i = 0; i < o->rule->states; i++)
        s.state[i] = view_state(o, first->buffer, first->offset, count, i);
    return s;
}

clora_status optimizer_update(optimizer *o, const clora_train_options *options, float lr, int step) {
    const parameters *p = o->parameters;
    clora_status status = CLORA_OK;

    for (size_t first = 0, last; first < p->count; first = last + 1) {
        for (last = first; goes_on(p, last); last++)
            ;
        optimizer_span span = make_span(o, &p->list[first], &p->list[last], lr);
        TRY(o->rule->update(&span, o->scale, options, step));
    }
done:
    return status;
}
