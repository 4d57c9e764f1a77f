#include <math.h>

#include "ops/launch.h"
#include "ops/ops.h"

static clora_status square_parts(clora_tensor *parts, const clora_tensor *x) {
    launch l;

    do {
        launch_begin(&l, x->context, "square_parts", (kernel_key){.M = (int)clora_tensor_count(x)});
    } while (launch_again(&l));
    const size_t group = (size_t)launch_parameter(&l, "WG");
    launch_tensor(&l, parts);
    launch_tensor(&l, x);
    launch_ulong(&l, clora_tensor_count(x));
    return launch_run(&l, SQUARE_PARTS * group, 1, 1, group, 1, 1);
}

static clora_status square_total(clora_tensor *sums, int slot, const clora_tensor *parts) {
    launch l;

    do {
        launch_begin(&l, sums->context, "square_total", (kernel_key){0});
    } while (launch_again(&l));
    launch_tensor(&l, sums);
    launch_int(&l, slot);
    launch_tensor(&l, parts);
    return launch_run(&l, 1, 1, 1, 1, 1, 1);
}

clora_status op_sum_squares(clora_tensor *sums, int slot, clora_tensor *parts, const clora_tensor *x) {
    clora_status status = CLORA_OK;

    if (slot < 0 || (size_t)slot >= clora_tensor_count(sums) || clora_tensor_count(parts) != SQUARE_PARTS ||
        !tensor_is_dense(sums) || !tensor_is_dense(x))
        return clora_fail(CLORA_ERROR_SHAPE, "sum_squares: slot %d of sums%s parts%s x%s", slot,
                          tensor_shape_text(sums), tensor_shape_text(parts), tensor_shape_text(x));
    TRY(square_parts(parts, x));
    TRY(square_total(sums, slot, parts));
done:
    return status;
}

clora_status op_clip_scale(clora_tensor *scale, const clora_tensor *sums, int n, float factor, float clip) {
    launch l;

    if (n < 1 || clora_tensor_count(sums) < (size_t)n || clora_tensor_count(scale) != 2 || !tensor_is_dense(scale) ||
        !tensor_is_dense(sums))
        return clora_fail(CLORA_ERROR_SHAPE, "clip_scale: scale%s, %d of sums%s", tensor_shape_text(scale), n,
                          tensor_shape_text(sums));
    do {
        launch_begin(&l, scale->context, "clip_scale", (kernel_key){0});
    } while (launch_again(&l));
    launch_tensor(&l, scale);
    launch_tensor(&l, sums);
    launch_int(&l, n);
    launch_float(&l, factor);
    launch_float(&l, clip);
    return launch_run(&l, 1, 1, 1, 1, 1, 1);
}

/* What both kernels of AdamW need of the options. */
static void launch_moments(launch *l, const adamw_options *o) {
    launch_float(l, (float)(1.0 - (double)o->lr * (double)o->weight_decay));
    launch_float(l, o->beta1);
    launch_float(l, o->beta2);
    launch_float(l, (float)((double)o->lr / (1.0 - pow((double)o->beta1, o->step))));
    launch_float(l, (float)sqrt(1.0 - pow((double)o->beta2, o->step)));
    launch_float(l, o->eps);
}

clora_status op_adamw(clora_tensor *p, clora_tensor *m, clora_tensor *v, const clora_tensor *g,
                      const clora_tensor *scale, adamw_options o) {
    const size_t n = clora_tensor_count(p);
    launch l;

    if (clora_tensor_count(m) != n || clora_tensor_count(v) != n || clora_tensor_count(g) != n ||
        clora_tensor_count(scale) != 2 || !tensor_is_dense(p) || !tensor_is_dense(m) || !tensor_is_dense(v) ||
        !tensor_is_dense(g))
        return clora_fail(CLORA_ERROR_SHAPE, "adamw: p%s m%s v%s g%s", tensor_shape_text(p), tensor_shape_text(m),
                          tensor_shape_text(v), tensor_shape_text(g));
    if (o.step < 1)
        return clora_fail(CLORA_ERROR_ARGUMENT, "adamw: step %d: the first is 1", o.step);
    do {
        launch_begin(&l, p->context, "adamw", (kernel_key){.M = (int)n});
    } while (launch_again(&l));
    const size_t group = (size_t)launch_parameter(&l, "WG"), block = (size_t)launch_parameter(&l, "BLOCK");
    launch_tensor(&l, p);
    launch_tensor(&l, m);
    launch_tensor(&l, v);
    launch_tensor(&l, g);
    launch_tensor(&l, scale);
    launch_ulong(&l, n);
    launch_moments(&l, &o);
    return launch_run(&l, divide_up_size(n, block), 1, 1, group, 1, 1);
}

