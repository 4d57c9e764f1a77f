#include "methods/layer.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/dtype.h"
#include "base/ints.h"
#include "base/rng.h"
#include "device/self_check.h"
#include "tuning/recorder.h"

struct clora_weight {
    shared shared; /* held by the program and low-rank terms */
    weight *w;
    bool is_written;
};

static void destroy_weight(shared *object) {
    clora_weight *w = (clora_weight *)object;

    weight_free(w->w);
    free(w);
}

clora_status clora_weight_create(clora_weight **out, clora_context *context, clora_storage type, int N, int K) {
    clora_status status = CLORA_OK;
    clora_weight *w;

    NEED(out);
    *out = NULL;
    NEED(context);
    w = calloc(1, sizeof(*w));
    if (!w)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a weight"));
    shared_init(&w->shared, destroy_weight);
    if (N < 1 || K < 1 || !storage_of(type))
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "a weight of %d x %d elements of type %d", N, K, (int)type));
    TRY(self_check(context, SELF_CHECK_PRODUCTS, type, 0));
    TRY(weight_create(&w->w, context, type, K, 1, &N));
    *out = w;
    w = NULL;
done:
    clora_weight_free(w);
    return clora_keep_cause(status);
}

void clora_weight_free(clora_weight *weight) {
    if (weight)
        shared_let_go(&weight->shared);
}

clora_status clora_weight_write(clora_weight *weight, const void *data, clora_dtype dtype) {
    NEED(weight);
    NEED(data);
    if ((int)dtype < CLORA_DTYPE_F32 || dtype > CLORA_DTYPE_BF16)
        return clora_fail(CLORA_ERROR_ARGUMENT, "a weight is written from f32, f16 or bf16, not from element type %d",
                          (int)dtype);
    const clora_status status = weight_pack(weight->w, 0, data, dtype, false);
    weight->is_written = status == CLORA_OK;
    return status;
}

/* Host memory that a tensor's values pass through on their way into a weight. */
enum { STRETCH_BYTES = 1 << 20 };

static clora_status check_values(const weight *w, const clora_tensor *values) {
    if (values->context != w->context)
        return clora_fail(CLORA_ERROR_ARGUMENT, "the values lie in another context than the weight");
    if (values->dtype > CLORA_DTYPE_BF16)
        return clora_fail(CLORA_ERROR_ARGUMENT, "a weight is written from f32, f16 or bf16, not from %s",
                          dtype_name(values->dtype));
    if (tensor_rows(values) != (size_t)w->N || tensor_cols(values) != w->K)
        return clora_fail(CLORA_ERROR_SHAPE, "the values are %s; the weight is (%d,%d)", tensor_shape_text(values),
                          w->N, w->K);
    return CLORA_OK;
}

static clora_status pack_rows_of(weight *w, const clora_tensor *values) {
    const size_t row = (size_t)w->K * dtype_size(values->dtype), fit = STRETCH_BYTES / row;
    const int step = weight_row_step(w);
    const int stretch = fit < (size_t)w->N ? most(step, (int)fit / step * step) : w->N;
    clora_status status = CLORA_OK;
    void *rows = alloc_array((size_t)stretch, row);

    if (!rows)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to write a weight");
    for (int n = 0; n < w->N; n += stretch) {
        const int count = least(stretch, w->N - n);
        const clora_tensor part = tensor_view(values, n, count, 0, w->K);
        TRY(clora_tensor_read(&part, rows));
        TRY(weight_pack_rows(w, 0, n, count, rows, values->dtype));
    }
done:
    free(rows);
    return status;
}

clora_status clora_weight_write_tensor(clora_weight *weight, const clora_tensor *values) {
    clora_status status = CLORA_OK;

    NEED(weight);
    NEED(values);
    TRY(check_values(weight->w, values));
    status = pack_rows_of(weight->w, values);
    weight->is_written = status == CLORA_OK;
done:
    return status;
}

static clora_tensor view_a(const clora_lowrank *l, const clora_tensor *t) {
    return tensor_slice(t, 0, 1, (int)l->lr->a_count);
}

static clora_tensor view_b(const clora_lowrank *l, const clora_tensor *t) {
    return tensor_slice(t, l->lr->a_count, 1, (int)l->lr->b_count);
}

