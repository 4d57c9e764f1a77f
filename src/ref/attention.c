#include "ref/ref.h"

#include <math.h>

/* One query and the keys and values of its sequence and group. */
typedef struct query {
    size_t head;         /* element of lse and delta */
    size_t q;            /* first element in q and y */
    size_t kv;           /* first element of key 0 in k and v */
    size_t step;         /* elements between keys */
    int near, prefix;    /* sees near <= s < prefix */
    int from, to;        /* and from <= s < to, */
    int t;               /* where t <= last[s - prefix], */
    const int32_t *last; /* if there are limits */
    double scale, cap;
} query;

static query query_of(ref_attention_shape n, int b, int t, int h, const int32_t *past, const int32_t *first,
                      const int32_t *last) {
    const size_t m = (size_t)b * (size_t)n.T + (size_t)t, D = (size_t)n.D;

    return (query){
        .head = m * (size_t)n.H + (size_t)h,
        .q = (m * (size_t)n.H + (size_t)h) * D,
        .kv = ((size_t)b * (size_t)n.S * (size_t)n.G + (size_t)(h / (n.H / n.G))) * D,
        .step = (size_t)n.G * D,
        .near = n.partial ? first[2 * m + 1] : 0,
        .prefix = n.prefix,
        .from = n.prefix + first[n.partial ? 2 * m : m],
        .to = past[b] + t + 1,
        .t = t,
        .scale = n.scale > 0.0f ? (double)n.scale : 1.0 / sqrt((double)n.D),
        .cap = (double)n.cap,
        .last = last ? last + (size_t)b * (size_t)(n.S - n.prefix) : NULL,
    };
}

static bool sees(const query *at, int s) {
    return (s >= at->near && s < at->prefix) ||
           (s >= at->from && s < at->to && (!at->last || at->t <= at->last[s - at->prefix]));
}

static double dot(const float *a, const float *b, int n) {
    double sum = 0.0;

    for (int i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static double score(const query *at, int s, const float *q, const float *k, int D) {
    const double product = dot(q + at->q, k + at->kv + (size_t)s * at->step, D) * at->scale;

    return at->cap > 0.0 ? at->cap * tanh(product / at->cap) : product;
}

/* log sum exp of the visible scores */
static double log_sum(const query *at, const float *q, const float *k, int D) {
    double most = -INFINITY, sum = 0.0;

    for (int s = 0; s < at->to; s++)
        most = sees(at, s) ? fmax(most, score(at, s, q, k, D)) : most;
    for (int s = 0; s < at->to; s++)
        sum += sees(at, s) ? exp(score(at, s, q, k, D) - most) : 0.0;
    return most + log(sum);
}

/* Sums are made for PART elements of a head at a time, so that they fit the stack whatever D. */
enum { PART = 64 };

static int part_of(int D, int d0) {
    return D - d0 < PART ? D - d0 : PART;
}

static void add_row(double *sum, double factor, const float *row, int n) {
    for (int d = 0; d < n; d++)
        sum[d] += factor * (double)row[d];
}

static void store_row(float *out, const double *sum, int n) {
    for (int d = 0; d < n; d++)
        out[d] = (float)sum[d];
}

void ref_attention(float *y, float *lse, const float *q, const float *k, const float *v, const int32_t *past,
                   const int32_t *first, const int32_t *last, ref_attention_shape n) {
    for (int b = 0; b < n.B; b++)
        for (int t = 0; t < n.T; t++)
            for (int h = 0; h < n.H; h++) {
                const query at = query_of(n, b, t, h, past, first, last);
                const double total = log_sum(&at, q, k, n.D);
                if (lse)
                    lse[at.head] = (float)total;
                for (int d = 0; d < n.D; d += PART) {
                    double sum[PART] = {0};
                    for (int s = 0; s < at.to; s++)
                        if (sees(&at, s))
                            add_row(sum, exp(score(&at, s, q, k, n.D) - total), v + at.kv + (size_t)s * at.step + d,
                                    part_of(n.D, d));
                    store_row(y + at.q + d, sum, part_of(n.D, d));
                }
            }
}

/* The probability of a pair and the gradient of its product, which is scaled to be its score. */
typedef struct pair {
    double p, ds;
} pair;

typedef struct inputs {
    const float *dy, *q, *k, *v, *lse, *delta;
    int D;
} inputs;

static pair pair_of(const inputs *in, const query *at, int s) {
    const double value = score(at, s, in->q, in->k, in->D), p = exp(value - (double)in->lse[at->head]);
    const double slope = at->cap > 0.0 ? 1.0 - value / at->cap * (value / at->cap) : 1.0;
    const double dp = dot(in->dy + at->q, in->v + at->kv + (size_t)s * at->step, in->D);

    return (pair){p, p * (dp - (double)in->delta[at->head]) * slope * at->scale};
}

static void query_gradient(float *dq, const inputs *in, const query *at) {
    for (int d = 0; d < in->D; d += PART) {
        double sum[PART] = {0};
        for (int s = 0; s < at->to; s++)
            if (sees(at, s))
                add_row(sum, pair_of(in, at, s).ds, in->k + at->kv + (size_t)s * at->step + d, part_of(in->D, d));
        store_row(dq + at->q + d, sum, part_of(in->D, d));
    }
}

static void key_gradient(float *dk, float *dv, const inputs *in, ref_attention_shape n, int b, int g, int s,
                         const int32_t *past, const int32_t *first, const int32_t *last) {
    const size_t row = (((size_t)b * (size_t)n.S + (size_t)s) * (size_t)n.G + (size_t)g) * (size_t)n.D;
    const int per_group = n.H / n.G;

    for (int d = 0; d < n.D; d += PART) {
        double sum_k[PART] = {0}, sum_v[PART] = {0};
        for (int i = 0; i < n.T * per_group; i++) {
            const query at = query_of(n, b, i / per_group, g * per_group + i % per_group, past, first, last);
            if (!sees(&at, s))
                continue;
            const pair both = pair_of(in, &at, s);
            add_row(sum_k, both.ds, in->q + at.q + d, part_of(n.D, d));
            add_row(sum_v, both.p, in->dy + at.q + d, part_of(n.D, d));
        }
        store_row(dk + row + d, sum_k, part_of(n.D, d));
        store_row(dv + row + d, sum_v, part_of(n.D, d));
    }
}

void ref_attention_backward(float *dq, float *dk, float *dv, float *delta, const float *dy, const float *y,
                            const float *q, const float *k, const float *v, const float *lse, const int32_t *past,
                            const int32_t *first, const int32_t *last, ref_attention_shape n) {
    const inputs in = {dy, q, k, v, lse, delta, n.D};

    for (int b = 0; b < n.B; b++) {
        for (int i = 0; i < n.T * n.H; i++) {
            const query at = query_of(n, b, i / n.H, i % n.H, past, first, last);
            delta[at.head] = (float)dot(dy + at.q, y + at.q, n.D);
            query_gradient(dq, &in, &at);
        }
        for (int i = 0; i < n.S * n.G; i++)
            key_gradient(dk, dv, &in, n, b, i % n.G, i / n.G, past, first, last);
    }
}
