#include "methods/merge_rows.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

enum { MAX_THREADS = 32 };

/* The rows of one thread, and its results. */
typedef struct share {
    unsigned char *out;
    const unsigned char *w;
    clora_dtype from, to;
    int row, rows;
    const merge_factors *factors;
    merge_change change;
    clora_status status;
} share;

/*
 * The float next to x towards zero, its last bit set when that is not exact ("round to odd"): rounded further to f16 or
 * bf16 it gives what rounding x itself would, where rounding to nearest twice might not. Beyond the floats it gives the
 * largest one, which both types round to infinity.
 */
static inline float float_to_odd(double x) {
    float f = (float)x;
    uint32_t bits;

    memcpy(&bits, &f, sizeof(bits));
    bits -= fabs((double)f) > fabs(x); /* magnitudes order like their bits */
    bits |= (double)f != x;
    memcpy(&f, &bits, sizeof(f));
    return f;
}

/* delta (K) = scale * row n of B times A */
static void make_delta(double *delta, const merge_factors *factors, int n) {
    const size_t K = (size_t)factors->K, R = (size_t)factors->R;

    memset(delta, 0, K * sizeof(*delta));
    for (size_t r = 0; r < R; r++) {
        const double b = (double)factors->scale * (double)factors->b[(size_t)n * R + r];
        const float *a = &factors->a[r * K];
        for (size_t k = 0; k < K; k++)
            delta[k] += b * (double)a[k];
    }
}

/* delta becomes what takes row n, w (K), to w + delta scaled to its magnitude. */
static void scale_delta(double *delta, const merge_factors *factors, const float *w, int n) {
    const size_t K = (size_t)factors->K;
    double squares = 0.0;

    for (size_t k = 0; k < K; k++)
        squares += ((double)w[k] + delta[k]) * ((double)w[k] + delta[k]);
    const double factor = squares == 0.0 ? 0.0 : (double)factors->magnitude[n] / sqrt(squares);
    for (size_t k = 0; k < K; k++)
        delta[k] = factor * ((double)w[k] + delta[k]) - (double)w[k];
}

/* The larger one; a NaN in x is passed over. Unlike fmax() it is compiled in line. */
static inline double larger(double max, double x) {
    return x > max ? x : max;
}

/* One row; delta and values are scratch of K elements. */
static bool merge_row(unsigned char *out, share *s, const unsigned char *w, int n, double *delta, float *values) {
    const size_t K = (size_t)s->factors->K;
    double change = s->change.change, rounding = s->change.rounding;
    bool finite = true;

    make_delta(delta, s->factors, n);
    dtype_to_f32(values, w, s->from, K);
    if (s->factors->magnitude)
        scale_delta(delta, s->factors, values, n);
    for (size_t k = 0; k < K; k++) {
        change = larger(change, fabs(delta[k]));
        delta[k] += (double)values[k]; /* the exact sum from here on */
    }
    for (size_t k = 0; k < K; k++)
        values[k] = s->to == CLORA_DTYPE_F32 ? (float)delta[k] : float_to_odd(delta[k]);
    dtype_from_f32(out, s->to, values, K);
    dtype_to_f32(values, out, s->to, K);
    for (size_t k = 0; k < K; k++) {
        finite &= isfinite(values[k]) != 0;
        rounding = larger(rounding, fabs((double)values[k] - delta[k]));
    }
    s->change = (merge_change){change, rounding};
    return finite;
}

static void *run(void *user) {
    share *s = user;
    const size_t K = (size_t)s->factors->K, in = K * dtype_size(s->from), step = K * dtype_size(s->to);
    double *delta = alloc_array(K, sizeof(*delta));
    float *values = alloc_array(K, sizeof(*values));

    s->status = delta && values ? CLORA_OK : CLORA_ERROR_MEMORY;
    for (int i = 0; s->status == CLORA_OK && i < s->rows; i++)
        if (!merge_row(s->out + (size_t)i * step, s, s->w + (size_t)i * in, s->row + i, delta, values))
            s->status = CLORA_ERROR_FORMAT;
    free(delta);
    free(values);
    return NULL;
}

/* A row's result depends on nothing but the row, so the number of threads changes no bit. */
static int thread_count(int rows, int K) {
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    const int worthwhile = (int)((int64_t)rows * K / 65536) + 1;
    int count = processors > MAX_THREADS ? MAX_THREADS : processors < 1 ? 1 : (int)processors;

    count = count > worthwhile ? worthwhile : count;
    return count > rows ? rows : count;
}

clora_status merge_rows(void *out, merge_change *change, const void *w, clora_dtype from, clora_dtype to, int row,
                        int rows, const merge_factors *factors) {
    const size_t K = (size_t)factors->K;
    const int count = thread_count(rows, factors->K);
    clora_status status = CLORA_OK;
    pthread_t thread[MAX_THREADS];
    bool started[MAX_THREADS] = {false};
    share part[MAX_THREADS];
    int done = 0;

    for (int i = 0; i < count; i++) {
        const int n = (rows - done) / (count - i);
        part[i] = (share){.out = (unsigned char *)out + (size_t)done * K * dtype_size(to),
                          .w = (const unsigned char *)w + (size_t)done * K * dtype_size(from),
                          .from = from,
                          .to = to,
                          .row = row + done,
                          .rows = n,
                          .factors = factors};
        done += n;
        if (i + 1 < count)
            started[i] = pthread_create(&thread[i], NULL, run, &part[i]) == 0;
        if (!started[i])
            run(&part[i]); /* the last share, or no thread to be had: here */
    }
    for (int i = 0; i < count; i++) {
        if (started[i])
            pthread_join(thread[i], NULL);
        change->change = larger(change->change, part[i].change.change);
        change->rounding = larger(change->rounding, part[i].change.rounding);
        if (part[i].status != CLORA_OK && status == CLORA_OK)
            status = part[i].status;
    }
    if (status == CLORA_ERROR_MEMORY)
        return clora_fail(status, "no memory to merge a row of %d elements", factors->K);
    if (status != CLORA_OK)
        return clora_fail(status, "a merged value is not finite in %s", dtype_name(to));
    return CLORA_OK;
}
