#include "ops/lowrank.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/ints.h"
#include "device/scratch.h"

/* Rows of A, and where each module's panels begin in b. */
static clora_status describe(lowrank *lr, const weight *base, const int *R, const float *scale) {
    int64_t rows = 0;
    size_t b = 0;

    *lr = (lowrank){.context = base->context, .base = base, .modules = base->modules};
    for (int i = 0; i < base->modules; i++) {
        if (R[i] < 0)
            return clora_fail(CLORA_ERROR_ARGUMENT, "lowrank: rank %d of module %d", R[i], i);
        lr->module[i] = (lowrank_module){.R = R[i], .row = (int)rows, .scale = scale[i], .b = b};
        rows += R[i];
        b += (size_t)divide_up(base->module[i].N, base->NR) * (size_t)base->NR * (size_t)R[i];
    }
    const size_t a = (size_t)divide_up(base->K, base->NR) * (size_t)base->NR * (size_t)rows;
    if (rows == 0)
        return clora_fail(CLORA_ERROR_ARGUMENT, "lowrank: every rank is 0");
    if (rows > INT32_MAX || a > INT32_MAX || b > INT32_MAX)
        return clora_fail(CLORA_ERROR_SHAPE, "lowrank: rank %lld for N %d, K %d is too large", (long long)rows, base->N,
                          base->K);
    lr->R = (int)rows;
    lr->a_count = a;
    lr->b_count = b;
    return CLORA_OK;
}

static clora_status create_tables(lowrank *lr) {
    clora_status status = CLORA_OK;
    int32_t *table = lowrank_list_table(lr);
    float *scales = lowrank_list_scales(lr);

    if (!table || !scales)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a low-rank term"));
    TRY(tensor_new(&lr->table, lr->context, CLORA_DTYPE_I32, lr->base->panels, 3));
    TRY(clora_tensor_write(lr->table, table));
    TRY(tensor_new(&lr->scales, lr->context, CLORA_DTYPE_F32, 1, lr->R));
    TRY(clora_tensor_write(lr->scales, scales));
done:
    free(table);
    free(scales);
    return status;
}

clora_status lowrank_create(lowrank **out, const weight *base, const int *R, const float *scale) {
    clora_status status = CLORA_OK;
    lowrank *lr = calloc(1, sizeof(*lr));

    *out = NULL;
    if (!lr)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a low-rank term");
    TRY(describe(lr, base, R, scale));
    TRY(create_tables(lr));
    TRY(scratch_join(lr->context, lowrank_scratch_elements(base, lr->R)));
    lr->uses_scratch = true; /* perhaps later, when parameters are set by hand */
    *out = lr;
    lr = NULL;
done:
    lowrank_free(lr);
    return status;
}

size_t lowrank_bytes(const lowrank *lr) {
    return clora_tensor_count(lr->table) * sizeof(int32_t) + clora_tensor_count(lr->scales) * sizeof(float);
}

void lowrank_free(lowrank *lr) {
    if (!lr)
        return;
    if (lr->uses_scratch)
        scratch_leave(lr->context);
    clora_tensor_free(lr->table);
    clora_tensor_free(lr->scales);
    free(lr);
}

/* Where element (r, k) of one module's A and element (n, r) of its B lie in the panels. */
static size_t place_a(const lowrank *lr, int module, int r, int k) {
    const size_t NR = (size_t)lr->base->NR, row = (size_t)(lr->module[module].row + r);
    return ((size_t)k / NR * (size_t)lr->R + row) * NR + (size_t)k % NR;
}

static size_t place_b(const lowrank *lr, int module, int n, int r) {
    const size_t NR = (size_t)lr->base->NR, R = (size_t)lr->module[module].R;
    return lr->module[module].b + ((size_t)n / NR * R + (size_t)r) * NR + (size_t)n % NR;
}

void lowrank_pack_a(const lowrank *lr, int module, float *panels, const float *a) {
    const int K = lr->base->K, padded = divide_up(K, lr->base->NR) * lr->base->NR;

    for (int r = 0; r < lr->module[module].R; r++)
        for (int k = 0; k < padded; k++)
            panels[place_a(lr, module, r, k)] = k < K ? a[(size_t)r * (size_t)K + (size_t)k] : 0.0f;
}

void lowrank_pack_b(const lowrank *lr, int module, float *panels, const float *b) {
    const int R = lr->module[module].R, N = lr->base->module[module].N;
    const int padded = divide_up(N, lr->base->NR) * lr->base->NR;

    for (int n = 0; n < padded; n++)
        for (int r = 0; r < R; r++)
            panels[place_b(lr, module, n, r)] = n < N ? b[(size_t)n * (size_t)R + (size_t)r] : 0.0f;
}

void lowrank_unpack_a(const lowrank *lr, int module, float *a, const float *panels) {
    const int K = lr->base->K;

    for (int r = 0; r < lr->module[module].R; r++)
        for (int k = 0; k < K; k++)
            a[(size_t)r * (size_t)K + (size_t)k] = panels[place_a(lr, module, r, k)];
}

void lowrank_unpack_b(const lowrank *lr, int module, float *b, const float *panels) {
    const int R = lr->module[module].R;

    for (int n = 0; n < lr->base->module[module].N; n++)
        for (int r = 0; r < R; r++)
            b[(size_t)n * (size_t)R + (size_t)r] = panels[place_b(lr, module, n, r)];
}
