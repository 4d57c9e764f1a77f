#include "train/optimizer.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/dtype.h"
#include "base/ints.h"
#include "ops/ops.h"

const optimizer_rule *optimizer_find(const clora_train_options *options) {
    switch (options->optimizer) {
    case CLORA_OPTIMIZER_ADAMW8BIT: return &optimizer_adamw8bit;
    case CLORA_OPTIMIZER_SGD: return options->momentum > 0.0f ? &optimizer_sgd_momentum : &optimizer_sgd;
    case CLORA_OPTIMIZER_ADAMW: break;
    }
    return &optimizer_adamw;
}

static const optimizer_rule *rule_for(const optimizer_rule *rule, const parameter *one) {
    return rule->small && one->count < rule->least ? rule->small : rule;
}

/* Whether parameter i + 1 lies right after parameter i, begins with a block and is updated alike. */
static bool goes_on(const optimizer_rule *rule, const parameters *p, size_t i) {
    const parameter *a = &p->list[i], *b = a + 1;

    return i + 1 < p->count && a->buffer == b->buffer && a->offset + a->count == b->offset &&
           rule_for(rule, a) == rule_for(rule, b) && a->count % (size_t)rule_for(rule, a)->block == 0 &&
           a->group.lr_factor == b->group.lr_factor && a->group.weight_decay == b->group.weight_decay;
}

/* Elements that a rule keeps of so many scalars. */
static size_t elements_of(const optimizer_rule *rule, int which, size_t scalars) {
    return divide_up_size(scalars, (size_t)rule->block) * (size_t)rule->state[which].elements;
}

static clora_status list_runs(optimizer *o) {
    const parameters *p = o->parameters;

    o->run = alloc_array(p->count + 1, sizeof(*o->run));
    if (!o->run)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the optimizer");
    for (size_t first = 0, last; first < p->count; first = last + 1) {
        const parameter *one = &p->list[first];
        for (last = first; goes_on(o->rule, p, last); last++)
            ;
        const int n = (int)(p->list[last].offset + p->list[last].count - one->offset);
        o->run[o->runs++] =
            (optimizer_run){.rule = rule_for(o->rule, one),
                            .first = first,
                            .last = last,
                            .span = {.value = tensor_slice(p->value[one->buffer], one->offset, 1, n),
                                     .gradient = tensor_slice(p->gradient[one->buffer], one->offset, 1, n),
                                     .weight_decay = one->group.weight_decay}};
    }
    return CLORA_OK;
}

static int buffer_of(const optimizer *o, const optimizer_run *run) {
    return o->parameters->list[run->first].buffer;
}

