#include "search/surrogate.h"

#include <math.h>
#include <string.h>

static const double noise = 0.05; /* of a measurement, as a share of the variance */

static int differing(const int *a, const int *b, int dims) {
    int n = 0;

    for (int d = 0; d < dims; d++)
        n += a[d] != b[d];
    return n;
}

/* out = factor^-1 in, of the first n. */
static void solve(double *out, const surrogate *m, const double *in) {
    for (int i = 0; i < m->count; i++) {
        double sum = in[i];
        for (int j = 0; j < i; j++)
            sum -= m->factor[i][j] * out[j];
        out[i] = sum / m->factor[i][i];
    }
}

static double dot(const double *a, const double *b, int n) {
    double sum = 0.0;

    for (int i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Cholesky's factor of the covariance of the points; noise keeps it positive. */
static void factorise(surrogate *m) {
    for (int i = 0; i < m->count; i++)
        for (int j = 0; j <= i; j++) {
            const double a = m->alike[differing(m->points[i]->at, m->points[j]->at, m->dims)] + (i == j ? noise : 0.0),
                         rest = a - dot(m->factor[i], m->factor[j], j);
            m->factor[i][j] = i == j ? sqrt(rest) : rest / m->factor[j][j];
        }
}

/* Fit where likeness falls by a factor of e over `length` parameters. Returns the logarithm of the likelihood. */
static double fit_length(surrogate *m, const double *y, double length) {
    double ones[SURROGATE_POINTS], one[SURROGATE_POINTS], whole[SURROGATE_POINTS], likelihood = 0.0;
    const int n = m->count;

    for (int i = 0; i <= m->dims; i++)
        m->alike[i] = exp(-i / length);
    factorise(m);
    for (int i = 0; i < SURROGATE_POINTS; i++)
        ones[i] = 1.0;
    solve(one, m, ones);
    solve(whole, m, y);
    m->mean = dot(one, whole, n) / dot(one, one, n);
    for (int i = 0; i < n; i++) {
        m->rest[i] = whole[i] - m->mean * one[i];
        likelihood -= log(m->factor[i][i]);
    }
    m->variance = fmax(dot(m->rest, m->rest, n) / n, 1e-6);
    return likelihood - 0.5 * n * log(m->variance);
}

void surrogate_fit(surrogate *m, int dims, const visit *visits, int count) {
    static const double lengths[] = {1.0, 2.0, 4.0}, slow = 1.5;
    double y[SURROGATE_POINTS], most = -INFINITY, chosen = 0.0;

    m->dims = dims;
    m->count = count;
    m->best = INFINITY;
    for (int i = 0; i < count; i++) {
        m->points[i] = &visits[i];
        m->best = fmin(m->best, log(visits[i].time));
    }
    for (int i = 0; i < count; i++)
        y[i] = fmin(log(visits[i].time), m->best + slow); /* how slow or unusable does not matter */
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        const double likelihood = fit_length(m, y, lengths[i]);
        if (likelihood > most) {
            most = likelihood;
            chosen = lengths[i];
        }
    }
    fit_length(m, y, chosen);
}

double surrogate_gain(const surrogate *m, const int *at) {
    double like[SURROGATE_POINTS], part[SURROGATE_POINTS];

    for (int i = 0; i < m->count; i++)
        like[i] = m->alike[differing(m->points[i]->at, at, m->dims)];
    solve(part, m, like);
    const double mean = m->mean + dot(part, m->rest, m->count),
                 deviation = sqrt(m->variance * fmax(m->alike[0] - dot(part, part, m->count), 1e-9)),
                 z = (m->best - mean) / deviation;
    /* the expectation of what is below the best of a normal distribution */
    return deviation * (z * 0.5 * erfc(-z * M_SQRT1_2) + exp(-0.5 * z * z) * M_2_SQRTPI * 0.5 * M_SQRT1_2);
}
