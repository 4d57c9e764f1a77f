#include "cases/product.h"

#include <math.h>

#include "base/dtype.h"
#include "ref/ref.h"

/* What a weight whose values change needs besides its products: gradients, its values in and out of its storage, an
 * adapter merged into it. */

#define F16 CLORA_STORAGE_F16
#define BF16 CLORA_STORAGE_BF16

/* Values lie as in an f32 weight: element (n, k) of a module of w. */
static size_t place_of(const weight *w, const weight_module *m, int n, int k) {
    if (w->layout == WEIGHT_PLAIN)
        return (size_t)(m->col + n) * (size_t)w->K + (size_t)k;
    return ((size_t)(m->panel + n / w->NR) * (size_t)w->K + (size_t)k) * (size_t)w->NR + (size_t)(n % w->NR);
}

/* All values from row major ones (N, K); padding is zero. */
static void lay_out(float *to, const float *rows, const case_run *run) {
    const weight *w = run->w;

    for (int i = 0; i < w->modules && run->status == CLORA_OK; i++)
        for (int n = 0; n < w->module[i].N; n++)
            for (int k = 0; k < w->K; k++)
                to[place_of(w, &w->module[i], n, k)] = rows[(size_t)(w->module[i].col + n) * (size_t)w->K + (size_t)k];
}

/* A buffer for the values of the whole weight. */
static case_buffer *values_buffer(case_run *run, const char *name, case_role role) {
    const weight *w = run->w;
    const size_t n = run->status != CLORA_OK     ? 1
                     : w->layout == WEIGHT_PANEL ? (size_t)w->panels * (size_t)w->NR * (size_t)w->K
                                                 : (size_t)w->N * (size_t)w->K;
    case_buffer *b = case_dense(run, name, role, CLORA_DTYPE_F32, 1, (int)n);

    for (size_t i = 0; run->status == CLORA_OK && i < n; i++)
        b->host[i] = 0.0f;
    return b;
}

/* Those of a span. */
static clora_tensor span_values(const case_buffer *all, const weight *w, weight_span span) {
    const size_t n = weight_span_values(w, span), unit = n / (size_t)span.count;

    return tensor_slice(&all->tensor, (size_t)span.first * unit, 1, (int)n);
}

/* What is done to the values of each module, part by part. */
typedef clora_status (*span_step)(case_run *run, weight_span span);

static clora_status each_span(case_run *run, span_step step) {
    const weight *w = run->w;
    clora_status status = CLORA_OK;

    for (int i = 0; i < w->modules * w->parts && status == CLORA_OK; i++) {
        const weight_span span = weight_module_span(w, i / w->parts, i % w->parts);
        status = span.count > 0 ? step(run, span) : CLORA_OK;
    }
    return status;
}

/* A gradient with something in it already, also row major in run->w0, which it takes the place of. */
static case_buffer *gradient_buffer(case_run *run) {
    const size_t n = (size_t)run->shape.N * (size_t)run->shape.K;
    case_buffer *b = values_buffer(run, "dw", CASE_INOUT);

    case_fill(run->w0, run->status == CLORA_OK ? n : 0, case_seed(run, 1300));
    lay_out(b->host, run->w0, run);
    return b;
}

/* ---- dw += dy^T * x ---- */

static void dw_setup(case_run *run) {
    product *p = product_setup(run, CASE_IN, CASE_IN);

    p->fa = gradient_buffer(run);
    p->y = case_matrix(run, "dy", CASE_IN, run->shape.M, run->shape.N);
    p->x = case_matrix(run, "x", CASE_IN, run->shape.M, run->shape.K);
}

static clora_status dw_step(case_run *run, weight_span span) {
    product *p = run->data;
    clora_tensor dw = span_values(p->fa, run->w, span);

    return op_matmul_dw(&dw, &p->y->tensor, &p->x->tensor, run->w, span);
}

static clora_status dw_launch(case_run *run) {
    return each_span(run, dw_step);
}

static void dw_reference(case_run *run) {
    const op_shape *s = &run->shape;
    const product *p = run->data;

    ref_matmul_dw(run->w0, p->y->host, p->x->host, s->M, s->N, s->K);
    lay_out(p->fa->expected, run->w0, run);
}

/* ---- dw of an embedding; option 1 with a scale ---- */

static float embedding_scale(const case_run *run) {
    return run->shape.option ? 5.75f : 1.0f;
}

static void embedding_dw_setup(case_run *run) {
    const op_shape *s = &run->shape;
    product *p = product_setup(run, CASE_IN, CASE_IN);

    p->fa = gradient_buffer(run);
    p->y = case_matrix(run, "dy", CASE_IN, s->M, s->K);
    p->x = case_dense(run, "ids", CASE_IN, CLORA_DTYPE_I32, 1, s->M);
    for (int m = 0; m < s->M && run->status == CLORA_OK; m++) /* some twice, one that is none */
        p->x->ids[m] = m == 3 ? s->N : m % 3 == 2 ? 0 : (m * 7919 + s->N - 1) % s->N;
}

