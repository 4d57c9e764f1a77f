#include "methods/decompose.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "ops/ops.h"

static const uint32_t STREAM = 0x50000000u; /* of the first basis */

enum { ITERATIONS = 16, MORE = 16 /* vectors besides those that are wanted */, SWEEPS = 30 };

/* Products of n rows with a module of a weight, W (N, K), between host and device. */
typedef struct products {
    weight w; /* without its bias */
    const weight_module *module;
    int n, N, K;
    clora_tensor *x, *y; /* (n, K) and (n, columns of all modules) */
    float *wide;         /* y on the host */
} products;

static clora_status products_init(products *p, const weight *w, int module, int n) {
    clora_status status = CLORA_OK;

    *p = (products){.w = *w, .module = &w->module[module], .n = n, .N = w->module[module].N, .K = w->K};
    p->w.bias = NULL;
    p->wide = alloc_array((size_t)n * (size_t)w->N, sizeof(*p->wide));
    if (!p->wide)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to decompose a weight"));
    TRY(tensor_new(&p->x, w->context, CLORA_DTYPE_F32, n, w->K));
    TRY(tensor_new(&p->y, w->context, CLORA_DTYPE_F32, n, w->N));
done:
    return status;
}

static void products_finish(products *p) {
    clora_tensor_free(p->x);
    clora_tensor_free(p->y);
    free(p->wide);
}

/* y (n, N) = x (n, K) W^T */
static clora_status times_transposed(float *y, products *p, const float *x) {
    clora_status status = CLORA_OK;

    TRY(clora_tensor_write(p->x, x));
    TRY(op_matmul(p->y, p->x, &p->w, NULL, NULL, NULL, false));
    TRY(clora_tensor_read(p->y, p->wide));
    for (int i = 0; i < p->n; i++)
        memcpy(y + (size_t)i * (size_t)p->N, p->wide + (size_t)i * (size_t)p->w.N + p->module->col,
               (size_t)p->N * sizeof(*y));
done:
    return status;
}

/* x (n, K) = y (n, N) W */
static clora_status times(float *x, products *p, const float *y) {
    clora_status status = CLORA_OK;

    memset(p->wide, 0, (size_t)p->n * (size_t)p->w.N * sizeof(*p->wide));
    for (int i = 0; i < p->n; i++)
        memcpy(p->wide + (size_t)i * (size_t)p->w.N + p->module->col, y + (size_t)i * (size_t)p->N,
               (size_t)p->N * sizeof(*y));
    TRY(clora_tensor_write(p->y, p->wide));
    TRY(op_matmul_dx(p->x, p->y, &p->w, NULL, NULL, false));
    TRY(clora_tensor_read(p->x, x));
done:
    return status;
}