/* As ops.h says: the codes of both moments, then the largest magnitudes. */
static bool is_state_of(const clora_tensor state[ADAMW8BIT_STATES], size_t n) {
    const size_t blocks = divide_up_size(n, ADAMW8BIT_BLOCK);

    for (int i = 0; i < ADAMW8BIT_STATES; i++)
        if (clora_tensor_count(&state[i]) != (i < 2 ? blocks * ADAMW8BIT_BLOCK / 4 : blocks) ||
            !tensor_is_dense(&state[i]))
            return false;
    return true;
}

clora_status op_adamw8bit(clora_tensor *p, clora_tensor state[ADAMW8BIT_STATES], const clora_tensor *g,
                          const clora_tensor *scale, adamw_options o) {
    const size_t n = clora_tensor_count(p);
    launch l;

    if (!is_state_of(state, n) || clora_tensor_count(g) != n || clora_tensor_count(scale) != 2 || !tensor_is_dense(p) ||
        !tensor_is_dense(g))
        return clora_fail(CLORA_ERROR_SHAPE, "adamw8bit: p%s m%s v%s m_most%s v_most%s g%s", tensor_shape_text(p),
                          tensor_shape_text(&state[0]), tensor_shape_text(&state[1]), tensor_shape_text(&state[2]),
                          tensor_shape_text(&state[3]), tensor_shape_text(g));
    if (o.step < 1)
        return clora_fail(CLORA_ERROR_ARGUMENT, "adamw8bit: step %d: the first is 1", o.step);
    do {
        launch_begin(&l, p->context, "adamw8bit", (kernel_key){.M = (int)n});
    } while (launch_again(&l));
    const size_t group = (size_t)launch_parameter(&l, "WG");
    launch_tensor(&l, p);
    for (int i = 0; i < ADAMW8BIT_STATES; i++)
        launch_tensor(&l, &state[i]);
    launch_tensor(&l, g);
    launch_tensor(&l, scale);
    launch_ulong(&l, n);
    launch_moments(&l, &o);
    return launch_run(&l, divide_up_size(n, ADAMW8BIT_BLOCK) * group, 1, 1, group, 1, 1);
}

clora_status op_sgd(clora_tensor *p, clora_tensor *b, const clora_tensor *g, const clora_tensor *scale, sgd_options o) {
    const size_t n = clora_tensor_count(p);
    launch l;

    if (clora_tensor_count(g) != n || clora_tensor_count(scale) != 2 || !tensor_is_dense(p) || !tensor_is_dense(g) ||
        (o.momentum > 0.0f && (clora_tensor_count(b) != n || !tensor_is_dense(b))))
        return clora_fail(CLORA_ERROR_SHAPE, "sgd: p%s b%s g%s", tensor_shape_text(p), tensor_shape_text(b),
                          tensor_shape_text(g));
    do {
        launch_begin(&l, p->context, "sgd", (kernel_key){.M = (int)n});
    } while (launch_again(&l));
    const size_t group = (size_t)launch_parameter(&l, "WG"), block = (size_t)launch_parameter(&l, "BLOCK");
    launch_tensor(&l, p);
    launch_tensor(&l, o.momentum > 0.0f ? b : p);
    launch_tensor(&l, g);
    launch_tensor(&l, scale);
    launch_ulong(&l, n);
    launch_float(&l, o.lr);
    launch_float(&l, o.momentum);
    launch_float(&l, o.weight_decay);
    return launch_run(&l, divide_up_size(n, block), 1, 1, group, 1, 1);
}