static clora_status create_buffers(clora_lowrank *l, clora_context *context) {
    clora_tensor **const buffers[] = {&l->parameters, &l->gradients, &l->m, &l->v};
    const size_t n = l->lr->a_count + l->lr->b_count;
    clora_status status = CLORA_OK;

    if (n > (size_t)INT32_MAX)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "a low-rank term of %zu elements is too large", n);
    for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++) {
        TRY(tensor_new(buffers[i], context, CLORA_DTYPE_F32, 1, (int)n));
        TRY(clora_tensor_zero(*buffers[i]));
    }
    TRY(tensor_new(&l->scale, context, CLORA_DTYPE_F32, 1, 2));
    TRY(clora_tensor_write(l->scale, (const float[2]){1.0f, 0.0f}));
    l->lr->a = view_a(l, l->parameters);
    l->lr->b = view_b(l, l->parameters);
done:
    return status;
}

static clora_status write_gaussian(clora_lowrank *l, uint64_t seed) {
    const size_t n = (size_t)l->lr->R * (size_t)l->lr->base->K;
    const float deviation = 1.0f / sqrtf((float)l->lr->base->K);
    float *a = alloc_array(n, sizeof(*a));

    if (!a)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for A");
    for (size_t i = 0; i < n; i++)
        a[i] = deviation * rng_normal(seed, 0, i);
    const clora_status status = clora_lowrank_write(l, a, NULL);
    free(a);
    return status;
}

clora_status clora_lowrank_create(clora_lowrank **out, const clora_weight *weight, int rank, float scale,
                                  uint64_t seed) {
    clora_status status = CLORA_OK;
    clora_lowrank *l;

    NEED(out);
    *out = NULL;
    NEED(weight);
    l = calloc(1, sizeof(*l));
    if (!l)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a low-rank term"));
    l->base = shared_hold(&weight->shared);
    if (rank < 1 || !isfinite(scale))
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "rank %d, scale %g: the rank starts at 1, the scale is finite", rank,
                       (double)scale));
    TRY(self_check(weight->w->context, SELF_CHECK_TERM | SELF_CHECK_FACTORS, weight->w->storage->id, 0));
    TRY(lowrank_create(&l->lr, weight->w, &rank, &scale));
    TRY(create_buffers(l, weight->w->context));
    TRY(write_gaussian(l, seed));
    *out = l;
    l = NULL;
done:
    clora_lowrank_free(l);
    return clora_keep_cause(status);
}

void clora_lowrank_free(clora_lowrank *l) {
    if (!l)
        return;
    clora_tensor_free(l->parameters);
    clora_tensor_free(l->gradients);
    clora_tensor_free(l->m);
    clora_tensor_free(l->v);
    clora_tensor_free(l->scale);
    clora_tensor_free(l->clipped);
    clora_tensor_free(l->du);
    lowrank_free(l->lr);
    shared_let_go(l->base);
    free(l);
}

static size_t larger_factor(const clora_lowrank *l) {
    return l->lr->a_count > l->lr->b_count ? l->lr->a_count : l->lr->b_count;
}

/* Of (rows, cols) values; `name` is the factor's. */
static clora_status check_finite(const char *name, const float *values, int rows, int cols) {
    for (int i = 0; values && i < rows; i++)
        for (int j = 0; j < cols; j++)
            if (!isfinite(values[(size_t)i * (size_t)cols + (size_t)j]))
                return clora_fail(CLORA_ERROR_FORMAT, "%s: the value at row %d, column %d is not finite", name, i, j);
    return CLORA_OK;
}

clora_status layer_write_factors(clora_lowrank *l, clora_tensor *to, const float *a, const float *b) {
    clora_tensor va = view_a(l, to), vb = view_b(l, to);
    clora_status status = CLORA_OK;
    float *panels = NULL;

    TRY(check_finite("A", a, l->lr->R, l->lr->base->K));
    TRY(check_finite("B", b, l->lr->base->N, l->lr->R));
    panels = alloc_array(larger_factor(l), sizeof(*panels));
    if (!panels)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a low-rank term");
    if (a) {
        lowrank_pack_a(l->lr, 0, panels, a);
        TRY(clora_tensor_write(&va, panels));
    }
    if (b) {
        lowrank_pack_b(l->lr, 0, panels, b);
        TRY(clora_tensor_write(&vb, panels));
    }
done:
    free(panels);
    return status;
}

clora_status clora_lowrank_write(clora_lowrank *lowrank, const float *a, const float *b) {
    NEED(lowrank);
    return layer_write_factors(lowrank, lowrank->parameters, a, b);
}

clora_status layer_read_factors(const clora_lowrank *l, const clora_tensor *from, float *a, float *b) {
    const clora_tensor va = view_a(l, from), vb = view_b(l, from);
    clora_status status = CLORA_OK;
    float *panels = alloc_array(larger_factor(l), sizeof(*panels));

    if (!panels)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a low-rank term");
    if (a) {
        TRY(clora_tensor_read(&va, panels));
        lowrank_unpack_a(l->lr, 0, a, panels);
    }
    if (b) {
        TRY(clora_tensor_read(&vb, panels));
        lowrank_unpack_b(l->lr, 0, b, panels);
    }
done:
    free(panels);
    return status;
}

