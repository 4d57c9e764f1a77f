#include <string.h>

#include "base/dtype.h"
#include "cases/product.h"
#include "ref/ref.h"

/* ---- merged = W0 + s * B * A, as panels of an f32 weight: only where the weight is in panels ---- */

static const op_shape merge_shapes[] = {
    {.N = 1, .K = 1, .R = 1},
    {.N = 67, .K = 131, .R = 8},
    {.N = 33, .K = 17, .R = 5, .modules = 2, .dtype = CLORA_STORAGE_BF16},
    {.N = 40, .K = 259, .R = 1, .dtype = CLORA_STORAGE_F16},
    {.N = 97, .K = 31, .R = 3, .modules = 3},
    {.N = 128, .K = 48, .R = 33, .modules = 4, .dtype = CLORA_STORAGE_F16},
    {.N = 310, .K = 64, .R = 64, .dtype = CLORA_STORAGE_BF16},
    {.N = 130, .K = 601, .R = 7, .modules = 3, .dtype = CLORA_STORAGE_BF16},
};

static void merge_setup(case_run *run) {
    product *p = product_setup(run, CASE_IN, CASE_IN);
    const int panels = run->status == CLORA_OK ? run->w->panels : 1, NR = run->status == CLORA_OK ? run->w->NR : 1;

    p->y = case_dense(run, "merged", CASE_OUT, CLORA_DTYPE_F32, panels, run->shape.K * NR);
}

static clora_status merge_launch(case_run *run) {
    product *p = run->data;
    return op_lowrank_merge(&p->y->tensor, run->lr, 0, 0);
}

/* Rows of one module to its panels; lanes past its end are zero. */
static void pack_rows(float *panels, const float *rows, const weight_module *m, int K, int NR) {
    for (int n = 0; n < m->N; n++)
        for (int k = 0; k < K; k++)
            panels[((size_t)(m->panel + n / NR) * (size_t)K + (size_t)k) * (size_t)NR + (size_t)(n % NR)] =
                rows[(size_t)n * (size_t)K + (size_t)k];
}

static void merge_reference(case_run *run) {
    const int K = run->shape.K;
    const product *p = run->data;
    float *merged = case_memory(run, (size_t)run->shape.N * (size_t)K, sizeof(float));

    if (run->status != CLORA_OK)
        return;
    memcpy(merged, run->w0, (size_t)run->shape.N * (size_t)K * sizeof(float));
    for (int i = 0; i < p->modules; i++) {
        float *rows = merged + (size_t)p->col[i] * (size_t)K;
        ref_lowrank_merge(rows, p->a[i], p->b[i], p->scale[i], p->N[i], K, p->rank[i]);
        pack_rows(p->y->expected, rows, &run->w->module[i], K, run->w->NR);
    }
}

static double merge_flops(const op_shape *s) {
    return 2.0 * s->K * product_b_elements(s);
}

static double merge_bytes(const op_shape *s) {
    return product_weight_bytes(s) + 4.0 * s->N * s->K +
           4.0 * (product_b_elements(s) + (double)product_ranks(s) * s->K);
}

const op_case cases_merge[] = {
    {"lowrank_merge", CASE_SHAPES(merge_shapes), merge_setup, merge_launch, merge_reference, merge_flops, merge_bytes,
     4e-6f},
    {.name = NULL},
};