/* One state of all runs of a buffer, one after the other in a tensor. */
static clora_status create_state(optimizer *o, int buffer, int which) {
    clora_tensor **out = &o->state[buffer * OPTIMIZER_STATES + which];
    clora_status status = CLORA_OK;
    size_t used = 0;

    for (size_t i = 0; i < o->runs; i++)
        if (buffer_of(o, &o->run[i]) == buffer && which < o->run[i].rule->states)
            used += elements_of(o->run[i].rule, which, clora_tensor_count(&o->run[i].span.value));
    if (used == 0)
        return CLORA_OK;
    TRY(tensor_new(out, o->parameters->value[0]->context, CLORA_DTYPE_F32, 1, (int)used));
    TRY(clora_tensor_zero(*out));
    used = 0;
    for (size_t i = 0; i < o->runs; i++) {
        optimizer_run *run = &o->run[i];
        if (buffer_of(o, run) != buffer || which >= run->rule->states)
            continue;
        const size_t n = elements_of(run->rule, which, clora_tensor_count(&run->span.value));
        run->span.state[which] = tensor_slice(*out, used, 1, (int)n);
        run->span.state[which].dtype = run->rule->state[which].dtype;
        used += n;
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
    TRY(list_runs(o));
    o->state = alloc_array((size_t)parameters->buffers * OPTIMIZER_STATES, sizeof(clora_tensor *));
    if (!o->state)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the optimizer"));
    for (int i = 0; i < parameters->buffers * OPTIMIZER_STATES; i++)
        TRY(create_state(o, i / OPTIMIZER_STATES, i % OPTIMIZER_STATES));
    TRY(tensor_new(&o->sums, context, CLORA_DTYPE_F32, 1, parameters->buffers));
    TRY(tensor_new(&o->parts, context, CLORA_DTYPE_F32, 1, SQUARE_PARTS));
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
    for (int i = 0; o->state && i < o->parameters->buffers * OPTIMIZER_STATES; i++)
        clora_tensor_free(o->state[i]);
    free(o->state);
    free(o->run);
    clora_tensor_free(o->sums);
    clora_tensor_free(o->parts);
    clora_tensor_free(o->scale);
    free(o);
}

size_t optimizer_bytes(const optimizer *o) {
    size_t elements = clora_tensor_count(o->sums) + clora_tensor_count(o->parts) + clora_tensor_count(o->scale);

    for (int i = 0; i < o->parameters->buffers * OPTIMIZER_STATES; i++)
        elements += clora_tensor_count(o->state[i]);
    return elements * sizeof(float);
}

clora_status optimizer_norm(optimizer *o, float *norm, float factor, float clip) {
    const int buffers = o->parameters->buffers;
    clora_status status = CLORA_OK;
    float scale[2];

    for (int i = 0; i < buffers; i++)
        if (!parameters_uses_up(o->parameters, i))
            TRY(op_sum_squares(o->sums, i, o->parts, o->parameters->gradient[i]));
    TRY(op_clip_scale(o->scale, o->sums, buffers, factor, clip));
    TRY(clora_tensor_read(o->scale, scale));
    *norm = scale[1];
done:
    return status;
}

static clora_status update_run(optimizer *o, optimizer_run *run, const clora_train_options *options, float lr,
                               int step) {
    clora_status status = CLORA_OK;

    o->scale->context->updates++;
    run->span.lr = lr * o->parameters->list[run->first].group.lr_factor;
    TRY(parameters_fetch(o->parameters, buffer_of(o, run)));
    TRY(run->rule->update(&run->span, o->scale, options, step));
    TRY(parameters_keep(o->parameters, buffer_of(o, run)));
done:
    return status;
}

clora_status optimizer_update(optimizer *o, const clora_train_options *options, float lr, int step) {
    clora_status status = CLORA_OK;

    for (size_t i = 0; i < o->runs; i++)
        if (!parameters_uses_up(o->parameters, buffer_of(o, &o->run[i])))
            TRY(update_run(o, &o->run[i], options, lr, step));
done:
    return status;
}

clora_status optimizer_begin(optimizer *o, float factor) {
    clora_status status = CLORA_OK;

    TRY(clora_tensor_zero(o->sums));
    TRY(op_clip_scale(o->scale, o->sums, o->parameters->buffers, factor, 0.0f));
done:
    return status;
}

clora_status optimizer_update_buffer(optimizer *o, int buffer, const clora_train_options *options, float lr, int step) {
    clora_status status = CLORA_OK;

    TRY(op_sum_squares(o->sums, buffer, o->parts, o->parameters->gradient[buffer]));
    for (size_t i = 0; i < o->runs; i++)
        if (buffer_of(o, &o->run[i]) == buffer)
            TRY(update_run(o, &o->run[i], options, lr, step));
done:
    return status;
}

static const optimizer_run *run_of(const optimizer *o, size_t i) {
    const optimizer_run *run = o->run;

    while (run->last < i)
        run++;
    return run;
}

const optimizer_rule *optimizer_rule_of(const optimizer *o, size_t i) {
    return run_of(o, i)->rule;
}

clora_tensor optimizer_view_state(const optimizer *o, size_t i, int which) {
    const optimizer_run *run = run_of(o, i);
    const parameter *first = &o->parameters->list[run->first], *one = &o->parameters->list[i];

    return tensor_slice(&run->span.state[which], elements_of(run->rule, which, one->offset - first->offset), 1,
                        (int)elements_of(run->rule, which, one->count));
}