static double dot(const float *a, const float *b, int length) {
    double sum = 0;

    for (int i = 0; i < length; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static void add_times(float *a, double factor, const float *b, int length) {
    for (int i = 0; i < length; i++)
        a[i] = (float)((double)a[i] + factor * (double)b[i]);
}

static void times_number(float *a, double factor, int length) {
    for (int i = 0; i < length; i++)
        a[i] = (float)((double)a[i] * factor);
}

/* Rows of unit length at right angles, each in the span of those up to it; zero where it adds nothing. Twice, for once
 * leaves rounding errors of nearly parallel rows. */
static void make_orthonormal(float *rows, int n, int length) {
    for (int i = 0; i < n; i++) {
        float *row = rows + (size_t)i * (size_t)length;
        const double before = sqrt(dot(row, row, length));
        for (int k = 0; k < 2 * i; k++) {
            const float *other = rows + (size_t)(k % i) * (size_t)length;
            add_times(row, -dot(row, other, length), other, length);
        }
        const double norm = sqrt(dot(row, row, length));
        times_number(row, norm > 1e-6 * before ? 1.0 / norm : 0.0, length);
    }
}

/* Rows i and k of a matrix turned by an angle. */
static void turn(float *rows, int i, int k, int length, double c, double s) {
    float *x = rows + (size_t)i * (size_t)length, *y = rows + (size_t)k * (size_t)length;

    for (int j = 0; j < length; j++) {
        const double u = (double)x[j], v = (double)y[j];
        x[j] = (float)(c * u - s * v);
        y[j] = (float)(s * u + c * v);
    }
}

/* One-sided Jacobi (Hestenes): rows of y (n, N) are turned until they are at right angles, those of x (n, K) alike. */
static void make_right_angles(float *y, int N, float *x, int K, int n) {
    bool turned = true;

    for (int sweep = 0; turned && sweep < SWEEPS; sweep++) {
        turned = false;
        for (int i = 0; i < n; i++)
            for (int k = i + 1; k < n; k++) {
                const float *a = y + (size_t)i * (size_t)N, *b = y + (size_t)k * (size_t)N;
                const double aa = dot(a, a, N), bb = dot(b, b, N), ab = dot(a, b, N);
                if (fabs(ab) <= 1e-7 * sqrt(aa * bb))
                    continue;
                const double zeta = (bb - aa) / (2 * ab);
                const double t = (zeta < 0 ? -1 : 1) / (fabs(zeta) + sqrt(1 + zeta * zeta)), c = 1 / sqrt(1 + t * t);
                turn(y, i, k, N, c, c * t);
                turn(x, i, k, K, c, c * t);
                turned = true;
            }
    }
}

/* The longest of n rows that is not taken yet, which it then is. */
static int take_longest(double *length, int n) {
    int best = 0;

    for (int i = 1; i < n; i++)
        best = length[i] > length[best] ? i : best;
    return best;
}

/* A and B of the R largest singular values, of y = x W^T whose rows are at right angles. */
static void take_largest(float *a, float *b, const float *y, const float *x, double *length, const products *p, int R,
                         float scale) {
    for (int i = 0; i < p->n; i++)
        length[i] = sqrt(dot(y + (size_t)i * (size_t)p->N, y + (size_t)i * (size_t)p->N, p->N));
    for (int r = 0; r < R; r++) {
        const int i = take_longest(length, p->n);
        const double value = length[i], root = sqrt(value / (double)scale);
        for (int k = 0; k < p->K; k++)
            a[(size_t)r * (size_t)p->K + (size_t)k] = (float)(root * (double)x[(size_t)i * (size_t)p->K + (size_t)k]);
        for (int n = 0; n < p->N; n++)
            b[(size_t)n * (size_t)R + (size_t)r] =
                value > 0 ? (float)(root / value * (double)y[(size_t)i * (size_t)p->N + (size_t)n]) : 0.0f;
        length[i] = -1;
    }
}

static int least(int a, int b) {
    return a < b ? a : b;
}

clora_status decompose_pissa(float *a, float *b, const weight *w, int module, int R, float scale, uint64_t seed) {
    const int n = least(R + MORE, least(w->module[module].N, w->K));
    float *x = alloc_array((size_t)n, (size_t)w->K * sizeof(*x));
    float *y = alloc_array((size_t)n, (size_t)w->module[module].N * sizeof(*y));
    double *length = alloc_array((size_t)n, sizeof(*length));
    clora_status status = CLORA_OK;
    products p = {.n = 0};

    if (!x || !y || !length)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to decompose a weight"));
    TRY(products_init(&p, w, module, n));
    for (size_t i = 0; i < (size_t)n * (size_t)w->K; i++)
        x[i] = rng_normal(seed, STREAM, i);
    for (int i = 0; i < ITERATIONS; i++) {
        TRY(times_transposed(y, &p, x));
        make_orthonormal(y, n, p.N);
        TRY(times(x, &p, y));
        make_orthonormal(x, n, p.K);
    }
    TRY(times_transposed(y, &p, x));
    make_right_angles(y, p.N, x, p.K, n);
    take_largest(a, b, y, x, length, &p, R, scale);
done:
    products_finish(&p);
    free(x);
    free(y);
    free(length);
    return status;
}

clora_status decompose_olora(float *a, float *b, const weight *w, int module, int R) {
    const size_t N = (size_t)w->module[module].N, K = (size_t)w->K;
    float *q = alloc_array((size_t)R, N * sizeof(*q));
    clora_status status = CLORA_OK;
    products p = {.n = 0};

    if (!q)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to decompose a weight"));
    TRY(products_init(&p, w, module, R));
    memset(a, 0, (size_t)R * K * sizeof(*a));
    for (size_t r = 0; r < (size_t)R; r++)
        a[r * K + r] = 1.0f;
    TRY(times_transposed(q, &p, a)); /* the first R columns of W */
    make_orthonormal(q, R, (int)N);
    TRY(times(a, &p, q));
    for (size_t n = 0; n < N; n++)
        for (size_t r = 0; r < (size_t)R; r++)
            b[n * (size_t)R + r] = q[r * N + n];
done:
    products_finish(&p);
    free(q);
    return status;
}