clora_status clora_lowrank_read(const clora_lowrank *lowrank, float *a, float *b) {
    NEED(lowrank);
    return layer_read_factors(lowrank, lowrank->parameters, a, b);
}

clora_status clora_lowrank_read_gradients(const clora_lowrank *lowrank, float *da, float *db) {
    NEED(lowrank);
    return layer_read_factors(lowrank, lowrank->gradients, da, db);
}

/* The weight has values, or nothing is going to be computed. */
static clora_status check_weight(const clora_weight *weight, const clora_lowrank *l) {
    if (l && l->base != &weight->shared)
        return clora_fail(CLORA_ERROR_ARGUMENT, "the low-rank term was made for another weight");
    if (!weight->is_written && !recorder_is_tracing(weight->w->context))
        return clora_fail(CLORA_ERROR_ARGUMENT, "the weight has no values yet: clora_weight_write() comes first");
    return CLORA_OK;
}

/* Activations are (M, width) floats on the weight's context. */
static clora_status check_rows(const char *name, const clora_tensor *t, const clora_weight *weight, size_t M,
                               int width) {
    if (t->context != weight->w->context)
        return clora_fail(CLORA_ERROR_ARGUMENT, "%s lies in another context than the weight", name);
    if (t->dtype != CLORA_DTYPE_F32)
        return clora_fail(CLORA_ERROR_ARGUMENT, "%s holds %s; activations are f32", name, dtype_name(t->dtype));
    if (tensor_rows(t) != M || tensor_cols(t) != width)
        return clora_fail(CLORA_ERROR_SHAPE, "%s is %s; it must be (%zu,%d)", name, tensor_shape_text(t), M, width);
    return CLORA_OK;
}

clora_status clora_lowrank_forward(clora_tensor *y, clora_tensor *u, const clora_tensor *x, const clora_weight *weight,
                                   const clora_lowrank *lowrank) {
    const lora_dropout off = {0};
    clora_status status = CLORA_OK;

    NEED(y);
    NEED(x);
    NEED(weight);
    const size_t M = tensor_rows(x);
    TRY(check_weight(weight, lowrank));
    if (lowrank && !u)
        return clora_fail(CLORA_ERROR_ARGUMENT, "clora_lowrank_forward: u (M, R) is needed with a low-rank term");
    TRY(check_rows("x", x, weight, M, weight->w->K));
    TRY(check_rows("y", y, weight, M, weight->w->N));
    if (lowrank)
        TRY(check_rows("u", u, weight, M, lowrank->lr->R));
    TRY(lora_forward(y, x, weight->w, NULL, lowrank ? lowrank->lr : NULL, u, &off));
done:
    return status;
}

static clora_status grow_scratch(clora_lowrank *l, int rows) {
    if (l->du && l->du->shape[0] >= rows)
        return CLORA_OK;
    clora_tensor_free(l->du);
    l->du = NULL;
    return tensor_new(&l->du, l->lr->context, CLORA_DTYPE_F32, rows, l->lr->R);
}

clora_status clora_lowrank_backward(clora_tensor *dx, clora_lowrank *lowrank, const clora_tensor *dy,
                                    const clora_tensor *x, const clora_tensor *u, const clora_weight *weight) {
    const lora_dropout off = {0};
    clora_tensor da, db, du;
    clora_status status = CLORA_OK;

    NEED(lowrank);
    NEED(dy);
    NEED(x);
    NEED(u);
    NEED(weight);
    const size_t M = tensor_rows(x);
    TRY(check_weight(weight, lowrank));
    TRY(check_rows("x", x, weight, M, weight->w->K));
    TRY(check_rows("dy", dy, weight, M, weight->w->N));
    TRY(check_rows("u", u, weight, M, lowrank->lr->R));
    if (dx)
        TRY(check_rows("dx", dx, weight, M, weight->w->K));
    if (dx && dx->buffer == x->buffer && dx->offset == x->offset)
        return clora_fail(CLORA_ERROR_ARGUMENT, "dx takes the place of x, which the gradient of A needs");
    TRY(grow_scratch(lowrank, (int)M));
    da = view_a(lowrank, lowrank->gradients);
    db = view_b(lowrank, lowrank->gradients);
    du = tensor_slice(lowrank->du, 0, (int)M, lowrank->lr->R);
    TRY(lora_backward(dx, &db, dy, weight->w, lowrank->lr, u, &du, &off));
    TRY(lora_gradient_a(&da, &du, x, lowrank->lr, &off));
done:
    return status;
}
