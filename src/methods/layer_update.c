#include <math.h>

#include "base/options.h"
#include "methods/layer.h"

clora_status clora_lowrank_zero_gradients(clora_lowrank *lowrank) {
    NEED(lowrank);
    lowrank->is_clipped = false;
    return clora_tensor_zero(lowrank->gradients);
}

/* ---- One norm of several terms ---- */

static clora_status check_terms(clora_lowrank *const *terms, size_t count, float max_norm) {
    if (count < 1 || count > INT32_MAX)
        return clora_fail(CLORA_ERROR_ARGUMENT, "the norm of %zu low-rank terms; there must be one or more", count);
    if (!(max_norm >= 0.0f) || isinf(max_norm))
        return clora_fail(CLORA_ERROR_ARGUMENT, "a largest norm of %g; 0 (off) or more is possible", (double)max_norm);
    for (size_t i = 0; i < count; i++) {
        if (!terms[i])
            return clora_fail(CLORA_ERROR_ARGUMENT, "low-rank term %zu of %zu is NULL", i + 1, count);
        if (terms[i]->lr->context != terms[0]->lr->context)
            return clora_fail(CLORA_ERROR_ARGUMENT, "low-rank term %zu lies in another context than the first", i + 1);
    }
    return CLORA_OK;
}

/* Every term holds the same factor and the norm of all. */
static clora_status clip_terms(clora_lowrank *const *terms, size_t count, float max_norm) {
    clora_context *context = terms[0]->lr->context;
    clora_tensor *sums = NULL, *parts = NULL;
    clora_status status = CLORA_OK;

    TRY(tensor_new(&sums, context, CLORA_DTYPE_F32, 1, (int)count));
    TRY(tensor_new(&parts, context, CLORA_DTYPE_F32, 1, SQUARE_PARTS));
    for (size_t i = 0; i < count; i++) {
        if (!terms[i]->clipped)
            TRY(tensor_new(&terms[i]->clipped, context, CLORA_DTYPE_F32, 1, 2));
        TRY(op_sum_squares(sums, (int)i, parts, terms[i]->gradients));
    }
    for (size_t i = 0; i < count; i++)
        TRY(op_clip_scale(terms[i]->clipped, sums, (int)count, 1.0f, max_norm));
    for (size_t i = 0; i < count; i++)
        terms[i]->is_clipped = true;
done:
    clora_tensor_free(sums);
    clora_tensor_free(parts);
    return status;
}

clora_status clora_lowrank_clip(float *norm, clora_lowrank *const *terms, size_t count, float max_norm) {
    clora_status status = CLORA_OK;
    float factor_and_norm[2];

    NEED(terms);
    TRY(check_terms(terms, count, max_norm));
    TRY(clip_terms(terms, count, max_norm));
    if (!norm)
        return CLORA_OK;
    TRY(clora_tensor_read(terms[0]->clipped, factor_and_norm));
    *norm = factor_and_norm[1];
done:
    return status;
}

/* ---- AdamW ---- */

static bool is_share(float beta) {
    return beta >= 0.0f && beta < 1.0f;
}

static clora_status check_update(int step, const clora_adamw_options *o) {
    if (step < 1)
        return clora_fail(CLORA_ERROR_ARGUMENT, "optimizer step %d; the first is 1", step);
    if (!(o->lr >= 0.0f && o->weight_decay >= 0.0f) || isinf(o->lr) || isinf(o->weight_decay))
        return clora_fail(CLORA_ERROR_ARGUMENT, "learning rate %g, weight decay %g: both are finite, at least 0",
                          (double)o->lr, (double)o->weight_decay);
    if (!is_share(o->beta1) || !is_share(o->beta2) || !(o->eps > 0.0f) || isinf(o->eps))
        return clora_fail(CLORA_ERROR_ARGUMENT, "betas %g and %g, epsilon %g: betas are in [0, 1), epsilon is above 0",
                          (double)o->beta1, (double)o->beta2, (double)o->eps);
    return CLORA_OK;
}

clora_status clora_lowrank_update(clora_lowrank *lowrank, int step, const clora_adamw_options *options) {
    clora_adamw_options o = CLORA_ADAMW_OPTIONS_INIT;
    clora_status status = CLORA_OK;

    NEED(lowrank);
    TRY(OPTIONS_TAKE(o, options));
    TRY(check_update(step, &o));
    TRY(op_adamw(lowrank->parameters, lowrank->m, lowrank->v, lowrank->gradients,
                 lowrank->is_clipped ? lowrank->clipped : lowrank->scale,
                 (adamw_options){o.lr, o.beta1, o.beta2, o.eps, o.weight_decay, step}));
    TRY(clora_lowrank_zero_gradients(lowrank));
done:
    return status;
}

static clora_tensor *moment_of(const clora_lowrank *l, clora_moment moment) {
    return moment == CLORA_MOMENT_FIRST ? l->m : moment == CLORA_MOMENT_SECOND ? l->v : NULL;
}

static clora_status fail_moment(clora_moment moment) {
    return clora_fail(CLORA_ERROR_ARGUMENT, "there is no moment with number %d", (int)moment);
}

clora_status clora_lowrank_read_moment(const clora_lowrank *lowrank, clora_moment moment, float *a, float *b) {
    NEED(lowrank);
    const clora_tensor *from = moment_of(lowrank, moment);
    return from ? layer_read_factors(lowrank, from, a, b) : fail_moment(moment);
}

static clora_status check_squares(const char *name, const float *values, size_t count) {
    for (size_t i = 0; values && i < count; i++)
        if (values[i] < 0.0f)
            return clora_fail(CLORA_ERROR_ARGUMENT, "%s: a mean of squares is %g", name, (double)values[i]);
    return CLORA_OK;
}

clora_status clora_lowrank_write_moment(clora_lowrank *lowrank, clora_moment moment, const float *a, const float *b) {
    clora_status status = CLORA_OK;

    NEED(lowrank);
    clora_tensor *to = moment_of(lowrank, moment);
    const size_t R = (size_t)lowrank->lr->R;
    if (!to)
        return fail_moment(moment);
    if (moment == CLORA_MOMENT_SECOND) {
        TRY(check_squares("A", a, R * (size_t)lowrank->lr->base->K));
        TRY(check_squares("B", b, R * (size_t)lowrank->lr->base->N));
    }
    status = layer_write_factors(lowrank, to, a, b);
done:
    return status;
}