static clora_status embedding_dw_step(case_run *run, weight_span span) {
    product *p = run->data;
    clora_tensor dw = span_values(p->fa, run->w, span);

    return op_embedding_dw(&dw, &p->y->tensor, &p->x->tensor, run->w, span, embedding_scale(run));
}

static clora_status embedding_dw_launch(case_run *run) {
    return each_span(run, embedding_dw_step);
}

static void embedding_dw_reference(case_run *run) {
    const op_shape *s = &run->shape;
    const product *p = run->data;

    ref_embedding_dw(run->w0, p->y->host, p->x->ids, embedding_scale(run), s->M, s->N, s->K);
    lay_out(p->fa->expected, run->w0, run);
}

/* ---- values into a weight's storage, and out again ---- */

static void round_setup(case_run *run) {
    const size_t n = (size_t)run->shape.N * (size_t)run->shape.K;
    product *p = product_setup(run, CASE_IN, CASE_IN);

    p->fa = values_buffer(run, "values", CASE_IN);
    p->fb = values_buffer(run, "again", CASE_OUT);
    case_fill(run->w0, run->status == CLORA_OK ? n : 0, case_seed(run, 1400));
    for (size_t i = 0; i < n && run->status == CLORA_OK; i++) /* subnormal, a tie to even down and up, large */
        run->w0[i] *= i % 7 == 1 ? 1e-5f : i % 7 == 2 ? 6e-8f : i % 7 == 3 ? 60000.0f : 1.0f;
    for (size_t i = 4; i < n && run->status == CLORA_OK; i += 7)
        run->w0[i] = i % 2 ? 1.0f + 1.0f / 2048.0f : 1.0f + 3.0f / 256.0f;
    lay_out(p->fa->host, run->w0, run);
}

static clora_status round_step(case_run *run, weight_span span) {
    product *p = run->data;
    const clora_tensor values = span_values(p->fa, run->w, span);
    clora_tensor again = span_values(p->fb, run->w, span);
    clora_status status = CLORA_OK;

    TRY(op_weight_round(run->w, span, &values));
    TRY(op_weight_values(&again, run->w, span));
done:
    return status;
}

static clora_status round_launch(case_run *run) {
    return each_span(run, round_step);
}

static void round_reference(case_run *run) {
    const product *p = run->data;

    for (int i = 0; i < p->fa->cols; i++)
        p->fb->expected[i] = run->shape.dtype == F16 ? dtype_f16_to_f32(dtype_f32_to_f16(p->fa->host[i]))
                                                     : dtype_bf16_to_f32(dtype_f32_to_bf16(p->fa->host[i]));
}

/* ---- w = W0 + s * B * A in its own storage ---- */

/* Values in steps that leave every sum exact in float: there is one right rounding then. */
static void coarsen(case_run *run, float *values, size_t n, float steps) {
    for (size_t i = 0; i < n && run->status == CLORA_OK; i++)
        values[i] = roundf(values[i] * steps) / steps;
}

/* run->other is W0, which stays. */
static void weight_merge_setup(case_run *run) {
    const size_t n = (size_t)run->shape.N * (size_t)run->shape.K;
    product *p = product_setup(run, CASE_IN, CASE_IN);

    p->x = case_dense(run, "outside", CASE_INOUT, CLORA_DTYPE_I32, 1, 1);
    p->y = values_buffer(run, "merged", CASE_OUT);
    for (int i = 0; i < p->modules && run->status == CLORA_OK; i++) {
        coarsen(run, p->a[i], (size_t)p->rank[i] * (size_t)run->shape.K, 8.0f);
        coarsen(run, p->b[i], (size_t)p->rank[i] * (size_t)p->N[i], 8.0f);
        lowrank_pack_a(run->lr, i, p->fa->host, p->a[i]);
        lowrank_pack_b(run->lr, i, p->fb->host, p->b[i]);
    }
    if (run->shape.dtype == CLORA_STORAGE_F32)
        coarsen(run, run->w0, n, 1024.0f);
    if (run->status == CLORA_OK)
        run->status = weight_create_as(&run->other, run->context, run->w->layout, run->shape.dtype, run->shape.K,
                                       p->modules, p->N);
    for (int i = 0; i < p->modules && run->status == CLORA_OK; i++)
        run->status =
            weight_pack(run->other, i, run->w0 + (size_t)p->col[i] * (size_t)run->shape.K, CLORA_DTYPE_F32, false);
}

/* A module without a rank stays as it is. */
static clora_status weight_merge_launch(case_run *run) {
    const product *p = run->data;
    clora_status status = CLORA_OK;

    for (int i = 0; i < p->modules; i++)
        for (int part = 0; part < run->w->parts && p->rank[i] > 0; part++)
            TRY(op_weight_merge(run->w, run->other->part[part].data, run->lr, i, part, &p->x->tensor));
done:
    return status;
}

static clora_status merged_values(case_run *run, weight_span span) {
    const product *p = run->data;
    clora_tensor values = span_values(p->y, run->w, span);

    return op_weight_values(&values, run->w, span);
}

static clora_status weight_merge_look(case_run *run) {
    clora_status status = CLORA_OK;

    TRY(weight_merge_launch(run));
    if (run->guards) /* no part of what is timed */
        TRY(each_span(run, merged_values));
done:
    return status;
}

static void weight_merge_reference(case_run *run) {
    const size_t K = (size_t)run->shape.K;
    const storage *type = storage_of(run->shape.dtype);
    const product *p = run->data;
    unsigned char block[256];

    for (int i = 0; i < p->modules && run->status == CLORA_OK; i++) {
        float *rows = run->w0 + (size_t)p->col[i] * K;
        if (p->rank[i] == 0)
            continue;
        ref_lowrank_merge(rows, p->a[i], p->b[i], p->scale[i], p->N[i], (int)K, p->rank[i]);
        for (size_t at = 0; at < (size_t)p->N[i] * K; at += (size_t)type->block) {
            (void)storage_pack(type, block, rows + at, CLORA_DTYPE_F32, (size_t)type->block);
            storage_unpack(type, rows + at, block, (size_t)type->block);
        }
    }
    lay_out(p->y->expected, run->w0, run);
}

static double weight_merge_flops(const op_shape *s) {
    return 2.0 * s->K * product_b_elements(s);
}

static double weight_merge_bytes(const op_shape *s) {
    return 2.0 * product_weight_bytes(s) + 4.0 * (product_b_elements(s) + (double)product_ranks(s) * s->K);
}

/* ---- costs ---- */

static double dw_flops(const op_shape *s) {
    return 2.0 * s->M * s->N * s->K;
}
static double dw_bytes(const op_shape *s) {
    return 4.0 * (2.0 * s->N * s->K + s->M * ((double)s->N + s->K));
}
static double embedding_flops(const op_shape *s) {
    return (double)s->M * s->K;
}
static double embedding_bytes(const op_shape *s) {
    return 12.0 * s->M * s->K;
}
static double round_flops(const op_shape *s) {
    return (double)s->N * s->K;
}
static double round_bytes(const op_shape *s) {
    return 12.0 * s->N * s->K; /* both ways */
}

static const op_shape dw_shapes[] = {
    {.M = 1, .N = 1, .K = 1},
    {.M = 2, .N = 33, .K = 17, .pad = 3},
    {.M = 5, .N = 31, .K = 12, .modules = 2, .dtype = BF16},
    {.M = 9, .N = 130, .K = 30, .modules = 3, .pad = 1},
    {.M = 65, .N = 129, .K = 257, .pad = 2},
    {.M = 300, .N = 67, .K = 200, .modules = 2, .dtype = F16}, /* two blocks of rows, and of columns */
    {.M = 19, .N = 801, .K = 66, .pad = 1},
};
static const op_shape embedding_shapes[] = {
    {.M = 1, .N = 1, .K = 1},
    {.M = 5, .N = 97, .K = 33, .pad = 3},
    {.M = 70, .N = 50, .K = 65, .dtype = F16, .option = 1},
    {.M = 19, .N = 131, .K = 77, .pad = 1},
};
static const op_shape round_shapes[] = {
    {.N = 1, .K = 1, .dtype = F16},
    {.N = 67, .K = 33, .modules = 2, .dtype = F16},
    {.N = 130, .K = 29, .modules = 3, .dtype = BF16},
    {.N = 40, .K = 64, .dtype = BF16},
};
static const op_shape weight_merge_shapes[] = {
    {.N = 1, .K = 1, .R = 1},
    {.N = 67, .K = 131, .R = 8},
    {.N = 33, .K = 17, .R = 5, .modules = 3, .dtype = BF16},
    {.N = 97, .K = 259, .R = 16, .modules = 4, .dtype = F16},
    {.N = 130, .K = 601, .R = 7, .dtype = BF16},
    {.N = 41, .K = 96, .R = 3, .modules = 3, .dtype = CLORA_STORAGE_Q8_0},
};

const op_case cases_grad[] = {
    {"matmul_dw", CASE_SHAPES(dw_shapes), dw_setup, dw_launch, dw_reference, dw_flops, dw_bytes, 4e-6f},
    {"embedding_dw", CASE_SHAPES(embedding_shapes), embedding_dw_setup, embedding_dw_launch, embedding_dw_reference,
     embedding_flops, embedding_bytes, 1e-6f},
    {"weight_round", CASE_SHAPES(round_shapes), round_setup, round_launch, round_reference, round_flops, round_bytes,
     0.0f},
    {"weight_merge", CASE_SHAPES(weight_merge_shapes), weight_merge_setup, weight_merge_look, weight_merge_reference,
     weight_merge_flops, weight_merge_bytes, 0.0f},
    {.name = NULL},
};
